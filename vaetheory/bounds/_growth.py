"""Whether the means of powers of importance weights are finite, where that can be proved.

For z ~ q = N(m, S) the weight to the power s is p(x given z)^s times a Gaussian of precision
M = s I + (1 - s) S^-1. If M is positive definite and the likelihood is bounded, the mean is finite
for s > 0; the rest depends on how fast the likelihood falls far out.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.decoders import Polynomial
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


class Fall(Enum):
    """How far -log p(x given z) rises as z goes to infinity."""

    #: It is bounded.
    BOUNDED = "bounded"
    #: It rises more slowly than |z|^2.
    SLOWLY = "more slowly than the square"
    #: It rises faster than |z|^2 in the directions of some open cone.
    FAST = "faster than the square somewhere"
    #: It rises faster than |z|^2 in every direction.
    FASTEST = "faster than the square everywhere"
    #: Nothing is known.
    UNKNOWN = "unknown"


def fall_of(model: LatentModel) -> Fall:
    """How the log likelihood falls, from what the decoder and the family are known to be.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> fall_of(LatentModel(decoders.Circle(1.0), likelihoods.Poisson()))
    <Fall.BOUNDED: 'bounded'>
    >>> fall_of(LatentModel(decoders.Affine([[1.0]]), likelihoods.Bernoulli()))
    <Fall.SLOWLY: 'more slowly than the square'>
    >>> fall_of(LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=1.0)))
    <Fall.FASTEST: 'faster than the square everywhere'>
    """
    degree, likelihood = model.decoder.growth_degree, model.likelihood
    if degree is None:
        return Fall.UNKNOWN
    if degree == 0:
        # A log density is continuous in the params, so bounded on bounded sets of them.
        return Fall.BOUNDED
    if likelihood.growth_degree is not None and degree * likelihood.growth_degree < 2:
        return Fall.SLOWLY
    if likelihood.gaussian and isinstance(model.decoder, Polynomial):
        return _of_polynomial(model.decoder)
    return Fall.UNKNOWN


def _of_polynomial(decoder: Polynomial) -> Fall:
    """Squares of a polynomial whose part of the highest degree, two or more, does not vanish."""
    powers, where = np.unique(decoder.powers, axis=0, return_inverse=True)
    sums = np.zeros((len(powers), decoder.coefficients.shape[1]))
    np.add.at(sums, where.ravel(), decoder.coefficients)
    size = np.zeros_like(sums)
    np.add.at(size, where.ravel(), np.abs(decoder.coefficients))
    # What may be zero but for rounding is not known to be there.
    there = (np.abs(sums) > gamma(len(decoder.powers)) * size).any(axis=1)
    if powers[there].sum(axis=1).max(initial=0) < 2:
        return Fall.UNKNOWN
    return Fall.FASTEST if decoder.latent_dim == 1 else Fall.FAST


def finite_power(fall: Fall, variances: Array, power: float) -> NDArray[np.intp]:
    """1 where E_q[w^s] is finite, -1 where it is infinite, 0 where neither is known, `(N,)`.

    Parameters
    ----------
    fall : Fall
    variances : array (N, d)
        The eigenvalues of the covariances S.
    power : float
        s.

    Notes
    -----
    Likelihoods are bounded above for given data. With S = U diag(v) U^T the eigenvalues of M have
    the signs of s v + 1 - s. From s = 0 to 1 the mean is at most the evidence to the power s.

    Examples
    --------
    >>> finite_power(Fall.BOUNDED, np.array([[0.25], [0.75]]), 2.0).tolist()
    [-1, 1]
    """
    if 0 <= power <= 1:
        return np.ones(len(variances), dtype=int)
    if power < 0 and fall in (Fall.FAST, Fall.FASTEST):
        return np.full(len(variances), -1)
    if power > 1 and fall is Fall.FASTEST:
        return np.ones(len(variances), dtype=int)
    sign = sign_of(power * variances + 1 - power, abs(power) * variances + abs(1 - power))
    if fall in (Fall.BOUNDED, Fall.SLOWLY):
        return sign
    # A bounded likelihood has inverse powers above some number, and positive ones below.
    return np.where(sign == (1 if power > 1 else -1), sign, 0)


def sign_of(values: Array, sizes: Array) -> NDArray[np.intp]:
    """The sign of the least of values `(N, d)`, or 0 where it may be zero but for rounding.

    Rounding is proportional to the greatest of `sizes`, those of what is added and subtracted.
    """
    count = values.shape[-1]
    allowed = gamma(20 * count) * sizes.max(axis=-1)
    least = values.min(axis=-1)
    return np.where(np.abs(least) <= allowed, 0, np.sign(least)).astype(int)

"""The ELBO as a sum of entropies, and the remainders that are zero where it is stationary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._trust import unchecked
from vaetheory._validation import (
    Array,
    boolean,
    fraction,
    generator,
    integer,
    representable,
    require,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds.gaussian_elbo import elbo, flatten, typical_nodes
from vaetheory.encoders import Posterior
from vaetheory.likelihoods import ExponentialFamily
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Pseudo-entropy, remainder and the size of their terms, of data and params: `(...)` each.
_Terms = Callable[[Array, Array], tuple[Array, Array, Array]]
#: Outputs of a decoder computed at a time.
_CHUNK = 2**20


@dataclass(frozen=True, eq=False)
class EntropySum(ByValue):
    """The mean ELBO of a data set as a sum of entropies and two remainders, in nats.

    `elbo` is `value + remainder + latent_remainders.sum()`, exactly and for any model; `value` has
    entropies only. The remainders are derivatives of the mean ELBO, so that they are zero wherever
    it is stationary in the parameters named below: they tell how far training is from there.

    Attributes
    ----------
    elbo : float
        The mean ELBO, from the log likelihood itself.
    posterior_entropy : float
        The mean entropy of q(z|x).
    prior_entropy : float
        That of N(0, I_d), d/2 log(2 pi e).
    pseudo_entropy : float
        The mean of the likelihood's pseudo-entropy A - phi . E[T] over data and codes; with a
        constant base measure h it is the entropy plus log h.
    log_base : float
        The mean of log h over the data.
    remainder : float
        The derivative of the mean ELBO at t = 1 if the natural parameters phi are multiplied by t:
        E_n E_q[phi . (T(x) - E[T])]. It is zero where the ELBO is stationary in a last layer that
        gives phi, bias included; for Gamma and Exponential, of which the decoder gives log means,
        in a bias shared by all outputs; for a learned Gaussian scale, in that scale.
    latent_remainders : array (d,)
        (1 - E_n E_q[z_j^2]) / 2: half the derivative at t = 1 if z_j is multiplied by t in the
        encoder and divided by t in the decoder. It is zero where the ELBO is stationary in the
        scale of z_j.
    error : float
        Error of `elbo` and of `pseudo_entropy`, an estimate: quadrature plus rounding, or the
        standard error of their means over draws.
    remainder_error : float
        Error of `remainder`, likewise.
    """

    elbo: float
    posterior_entropy: float
    prior_entropy: float
    pseudo_entropy: float
    log_base: float
    remainder: float
    latent_remainders: Array
    error: float
    remainder_error: float

    @property
    def value(self) -> float:
        """The sum of entropies: posterior - prior - pseudo-entropy + log base measure."""
        return self.posterior_entropy - self.prior_entropy - self.pseudo_entropy + self.log_base


def pseudo_entropy(likelihood: ExponentialFamily, params: ArrayLike) -> Array:
    """What takes the place of the entropy in an exponential family, `(...)` in nats.

    Parameters
    ----------
    likelihood : ExponentialFamily
        p(x given params) = exp(phi . T(x) - A) h(x).
    params : array (..., P)
        Its parameters.

    Returns
    -------
    array (...)
        A - phi . E[T], which is the entropy of p(x given params) plus its mean of log h. With
        h = 1, as for Bernoulli, categorical, continuous Bernoulli and exponential data, it is the
        entropy. Rounding is relative to the size of A and of phi . E[T].

    Raises
    ------
    ValueError
        If the likelihood is no exponential family, a parameter is not finite, or a mean overflows.

    Notes
    -----
    Source: claim 23b.

    Examples
    --------
    >>> from vaetheory import likelihoods
    >>> from vaetheory.bounds import pseudo_entropy
    >>> round(float(pseudo_entropy(likelihoods.Bernoulli(), [0.0])), 6)
    0.693147
    >>> round(float(pseudo_entropy(likelihoods.Poisson(), [0.0])), 6)
    1.0
    """
    require("likelihood", likelihood, ExponentialFamily)
    first, _ = likelihood._both(params, params)
    with np.errstate(all="ignore"):
        phi, mean = likelihood.natural_parameters(first), likelihood.mean(first)
        found = likelihood.log_partition(first) - (phi * mean).sum(axis=-1)
    return representable("params", np.asarray(found), "pseudo-entropies")


def entropy_sum(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    *,
    learned_scale: bool = False,
    draws: int | None = None,
    rng: np.random.Generator | None = None,
    rtol: float = 1e-10,
) -> EntropySum:
    """Split the mean ELBO of a data set into entropies and remainders.

    It holds for any decoder and any posteriors. On a trained model the remainders say how far the
    decoder's own direction and the scale of the latents are from being stationary.

    Parameters
    ----------
    model : LatentModel
        Its likelihood is an exponential family.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian per datum, with the leading axes of `X`.
    learned_scale : bool
        For a `Gaussian` likelihood only: whether its noise was learned. Then phi includes the
        precision, and the pseudo-entropy is the entropy; otherwise phi is the whitened mean and the
        base measure is the Gaussian of the data.
    draws : int, optional
        The number of draws from each posterior, at least 2, in place of quadrature: for more than
        some eight latents. The remainder then has a standard error.
    rng : numpy.random.Generator, optional
        Needed with `draws`.
    rtol : float
        Tolerance of the quadrature.

    Returns
    -------
    EntropySum

    Raises
    ------
    ValueError
        If the likelihood is no exponential family, an option does not fit, or as for `elbo`.

    Notes
    -----
    Source: claims 23a to 23c, after Lücke and Warnken; the remainders are our own.

    Examples
    --------
    Four tosses of a coin, and a decoder that ignores its latent and gives the share of ones.

    >>> import numpy as np
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import entropy_sum
    >>> decoder = decoders.Affine([[0.0]], [np.log(3.0)])
    >>> model = LatentModel(decoder, likelihoods.Bernoulli(), 1)
    >>> q = Posterior(np.zeros((4, 1)), cov=np.eye(1))
    >>> found = entropy_sum(model, [[1.0], [1.0], [1.0], [0.0]], q)
    >>> round(found.elbo, 6), round(found.value, 6), abs(found.remainder) < 1e-12
    (-0.562335, -0.562335, True)
    """
    boolean("learned_scale", learned_scale)
    rtol = fraction("rtol", rtol, low=1e-15, high=0.1)
    data, loc, cov = flatten(model, X, posterior)
    if not len(data):
        raise ValueError("X: expected at least one datum, got none")
    family = require("model.likelihood", model.likelihood, ExponentialFamily)
    if learned_scale and not family.gaussian:
        raise ValueError(
            f"learned_scale: expected False for {type(family).__name__}, whose decoder or user "
            "gives all its parameters; True is for Gaussian"
        )
    dim, count = model.latent_dim, len(data)
    terms = partial(_of_a_scale if learned_scale else _of_a_family, family)
    base = 0.0 if learned_scale else float(family.log_base(data).mean())
    posterior_entropy = float(_gaussians.entropy(cov).mean())
    moments = (loc**2 + np.einsum("nii->ni", cov)).mean(axis=0)
    if draws is None:
        bound = elbo(model, X, posterior, rtol=max(rtol, 1e-12))
        value, error = float(bound.value.mean()), float(bound.error.mean())
        pseudo, remainder, own, other = _by_quadrature(model, terms, data, loc, cov, rtol)
    else:
        number = integer("draws", draws, low=2)
        (mean, pseudo, remainder), (error, own, other) = _by_draws(
            model, terms, data, loc, cov, number, generator("rng", rng)
        )
        value = mean - float(posterior.kl_to_prior().mean())
    return EntropySum(
        elbo=value,
        posterior_entropy=posterior_entropy,
        prior_entropy=float(_gaussians.entropy(np.eye(dim))),
        pseudo_entropy=pseudo,
        log_base=base,
        remainder=remainder,
        latent_remainders=(1 - moments) / 2,
        error=max(error, own) + float(gamma(20 + count) * (abs(base) + abs(posterior_entropy))),
        remainder_error=other,
    )


def _of_a_family(family: ExponentialFamily, x: Array, params: Array) -> tuple[Array, Array, Array]:
    """A - phi . E[T], phi . (T - E[T]) and the size of their terms."""
    T, phi, mean = family.statistics(x), family.natural_parameters(params), family.mean(params)
    A = family.log_partition(params)
    pseudo = A - (phi * mean).sum(axis=-1)
    remainder = (phi * (T - mean)).sum(axis=-1)
    # A mean may change by its own size when a parameter changes by one.
    size = (np.abs(phi) * (np.abs(T) + np.abs(mean))).sum(axis=-1) + np.abs(A)
    return pseudo, remainder, size * (1 + np.abs(params).max(axis=-1))


def _of_a_scale(family: ExponentialFamily, x: Array, params: Array) -> tuple[Array, Array, Array]:
    """The same for a Gaussian whose phi includes the precision.

    The entropy, and half of D less the whitened squares.
    """
    dim, peak = x.shape[-1], family.greatest_log_prob(x)
    squares = 2 * (peak - family.log_prob(x, params))
    entropy = 0.5 * dim - peak
    score = np.abs(family.score(x, params))
    # A difference of data and params is rounded by their size, and a solved system loses digits.
    lost = (score * (np.abs(params) + np.abs(x))).sum(axis=-1) + family.condition * squares
    size = np.abs(entropy) + dim + lost
    return entropy + 0 * squares, 0.5 * (dim - squares), size


def _by_quadrature(
    model: LatentModel, terms: _Terms, data: Array, loc: Array, cov: Array, rtol: float
) -> tuple[float, float, float, float]:
    """Means of pseudo-entropy and remainder over the data, and their errors."""
    rows_of = np.repeat(np.arange(len(data)), 2)

    def integrand(z: Array, rows: NDArray[np.intp]) -> Array:
        pseudo, remainder, _ = terms(data[rows // 2, None], model.decode(z))
        return np.where((rows % 2 == 0)[:, None], pseudo, remainder)

    found = gaussian_expectation(integrand, loc[rows_of], cov[rows_of], rtol=rtol)
    nodes, weights = typical_nodes(model.latent_dim)
    z = loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(cov), -1, -2)
    with np.errstate(all="ignore"), unchecked():
        sizes = terms(data[:, None], model.decode(z))[2] @ weights
    lost = gamma(16 + model.param_dim) * (1 + sizes.mean())
    value = found.value.reshape(-1, 2).mean(axis=0)
    error = found.error.reshape(-1, 2).mean(axis=0) + lost
    return float(value[0]), float(value[1]), float(error[0]), float(error[1])


def _by_draws(
    model: LatentModel,
    terms: _Terms,
    data: Array,
    loc: Array,
    cov: Array,
    draws: int,
    rng: np.random.Generator,
) -> tuple[list[float], list[float]]:
    """Means of log likelihood, pseudo-entropy and remainder, and their standard errors."""
    root = np.linalg.cholesky(cov)
    means, variances = np.zeros(3), np.zeros(3)
    size = max(1, _CHUNK // (draws * model.param_dim))
    for start in range(0, len(data), size):
        part = slice(start, start + size)
        noise = rng.standard_normal((len(loc[part]), draws, model.latent_dim))
        z = loc[part, None] + noise @ np.swapaxes(root[part], -1, -2)
        x, params = data[part, None], model.decode(z)
        pseudo, remainder, _ = terms(x, params)
        each = np.stack([model.likelihood.log_prob(x, params), pseudo, remainder])
        means += each.mean(axis=-1).sum(axis=-1)
        variances += each.var(axis=-1, ddof=1).sum(axis=-1) / draws
    means, errors = means / len(data), np.sqrt(variances) / len(data)
    if not np.isfinite(means).all():
        raise ValueError("model and posterior: expected finite log likelihoods, got an overflow")
    return means.tolist(), errors.tolist()

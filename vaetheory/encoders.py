"""Gaussian posteriors q(z|x) = N(m(x), S(x)), for a batch and for a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from vaetheory import _gaussians
from vaetheory._validation import (
    Array,
    as_array,
    covariances,
    positive,
    representable,
    vectors,
)
from vaetheory._value_equality import ByValue


def _full_covariances(loc: Array, cov: ArrayLike) -> Array:
    """Read `cov` by its shape and return it as one matrix a location, `(..., d, d)`."""
    d, given = loc.shape[-1], as_array("cov", cov)
    stack = (*loc.shape, d)
    if given.shape in ((d, d), stack):
        try:
            full = covariances("cov", given, d)
        except ValueError as error:
            if given.shape == (d, d) == loc.shape:
                raise ValueError(
                    f"{error} (with N = d = {d} a ({d}, {d}) array is read as one shared matrix; "
                    f"give a stack of diagonals as matrices of shape {stack})"
                ) from None
            raise
    elif given.shape in ((d,), loc.shape):
        full = positive("cov (diagonals)", given, max_ndim=given.ndim)[..., None] * np.eye(d)
    else:
        raise ValueError(
            f"cov: expected shape ({d},), ({d}, {d}), {loc.shape} or {stack} for loc of shape "
            f"{loc.shape}, got {given.shape}"
        )
    # Shared storage stays shared only if nobody can write to it.
    full.flags.writeable = False
    return np.broadcast_to(full, stack)


@dataclass(frozen=True, eq=False, init=False)
class Posterior(ByValue):
    """Gaussian posteriors q(z|x) = N(loc, cov), one a datum.

    Parameters
    ----------
    loc : array (..., d)
        Means; the leading axes are those of the data.
    cov : array
        One shared matrix `(d, d)`, a stack `(..., d, d)`, or diagonals (variances, not standard
        deviations) `(d,)` or `(..., d)`. Where `(d, d)` could also be a stack of diagonals it is
        read as one shared matrix.

    Attributes
    ----------
    cov : array (..., d, d)
        Always one full matrix a datum (shared storage where one was given).

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, or a matrix is not symmetric positive
        definite.

    Examples
    --------
    >>> q = Posterior([[0.0, 1.0]], [0.5, 2.0])
    >>> q.cov.tolist()
    [[[0.5, 0.0], [0.0, 2.0]]]
    """

    loc: Array
    cov: Array

    def __init__(self, loc: ArrayLike, cov: ArrayLike) -> None:
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "cov", cov)
        self.__post_init__()

    def __post_init__(self) -> None:
        loc = vectors("loc", self.loc, None)
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "cov", _full_covariances(loc, self.cov))

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return int(self.loc.shape[-1])

    def log_prob(self, z: Array) -> Array:
        """Log density at z `(..., d)`, in nats, datum by datum (leading axes broadcast)."""
        points = vectors("z", z, self.latent_dim)
        try:
            np.broadcast_shapes(points.shape, self.loc.shape)
        except ValueError:
            raise ValueError(
                f"z: expected a shape that broadcasts against {self.loc.shape}, got {points.shape}"
            ) from None
        with np.errstate(all="ignore"):
            found = _gaussians.log_prob(points, self.loc, self.cov)
        return representable("z", found, "log densities")

    def entropy(self) -> Array:
        """Entropy of each posterior, in nats."""
        return _gaussians.entropy(self.cov)

    def kl_to_prior(self) -> Array:
        """KL( q(z|x) || N(0, I_d) ) of each posterior, in nats."""
        d = self.latent_dim
        with np.errstate(all="ignore"):
            found = _gaussians.kl_divergence(self.loc, self.cov, np.zeros(d), np.eye(d))
        return representable("loc and cov", found, "divergences")


@dataclass(frozen=True, eq=False, init=False)
class Encoder(Posterior):
    """The encoder of a data set: one Gaussian q(z|x_n) = N(loc_n, cov_n) for each of N data.

    Parameters
    ----------
    loc : array (N, d)
        Means m(x_n).
    cov : array
        `(d, d)` shared, `(N, d, d)`, or diagonals `(d,)`, `(N, d)`; as for `Posterior`.

    Examples
    --------
    Two codes; half-way between them they share the responsibility.

    >>> encoder = Encoder([[-1.0], [1.0]], [1.0])
    >>> encoder.responsibilities([0.0]).tolist()
    [0.5, 0.5]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loc.ndim != 2:
            raise ValueError(f"loc: expected one mean a datum, (N, d), got shape {self.loc.shape}")

    @property
    def shared(self) -> bool:
        """Whether all data have the same covariance."""
        return bool((self.cov == self.cov[0]).all())

    def component_log_prob(self, z: ArrayLike) -> Array:
        """Log q(z|x_n) in nats for every datum, `(..., d) -> (..., N)`."""
        points = vectors("z", z, self.latent_dim)
        with np.errstate(all="ignore"):
            found = self._component_log_prob(points)
        # Where all are infinite none is known to be the greatest.
        return representable("z", found, "log densities of all components")

    def _component_log_prob(self, points: Array) -> Array:
        if self.shared:
            # One whitening serves all pairs; the differences are formed after it.
            white = np.linalg.inv(np.linalg.cholesky(self.cov[0]))
            y = (points @ white.T)[..., None, :] - self.loc @ white.T
            square = (y**2).sum(axis=-1)
        else:
            white = np.linalg.inv(np.linalg.cholesky(self.cov))
            y = np.einsum("nij,...nj->...ni", white, points[..., None, :] - self.loc)
            square = (y**2).sum(axis=-1)
        return -0.5 * (square + self.latent_dim * _gaussians.LOG_2PI + _gaussians.log_det(self.cov))

    def aggregate_log_prob(self, z: ArrayLike) -> Array:
        """Log density of the aggregate posterior q(z), the mean of q(z|x_n), `(...)`, in nats."""
        return logsumexp(self.component_log_prob(z), axis=-1) - np.log(len(self.loc))

    def log_responsibilities(self, z: ArrayLike) -> Array:
        """Log q(x_n|z): log weight of each datum among those who encode near z, `(..., N)`."""
        components = self.component_log_prob(z)
        return components - logsumexp(components, axis=-1, keepdims=True)

    def responsibilities(self, z: ArrayLike) -> Array:
        """q(x_n|z): weight of each datum among those who encode near z, `(..., N)`; sums to 1."""
        return np.exp(self.log_responsibilities(z))

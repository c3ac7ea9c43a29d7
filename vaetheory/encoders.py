"""Gaussian posteriors q(z|x) = N(m(x), S(x)), for a batch and for a data set."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import _gaussians
from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import (
    Array,
    as_array,
    covariances,
    lower_triangular,
    one_of,
    positive,
    representable,
    scales,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue


def _matrices(loc: Array, **spreads: ArrayLike | None) -> Array:
    """One covariance matrix a location, `(..., d, d)`, from the one spread that is given."""
    given = {name: value for name, value in spreads.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"{one_of(spreads)}: expected exactly one of them, got {' and '.join(given) or 'none'}"
        )
    ((name, value),) = given.items()
    full = _READERS[name](loc, value)
    # Shared storage stays shared only if nobody can write to it.
    full.flags.writeable = False
    return np.broadcast_to(full, (*loc.shape, loc.shape[-1]))


def _from_cov(loc: Array, value: ArrayLike) -> Array:
    d, array = loc.shape[-1], as_array("cov", value)
    allowed = (d, d), (*loc.shape, d)
    hint = "; variances of independent coordinates are given as scale=np.sqrt(variances)"
    if array.shape not in allowed:
        raise ValueError(
            f"cov: expected matrices of shape {one_of(allowed)} for loc of shape {loc.shape}, "
            f"got {array.shape}{hint if array.shape in ((), (d,), loc.shape) else ''}"
        )
    try:
        return covariances("cov", array, d)
    except ValueError as error:
        # With N = d variances, one row a datum, have the shape of one matrix.
        raise ValueError(f"{error}{hint if array.shape == loc.shape else ''}") from None


def _from_scale(loc: Array, value: ArrayLike) -> Array:
    d, array = loc.shape[-1], as_array("scale", value)
    allowed = (), (d,), loc.shape
    if array.shape not in allowed:
        hint = "; matrices are given as cov= or scale_tril="
        raise ValueError(
            f"scale: expected deviations of shape {one_of(allowed)} for loc of shape {loc.shape}, "
            f"got {array.shape}{hint if array.shape in ((d, d), (*loc.shape, d)) else ''}"
        )
    return _diagonal(scales("scale", array, max_ndim=array.ndim) ** 2, d)


def _from_scale_tril(loc: Array, value: ArrayLike) -> Array:
    d = loc.shape[-1]
    root = lower_triangular("scale_tril", value, (d, d), (*loc.shape, d))
    squarable("scale_tril", root)
    return covariances("scale_tril times its transpose", root @ np.swapaxes(root, -1, -2), d)


_READERS: dict[str, Callable[[Array, ArrayLike], Array]] = {
    "cov": _from_cov,
    "scale": _from_scale,
    "scale_tril": _from_scale_tril,
}


def _diagonal(variances: Array, d: int) -> Array:
    return variances[..., None] * np.eye(d)


def _by_position(loc: Array, value: ArrayLike) -> Array:
    """What the second argument meant when its shape decided: variances or matrices."""
    d, array = loc.shape[-1], as_array("cov", value)
    matrices = array.shape in ((d, d), (*loc.shape, d))
    diagonal = not matrices and array.shape in ((d,), loc.shape)
    if array.shape == loc.shape == (d, d) and d > 1:
        raise ValueError(
            f"second argument: expected a keyword, since with N = d = {d} an array of shape "
            f"{array.shape} may be one matrix or {d} diagonals: cov= for one shared matrix, "
            "scale=np.sqrt(...) for a row of variances a datum"
        )
    if matrices or diagonal:
        warnings.warn(
            "the spread of a posterior by position goes away in version 0.3: write "
            + ("scale=np.sqrt(variances)" if diagonal else "cov=matrices"),
            DeprecationWarning,
            # This function, __init__ and the call of the metaclass.
            stacklevel=4,
        )
    if diagonal:
        return _diagonal(positive("cov (variances)", array, max_ndim=array.ndim), d)
    return array


@dataclass(frozen=True, eq=False, init=False)
class Posterior(ByValue):
    """Gaussian posteriors q(z|x) = N(loc, cov), one a datum.

    Exactly one of `cov`, `scale` and `scale_tril` says how wide they are.

    Parameters
    ----------
    loc : array (..., d)
        Means; the leading axes are those of the data.
    cov : array (d, d) or (..., d, d), optional
        Covariance matrices: one for all data, or one a datum.
    scale : number, array (d,) or (..., d), optional
        Standard deviations of independent coordinates: one for all, one a coordinate, or one a
        coordinate and datum.
    scale_tril : array (d, d) or (..., d, d), optional
        Lower triangular factors L with positive diagonals, cov = L L^T.

    Attributes
    ----------
    cov : array (..., d, d)
        Always one full matrix a datum (shared storage where one was given).

    Raises
    ------
    ValueError
        If not exactly one spread is given, the shapes do not fit, an entry is not finite, a
        deviation or a diagonal entry of a factor is not positive, or a matrix is not symmetric
        positive definite.

    Notes
    -----
    The shapes have one meaning each, whatever N and d are: with N = d a `cov` of shape `(d, d)` is
    one shared matrix, a `scale` of shape `(d, d)` one row of deviations a datum. A second argument
    by position, whose meaning depended on its shape (variances or matrices), still works with a
    `DeprecationWarning`, and is refused where it had two meanings.

    Examples
    --------
    >>> q = Posterior([[0.0, 1.0]], scale=[0.5, 2.0])
    >>> q.cov.tolist()
    [[[0.25, 0.0], [0.0, 4.0]]]
    >>> q == Posterior([[0.0, 1.0]], cov=[[0.25, 0.0], [0.0, 4.0]])
    True
    >>> q.scale_tril.tolist()
    [[[0.5, 0.0], [0.0, 2.0]]]
    """

    loc: Array
    cov: Array

    def __init__(
        self,
        loc: ArrayLike,
        *spread: ArrayLike,
        cov: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        scale_tril: ArrayLike | None = None,
    ) -> None:
        means = self._means(loc)
        if spread:
            named = [x for x in (cov, scale, scale_tril) if x is not None]
            if len(spread) > 1 or named:
                raise ValueError(
                    "cov, scale or scale_tril: expected exactly one of them, by keyword, got "
                    f"{len(spread) + len(named)} spreads"
                )
            cov = _by_position(means, *spread)
        object.__setattr__(self, "loc", means)
        full = _matrices(means, cov=cov, scale=scale, scale_tril=scale_tril)
        object.__setattr__(self, "cov", full)

    def __post_init__(self) -> None:
        # Of subclasses whose __init__ the dataclass makes: they hand over loc and cov.
        Posterior.__init__(self, self.loc, cov=self.cov)

    @staticmethod
    def _means(loc: ArrayLike) -> Array:
        return vectors("loc", loc, None)

    @property
    def scale_tril(self) -> Array:
        """Lower triangular factors L of the covariances, cov = L L^T, `(..., d, d)`."""
        return np.linalg.cholesky(self.cov)

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
class AggregatePosterior(Posterior):
    """The posteriors of a data set, N(loc_n, cov_n) for each of N data, and their mean q(z).

    The mean of the N Gaussians is the aggregate posterior q(z) = 1/N sum_n q(z|x_n); given a code
    z, the responsibilities say which data encode near it.

    Parameters
    ----------
    loc : array (N, d)
        Means m(x_n).
    cov, scale, scale_tril : array
        How wide they are; exactly one of them, as for `Posterior`.

    Raises
    ------
    ValueError
        As `Posterior`, and if `loc` is not one mean a datum.

    Examples
    --------
    Two codes; half-way between them they share the responsibility.

    >>> posterior = AggregatePosterior([[-1.0], [1.0]], scale=1.0)
    >>> posterior.responsibilities([0.0]).tolist()
    [0.5, 0.5]
    """

    @staticmethod
    def _means(loc: ArrayLike) -> Array:
        means = vectors("loc", loc, None)
        if means.ndim != 2:
            raise ValueError(f"loc: expected one mean a datum, (N, d), got shape {means.shape}")
        return means

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

    @cached_property
    def _white(self) -> Array:
        """L^(-1) with cov = L L^T: one matrix `(d, d)` if all data share it, else `(N, d, d)`."""
        return np.linalg.inv(np.linalg.cholesky(self.cov[0] if self.shared else self.cov))

    @cached_property
    def _log_det(self) -> Array:
        return _gaussians.log_det(self.cov)

    def _component_log_prob(self, points: Array) -> Array:
        # The data are the first axis in memory, so that sums over a few of them are fast.
        lead = (slice(None), *(None,) * (points.ndim - 1))
        away = np.moveaxis(points, -1, 0)
        if self._white.ndim == 2:
            # One whitening serves all pairs; the differences are formed after it.
            away = np.moveaxis(points @ self._white.T, -1, 0)
            codes = (self.loc @ self._white.T).T
            y = [a - c[lead] for a, c in zip(away, codes, strict=True)]
        else:
            differences = [a - c[lead] for a, c in zip(away, self.loc.T, strict=True)]
            y = [
                sum(self._white[:, i, j][lead] * differences[j] for j in range(i + 1))
                for i in range(self.latent_dim)
            ]
        square = sum(each**2 for each in y) + self.latent_dim * _gaussians.LOG_2PI
        return np.moveaxis(-0.5 * (square + self._log_det[lead]), 0, -1)

    def aggregate_log_prob(self, z: ArrayLike) -> Array:
        """Log density of the aggregate posterior q(z), the mean of q(z|x_n), `(...)`, in nats."""
        return log_sum_exp(self.component_log_prob(z)) - np.log(len(self.loc))

    def log_responsibilities(self, z: ArrayLike) -> Array:
        """Log q(x_n|z): log weight of each datum among those who encode near z, `(..., N)`."""
        components = self.component_log_prob(z)
        return components - log_sum_exp(components)[..., None]

    def responsibilities(self, z: ArrayLike) -> Array:
        """q(x_n|z): weight of each datum among those who encode near z, `(..., N)`; sums to 1."""
        return np.exp(self.log_responsibilities(z))


#: Another name of `AggregatePosterior`, its former one, which goes on working.
Encoder = AggregatePosterior

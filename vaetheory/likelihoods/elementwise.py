"""Base classes of likelihoods with independent data dimensions, from functions of one number."""

from __future__ import annotations

from abc import abstractmethod
from inspect import unwrap

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import differences
from vaetheory._validation import Array, Index
from vaetheory.likelihoods._curvature_bounds import (
    NoCurvatureBoundsError,
    require_bounds,
    trial,
)
from vaetheory.likelihoods._elementwise_table import (
    ConcaveTable,
    GloballyBoundedTable,
    LocallyBoundedTable,
)
from vaetheory.likelihoods._natural_table import NaturalTable
from vaetheory.likelihoods.base import ExponentialFamily, Likelihood
from vaetheory.likelihoods.table import Table


class ElementwiseLikelihood(Likelihood):
    """A likelihood with independent data dimensions.

    A family defines functions of one number, which broadcast. This class takes the sums over the
    data dimensions and checks the arguments.

    Notes
    -----
    To write one of your own:

    1. Write a subclass of this class. Make it a frozen dataclass, so that equal instances are
       equal, with a field for each constant. Set `parameter`, which says what the params are, and
       `support`, which says where data can be.
    2. Define `_log_prob(x, params)`; its derivative in the params, `_score(x, params)`; minus its
       second derivative, `_information(x, params)`; the expectation of that, `_fisher(params)`; and
       the greatest log density of a datum over all params, `_greatest_log_prob(x)`. These are
       enough for metrics, ELBOs and stationary posteriors.
    3. For exact evidence the engine must know how far log p can be from its tangents. If log p is
       concave in the params, set `concave = True`, which is enough. Otherwise define
       `curvature_bounds(x)`, bounds of the second derivative over all params. If there are no such
       bounds, define `curvature_range(x, lower, upper)`, bounds of the second derivative for params
       between two numbers. A concave family may define them too.
    4. Define `sample(params, rng)`. The laws are tested on samples.
    5. Optional: `_limit(x, params)`, the log density at infinite params, and
       `_fisher_log_slope(params)`, the derivative of log `_fisher`, which otherwise is computed by
       differences.
    6. Run `vaetheory.testing.check_likelihood` on an instance.

    Examples
    --------
    The logistic distribution of a given scale; the decoder gives locations.

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, log_evidence
    >>> from vaetheory.likelihoods import ElementwiseLikelihood, Support
    >>> @dataclass(frozen=True)
    ... class Logistic(ElementwiseLikelihood):
    ...     parameter, support, concave = "location", Support.REAL, True
    ...     scale: float
    ...
    ...     def _log_prob(self, x, params):
    ...         size = np.abs(x - params) / self.scale
    ...         return -size - 2 * np.log1p(np.exp(-size)) - np.log(self.scale)
    ...
    ...     def _greatest_log_prob(self, x):
    ...         return np.full_like(x, -np.log(4 * self.scale))
    ...
    ...     def _score(self, x, params):
    ...         return np.tanh((x - params) / (2 * self.scale)) / self.scale
    ...
    ...     def _information(self, x, params):
    ...         return 0.5 * (1 - np.tanh((x - params) / (2 * self.scale)) ** 2) / self.scale**2
    ...
    ...     def _fisher(self, params):
    ...         return np.full_like(params, 1 / (3 * self.scale**2))
    ...
    ...     def sample(self, params, rng):
    ...         return rng.logistic(params, self.scale)
    >>> model = LatentModel(decoders.Affine([[1.0]]), Logistic(scale=0.5), 1)
    >>> found = log_evidence(model, [[1.0]])
    >>> found.value.round(9).tolist(), found.status.tolist()
    ([-1.492545253], ['reached'])
    """

    elementwise = True
    ambient_curvature = 0.0

    def marginal(self, which: Index) -> Likelihood:
        if self.data_dim is None:
            return self
        constants = {
            name: getattr(self, name)
            for name, own in getattr(self, "__dataclass_fields__", {}).items()
            if own.init
        }
        if not constants:
            raise ValueError(
                "likelihood: expected a frozen dataclass, whose constants are its fields, or one "
                f"with a `marginal` of its own, got {type(self).__name__}"
            )
        kept = {
            name: np.asarray(value)[which] if np.shape(value) == (self.data_dim,) else value
            for name, value in constants.items()
        }
        return type(self)(**kept)

    @abstractmethod
    def _log_prob(self, x: Array, params: Array) -> Array:
        """Log density of each data dimension."""

    @abstractmethod
    def _greatest_log_prob(self, x: Array) -> Array:
        """Supremum of `_log_prob` over the params."""

    @abstractmethod
    def _score(self, x: Array, params: Array) -> Array:
        """Derivative of `_log_prob` in the params."""

    @abstractmethod
    def _information(self, x: Array, params: Array) -> Array:
        """-d^2 log p / dparams^2 of each data dimension."""

    @abstractmethod
    def _fisher(self, params: Array) -> Array:
        """Expectation of `_information`."""

    def _fisher_log_slope(self, params: Array) -> Array:
        """Derivative of log `_fisher` in the params; by default computed by differences."""
        slopes = differences.jacobian(lambda t: np.log(self._fisher(t)), params)
        return np.einsum("...ii->...i", slopes)

    def fisher_diagonal(self, params: Array) -> Array:
        """Fisher information of each data dimension, `(..., D)`."""
        return self._fisher(params)

    def fisher_log_slope(self, params: Array) -> Array:
        """Derivative of the log of `fisher_diagonal` in each parameter, `(..., D)`."""
        return self._fisher_log_slope(params)

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        """Bounds, over all params, of d^2 log p / dparams^2 of each data dimension, `(..., D)`.

        Returns
        -------
        low, high : arrays (..., D)
            Finite. The evidence engine needs them for families that are not concave in the params
            and do not define `curvature_range`.

        Raises
        ------
        ValueError
            If the family does not define them.
        """
        raise NoCurvatureBoundsError(
            "likelihood: expected a family with curvature_bounds or curvature_range, or a concave "
            f"one (concave = True), got {type(self).__name__}"
        )

    def curvature_range(self, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of d^2 log p / dparams^2 over params from `lower` to `upper`, `(..., D)`.

        This is for families whose second derivatives have no bounds over all params, or whose
        `curvature_bounds` are far too wide at most params. Closer bounds make the evidence cheaper.
        As the interval shrinks to a point, the bounds must tend to the second derivative. Bounds
        that overflow may be infinite.

        Parameters
        ----------
        x, lower, upper : arrays (..., D)
            They broadcast.

        Returns
        -------
        low, high : arrays (..., D)
            By default the `curvature_bounds`.

        Raises
        ------
        ValueError
            If the family defines neither.
        """
        return self.curvature_bounds(x)

    @classmethod
    def _has_own(cls, method: str) -> bool:
        # Unwrapped, because each class wraps its methods to check their arguments.
        own, inherited = (unwrap(getattr(c, method)) for c in (cls, ElementwiseLikelihood))
        return own is not inherited

    def require_bounds(self, data_dim: int) -> None:
        found = None if self.natural else trial(self, data_dim)
        if found is not None:
            self.require_bounds_at(*found)

    def require_bounds_at(self, x: Array, params: Array) -> None:
        """The same as `require_bounds`, at data `(N, D)` up to 16 away from params `(N, D)`."""
        bounds, intervals = map(self._has_own, ("curvature_bounds", "curvature_range"))
        require_bounds(self, x, params, bounds=bounds, intervals=intervals)

    def table(self, data: Array) -> Table:
        if self._has_own("curvature_range"):
            return LocallyBoundedTable(self, data)
        if self.concave and not self._has_own("curvature_bounds"):
            return ConcaveTable(self, data)
        return GloballyBoundedTable(self, data)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._density(x, params, self._summed)

    def _summed(self, x: Array, params: Array) -> Array:
        return self._log_prob(x, params).sum(axis=-1)

    def _at_infinity(self, x: Array, params: Array) -> Array:
        infinite = np.isinf(params)
        inner = self._log_prob(x, np.where(infinite, 0.0, params))
        return np.where(infinite, self._limit(x, params), inner).sum(axis=-1)

    def _limit(self, x: Array, params: Array) -> Array:
        """Limit of `_log_prob` at infinite params; values at finite params are ignored."""
        return super()._at_infinity(x, params)

    def greatest_log_prob(self, x: Array) -> Array:
        return self._greatest_log_prob(self.check_data(x)).sum(axis=-1)

    def greatest_size(self, x: Array) -> Array:
        """Sum over the data dimensions of the moduli of the greatest log densities, `(...)`."""
        return np.abs(self._greatest_log_prob(x)).sum(axis=-1)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        data, vector = self._pair(x, params)
        with np.errstate(all="ignore"):
            return self._score(data, vector)

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        return _pulled_back(self._information(*self._pair(x, params)), jacobian)

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        return _pulled_back(self._fisher(params), jacobian)

    def immersed_jacobian(self, params: Array, jacobian: Array) -> Array:
        return np.sqrt(self.fisher_diagonal(params))[..., None] * jacobian

    def immersed_hessian(self, params: Array, jacobian: Array, hessian: Array) -> Array:
        products = jacobian[..., :, None] * jacobian[..., None, :]
        bend = 0.5 * self.fisher_log_slope(params)[..., None, None] * products
        return np.sqrt(self.fisher_diagonal(params))[..., None, None] * (hessian + bend)

    def fisher_information(self, params: ArrayLike) -> Array:
        params = self._vectors(params)
        with np.errstate(all="ignore"):
            return self._fisher(params)[..., None] * np.eye(params.shape[-1])


def _pulled_back(diagonal: Array, jacobian: Array) -> Array:
    """J^T diag J."""
    return np.swapaxes(jacobian, -1, -2) @ (diagonal[..., None] * jacobian)


class ElementwiseExponentialFamily(ElementwiseLikelihood, ExponentialFamily):
    """An exponential family with independent data dimensions.

    By default T(x) = x and `natural_parameters` are the params.

    Notes
    -----
    To write one of your own whose params are natural:

    1. Write a subclass with `natural = True`, a `parameter` and a `support`; make it a frozen
       dataclass, so that equal instances are equal.
    2. Define `_log_partition(params)`, which is A; its first derivative, `mean(params)`; and its
       second derivative, both as `_fisher(params)` and as `_information(x, params)`.
    3. Define `_log_base(x)`, which is h, and `_greatest_log_prob(x)`, the greatest log density of a
       datum over all params.
    4. Define `fit(x, log_weights)`, the params whose mean is the weighted mean of the data, and
       `sample(params, rng)`.
    5. Run `vaetheory.testing.check_likelihood` on an instance.

    Such a family is concave in its params, so exact evidence needs nothing more. If the params are
    not natural, define everything that `ElementwiseLikelihood` asks for, and in addition
    `statistics`, `natural_parameters` and the methods of steps 2 to 4.

    Examples
    --------
    Gaussian data of variance one; the decoder gives means.

    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from vaetheory.likelihoods import ElementwiseExponentialFamily, Support
    >>> @dataclass(frozen=True)
    ... class UnitGaussian(ElementwiseExponentialFamily):
    ...     natural, parameter, support = True, "mean", Support.REAL
    ...
    ...     def _log_partition(self, params):
    ...         return params**2 / 2
    ...
    ...     def mean(self, params):
    ...         return params
    ...
    ...     def _fisher(self, params):
    ...         return np.ones_like(params)
    ...
    ...     def _information(self, x, params):
    ...         return np.ones(np.broadcast_shapes(x.shape, params.shape))
    ...
    ...     def _log_base(self, x):
    ...         return -(x**2 + np.log(2 * np.pi)) / 2
    ...
    ...     def _greatest_log_prob(self, x):
    ...         return np.full_like(x, -np.log(2 * np.pi) / 2)
    ...
    ...     def fit(self, x, log_weights):
    ...         return np.exp(log_weights) @ x
    ...
    ...     def sample(self, params, rng):
    ...         return rng.normal(params)
    >>> round(float(UnitGaussian().log_prob([1.0], [0.0])), 6)
    -1.418939
    """

    @abstractmethod
    def _log_partition(self, params: Array) -> Array: ...

    @abstractmethod
    def _log_base(self, x: Array) -> Array: ...

    def statistics(self, x: Array) -> Array:
        return x

    def natural_parameters(self, params: Array) -> Array:
        return params

    def log_partition(self, params: Array) -> Array:
        return self._log_partition(params).sum(axis=-1)

    def log_base(self, x: Array) -> Array:
        return self._log_base(x).sum(axis=-1)

    def table(self, data: Array) -> Table:
        return NaturalTable(self, data) if self.natural else ElementwiseLikelihood.table(self, data)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        # Each part is summed over the dimensions first, so that a table is one matrix product.
        return ExponentialFamily.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        product = self.statistics(x) * self.natural_parameters(params)
        return product - self._log_partition(params) + self._log_base(x)

    def _score(self, x: Array, params: Array) -> Array:
        if not self.natural:
            raise TypeError(f"{type(self).__name__}: expected natural = True or a score of its own")
        return x - self.mean(params)

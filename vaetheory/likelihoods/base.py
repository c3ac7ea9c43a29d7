"""The base classes of likelihoods and of exponential families."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._arguments import protect_arguments, read_arguments
from vaetheory._trust import TRUST
from vaetheory._validation import (
    Array,
    Index,
    aligned,
    finite,
    finite_numbers,
    representable,
    vectors,
)
from vaetheory.likelihoods._natural_table import NaturalTable
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Table

PairOfArrays: TypeAlias = tuple[Array, Array]


class Excluded(NamedTuple):
    """Parameter vectors outside the parameter space of a family.

    Attributes
    ----------
    where : array of bool (...)
        Which of them.
    expected : str
        What is expected and what came, in the words of an error.
    """

    where: NDArray[np.bool_]
    expected: str


class NoMetricError(ValueError):
    """A family has no Fisher information metric: the message names the identity that fails."""


#: Methods whose arguments are converted and checked here; the other methods do so themselves.
_READ = {
    **dict.fromkeys(
        ("statistics", "log_base", "reduced", "curvature_bounds", "greatest_size"), ("x",)
    ),
    "curvature_range": ("x", "lower", "upper"),
    **dict.fromkeys(("natural_parameters", "log_partition", "mean"), ("params",)),
    **dict.fromkeys(("fisher_diagonal", "fisher_log_slope"), ("params",)),
    "whiten": ("v",),
    "fit": ("x", "log_weights"),
}
#: The results of these may overflow far from any datum; a search for modes goes on from there.
_READ_TOO = {
    **dict.fromkeys(
        ("observed_information", "expected_information", "definite_information"),
        ("params", "jacobian"),
    ),
    "centred": ("p", "rows"),
}
#: Samples of params that are not finite mean nothing.
_DRAWN = {"sample": ("params", "rng")}


class Likelihood(ABC):
    """A parametric density p(x given params) of data `(..., D)` and parameters `(..., P)`.

    P is D times `params_each`, the number of parameters of a data dimension, which is one unless
    a family says otherwise.

    Leading axes of data and parameters broadcast against each other; the last axis must match.
    Log densities are in nats.

    Notes
    -----
    To write one of your own, choose the base class that does the most for you:

    - `ElementwiseExponentialFamily`, if data dimensions are independent and log p is
      x params - A(params) + h(x): define A, its derivatives, and h.
    - `ElementwiseLikelihood`, if data dimensions are independent: define functions of one number.
    - `ExponentialFamily` or `Likelihood`, if data dimensions depend on each other: define the
      abstract methods, and `table` for exact evidence, unless the params are natural.

    Set `parameter`, which says what the params are, and `support`, which says where data can be. If
    they hold, also set `concave` (log p is concave in the params) and `natural` (the params are the
    natural parameters and T(x) = x). The docstring of each base class lists the steps. Then the
    family works like those of the package. Its methods receive float64 arrays; overflow in them
    raises no warning. A `LatentModel` tests what the family states about its second derivatives,
    and `vaetheory.testing.check_likelihood` tests all the rest.
    """

    #: Data dimension if the constants of the likelihood fix it, else None.
    data_dim: int | None = None
    #: Number of parameters of each data dimension.
    params_each: int = 1
    #: Whether the params are the natural parameters and T(x) = x: then `score` is x - mean and the
    #: log density is concave in the params.
    natural: bool = False
    #: Whether log p is concave in the params; if not, the observed information can be indefinite.
    concave: bool = False
    #: Where data can be, or None for a family that checks its data itself.
    support: Support | None = None
    #: What the params are, in the words of an error: "log mean", say.
    parameter: str = "parameter"
    #: Whether it is an `ExponentialFamily`, and whether it is an `ElementwiseLikelihood`.
    exponential: bool = False
    elementwise: bool = False
    #: Whether log p is a parabola of the whitened x - params: a Gaussian of constant covariance.
    gaussian: bool = False
    #: Far out -log p rises at most as this power of the params' length (0: as its logarithm); None
    #: if it is not known.
    growth_degree: int | None = None
    #: Condition number of the map that whitens x - params: how much it multiplies rounding errors.
    condition: float = 1.0
    #: Sectional curvature of the space in which the family's distributions are immersed
    #: isometrically, see `immersed_jacobian`; None if no such immersion is known.
    ambient_curvature: float | None = None
    #: For a family that induces no Riemannian metric: what fails, in the words of an error.
    no_metric: str | None = None
    #: Whether the support is the same for all params; otherwise a `LatentModel` refuses the family.
    fixed_support: bool = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A log partition is convex in the natural parameters.
        cls.concave = cls.concave or cls.natural
        protect_arguments(cls)
        read_arguments(cls, _READ, defined=True)
        read_arguments(cls, _READ_TOO, defined=False)
        read_arguments(cls, _DRAWN, defined=False, reader=finite_numbers)

    def _pair(self, x: ArrayLike, params: ArrayLike) -> PairOfArrays:
        """Return data of the support and finite params as arrays of the same size, or raise."""
        if TRUST.given:
            return cast(Array, x), cast(Array, params)
        data, vector = self._sided(x, params)
        return self.check_data(data), self._inside(finite("params", vector))

    def _density(
        self, x: ArrayLike, params: ArrayLike, rule: Callable[[Array, Array], Array]
    ) -> Array:
        """Log density by a rule for finite params; at infinite ones its limit, or a ValueError."""
        if TRUST.given:
            return rule(cast(Array, x), cast(Array, params))
        data, vector = self._sided(x, params)
        data, vector = self.check_data(data), self._inside(vector)
        chosen = self._at_infinity if np.isinf(vector).any() else rule
        with np.errstate(all="ignore"):
            return chosen(data, vector)

    def _at_infinity(self, x: Array, params: Array) -> Array:
        """Limit of the log density as some of the params go to plus or minus infinity."""
        raise ValueError(
            f"params: expected finite numbers ({self.parameter}), for {type(self).__name__} has no "
            f"limit at infinity, got {params[np.isinf(params)][0]:g}"
        )

    def _both(self, params: ArrayLike, other: ArrayLike) -> PairOfArrays:
        """Return both as arrays of finite vectors of the right size, or raise a ValueError."""
        first, second = aligned(params, other, ("params", "other"))
        self._require_size("params and other", first, self.param_dim)
        return self._inside(finite("params", first)), self._inside(finite("other", second), "other")

    def _sided(self, x: ArrayLike, params: ArrayLike) -> PairOfArrays:
        """Return data and params as arrays of vectors of the right sizes, or raise a ValueError."""
        data, vector = aligned(x, params, each=self.params_each)
        self._require_size("x and params" if self.params_each == 1 else "x", data, self.data_dim)
        return data, vector

    @staticmethod
    def _require_size(name: str, array: Array, size: int | None) -> None:
        if size is not None and array.shape[-1] != size:
            raise ValueError(f"{name}: expected shape (..., {size}), got {array.shape}")

    def _vectors(self, params: ArrayLike) -> Array:
        """Return `params` as an array of vectors of the right size, or raise a ValueError."""
        array = vectors("params", params, self.param_dim)
        self.data_dim_of(array.shape[-1], "params")
        return self._inside(array)

    def data_dim_of(self, param_dim: int, name: str = "decoder and likelihood") -> int:
        """D, the number of data dimensions that have `param_dim` parameters, or a ValueError."""
        if param_dim % self.params_each:
            raise ValueError(
                f"{name}: expected {self.params_each} numbers ({self.parameter}) for each data "
                f"dimension of {type(self).__name__}, got {param_dim} in all"
            )
        return param_dim // self.params_each

    def _inside(self, params: Array, name: str = "params") -> Array:
        """Return params of the parameter space, or raise a ValueError."""
        if (found := self.excluded(params)) is not None:
            raise ValueError(f"{name}: expected {found.expected}")
        return params

    @property
    def param_dim(self) -> int | None:
        """Number P of parameters if the constants of the likelihood fix it, else None."""
        return None if self.data_dim is None else self.params_each * self.data_dim

    def excluded(self, params: Array) -> Excluded | None:
        """The vectors of params `(..., P)` that are outside the parameter space, or None.

        By default every finite vector is a parameter. A model calls this with all outputs of its
        decoder, and raises a ValueError if some are excluded.
        """
        return None

    def typical_params(self, normal: Array) -> Array:
        """Params `(..., P)` well inside the parameter space, made of standard normal numbers."""
        return normal

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]] | None:
        """The usual name of the family, and its usual parameters `(..., D)` by their names.

        "normal" has `loc` and `scale`, "laplace" too, "bernoulli" `logits` and "poisson" `rate`;
        None for other families.
        """
        return None

    def check_data(self, x: ArrayLike) -> Array:
        """Return `x` as an array, or raise a ValueError if it is outside the support."""
        array = vectors("x", x, self.data_dim)
        return array if self.support is None else self.support.check(array, type(self).__name__)

    def reduced(self, x: Array) -> tuple[Likelihood, Array, Array]:
        """A simpler likelihood and data that give the same information about the params.

        Parameters
        ----------
        x : array (..., D)

        Returns
        -------
        likelihood : Likelihood
        data : array (..., D)
        offset : array (...)
            log p(x given params) minus the simpler likelihood's log density of `data`, in nats.
        """
        return self, x, np.zeros(x.shape[:-1])

    def narrowest(self) -> Likelihood:
        """A likelihood of which every member of the family is a mixture; the family itself usually.

        Of Gaussians whose scales have a floor it is the Gaussian at the floor.
        """
        return self

    def marginal(self, which: Index) -> Likelihood:
        """The likelihood of some of the data dimensions, given by their indices.

        Its params are those of the same dimensions. A family whose constants have one entry for
        each data dimension keeps their entries.

        Raises
        ------
        ValueError
            If the data dimensions depend on each other in a way that leaves no such family.
        """
        raise ValueError(
            "likelihood: expected one of independent data dimensions, or a Gaussian, got "
            f"{type(self).__name__}"
        )

    def rounded(self, step: Array) -> Likelihood:
        """The likelihood of data that are rounded down: probabilities of cells of widths `step`.

        A datum is the lower corner of its cell.

        Raises
        ------
        ValueError
            If the probabilities of cells are not known.
        """
        raise ValueError(
            "likelihood: expected a Gaussian of independent dimensions (scale=...), got "
            f"{type(self).__name__}"
        )

    @abstractmethod
    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density in nats, `(...)`; leading axes broadcast.

        At infinite params this is the limit.

        Raises
        ------
        ValueError
            If a datum is outside the support, a parameter is NaN, a parameter is infinite and there
            is no limit, or the shapes do not fit.
        """

    @abstractmethod
    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Gradient of log p(x given params) in the params, `(..., P)`; for finite params."""

    @abstractmethod
    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        """J^T (-d^2 log p / dparams^2) J, the observed information pulled back, `(..., d, d)`."""

    def information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        """Former name of `observed_information`; it goes away in version 0.3."""
        warnings.warn(
            "Likelihood.information is observed_information now; the former name goes away in "
            "version 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.observed_information(x, params, jacobian)

    def definite_information(self, x: Array, params: Array, jacobian: Array) -> Array:
        """A positive semidefinite matrix near `observed_information`, `(..., d, d)`.

        Searches for modes scale their steps by it. By default it is the observed information if
        log p is concave, and otherwise the expected one.
        """
        if self.concave:
            return self.observed_information(x, params, jacobian)
        return self.expected_information(params, jacobian)

    @abstractmethod
    def fisher_information(self, params: ArrayLike) -> Array:
        """Fisher information in the params, `(..., P, P)`."""

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        """J^T F J, the Fisher information pulled back, `(..., d, d)`."""
        return np.swapaxes(jacobian, -1, -2) @ self.fisher_information(params) @ jacobian

    def immersed_jacobian(self, params: Array, jacobian: Array) -> Array:
        """Jacobian of a decoder in coordinates in which the Fisher metric is the identity.

        The metric of a Gaussian of constant covariance and of a product of one-parameter families
        is flat, and that of a categorical is a sphere: each has an isometric immersion y of its
        parameters in a Euclidean space, the variance-stabilising map.

        Returns
        -------
        array (..., D, d)
            Jacobian of y(f(z)).

        Raises
        ------
        ValueError
            If no immersion is known: `ambient_curvature` is None.
        """
        raise self._no_immersion()

    def immersed_hessian(self, params: Array, jacobian: Array, hessian: Array) -> Array:
        """Second derivatives of y(f(z)) along the flat space or the sphere that y maps to.

        `(..., D, d, d)`, with y as in `immersed_jacobian`; for a categorical without the part
        normal to the sphere, which is -g / 2 and would hide the rest if one class is almost
        certain.
        """
        raise self._no_immersion()

    def _no_immersion(self) -> ValueError:
        return ValueError(
            "likelihood: expected one with an isometric immersion in a flat space or a sphere, got "
            f"{type(self).__name__}"
        )

    @abstractmethod
    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum per parameter vector, `(..., D)`."""

    @abstractmethod
    def greatest_log_prob(self, x: Array) -> Array:
        """Supremum of log p(x given params) over the params, `(...)`, in nats."""

    def require_bounds(self, data_dim: int) -> None:  # noqa: B027 - most families have none
        """Raise a ValueError if what the family states about its second derivatives is false."""

    def table(self, data: Array) -> Table:
        """The log densities of data `(N, D)` in the form that the evidence engine needs.

        Raises
        ------
        ValueError
            If the family has no such table.
        """
        raise ValueError(
            "likelihood: expected one of the package, one with natural = True (its params are its "
            "natural parameters and T(x) = x), or an ElementwiseLikelihood that is concave in its "
            f"params or has curvature_bounds or curvature_range, got {type(self).__name__}"
        )


read_arguments(Likelihood, _READ_TOO, defined=False)


def over_batch(out: Array, x: Array, params: Array) -> Array:
    """Matrices `(..., d, d)` that do not depend on x, with the leading axes of x and params."""
    leading = np.broadcast_shapes(x.shape[:-1], params.shape[:-1], out.shape[:-2])
    return np.broadcast_to(out, (*leading, *out.shape[-2:]))


class ExponentialFamily(Likelihood):
    """A likelihood log p = T(x) . phi(params) - A(params) + h(x).

    T are the sufficient statistics, phi the natural parameters, A the log partition and h the log
    base measure. In this form a table over many data and many parameters is one matrix product. A
    curved family has more statistics than params: two per data dimension for the von Mises family.

    Notes
    -----
    To write one of your own: if the data dimensions are independent, write an
    `ElementwiseExponentialFamily`. Otherwise define the abstract methods of this class and of
    `Likelihood`; `vaetheory/likelihoods/categorical.py` is an example. If the params are natural,
    set `natural = True`: then `table` is defined for you.
    """

    exponential = True

    @abstractmethod
    def statistics(self, x: Array) -> Array:
        """Sufficient statistics T(x), `(..., D)`."""

    @abstractmethod
    def natural_parameters(self, params: Array) -> Array:
        """Natural parameters phi, `(..., D)`."""

    @abstractmethod
    def log_partition(self, params: Array) -> Array:
        """Log partition A, summed over the data dimensions, `(...)`."""

    @abstractmethod
    def log_base(self, x: Array) -> Array:
        """Log base measure h(x), summed over the data dimensions, `(...)`."""

    @abstractmethod
    def mean(self, params: Array) -> Array:
        """Mean parameters E[T], `(..., D)`."""

    @abstractmethod
    def fit(self, x: Array, log_weights: Array) -> Array:
        """Parameters that maximise the weighted log likelihood.

        They match the mean parameters, as far as a curved family can.

        Parameters
        ----------
        x : array (N, D)
            The data.
        log_weights : array (..., N)
            Normalised log weights; as logarithms, small weights keep their digits.

        Returns
        -------
        array (..., D)
            Infinite if all the weight is on the boundary of the support.
        """

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density in nats, `(...)`; leading axes broadcast."""
        return self._density(x, params, self._by_statistics)

    def _by_statistics(self, x: Array, params: Array) -> Array:
        return (
            (self.statistics(x) * self.natural_parameters(params)).sum(axis=-1)
            - self.log_partition(params)
            + self.log_base(x)
        )

    def table(self, data: Array) -> Table:
        return NaturalTable(self, data) if self.natural else super().table(data)

    def kl_divergence(self, params: ArrayLike, other: ArrayLike) -> Array:
        """KL( p(. given params) || p(. given other) ) in nats, `(...)`, in closed form.

        Raises
        ------
        ValueError
            If the shapes do not fit, a parameter is not finite, or the divergence does not fit
            in float64.
        """
        first, second = self._both(params, other)
        with np.errstate(all="ignore"):
            divergence = self._divergence(first, second)
        return representable("params and other", divergence, "divergences")

    def _divergence(self, params: Array, other: Array) -> Array:
        shift = self.natural_parameters(params) - self.natural_parameters(other)
        return (
            (self.mean(params) * shift).sum(axis=-1)
            - self.log_partition(params)
            + self.log_partition(other)
        )

"""Sums over the support of a family that use only its log density and its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._validation import Array, Index, numbers, representable, squarable, vectors
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods.base import Likelihood
from vaetheory.likelihoods.supports import Support
from vaetheory.rounding import ULP, gamma

#: Maps points of the line to points of the support and the derivative of that map.
Line: TypeAlias = Callable[[Array], tuple[Array, Array]]

#: Step of the trapezoid rules, by the number of axes that are summed together.
_STEP = {1: 1 / 24, 2: 1 / 12, 3: 1 / 6}
#: The error is estimated from sublattices with these strides.
_STRIDES = (2, 3)
#: A sum ends at terms that are this many nats below the greatest one.
_DEPTH = 50.0
#: How many times larger than the geometric one a tail can be; allowed deviations of noise.
_TAIL, _DEVIATIONS = 4.0, 4.0
#: How many draws locate a distribution.
_DRAWS = 2_000
#: Largest number of points of a rule.
_MOST = 2_000_000
#: Largest dimensions of the finite supports.
_MOST_FINITE = {Support.ONE_HOT: 1_000, Support.BINARY: 20}
_UNIT_INTERVALS = (Support.UNIT_INTERVAL, Support.CLOSED_UNIT_INTERVAL)
#: The greatest logarithm of a number, and the greatest logit of a number that is not rounded to 1.
_LARGEST, _LOGIT = 700.0, 36.0


@dataclass(frozen=True, eq=False)
class SupportRule(ByValue):
    """Points and weights of a sum over the support of a family.

    Attributes
    ----------
    points : array (M, D)
    weights : array (M,)
        An integral of a function of x is the sum of these times the values; for sums they are 1.
    place : array of int (M, k)
        Positions of the points on the lattice of a trapezoid rule; k = 0 for a sum.
    ends : array of int (E, 2)
        The last point in each open direction, and the one before it.
    noise : array (M,)
        Rounding noise of the family's log density at the points, measured by moving the parameters
        by some units in the last place.
    """

    points: Array
    weights: Array
    place: Index
    ends: Index
    noise: Array

    def expectation(self, log_prob: Array, values: Array) -> tuple[Array, Array]:
        """E[values] under a density with these logarithms.

        Parameters
        ----------
        log_prob : array (M,)
            At the points.
        values : array (M, K)

        Returns
        -------
        value, error : arrays (K,)
            The error is an estimate: the sum of the differences between sublattices of the rule, of
            a geometric tail beyond the last points, and of the rounding of nodes and terms.
        """
        log_prob, values = numbers("log_prob", log_prob), numbers("values", values)
        count = len(self.points)
        if log_prob.shape != (count,) or values.ndim != 2 or len(values) != count:
            raise ValueError(
                f"log_prob and values: expected shapes ({count},) and ({count}, K), got "
                f"{log_prob.shape} and {values.shape}"
            )
        with np.errstate(all="ignore"):
            value, error = self._expectation(log_prob, values)
        representable("log_prob and values", value, "expectations")
        return value, np.where(np.isnan(error), np.inf, error)

    def _expectation(self, log_prob: Array, values: Array) -> tuple[Array, Array]:
        density = np.exp(log_prob)[:, None] * values
        terms = self.weights[:, None] * density
        value = terms.sum(axis=0)
        spread = np.zeros_like(value)
        axes = self.place.shape[1]
        for stride in _STRIDES if axes else ():
            for start in range(stride):
                some = (self.place % stride == start).all(axis=-1)
                other = terms[some].sum(axis=0) * float(stride) ** axes
                spread = np.maximum(spread, np.abs(other - value))
        if len(self.ends):
            last, before = np.abs(terms[self.ends[:, 0]]), np.abs(terms[self.ends[:, 1]])
            ratio = last / np.maximum(before, 1e-300)
            # Terms that do not decrease have no bound; zero terms stay zero.
            rest = np.where(ratio < 1, last * ratio / np.maximum(1 - ratio, 1e-300), np.inf)
            spread = spread + _TAIL * np.where(last > 0, rest, 0.0).sum(axis=0)
        size = 1 + np.abs(np.maximum(log_prob, -1e3))
        lost = (gamma(64) * size + _DEVIATIONS * self.noise)[:, None] * np.abs(terms)
        if axes == 1:
            # The density is evaluated at a rounded node of the lattice.
            slope = np.abs(np.gradient(density, axis=0))
            gap = np.maximum(np.abs(np.gradient(self.points[:, 0])), 1e-300)
            shift = np.minimum(ULP * np.abs(self.points[:, 0]) / gap, 1.0)
            lost = lost + self.weights[:, None] * slope * shift[:, None]
        return value, spread + lost.sum(axis=0)


def _line(support: Support, draws: Array) -> tuple[Line, float]:
    """A map of the line to the support around some draws, with its derivative and its reach."""
    if support is Support.CIRCLE:
        middle = np.angle(np.exp(1j * draws).mean())
        spread = np.tan(np.angle(np.exp(1j * (draws - middle))) / 2)
        scale = float(np.clip(_deviation(spread), 1e-150, 1.0))

        def around(w: Array) -> tuple[Array, Array]:
            u = scale * np.sinh(w)
            return middle + 2 * np.arctan(u), 2 * scale * np.cosh(w) / (1 + u**2)

        return around, 40.0 + np.log(1 / scale)
    if support is Support.POSITIVE:
        inner = np.log(draws)
    else:
        inner = np.log(draws) - np.log1p(-draws) if support in _UNIT_INTERVALS else draws
    centre, scale = float(np.median(inner)), _deviation(inner)
    if not (np.isfinite(centre) and np.isfinite(scale)):
        raise ValueError(
            "params: expected ones whose samples lie inside the support in float64, got a middle "
            f"of {np.median(draws):g}"
        )

    def line(w: Array) -> tuple[Array, Array]:
        u, slope = centre + scale * np.sinh(w), scale * np.cosh(w)
        if support is Support.REAL:
            return u, slope
        most = _LOGIT if support in _UNIT_INTERVALS else _LARGEST
        kept = np.clip(u, -_LARGEST, most)
        slope = np.where(kept == u, slope, 0.0)
        if support is Support.POSITIVE:
            return np.exp(kept), slope * np.exp(kept)
        below = 1 / (1 + np.exp(-kept))
        return below, slope * below / (1 + np.exp(kept))

    reach = 150.0 if support is Support.REAL else np.arcsinh((_LARGEST + abs(centre)) / scale)
    return line, float(reach)


def _deviation(x: Array) -> float:
    """Standard deviation of a Gaussian with the quartiles of `x`."""
    low, high = np.quantile(x, [0.25, 0.75])
    return float(max((high - low) / 1.35, 1e-14 * abs(low), 1e-290))


def support_rule(likelihood: Likelihood, params: ArrayLike) -> SupportRule:
    """Return a rule that sums over the support of one observation's distribution.

    For counts and finite sets it is a plain sum. Otherwise it is a trapezoid rule after a map of
    the support to the line, and it covers the tails until the density is negligible. It is located
    by draws of `likelihood.sample`, and otherwise uses only `log_prob`.

    Parameters
    ----------
    likelihood : Likelihood
        With its attribute `support` set.
    params : array (D,)
        D at most 3, unless the support is finite: the rule is a product over the dimensions.

    Returns
    -------
    SupportRule

    Raises
    ------
    ValueError
        If the family has no `support`, `params` are not one vector, or the sum would have too many
        points.

    Notes
    -----
    Source: claim 7a. This is its second method for the Fisher information.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.likelihoods import Gamma
    >>> family, params = Gamma(shape=2.0), np.zeros(1)
    >>> rule = support_rule(family, params)
    >>> mean, error = rule.expectation(family.log_prob(rule.points, params), rule.points)
    >>> bool(abs(mean[0] - 1) < 1e-12), bool(error[0] < 1e-9)
    (True, True)
    """
    centre = vectors("params", params, None)
    if centre.ndim != 1:
        raise ValueError(f"params: expected one vector (D,), got shape {centre.shape}")
    support = getattr(likelihood, "support", None)
    if not isinstance(support, Support):
        raise ValueError(
            "likelihood: expected a family with its support (an attribute `support` of the type "
            f"Support), got {type(likelihood).__name__}"
        )
    size = likelihood.data_dim_of(len(centre), "params")
    if support in (Support.ONE_HOT, Support.BINARY) and size > _MOST_FINITE[support]:
        raise ValueError(
            f"params: expected at most {_MOST_FINITE[support]} dimensions of {support.value}, "
            f"got {size}"
        )
    with np.errstate(all="ignore"):
        if support is Support.ONE_HOT:
            rule = _sum(np.eye(size))
        elif support is Support.BINARY:
            rule = _sum(_product([np.array([0.0, 1.0])] * size))
        else:
            rule = _open(likelihood, centre, support)
        return replace(rule, noise=_noise(likelihood, rule.points, centre))


def _open(likelihood: Likelihood, centre: Array, support: Support) -> SupportRule:
    """A rule for an infinite support, located by some draws."""
    size = likelihood.data_dim_of(len(centre))
    if size > max(_STEP):
        raise ValueError(f"params: expected at most {max(_STEP)} dimensions, got {size}")
    draws = likelihood.sample(np.tile(centre, (_DRAWS, 1)), np.random.default_rng(0))
    squarable("params (samples)", draws)
    if support is Support.COUNTS:
        return _counts(likelihood, centre, draws)
    return _lattice(likelihood, centre, draws, support)


def _noise(likelihood: Likelihood, points: Array, centre: Array) -> Array:
    """Third differences of the log density for tiny steps of the params, which are rounding."""
    step = 64 * ULP * (1 + np.abs(centre))
    values = np.stack([likelihood.log_prob(points, centre + k * step) for k in range(7)])
    with np.errstate(invalid="ignore"):
        third = np.diff(values, n=3, axis=0)
    third = np.where(np.isfinite(third), third, 0.0)
    # The squares of the coefficients 1, 3, 3, 1 sum to 20.
    return np.sqrt((third**2).sum(axis=0) / (20 * len(third)))


_NO_ENDS: Index = np.empty((0, 2), dtype=np.intp)


def _sum(points: Array, ends: Index = _NO_ENDS) -> SupportRule:
    none = np.empty((len(points), 0), dtype=np.intp)
    return SupportRule(points, np.ones(len(points)), none, ends, np.zeros(len(points)))


def _product(axes: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All combinations of the entries of some vectors, one per row."""
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=-1)


def _window(log_terms: Array) -> slice:
    """The range in which the terms of a sum are not negligible, with one more on either side."""
    top = log_terms.max()
    inside = np.flatnonzero(log_terms > top - _DEPTH)
    if not np.isfinite(top) or not inside.size:
        raise ValueError(
            "params: expected ones of a density that can be summed in float64, got no finite log "
            "density where its samples are"
        )
    return slice(max(inside[0] - 1, 0), min(inside[-1] + 2, len(log_terms)))


def _counts(likelihood: Likelihood, centre: Array, draws: Array) -> SupportRule:
    axes = []
    for j in range(draws.shape[-1]):
        most = 64 + 4 * int(draws[:, j].max())
        while True:
            if most > _MOST:
                raise ValueError(f"params: expected a sum of at most {_MOST} points")
            x = np.arange(most + 1.0)
            log_prob = _along(likelihood, centre, np.median(draws, axis=0), j, x)
            if log_prob[-1] < log_prob.max() - _DEPTH:
                break
            most *= 2
        axes.append(x[_window(log_prob)])
    ends = _NO_ENDS
    if len(axes) == 1:
        last = len(axes[0]) - 1
        ends = np.array([[last, last - 1], [0, 1]][: 2 if axes[0][0] > 0 else 1])
    return _sum(_product(axes), ends)


def _along(likelihood: Likelihood, centre: Array, middle: Array, j: int, x: Array) -> Array:
    """Log density on a line through `middle`, on which coordinate `j` is `x`."""
    points = np.tile(middle, (len(x), 1))
    points[:, j] = x
    with np.errstate(all="ignore"):
        log_prob = likelihood.log_prob(points, centre)
    return np.where(np.isnan(log_prob), -np.inf, log_prob)


def _lattice(likelihood: Likelihood, centre: Array, draws: Array, support: Support) -> SupportRule:
    size = draws.shape[-1]
    step, axes, origin = _STEP[size], np.eye(size), np.zeros(size)
    if support is Support.REAL and size > 1:
        # Dimensions may depend on each other; in these axes they are almost uncorrelated.
        low, middle, high = np.quantile(draws, [0.25, 0.5, 0.75], axis=0)
        bulk = np.clip(draws, low - 3 * (high - low), high + 3 * (high - low))
        axes, origin = np.linalg.cholesky(np.cov(bulk.T)), middle
    inner = np.linalg.solve(axes, (draws - origin).T).T
    middle = np.median(inner, axis=0)
    values, weights, places = [], [], []
    for j in range(size):
        line, reach = _line(support, inner[:, j])
        k = np.arange(-int(reach / step), int(reach / step) + 1)
        x, slope = line(k * step)
        k, x, slope = k[slope > 0], x[slope > 0], slope[slope > 0]
        if size > 1:
            points = np.tile(middle, (len(x), 1))
            points[:, j] = x
            log_prob = likelihood.log_prob(origin + points @ axes.T, centre)
        else:
            log_prob = _along(likelihood, centre, middle, 0, x)
        kept = _window(log_prob + np.log(slope))
        values.append(x[kept])
        weights.append(slope[kept] * step)
        places.append(k[kept])
    if np.prod([float(len(x)) for x in values]) > _MOST:
        raise ValueError(f"params: expected a rule of at most {_MOST} points")
    volume = float(np.prod(np.diagonal(axes)))
    points = origin + _product(values) @ axes.T
    last = len(points) - 1
    ends = np.array([[0, 1], [last, last - 1]]) if size == 1 else _NO_ENDS
    total = _product(weights).prod(axis=-1) * volume
    return SupportRule(points, total, _product(places), ends, np.zeros(len(points)))

"""Tests of the bounds that a family states for its second derivatives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from vaetheory._validation import Array
from vaetheory.rounding import ULP

#: Params around which data are drawn, how many numbers are drawn at each, and the distances from
#: the params at which bounds are tested.
_CENTRES = np.linspace(-6.0, 6.0, 7)
_DRAWS = 8
_AWAY = 2.0 ** np.arange(-14, 4.01, 1 / 3)
#: How many numbers are in memory at a time.
_NUMBERS = 2**18
#: Relative excess over a bound up to which rounding may be the cause.
_WRONG = 1e-3
#: Over intervals of the params shorter than this, bounds must be finite: the search ends with them.
_SHORT = 0.5
#: Data with so low a log density are impossible: there second derivatives may overflow first.
IMPOSSIBLE = -1e30
_THERE = "that holds over the interval"


class NoCurvatureBoundsError(ValueError):
    """A family does not bound its second derivatives."""


class Bounded(Protocol):
    """The methods of a family whose bounds are tested."""

    #: Whether log p is concave in the params.
    concave: bool

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over all params."""

    def curvature_range(self, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over params from `lower` to `upper`."""

    def _log_prob(self, x: Array, params: Array) -> Array:
        """Log density of each data dimension."""


class Tried(Protocol):
    """The methods of a family that give data at which its bounds are tested."""

    def check_data(self, x: ArrayLike) -> Array:
        """Return the data as an array if they are in the support."""

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum per parameter vector."""


def checked_bounds(given: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Return `curvature_bounds` as arrays of a shape, or raise a ValueError."""
    low, high = _pair("curvature_bounds", given, shape, exact=True)
    for bound in (low, high):
        if not np.isfinite(bound).all():
            raise ValueError(
                "likelihood: expected finite curvature_bounds, got "
                f"{bound[~np.isfinite(bound)][0]:g}: a family whose second derivatives have no "
                "bounds over all params gives curvature_range, their bounds over an interval"
            )
    _require_order("curvature_bounds", low, high)
    return low, high


def checked_range(likelihood: Bounded, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Return the `curvature_range` of data over intervals, or raise a ValueError.

    A bound that overflows is infinite. If the log density overflows, a bound may also be NaN, which
    means that nothing is known.
    """
    shape = np.broadcast_shapes(x.shape, lower.shape)
    low, high = _pair("curvature_range", likelihood.curvature_range(x, lower, upper), shape)
    undefined = np.isnan(low) | np.isnan(high)
    if undefined.any():
        some, a, b = (np.broadcast_to(v, shape)[undefined] for v in (x, lower, upper))
        known = np.isfinite(likelihood._log_prob(some, a) + likelihood._log_prob(some, b))
        if known.any():
            raise ValueError(
                "likelihood: expected numbers from curvature_range, got NaN at x = "
                f"{some[known][0]:.6g} for params {a[known][0]:.6g}..{b[known][0]:.6g}"
            )
        low, high = np.where(undefined, -np.inf, low), np.where(undefined, np.inf, high)
    # Over intervals as short as the last digits of the params, rounding can make them cross.
    size = np.maximum(np.abs(low), np.abs(high))
    _require_order("curvature_range", low, high, np.where(np.isfinite(size), _WRONG * size, 0.0))
    return np.minimum(low, high), np.maximum(low, high)


def _pair(
    name: str, given: Any, shape: tuple[int, ...], *, exact: bool = False
) -> tuple[Array, Array]:
    """Both bounds as arrays of a shape; those of a `curvature_range` may need broadcasting."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise ValueError(f"likelihood: expected {name} to return low and high, got {given!r:.80}")
    arrays = []
    for bound in given:
        array = np.asarray(bound)
        fits = array.shape == shape if exact else _broadcasts(array.shape, shape)
        if array.dtype.kind not in "biuf" or not fits:
            raise ValueError(
                f"likelihood: expected {name} of shape {shape} for data of that shape, got "
                f"{array.dtype} of shape {array.shape}"
            )
        arrays.append(np.broadcast_to(array.astype(np.float64), shape))
    return arrays[0], arrays[1]


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _require_order(name: str, low: Array, high: Array, slack: Array | float = 0.0) -> None:
    crossed = low > high + slack
    if crossed.any():
        raise ValueError(
            f"likelihood: expected {name} with low <= high, got {low[crossed][0]:g} and "
            f"{high[crossed][0]:g}"
        )


def trial(likelihood: Tried, dim: int) -> tuple[Array, Array] | None:
    """Data `(N, D)` of a family and the params to which they belong, or None.

    The data are samples of the family, or numbers in its support if sampling fails.
    """
    params = np.tile(_CENTRES, max(1, _DRAWS // dim))[:, None] * np.ones(dim)
    rng = np.random.default_rng(0)
    # Nothing else in a model needs samples, so errors of `sample` are ignored here.
    with np.errstate(all="ignore"), suppress(Exception):
        return likelihood.check_data(likelihood.sample(params, rng)), params
    # Combine each number with each of the params in turn.
    count = len(_CENTRES)
    turns = [np.roll(params[:count], k, axis=0) for k in range(len(params) // count)]
    others = np.concatenate(turns)
    positive = np.exp(others)
    for data in (others, positive, np.floor(positive), expit(others), 1.0 * (others > 0)):
        with suppress(Exception):
            return likelihood.check_data(data), params
    return None


def require_bounds(
    likelihood: Bounded, x: Array, params: Array, *, bounds: bool, intervals: bool
) -> None:
    """Raise a ValueError if second differences contradict the bounds that a family states.

    A second difference of log p is a mean of its second derivatives, so it lies between any true
    bounds. The differences are taken at the given data, up to a distance of 16 from the params.

    Parameters
    ----------
    likelihood : ElementwiseLikelihood
    x, params : arrays (N, D)
    bounds, intervals : bool
        Whether the family has `curvature_bounds` and a `curvature_range` of its own.

    Examples
    --------
    >>> from vaetheory.likelihoods import Beta
    >>> x, params = np.array([[0.25]]), np.array([[-1.0]])
    >>> require_bounds(Beta(concentration=2.0), x, params, bounds=True, intervals=False)
    """
    claims: list[tuple[str, str, Array, Array]] = []
    if bounds:
        given = checked_bounds(likelihood.curvature_bounds(x), x.shape)
        claims.append(("curvature_bounds", "that hold for all params", *given))
    if likelihood.concave:
        claims.append(
            (
                "concave = True",
                "of a log density concave in the params",
                np.full(x.shape, -np.inf),
                np.zeros(x.shape),
            )
        )
    if not claims and not intervals:
        return
    size = max(1, _NUMBERS // x.size)
    # The extremes so far on either side of the centres; every wider interval contains them.
    seen = [_Seen.nothing(x.shape) for _ in range(2)]
    with np.errstate(all="ignore"):
        for start in range(0, len(_AWAY), size):
            away = _AWAY[start : start + size, None, None]
            found = [_second_differences(likelihood, x, params, side * away) for side in (-1, 1)]
            for some in found:
                for claim in claims:
                    some.require(*claim, x)
                if intervals:
                    given = checked_range(likelihood, x, some.lower, some.upper)
                    require_finite(x, some.lower, some.upper, *given, np.isfinite(some.most))
                    some.require("curvature_range", _THERE, *given, x)
            if intervals:
                below, above = (
                    before.joined(some) for before, some in zip(seen, found, strict=True)
                )
                for wide in (below, above, below.around(above)):
                    given = checked_range(likelihood, x, wide.lower, wide.upper)
                    wide.require("curvature_range", _THERE, *given, x)
                seen = [below.take(-1), above.take(-1)]


@dataclass(frozen=True)
class _Seen:
    """Second derivatives of log p that occur between `lower` and `upper`, arrays `(K, N, D)`.

    The smallest of them is at most `least`, and the greatest is at least `most`. These are the
    differences, moved outwards by their possible errors.
    """

    lower: Array
    upper: Array
    least: Array
    most: Array

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> _Seen:
        return cls(*(np.full(shape, v) for v in (np.inf, -np.inf, np.inf, -np.inf)))

    def joined(self, other: _Seen) -> _Seen:
        """The extremes up to each of several intervals, which lie further and further away."""

        def so_far(rule: np.ufunc, first: Array, values: Array) -> Array:
            out: Array = rule.accumulate(np.concatenate([first[None], values]), axis=0)[1:]
            return out

        return _Seen(
            so_far(np.minimum, self.lower, other.lower),
            so_far(np.maximum, self.upper, other.upper),
            so_far(np.minimum, self.least, other.least),
            so_far(np.maximum, self.most, other.most),
        )

    def around(self, other: _Seen) -> _Seen:
        """The extremes of an interval below and an interval above together."""
        return _Seen(
            self.lower, other.upper, np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )  # fmt: skip

    def take(self, which: int) -> _Seen:
        return _Seen(self.lower[which], self.upper[which], self.least[which], self.most[which])

    def require(self, name: str, where: str, low: Array, high: Array, x: Array) -> None:
        """Raise a ValueError if an extreme is not between the bounds."""
        bad = (self.least < low) | (self.most > high)
        if not bad.any():
            return
        shape = bad.shape
        first = tuple(np.argwhere(bad)[0])
        at, below, above = (float(np.broadcast_to(v, shape)[first]) for v in (x, low, high))
        least, most = float(self.least[first]), float(self.most[first])
        start, end = float(self.lower[first]), float(self.upper[first])
        raise ValueError(
            f"likelihood: expected {name} {where}, got {below:.6g}..{above:.6g} at "
            f"x = {at:.6g}, where the second derivative of log p is "
            f"{least if least < below else most:.6g} somewhere at params {start:.6g}..{end:.6g}"
        )


def _second_differences(likelihood: Bounded, x: Array, centres: Array, away: Array) -> _Seen:
    step = np.abs(away) / 8
    at = centres + away
    three = [likelihood._log_prob(x, at + k * step) for k in (-1, 0, 1)]
    bend = (three[0] - 2 * three[1] + three[2]) / step**2
    # The rounding error of a log density can be that of the number 1, even if it is small; and that
    # of a param, or of its distance from a datum, times the slope.
    slope = np.abs(np.diff(three, axis=0)).max(axis=0) / step
    lost = (1 + np.abs(three)).sum(axis=0) + slope * (np.abs(at) + np.abs(x))
    slack = 64 * ULP * lost / step**2 + _WRONG * np.abs(bend)
    known = np.isfinite(bend) & np.isfinite(slack) & (np.min(three, axis=0) > IMPOSSIBLE)
    return _Seen(
        at - step, at + step,
        np.where(known, bend + slack, np.inf), np.where(known, bend - slack, -np.inf),
    )  # fmt: skip


def require_finite(
    x: Array, lower: Array, upper: Array, low: Array, high: Array, known: NDArray[np.bool_]
) -> None:
    """Raise a ValueError if a family has no finite bounds even over a short interval.

    If its log density is not known there, the bounds may be infinite.
    """
    bad = ~(np.isfinite(low) & np.isfinite(high)) & known & (upper - lower <= _SHORT)
    if bad.any():
        first = tuple(np.argwhere(bad)[0])
        at, a, b = (np.broadcast_to(v, bad.shape)[first] for v in (x, lower, upper))
        raise ValueError(
            "likelihood: expected a finite curvature_range over short intervals, got "
            f"{low[first]:g}..{high[first]:g} at x = {at:.6g} over params {a:.6g}..{b:.6g}"
        )

"""What is known of an evidence beyond quadrature: a value, its error, bounds at a confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._validation import Array, as_array, option
from vaetheory._value_equality import ByValue

BRACKETED = "bracketed"
BOUNDED_BELOW = "bounded below"
ESTIMATED = "estimated"
UNRESOLVED = "unresolved"
STATUSES = (BRACKETED, BOUNDED_BELOW, ESTIMATED, UNRESOLVED)


@dataclass(frozen=True, eq=False, repr=False)
class Bracket(ByValue):
    """A log evidence, or several, with a value, an error figure, and bounds.

    Attributes
    ----------
    value : array (...)
        The estimate in nats; NaN where there is none.
    error : array (...)
        Error figure of `value`, in nats: an estimate, except where the status is "bracketed",
        where it is the greatest distance of `value` from a bound. Infinite where it is not known.
    lower, upper : array (...)
        Bounds that hold at the stated confidence for any number of draws; infinite where there is
        none. They count rounding in, and assume nothing but the random numbers.
    confidence : float
        Of each entry by itself: the probability that the bounds hold is at least this.
    status : array of str (...)
        `"bracketed"`: both bounds. `"estimated"`: a value whose error is an estimate, which may be
        wrong without a sign of it; there may be a lower bound as well. `"bounded below"`: nothing
        but the lower bound. `"unresolved"`: a check failed or a tolerance was not reached;
        `diagnostics` says which.
    evaluations : int
        Calls of the decoder, summed over all data; a gradient counts as two more.
    diagnostics : mapping of str to arrays
        What the routine measured on its way; its docstring names the entries.

    Raises
    ------
    ValueError
        If the arrays have different shapes, a lower bound exceeds an upper one, the confidence is
        not in (0, 1), or a status is not known.

    Examples
    --------
    >>> Bracket(-3.2, 0.1, -3.3, -3.1, 0.999, "bracketed", 1000)
    bracketed in [-3.3, -3.1] nats at 99.9 % confidence
    >>> Bracket(-3.2, 0.01, -3.4, np.inf, 0.999, "estimated", 1000)
    estimated as -3.2 +- 0.01 nats; at least -3.4 at 99.9 % confidence
    """

    value: Array
    error: Array
    lower: Array
    upper: Array
    confidence: float
    status: NDArray[np.str_]
    evaluations: int
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arrays = {
            name: np.asarray(getattr(self, name), dtype=np.float64)
            for name in ("value", "error", "lower", "upper")
        }
        status = np.asarray(self.status, dtype=str)
        shapes = {name: array.shape for name, array in arrays.items()} | {"status": status.shape}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"Bracket: expected arrays of one shape, got {shapes}")
        for word in np.unique(status):
            option("status", str(word), STATUSES)
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: expected a number in (0, 1), got {self.confidence:g}")
        # A comparison with NaN is false.
        if not (arrays["lower"] <= arrays["upper"]).all():
            bad = ~(arrays["lower"] <= arrays["upper"])
            raise ValueError(
                "lower and upper: expected numbers in ascending order, got "
                f"{arrays['lower'][bad][0]:g} and {arrays['upper'][bad][0]:g}"
            )
        for name, array in (*arrays.items(), ("status", status)):
            object.__setattr__(self, name, array)

    def contains(self, value: ArrayLike) -> NDArray[np.bool_]:
        """Whether values `(...)` are within the bounds.

        Examples
        --------
        >>> bool(Bracket(-3.2, 0.1, -3.3, -3.1, 0.999, "bracketed", 1000).contains(-3.15))
        True
        """
        v = as_array("value", value)
        return np.asarray((self.lower <= v) & (v <= self.upper))

    def separates(self, first: ArrayLike, second: ArrayLike) -> NDArray[np.bool_]:
        """Whether the bounds decide between two values `(...)`: exactly one is within them.

        Examples
        --------
        >>> bracket = Bracket(-3.2, 0.1, -3.3, -3.1, 0.999, "bracketed", 1000)
        >>> bool(bracket.separates(-3.2, -3.0)), bool(bracket.separates(-3.0, -2.0))
        (True, False)
        """
        return np.asarray(self.contains(first) != self.contains(second))

    @property
    def width(self) -> Array:
        """Distance of the bounds in nats, `(...)`; infinite where one is missing."""
        return np.asarray(self.upper - self.lower)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, strings and lists, for a JSON file.

        Examples
        --------
        >>> bracket = Bracket(-3.2, 0.1, -3.3, -3.1, 0.999, "bracketed", 1000)
        >>> bracket.to_dict()["lower"], bracket.to_dict()["status"]
        (-3.3, 'bracketed')
        """
        names = ("value", "error", "lower", "upper", "confidence", "status", "evaluations")
        found = {name: _listed(getattr(self, name)) for name in names}
        return {**found, "diagnostics": {k: _listed(v) for k, v in self.diagnostics.items()}}

    def __repr__(self) -> str:
        if not self.value.ndim:
            return _sentence(self)
        counts = Counter(self.status.ravel().tolist())
        words = ", ".join(f"{counts[word]} {word}" for word in STATUSES if counts[word])
        means = [float(v.mean()) if v.size else np.nan for v in (self.lower, self.upper)]
        return (
            f"{self.value.size} log evidences: {words}; the means of the bounds are "
            f"{means[0]:.6g} and {means[1]:.6g} nats, each bound at {_percent(self.confidence)}"
        )


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.12g} % confidence"


def _sentence(one: Bracket) -> str:
    """The statement of one log evidence."""
    status, at = str(one.status), f"at {_percent(one.confidence)}"
    value, error, lower, upper = (
        float(entry) for entry in (one.value, one.error, one.lower, one.upper)
    )
    if status == BRACKETED:
        return f"bracketed in [{lower:.6g}, {upper:.6g}] nats {at}"
    known = [f"at least {lower:.6g}"] if np.isfinite(lower) else []
    known += [f"at most {upper:.6g}"] if np.isfinite(upper) else []
    bounds = f"{' and '.join(known)} {at}" if known else ""
    if status == BOUNDED_BELOW:
        return f"bounded below by {lower:.6g} nats {at}"
    if status == ESTIMATED:
        return "; ".join(filter(None, (f"estimated as {value:.6g} +- {error:.2g} nats", bounds)))
    return "; ".join(filter(None, ("unresolved", bounds)))


def _listed(value: Any) -> Any:
    """Arrays and NumPy's numbers as lists and numbers of Python."""
    if isinstance(value, np.ndarray | np.generic):
        return cast(Any, value).tolist()
    if isinstance(value, Mapping):
        return {str(k): _listed(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(v) for v in value]
    return value

"""Statements that all laws use: values agree up to rounding, derivatives, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, short
from vaetheory.differences import slopes
from vaetheory.rounding import ULP, gamma

#: How many roundings evaluations of the same numbers in another order may differ by.
_OPERATIONS = 256
#: Units in the last place by which arguments are moved to measure the rounding of values.
_MOVES = (-101.0, -47.0, -11.0, -3.0, -1.0, 1.0, 3.0, 11.0, 47.0, 101.0)
#: Allowed multiple of the greatest change that was measured.
_ALLOWED = 64.0
#: Relative error of a derivative that is refused if differences are accurate enough: a tenth of the
#: smallest mistake that is certainly detected.
_WRONG = 1e-4


class Violation(AssertionError):
    """A law does not hold; the message says what was expected and what came."""


class NotApplicable(Exception):
    """A law says nothing about an instance; the message says why."""


def rounding_of(function: Callable[[Array], ArrayLike], z: Array) -> Array:
    """How much two evaluations of a function at the same points may differ, `(...)`.

    This is a multiple of the change of its values when the arguments move by some units in the last
    place, plus some roundings of the greatest value.
    """
    here = np.asarray(function(z.copy()), dtype=np.float64)
    unit = ULP * np.maximum(np.abs(z), 1.0)
    moved = [np.abs(np.asarray(function(z + move * unit)) - here) for move in _MOVES]
    change = np.max([np.where(np.isfinite(m), m, 0.0) for m in moved], axis=0)
    size = np.abs(here[np.isfinite(here)]).max(initial=0.0)
    return np.asarray(_ALLOWED * change + gamma(_OPERATIONS) * size)


def require_close(what: str, came: ArrayLike, expected: ArrayLike, bound: ArrayLike) -> None:
    """Raise a `Violation` if two arrays differ in shape, or by more than a bound."""
    came, expected = np.asarray(came, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if came.shape != expected.shape:
        raise Violation(f"expected {what} of shape {expected.shape}, got {came.shape}")
    off = np.abs(came - expected)
    # Infinities of the same sign agree, and so do two NaNs.
    bad = ~((off <= bound) | (came == expected) | (np.isnan(came) & np.isnan(expected)))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f" at index {at}" if at else ""
        most = np.broadcast_to(np.asarray(bound, dtype=np.float64), off.shape)[at]
        raise Violation(
            f"expected {what} to be {expected[at]:.9g}{where}, got {came[at]:.9g}: it is off by "
            f"{off[at]:.3g}, and at most {most:.3g} is allowed"
        )


def require_refusal(what: str, call: Callable[[], object]) -> None:
    """Raise a `Violation` unless a call raises a ValueError."""
    try:
        found = call()
    except ValueError:
        return
    except Exception as error:
        raise Violation(
            f"expected a ValueError for {what}, got {type(error).__name__}: {error}"
        ) from error
    raise Violation(f"expected a ValueError for {what}, got {short(found)}")


def copy_of(what: str, instance: Any, make: Callable[[Any], Any]) -> Any:
    """Return a copy of an instance, or raise a `Violation` that says why there is none."""
    try:
        return make(instance)
    except Exception as error:
        raise Violation(
            f"expected {what}, got {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error


def require_value(instance: Any, copies: Mapping[str, Any]) -> None:
    """Raise a `Violation` unless an instance equals its copies, with equal hashes, and no other."""
    for what, twin in copies.items():
        if not bool(twin == instance) or not bool(instance == twin):
            raise Violation(f"expected an instance equal to its {what}, got unequal ones")
        if hash(twin) != hash(instance):
            raise Violation(f"expected the hash of its {what}, got another for an equal instance")
    if bool(instance == object()) or not bool(instance != object()):
        raise Violation("expected an instance unequal to other objects, got one that is equal")


def direction(size: int) -> Array:
    """A vector with no simple ratio of two entries, so that mistakes do not cancel."""
    return np.sqrt(np.arange(2.0, size + 2)) % 1.0 + 0.3


def require_slope(
    what: str,
    function: Callable[[Array], Array],
    z: Array,
    claimed: Array,
    where: Callable[[tuple[int, ...]], str],
    rounding: Array | float = 0.0,
) -> bool:
    """Raise a `Violation` if a derivative along `direction(d)` differs from the differences.

    Parameters
    ----------
    what : str
    function : callable
        Maps `(M, d)` to `(M, ...)`.
    z : array (d,)
    claimed : array (...)
        The derivative along `direction(d)` that is tested.
    where : callable
        Maps an index to the words of the error for its place.
    rounding : array (...), optional
        The rounding error of `claimed`.

    Returns
    -------
    bool
        Whether the differences of some entry are accurate enough to refuse a mistake of one part
        in a thousand.
    """
    found = slopes(function, z, direction(len(z)))
    slope, error = found.against(claimed, _WRONG)
    left = found.best()[1]
    off, size = np.abs(claimed - slope), np.maximum(np.abs(claimed), np.abs(slope))
    bad = (off > _WRONG * size + error + rounding) | (np.isnan(claimed) & np.isfinite(error))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise Violation(
            f"expected {what}, which is {slope[at]:.9g} by differences (to {error[at]:.2g}), got "
            f"{claimed[at]:.9g} at {where(at)}, direction = {direction(len(z)).round(4).tolist()}"
        )
    flat = np.isfinite(left).all() and (np.abs(claimed) <= left).all()
    return bool((left < 5 * _WRONG * np.abs(claimed)).any() or flat)


def clear(seen: Iterable[bool]) -> None:
    """Raise `NotApplicable` unless some of the comparisons of a law were accurate enough."""
    if not any(seen):
        raise NotApplicable("differences are not accurate enough at any of the points")

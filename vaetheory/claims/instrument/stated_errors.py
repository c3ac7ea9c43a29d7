"""A stated error covers the true one: the comparison of all checks of claim 0.

The true error is compared with the stated one. The bound is the error of the reference, and the
scale is the stated error itself: an instance decides only if its reference is sharper than the
stated error that it judges.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.checking import Comparison
from vaetheory.rounding import ULP

#: The resolution: the error of a reference is at most this share of the stated error it judges.
SHARPER = 0.09

#: An error figure, made of what a routine returned.
Figure = Callable[[Integral], Array]


def stated(found: Integral) -> Array:
    """The error figure itself."""
    return found.error


def half(found: Integral) -> Array:
    """Half of it."""
    return found.error / 2


def hundredth(found: Integral) -> Array:
    """A hundredth of it."""
    return found.error / 100


def tolerance(found: Integral) -> Array:
    """What was asked for, 1e-10, whether or not it was reached."""
    return np.full_like(found.error, 1e-10)


def last_digit(found: Integral) -> Array:
    """The rounding of the value alone."""
    return ULP * np.abs(found.value)


def covered(off: float, figure: float, lost: float, *, size: float = 1.0) -> Comparison:
    """A true error `off` is at most the stated `figure`, up to what the reference has `lost`.

    A figure below some hundred units in the last place of the value's `size` is not judged.
    """
    if not np.isfinite(figure):
        # That nothing is known is always true.
        return Comparison.identity(0.0, 0.0, scale=1.0)
    least = 256 * ULP * size
    return Comparison.at_most(off, figure, scale=max(figure, least), reference=lost)


def thousandth(found: Integral) -> Array:
    """A thousandth of the figure."""
    return found.error / 1000

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

#: An error figure, computed from the result of a routine.
Figure = Callable[[Integral], Array]


def stated(computed: Integral) -> Array:
    """The stated error."""
    return computed.error


def half(computed: Integral) -> Array:
    """Half of the stated error."""
    return computed.error / 2


def hundredth(computed: Integral) -> Array:
    """A hundredth of the stated error."""
    return computed.error / 100


def tolerance(computed: Integral) -> Array:
    """The requested tolerance, 1e-10, whether or not it was reached."""
    return np.full_like(computed.error, 1e-10)


def last_digit(computed: Integral) -> Array:
    """The rounding of the value only."""
    return ULP * np.abs(computed.value)


def covered(off: float, figure: float, lost: float, *, size: float = 1.0) -> Comparison:
    """Check that the true error `off` is at most `figure`, up to the error `lost` of the reference.

    A figure below 256 units in the last place of the value's `size` does not decide.
    """
    if not np.isfinite(figure):
        # An infinite error makes no statement.
        return Comparison.identity(0.0, 0.0, scale=1.0)
    least = 256 * ULP * size
    return Comparison.at_most(off, figure, scale=max(figure, least), reference=lost)


def thousandth(computed: Integral) -> Array:
    """A thousandth of the stated error."""
    return computed.error / 1000

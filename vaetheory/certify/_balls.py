"""Ball arithmetic with FLINT (Arb)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from typing import Any

from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number, TooLong, fraction_of

try:
    from flint import acb, arb, ctx, fmpq
except ImportError:
    raise ImportError("certificates need python-flint: pip install 'vaetheory[certify]'") from None
if not hasattr(ctx, "workprec"):
    raise ImportError(
        "certificates need python-flint 0.7.1 or newer: pip install -U 'vaetheory[certify]'"
    )


class _Steps:
    """A budget of steps."""

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def take(self, bits: int) -> None:
        self.left -= 1 + bits // 300
        if self.left < 0:
            raise TooLong(f"it would take more than {self.most} steps")


_STEPS: ContextVar[_Steps | None] = ContextVar("steps", default=None)


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Raise `TooLong` when the code inside encloses more than `steps` exact numbers.

    Their number is a fair measure of time and is the same on every machine; a number at high
    precision counts more than once. Inside another such limit only the outer limit counts.
    """
    if _STEPS.get() is not None:
        yield
        return
    token = _STEPS.set(_Steps(steps))
    try:
        yield
    finally:
        _STEPS.reset(token)


@contextmanager
def balls(bits: int) -> Iterator[Balls]:
    """Ball arithmetic of `bits` bits; the precision of the process is restored afterwards."""
    with ctx.workprec(bits):
        yield Balls(bits)


class Balls(Arithmetic):
    """Numbers are `flint.arb` and `flint.acb`; use it only within the context `balls`."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._steps = _STEPS.get()

    def exact(self, value: Fraction | int | float) -> Number:
        if self._steps is not None:
            self._steps.take(self.bits)
        if isinstance(value, Fraction):
            return arb(fmpq(value.numerator, value.denominator))
        return arb(value)

    def _end(self, value: Any) -> Number:
        return value if isinstance(value, arb) else self.exact(value)

    def hull(self, low: Any, high: Any) -> Number:
        return self._end(low).union(self._end(high))

    def complex(self, re: Number, im: Number) -> Number:
        return acb(re, im)

    def real(self, z: Number) -> Number:
        return z.real

    def is_complex(self, z: Number) -> bool:
        return isinstance(z, acb)

    def is_number(self, z: Any) -> bool:
        return isinstance(z, arb | acb)

    def finite(self, z: Number) -> bool:
        return z.is_finite()

    def bounds(self, x: Number) -> tuple[Fraction, Fraction]:
        if not x.is_finite():
            raise NotProved("a ball is not finite")
        (mid, mid_error), (rad, rad_error) = (
            fraction_of(*map(int, t.man_exp())) for t in (x.mid(), x.rad())
        )
        rad += mid_error + rad_error
        return mid - rad, mid + rad

    def ends(self, x: Number) -> tuple[Number, Number]:
        return x.lower(), x.upper()

    def floats(self, x: Number) -> tuple[float, float]:
        if not x.is_finite():
            return -math.inf, math.inf
        return (
            math.nextafter(float(x.lower()), -math.inf),
            math.nextafter(float(x.upper()), math.inf),
        )

    def magnitude(self, z: Number) -> Number:
        return z.abs_upper()

    def less(self, a: Number, b: Number) -> bool:
        return bool(a < b)

    def pi(self) -> Number:
        return arb.pi()

    def exp(self, z: Number) -> Number:
        return z.exp()

    def log(self, z: Number) -> Number:
        if isinstance(z, acb) and not z.real > 0:
            return acb(arb.nan(), arb.nan())
        return z.log()

    def sqrt(self, z: Number) -> Number:
        if isinstance(z, acb) and not z.real > 0:
            return acb(arb.nan(), arb.nan())
        return z.sqrt()

    def sin(self, z: Number) -> Number:
        return z.sin()

    def cos(self, z: Number) -> Number:
        return z.cos()

    def tanh(self, z: Number) -> Number:
        return z.tanh()

    def square(self, z: Number) -> Number:
        product = z * z
        return product if isinstance(z, acb) or product >= 0 else product.nonnegative_part()

    def legendre(self, order: int) -> Sequence[tuple[Number, Number]]:
        return _legendre(order, self.bits)


@lru_cache(maxsize=64)
def _legendre(order: int, bits: int) -> tuple[tuple[Number, Number], ...]:
    return tuple(arb.legendre_p_root(order, k, True) for k in range(order))

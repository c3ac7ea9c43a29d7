"""Interval arithmetic with mpmath alone, for the checker of certificates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number, fraction_of

try:
    from mpmath import iv, libmp, mp
except ImportError:
    raise ImportError(
        "checking certificates needs mpmath: pip install 'vaetheory[certify]'"
    ) from None

_INFINITE = (libmp.finf, libmp.fninf, libmp.fnan)


@contextmanager
def intervals(bits: int) -> Iterator[Intervals]:
    """Interval arithmetic of `bits` bits; mpmath's precision is restored afterwards."""
    before = iv.prec
    iv.prec = bits
    try:
        yield Intervals(bits)
    finally:
        iv.prec = before


class Intervals(Arithmetic):
    """Numbers are `iv.mpf` and `iv.mpc`; use it only within the context `intervals`."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def exact(self, value: Fraction | int | float) -> Number:
        if isinstance(value, Fraction):
            if value.denominator == 1:
                return iv.mpf(value.numerator)
            return iv.mpf(value.numerator) / value.denominator
        return iv.mpf(value)

    def _ends(self, value: Any) -> tuple[Any, Any]:
        x = value if isinstance(value, iv.mpf) else self.exact(value)
        return x._mpi_

    def hull(self, low: Any, high: Any) -> Number:
        (a, b), (c, d) = self._ends(low), self._ends(high)
        if any(e == libmp.fnan for e in (a, b, c, d)):
            return self._nowhere()
        least = a if libmp.mpf_le(a, c) else c
        most = b if libmp.mpf_ge(b, d) else d
        return iv.make_mpf((least, most))

    @staticmethod
    def _nowhere() -> Number:
        return iv.make_mpf((libmp.fninf, libmp.finf))

    def complex(self, re: Number, im: Number) -> Number:
        return iv.mpc(re, im)

    def real(self, z: Number) -> Number:
        return z.real

    def is_complex(self, z: Number) -> bool:
        return isinstance(z, iv.mpc)

    def is_number(self, z: Any) -> bool:
        return isinstance(z, iv.mpf | iv.mpc)

    def finite(self, z: Number) -> bool:
        parts = (z.real, z.imag) if isinstance(z, iv.mpc) else (z,)
        return not any(end in _INFINITE for part in parts for end in part._mpi_)

    def bounds(self, x: Number) -> tuple[Fraction, Fraction]:
        if not self.finite(x):
            raise NotProved("an interval is not finite")
        (low, low_error), (high, high_error) = (fraction_of(*_mantissa(end)) for end in x._mpi_)
        return low - low_error, high + high_error

    def ends(self, x: Number) -> tuple[Number, Number]:
        low, high = x._mpi_
        return iv.make_mpf((low, low)), iv.make_mpf((high, high))

    def floats(self, x: Number) -> tuple[float, float]:
        if not self.finite(x):
            return -math.inf, math.inf
        low, high = (libmp.to_float(end, strict=False) for end in x._mpi_)
        return math.nextafter(low, -math.inf), math.nextafter(high, math.inf)

    def magnitude(self, z: Number) -> Number:
        if not self.finite(z):
            return self._nowhere()
        size = iv.sqrt(z.real**2 + z.imag**2) if isinstance(z, iv.mpc) else abs(z)
        return self.ends(size)[1]

    def less(self, a: Number, b: Number) -> bool:
        (_, high), (low, _) = self._ends(a), self._ends(b)
        return libmp.mpf_lt(high, low)

    def pi(self) -> Number:
        return iv.pi + 0

    def exp(self, z: Number) -> Number:
        if not self.finite(z):
            return z
        if isinstance(z, iv.mpc):
            size = iv.exp(z.real)
            return iv.mpc(size * iv.cos(z.imag), size * iv.sin(z.imag))
        return iv.exp(z)

    def _positive(self, z: Number) -> bool:
        return self.finite(z) and self.less(0, z.real)

    def log(self, z: Number) -> Number:
        if not self._positive(z):
            return self._lost(z)
        if isinstance(z, iv.mpc):
            # The real part is positive, so the angle is the arctangent of the quotient.
            size = iv.log(z.real**2 + z.imag**2) / 2
            return iv.mpc(size, self._arctan(z.imag / z.real))
        return iv.log(z)

    def _lost(self, z: Number) -> Number:
        return iv.mpc(*[self._nowhere()] * 2) if isinstance(z, iv.mpc) else self._nowhere()

    def _arctan(self, x: Number) -> Number:
        """Arctangent: approximate ends, proved by comparing their tangents with `x`."""
        with mp.workprec(self.bits + 10):
            low, high = (mp.atan(mp.make_mpf(end)) for end in x._mpi_)
            slack = mp.ldexp(1 + abs(low) + abs(high), -self.bits)
            low, high = iv.mpf(low - slack), iv.mpf(high + slack)
        quarter = self.pi() / 2
        below = self.less(low, -quarter) or self.less(
            iv.sin(low) / iv.cos(low), iv.make_mpf((x._mpi_[0],) * 2)
        )
        above = self.less(quarter, high) or self.less(
            iv.make_mpf((x._mpi_[1],) * 2), iv.sin(high) / iv.cos(high)
        )
        return self.hull(low if below else -quarter, high if above else quarter)

    def sqrt(self, z: Number) -> Number:
        if isinstance(z, iv.mpc):
            return self.exp(self.log(z) / 2)
        if not self.finite(z) or not libmp.mpf_ge(z._mpi_[0], libmp.fzero):
            return self._nowhere()
        return iv.sqrt(z)

    def sin(self, z: Number) -> Number:
        if not self.finite(z):
            return z
        if isinstance(z, iv.mpc):
            up, down = iv.exp(z.imag), iv.exp(-z.imag)
            return iv.mpc(iv.sin(z.real) * (up + down) / 2, iv.cos(z.real) * (up - down) / 2)
        return iv.sin(z)

    def cos(self, z: Number) -> Number:
        if not self.finite(z):
            return z
        if isinstance(z, iv.mpc):
            up, down = iv.exp(z.imag), iv.exp(-z.imag)
            return iv.mpc(iv.cos(z.real) * (up + down) / 2, iv.sin(z.real) * (down - up) / 2)
        return iv.cos(z)

    def tanh(self, z: Number) -> Number:
        if not self.finite(z):
            return self._lost(z)
        if isinstance(z, iv.mpc):
            low, high = z.real._mpi_
            # Use the exponential of the side where it decays.
            if libmp.mpf_gt(libmp.mpf_add(low, high), libmp.fzero):
                return -self.tanh(-z)
            e = self.exp(z * 2)
            return (e - 1) / (e + 1)
        ends = []
        for end in z._mpi_:
            x = iv.make_mpf((end, end))
            back = iv.exp(-2 * abs(x))
            size = (1 - back) / (1 + back)
            ends.append(-size if libmp.mpf_lt(end, libmp.fzero) else size)
        return self.hull(ends[0], ends[1])

    def square(self, z: Number) -> Number:
        if isinstance(z, iv.mpc):
            return iv.mpc(z.real**2 - z.imag**2, 2 * z.real * z.imag)
        return z**2

    def legendre(self, order: int) -> Sequence[tuple[Number, Number]]:
        return _legendre(order, self.bits)


def _mantissa(end: Any) -> tuple[int, int]:
    sign, mantissa, exponent, _ = end
    return (-int(mantissa) if sign else int(mantissa)), int(exponent)


@lru_cache(maxsize=64)
def _legendre(order: int, bits: int) -> tuple[tuple[Number, Number], ...]:
    """Nodes proved by sign changes: `order` disjoint intervals hold one zero each, hence all zeros.

    The weight at a node x is 2 (1 - x^2) / (n P_(n-1)(x))^2.
    """

    def polynomials(x: Number) -> tuple[Number, Number]:
        before, now = iv.mpf(1), x
        for k in range(2, order + 1):
            before, now = now, ((2 * k - 1) * x * now - (k - 1) * before) / k
        return before, now

    guesses = []
    with mp.workprec(bits + 40):
        for k in range(order):
            x = mp.cos(mp.pi * (4 * (order - k) - 1) / (4 * order + 2))
            for _ in range(4 + bits.bit_length()):
                below, value = mp.one, x
                for j in range(2, order + 1):
                    below, value = value, ((2 * j - 1) * x * value - (j - 1) * below) / j
                step = value * (x * x - 1) / (order * (x * value - below))
                x -= step
            guesses.append(x)
        width = mp.ldexp(1, -bits)
        brackets = [(x - width, x + width) for x in guesses]
    before = iv.prec
    iv.prec = bits + 40
    try:
        rule, last = [], iv.mpf(-1)
        for low, high in brackets:
            left, right = iv.mpf(low), iv.mpf(high)
            product = polynomials(left)[1] * polynomials(right)[1]
            if not (product < 0 and last < left and right < 1):
                raise NotProved(f"a Gauss-Legendre node of order {order} could not be proved")
            node = iv.make_mpf((left._mpi_[0], right._mpi_[1]))
            weight = 2 * (1 - node**2) / (order * polynomials(node)[0]) ** 2
            rule.append((node, weight))
            last = right
    finally:
        iv.prec = before
    return tuple(rule)

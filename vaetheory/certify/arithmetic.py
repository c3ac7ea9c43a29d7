"""The interface of a rigorous arithmetic; formulas are written once and run in any arithmetic.

A *number* is an enclosure of a real or complex number; it supports `+ - * /` with other numbers
and with integers. If a result cannot be enclosed, `finite` is False for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

Number: TypeAlias = Any


class NotProved(ArithmeticError):
    """An enclosure is not finite or too wide, or a comparison cannot be decided."""


class Unreachable(NotProved):
    """The proof fails at any precision."""


class TooLong(NotProved):
    """The proof was given up because it takes too many steps; it did not fail."""


#: Ends beyond 2^131072 are not converted to fractions, and ends below 2^-131072 are rounded
#: outwards to it, because operations on longer fractions would take too long.
_FARTHEST = 2**17


def fraction_of(mantissa: int, exponent: int) -> tuple[Fraction, Fraction]:
    """The number mantissa 2^exponent as a fraction, and a bound of its error."""
    size = mantissa.bit_length() + exponent
    if mantissa and size > _FARTHEST:
        raise NotProved(f"a number exceeds 2^{_FARTHEST}")
    if size < -_FARTHEST:
        return Fraction(0), Fraction(1, 2**_FARTHEST)
    value = Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)
    return value, Fraction(0)


class Arithmetic(ABC):
    """Rigorous arithmetic at a fixed precision."""

    @abstractmethod
    def exact(self, value: Fraction | int | float) -> Number:
        """The enclosure of an exact number."""

    @abstractmethod
    def hull(self, low: Any, high: Any) -> Number:
        """A real number that encloses two exact or real numbers and everything between them."""

    @abstractmethod
    def complex(self, re: Number, im: Number) -> Number:
        """The complex number with these real and imaginary parts."""

    @abstractmethod
    def real(self, z: Number) -> Number:
        """The real part."""

    @abstractmethod
    def is_complex(self, z: Number) -> bool:
        """Whether `z` is a complex number of this arithmetic."""

    @abstractmethod
    def is_number(self, z: Any) -> bool:
        """Whether `z` is a real or complex number of this arithmetic."""

    @abstractmethod
    def finite(self, z: Number) -> bool:
        """Whether both ends are finite numbers."""

    @abstractmethod
    def bounds(self, x: Number) -> tuple[Fraction, Fraction]:
        """Both ends of a finite real number; exact unless they are tiny, see `fraction_of`."""

    @abstractmethod
    def ends(self, x: Number) -> tuple[Number, Number]:
        """Both ends of a finite real number, as numbers."""

    @abstractmethod
    def floats(self, x: Number) -> tuple[float, float]:
        """Both ends of a real number, rounded outwards; infinite beyond the range of doubles."""

    @abstractmethod
    def magnitude(self, z: Number) -> Number:
        """A number of width zero that is at least |z|; not finite where z is not."""

    @abstractmethod
    def less(self, a: Number, b: Number) -> bool:
        """Whether a < b is proved; False proves nothing."""

    @abstractmethod
    def pi(self) -> Number:
        """The number pi."""

    @abstractmethod
    def exp(self, z: Number) -> Number:
        """Exponential function."""

    @abstractmethod
    def log(self, z: Number) -> Number:
        """Principal logarithm; of a complex number only where the real part is positive."""

    @abstractmethod
    def sqrt(self, z: Number) -> Number:
        """Principal root; of a complex number only where the real part is positive."""

    @abstractmethod
    def sin(self, z: Number) -> Number:
        """Sine."""

    @abstractmethod
    def cos(self, z: Number) -> Number:
        """Cosine."""

    @abstractmethod
    def tanh(self, z: Number) -> Number:
        """Hyperbolic tangent."""

    @abstractmethod
    def square(self, z: Number) -> Number:
        """z^2, which is not negative for a real number."""

    @abstractmethod
    def legendre(self, order: int) -> Sequence[tuple[Number, Number]]:
        """Nodes and weights of the Gauss-Legendre rule of `order` points on [-1, 1]."""

    # ---- derived from the abstract methods ----

    def low(self, x: Number) -> Fraction:
        """The lower end of a finite real number."""
        return self.bounds(x)[0]

    def high(self, x: Number) -> Fraction:
        """The upper end of a finite real number."""
        return self.bounds(x)[1]

    def widen(self, x: Number, by: Number) -> Number:
        """`x` with the upper end of `by` added to its radius; both real."""
        return x + self.hull(-by, by)

    def vector(self, values: Sequence[Fraction]) -> list[Number]:
        """The enclosures of exact numbers."""
        return [self.exact(v) for v in values]

    def dot(self, exact: Sequence[Fraction], z: Sequence[Number]) -> Number:
        """Inner product of exact coefficients and numbers; zero coefficients are skipped."""
        total = self.exact(0)
        for a, b in zip(exact, z, strict=True):
            if a:
                total = total + (b if a == 1 else b * self.exact(a))
        return total

    def power(self, z: Number, exponent: int) -> Number:
        """z^n for a natural number n; even powers of a real number are not negative."""
        if exponent == 0:
            return self.exact(1)
        if exponent % 2:
            return z if exponent == 1 else z * self.power(z, exponent - 1)
        return self.square(self.power(z, exponent // 2))

    def asinh(self, z: Number) -> Number:
        """Inverse hyperbolic sine; not finite near its branch cuts."""
        root = self.sqrt(1 + self.square(z))
        middle = self.real(z)
        if sum(self.floats(middle)) < 0:
            return -self.log(root - z)
        return self.log(root + z)

    def softplus(self, x: Number) -> Number:
        """log(1 + e^x) of a real number; each end uses the form that does not overflow."""
        ends = []
        for e in self.ends(x):
            above = self.less(self.exact(0), e)
            ends.append(e + self.log(1 + self.exp(-e)) if above else self.log(1 + self.exp(e)))
        return self.hull(ends[0], ends[1])

    def demand(self, a: Number, b: Number, what: str) -> None:
        """Raise `NotProved` unless a < b is proved."""
        if not (self.finite(a) and self.finite(b) and self.less(a, b)):
            raise NotProved(f"not proved: {what}")

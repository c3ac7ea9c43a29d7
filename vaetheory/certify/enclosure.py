"""Balls with dyadic midpoint and radius, and their text and JSON forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vaetheory._validation import integer, require, short
from vaetheory.certify import _exact
from vaetheory.certify.arithmetic import NotProved


def dyadic(value: Fraction, bits: int, *, up: bool = False) -> Fraction:
    """`value` rounded to `bits` significant bits, downwards (towards minus infinity) or up.

    Examples
    --------
    >>> dyadic(Fraction(1, 3), 3), dyadic(Fraction(1, 3), 3, up=True)
    (Fraction(5, 16), Fraction(3, 8))
    """
    if value == 0:
        return value
    size = abs(value.numerator).bit_length() - value.denominator.bit_length()
    scale = Fraction(2) ** (bits - size)
    return (math.ceil if up else math.floor)(value * scale) / scale


def power_below(value: Fraction) -> Fraction:
    """The greatest power of two that is at most a positive number.

    Examples
    --------
    >>> power_below(Fraction(7, 16)), power_below(Fraction(4))
    (Fraction(1, 4), Fraction(4, 1))
    """
    power = Fraction(2) ** (value.numerator.bit_length() - value.denominator.bit_length())
    return power if power <= value else power / 2


@dataclass(frozen=True)
class Enclosure:
    """An interval [mid - rad, mid + rad] with exact ends that is proved to hold a real number.

    Attributes
    ----------
    mid, rad : Fraction
        Midpoint and radius, dyadic.

    Examples
    --------
    >>> third = Enclosure.between(Fraction(1, 3), Fraction(1, 3))
    >>> third.contains("1/3"), third.rad < Fraction(1, 10**60)
    (True, True)
    """

    mid: Fraction
    rad: Fraction

    def __post_init__(self) -> None:
        for name in ("mid", "rad"):
            object.__setattr__(self, name, _exact.computed(name, getattr(self, name)))
        if self.rad < 0:
            raise ValueError(f"rad: expected at least 0, got -{scientific(-self.rad)}")

    @classmethod
    def between(cls, low: Fraction, high: Fraction, *, bits: int = 240) -> Enclosure:
        """A ball that holds [low, high], with a midpoint of `bits` bits."""
        low, high = _exact.computed("low", low), _exact.computed("high", high)
        if low > high:
            raise ValueError("low: expected an end that is not above high, got one that is")
        mid = dyadic((low + high) / 2, integer("bits", bits, low=2, high=100_000))
        return cls(mid, dyadic(max(high - mid, mid - low), 30, up=True))

    @property
    def lower(self) -> Fraction:
        """The lower end."""
        return self.mid - self.rad

    @property
    def upper(self) -> Fraction:
        """The upper end."""
        return self.mid + self.rad

    @property
    def radius(self) -> float:
        """The radius as a float, rounded up."""
        try:
            nearest = float(self.rad)
        except OverflowError:
            return math.inf
        return nearest if Fraction(nearest) >= self.rad else math.nextafter(nearest, math.inf)

    def contains(self, value: _exact.Exact) -> bool:
        """Whether the interval holds an exact number."""
        return self.lower <= _exact.number("value", value) <= self.upper

    def overlaps(self, other: Enclosure) -> bool:
        """Whether the two intervals intersect; enclosures of the same number must."""
        require("other", other, Enclosure)
        return self.lower <= other.upper and other.lower <= self.upper

    def __float__(self) -> float:
        try:
            return float(self.mid)
        except OverflowError:
            raise ValueError(f"mid: expected a number that fits in float64, got {self}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __str__(self) -> str:
        """A decimal midpoint and radius; read literally, they still hold the whole ball."""
        shown = digits(self.mid, self.rad)
        return f"{shown} +/- {scientific(self.rad + abs(self.mid - Fraction(shown)))}"

    def canonical(self, radius: Fraction) -> Enclosure:
        """The unique ball with which a certificate states a number enclosed within `radius`.

        Its radius is eight times the requested one. Its midpoint is the multiple of a power of two
        that is nearest to the number; this power is more than half the radius of the ball. Every
        narrow enough enclosure, from any arithmetic, leads to the same ball.

        Raises
        ------
        NotProved
            If this enclosure does not determine which multiple is nearest.

        Examples
        --------
        >>> wide = Enclosure.between(Fraction(1, 3) - Fraction(1, 2**40), Fraction(1, 3))
        >>> narrow = Enclosure.between(Fraction(1, 3), Fraction(1, 3))
        >>> wide.canonical(Fraction(1, 1000)) == narrow.canonical(Fraction(1, 1000))
        True
        """
        rad = 8 * dyadic(_exact.positive("radius", radius), 20)
        grid = power_below(rad)
        low, high = (math.floor(end / grid + Fraction(1, 2)) for end in (self.lower, self.upper))
        if low != high:
            raise NotProved("an enclosure does not determine to which midpoint it is rounded")
        return Enclosure(low * grid, rad)

    def as_json(self) -> dict[str, list[str | int]]:
        """Mantissa and exponent of midpoint and radius; mantissas are long and written as text."""
        return {"mid": _write(self.mid), "rad": _write(self.rad)}

    @classmethod
    def from_json(cls, name: str, value: Any) -> Enclosure:
        """The inverse of `as_json`; raises a ValueError for anything else."""
        if not isinstance(value, dict) or set(value) != {"mid", "rad"}:
            raise ValueError(f"{name}: expected a ball with mid and rad, got {short(value)}")
        return cls(_read(f"{name}.mid", value["mid"]), _read(f"{name}.rad", value["rad"]))


@dataclass(frozen=True)
class Range(Enclosure):
    """The interval [mid - rad, mid + rad] as bounds of a quantity that varies.

    Examples
    --------
    >>> Range.over(Fraction(1, 3), Fraction(1, 2)).lower < Fraction(1, 3)
    True
    """

    @classmethod
    def over(cls, low: Fraction, high: Fraction) -> Range:
        """A ball of few digits that holds [low, high]."""
        mid = dyadic((low + high) / 2, 30)
        return cls(mid, dyadic(max(high - mid, mid - low), 20, up=True))

    def __str__(self) -> str:
        """Both ends, rounded outwards."""
        return f"[{rounded(self.lower)}, {rounded(self.upper, up=True)}]"

    def published(self) -> Range:
        """A slightly wider range with ends of few digits; bounds proved again must lie in it."""
        room, step = self.rad / 8, self.step * 2
        low, high = math.floor((self.lower - room) / step), math.ceil((self.upper + room) / step)
        return Range((low + high) * step / 2, (high - low) * step / 2)

    @property
    def step(self) -> Fraction:
        """The ends in a certificate are multiples of this: from 1/32 to 1/16 of the width."""
        return power_below(2 * self.rad) / 16


def _write(value: Fraction) -> list[str | int]:
    if value == 0:
        return ["0", 0]
    exponent = 1 - value.denominator.bit_length()
    mantissa = value.numerator
    if exponent == 0:
        exponent = (mantissa & -mantissa).bit_length() - 1
        mantissa >>= exponent
    return [str(mantissa), exponent]


def _read(name: str, value: Any) -> Fraction:
    """Read a mantissa, as text, and an exponent of two; only one spelling is accepted."""
    if isinstance(value, list) and len(value) == 2:
        mantissa, exponent = value
        good = isinstance(mantissa, str) and mantissa.removeprefix("-").isdecimal()
        if good and len(mantissa) < 2000 and type(exponent) is int and abs(exponent) < 10_000:
            number = Fraction(int(mantissa)) * Fraction(2) ** exponent
            if _write(number) == value:
                return number
    raise ValueError(f"{name}: expected [mantissa, exponent] in lowest terms, got {short(value)}")


# Numbers from this size on are written with an exponent.
_LONG = 10**400


def digits(value: Fraction, rad: Fraction, most: int = 45) -> str:
    """Decimal text of `value`, with the digits that the radius determines."""
    if abs(value) >= _LONG:
        size = _decade(abs(value))
        power = Fraction(10) ** size
        return f"{digits(value / power, rad / power, most)}e+{size}"
    places = most
    if rad > 0:
        places = min(most, max(2, 1 - _decade(rad)))
    scaled = round(value * 10**places)
    body = str(abs(scaled)).rjust(places + 1, "0")
    return f"{'-' if scaled < 0 else ''}{body[:-places]}.{body[-places:]}"


def _decade(value: Fraction) -> int:
    """The greatest n with 10^n <= value, a positive number of any size."""
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    size = math.floor((bits + 1) * math.log10(2)) + 1
    while Fraction(10) ** size > value:
        size -= 1
    return size


def rounded(value: Fraction, *, up: bool = False, figures: int = 7) -> str:
    """Decimal text with `figures` significant figures, rounded downwards or up.

    Examples
    --------
    >>> rounded(Fraction(-2, 3), figures=3), rounded(Fraction(2, 3), up=True, figures=3)
    ('-0.667', '0.667')
    """
    if value == 0:
        return "0"
    places = figures - 1 - _decade(abs(value))
    return _exact.text(
        (math.ceil if up else math.floor)(value * Fraction(10) ** places) / Fraction(10) ** places
    )


def scientific(value: Fraction) -> str:
    """A positive number rounded up to two digits, as text."""
    if value == 0:
        return "0"
    size = _decade(value)
    tenths = math.ceil(value / Fraction(10) ** (size - 1))
    if tenths >= 100:
        tenths, size = 10, size + 1
    return f"{tenths // 10}.{tenths % 10}e{size:+03d}"

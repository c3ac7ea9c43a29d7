"""Balls with dyadic midpoint and radius: what is proved, and how it is written down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vaetheory.certify import exact


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


@dataclass(frozen=True)
class Enclosure:
    """A real number is known to lie in [mid - rad, mid + rad]; both ends are exact.

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

    @classmethod
    def between(cls, low: Fraction, high: Fraction, *, bits: int = 240) -> Enclosure:
        """The smallest ball of about so many bits that holds [low, high]."""
        mid = dyadic((low + high) / 2, bits)
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
        found = float(self.rad)
        return found if Fraction(found) >= self.rad else math.nextafter(found, math.inf)

    def contains(self, value: exact.Exact) -> bool:
        """Whether an exact number lies within."""
        return self.lower <= exact.number("value", value) <= self.upper

    def overlaps(self, other: Enclosure) -> bool:
        """Whether the two have a point in common; if not, one of them is wrong."""
        return self.lower <= other.upper and other.lower <= self.upper

    def __float__(self) -> float:
        return float(self.mid)

    def __str__(self) -> str:
        """Digits and a radius which, as they are written, hold the whole ball."""
        shown = digits(self.mid, self.rad)
        return f"{shown} +/- {scientific(self.rad + abs(self.mid - Fraction(shown)))}"

    def published(self, *, bits: int = 30) -> Enclosure:
        """The ball eight times as wide, for a certificate.

        Who re-proves it, at a precision of his own, must find his ball within the inner half. A
        published ball moved by its own radius has the value in its outer half and is refused.
        """
        rad = dyadic(8 * self.rad, bits, up=True)
        size = max(abs(self.mid), rad, Fraction(1, 2**2000))
        if rad < size / 2**400:
            rad = dyadic(size / 2**400, 1, up=True)
        kept = max(size / rad, Fraction(1))
        mid = dyadic(self.mid, kept.numerator.bit_length() - kept.denominator.bit_length() + 8)
        return Enclosure(mid, rad)

    def as_json(self) -> dict[str, list[str | int]]:
        """Mantissa and exponent of midpoint and radius; a mantissa is text, as it is long."""
        return {"mid": _write(self.mid), "rad": _write(self.rad)}

    @classmethod
    def from_json(cls, name: str, value: Any) -> Enclosure:
        """The inverse of `as_json`; anything else is a ValueError."""
        if not isinstance(value, dict) or set(value) != {"mid", "rad"}:
            raise ValueError(f"{name}: expected a ball with mid and rad, got {value!r:.80}")
        mid, rad = _read(f"{name}.mid", value["mid"]), _read(f"{name}.rad", value["rad"])
        if rad < 0:
            raise ValueError(f"{name}: expected a radius of at least 0, got {float(rad):g}")
        return cls(mid, rad)


@dataclass(frozen=True)
class Range(Enclosure):
    """All of [mid - rad, mid + rad] is meant: the bounds of something that varies.

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

    def published(self, *, bits: int = 20) -> Range:
        """A quarter wider: who re-proves it must find his bounds within."""
        return Range(self.mid, dyadic(self.rad * 5 / 4, bits, up=True))


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
    """A mantissa, as text, and an exponent of two; written in one way only."""
    if isinstance(value, list) and len(value) == 2:
        mantissa, exponent = value
        good = isinstance(mantissa, str) and mantissa.removeprefix("-").isdecimal()
        if good and len(mantissa) < 2000 and type(exponent) is int and abs(exponent) < 10_000:
            found = Fraction(int(mantissa)) * Fraction(2) ** exponent
            if _write(found) == value:
                return found
    raise ValueError(f"{name}: expected [mantissa, exponent] in lowest terms, got {value!r:.80}")


def digits(value: Fraction, rad: Fraction, most: int = 45) -> str:
    """Decimal text of `value`, as far as the radius lets its digits be known."""
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
    """Decimal text of so many significant figures, rounded downwards or up.

    Examples
    --------
    >>> rounded(Fraction(-2, 3), figures=3), rounded(Fraction(2, 3), up=True, figures=3)
    ('-0.667', '0.667')
    """
    if value == 0:
        return "0"
    places = figures - 1 - _decade(abs(value))
    return exact.text(
        (math.ceil if up else math.floor)(value * Fraction(10) ** places) / Fraction(10) ** places
    )


def scientific(value: Fraction) -> str:
    """An upper bound of a positive number with two digits."""
    if value == 0:
        return "0"
    size = _decade(value)
    tenths = math.ceil(value / Fraction(10) ** (size - 1))
    if tenths >= 100:
        tenths, size = 10, size + 1
    return f"{tenths // 10}.{tenths % 10}e{size:+03d}"

"""What a proof is made with: an arithmetic, a route to integrals, and radii that are asked for.

The prover's workshop (`proving`) uses FLINT, the checker's (`checking`) mpmath's intervals.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from fractions import Fraction

from vaetheory.certify._evidence import Domain, assemble
from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number, TooLong, Unreachable
from vaetheory.certify.enclosure import Enclosure, power_below, scientific
from vaetheory.certify.models import Model

# Bits beyond those that are aimed at.
_SPARE = 64
_ATTEMPTS = 4


class Workshop(ABC):
    """Arithmetic at any precision, and enclosures of a radius that was asked for."""

    #: Cells that an integral may take, by dimension.
    most_cells: Mapping[int, int] = {1: 20_000, 2: 40_000}

    def __init__(self, *, settled: bool = True) -> None:
        #: Whether enclosures are those of a certificate, which do not depend on who made them:
        #: see `Enclosure.canonical`.
        self.settled = settled

    @abstractmethod
    def arithmetic(self, bits: int) -> AbstractContextManager[Arithmetic]:
        """An arithmetic of so many bits, for as long as the context lasts."""

    @abstractmethod
    def body(self, F: Arithmetic, model: Model, x: Vector, domain: Domain, bits: int) -> Number:
        """The scaled integral of the joint density over a domain, with an aim of 2^-bits."""

    def enclose(
        self, attempt: Callable[[Arithmetic, int], Number], radius: Fraction, *, size: float = 1.0
    ) -> Enclosure:
        """The enclosure of the first attempt that reaches the radius.

        Each attempt is given an arithmetic and the bits to aim at, and as many bits more as the
        one before lacked; `size` is that of intermediate numbers.

        Raises
        ------
        NotProved
            If none reaches it.
        """
        bits = bits_of(radius)
        extra = _SPARE + max(0, math.ceil(math.log2(1 + size)))
        trouble = ""
        last: Fraction | None = None
        for _ in range(_ATTEMPTS):
            with self.arithmetic(bits + extra) as F:
                try:
                    value = attempt(F, bits)
                    if not F.finite(value):
                        raise NotProved("an enclosure is not finite")
                    found = Enclosure.between(*F.bounds(value), bits=max(240, bits + extra))
                except (TooLong, Unreachable):
                    raise
                except NotProved as error:
                    trouble, lacking = str(error), 40
                else:
                    if found.rad <= radius:
                        try:
                            return found.canonical(radius) if self.settled else found
                        except NotProved as error:
                            trouble, bits = str(error), bits + 10
                            continue
                    trouble = f"the radius reached is {scientific(found.rad)}"
                    if last is not None and found.rad > last / 2:
                        # More bits do not help: it is not they that are lacking.
                        break
                    last = found.rad
                    lacking = _bits_above(found.rad / radius)
            bits += max(4, lacking) + 3
        raise NotProved(f"a radius of {scientific(radius)} was not reached: {trouble}")

    def settle(self, F: Arithmetic, value: Number, radius: Fraction) -> Enclosure:
        """The enclosure of a number that is known well enough already."""
        if not F.finite(value):
            raise NotProved("an enclosure is not finite")
        found = Enclosure.between(*F.bounds(value))
        if found.rad > radius:
            raise NotProved(
                f"the radius reached is {scientific(found.rad)}, not {scientific(radius)}"
            )
        return found.canonical(radius) if self.settled else found

    def log_evidence(
        self, model: Model, x: Vector, domain: Domain, radius: Fraction
    ) -> tuple[Enclosure, Enclosure]:
        """Log evidence, and a bound t of the scaled integral outside the domain as ball [0, t]."""
        tails: list[Enclosure] = []

        def attempt(F: Arithmetic, bits: int) -> Number:
            body = self.body(F, model, x, domain, bits)
            value, tail = assemble(F, model, x, domain, body)
            if F.less(body * F.exact(2 * radius), tail):
                raise Unreachable(f"too much lies outside the domain for {scientific(radius)}")
            # A power of two, as whoever makes it finds another last digit.
            above = power_below(F.high(tail))
            tails.append(Enclosure(above, above))
            return value

        found = self.enclose(attempt, radius, size=abs(domain.shift))
        return found, tails[-1]


def bits_of(radius: Fraction) -> int:
    """Bits to aim at for a radius."""
    return max(20, _bits_above(1 / radius)) + 4


def _bits_above(ratio: Fraction) -> int:
    """At least the binary logarithm of a positive number of any size, and at most 2 more."""
    return ratio.numerator.bit_length() - ratio.denominator.bit_length() + 1

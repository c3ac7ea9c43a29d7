"""The tools of a proof: an arithmetic, a way to integrate, and enclosures of a requested radius.

The workshop of the prover (`_prover`) uses FLINT, that of the checker (`_checker`) uses mpmath's
intervals.
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

# Bits of working precision beyond the target.
_SPARE = 64
_ATTEMPTS = 4


class Workshop(ABC):
    """Arithmetic at any precision, and enclosures of a requested radius."""

    #: The most cells of an integral, by dimension.
    most_cells: Mapping[int, int] = {1: 20_000, 2: 40_000}

    def __init__(self, *, settled: bool = True) -> None:
        #: Whether to return the enclosures of a certificate, which are the same for prover and
        #: checker: see `Enclosure.canonical`.
        self.settled = settled

    @abstractmethod
    def arithmetic(self, bits: int) -> AbstractContextManager[Arithmetic]:
        """An arithmetic of `bits` bits, valid within the context."""

    @abstractmethod
    def body(self, F: Arithmetic, model: Model, x: Vector, domain: Domain, bits: int) -> Number:
        """The scaled integral of the joint density over a domain, with a target radius 2^-bits."""

    def enclose(
        self, attempt: Callable[[Arithmetic, int], Number], radius: Fraction, *, size: float = 1.0
    ) -> Enclosure:
        """The enclosure of the first attempt that reaches the radius.

        `attempt` is called with an arithmetic and the target bits. Each further attempt has as many
        bits more as the last one lacked. `size` is the size of intermediate numbers.

        Raises
        ------
        NotProved
            If no attempt reaches the radius.
        """
        bits = bits_of(radius)
        extra = _SPARE + max(0, math.ceil(math.log2(1 + size)))
        reason = ""
        last: Fraction | None = None
        for _ in range(_ATTEMPTS):
            with self.arithmetic(bits + extra) as F:
                try:
                    value = attempt(F, bits)
                    if not F.finite(value):
                        raise NotProved("an enclosure is not finite")
                    enclosure = Enclosure.between(*F.bounds(value), bits=max(240, bits + extra))
                except (TooLong, Unreachable):
                    raise
                except NotProved as error:
                    reason, lacking = str(error), 40
                else:
                    if enclosure.rad <= radius:
                        try:
                            return enclosure.canonical(radius) if self.settled else enclosure
                        except NotProved as error:
                            reason, bits = str(error), bits + 10
                            continue
                    reason = f"the radius reached is {scientific(enclosure.rad)}"
                    if last is not None and enclosure.rad > last / 2:
                        # Precision is not the limit, so more bits do not help.
                        break
                    last = enclosure.rad
                    lacking = _bits_above(enclosure.rad / radius)
            bits += max(4, lacking) + 3
        raise NotProved(f"a radius of {scientific(radius)} was not reached: {reason}")

    def settle(self, F: Arithmetic, value: Number, radius: Fraction) -> Enclosure:
        """The enclosure of a number that is already known within the radius."""
        if not F.finite(value):
            raise NotProved("an enclosure is not finite")
        enclosure = Enclosure.between(*F.bounds(value))
        if enclosure.rad > radius:
            raise NotProved(
                f"the radius reached is {scientific(enclosure.rad)}, not {scientific(radius)}"
            )
        return enclosure.canonical(radius) if self.settled else enclosure

    def log_evidence(
        self, model: Model, x: Vector, domain: Domain, radius: Fraction
    ) -> tuple[Enclosure, Enclosure]:
        """The log evidence, and a bound t of the scaled tails outside the domain as ball [0, t]."""
        tails: list[Enclosure] = []

        def attempt(F: Arithmetic, bits: int) -> Number:
            body = self.body(F, model, x, domain, bits)
            value, tail = assemble(F, model, x, domain, body)
            if F.less(body * F.exact(2 * radius), tail):
                raise Unreachable(
                    f"the bound of the tails is too large for a radius of {scientific(radius)}"
                )
            # Rounded to a power of two because prover and checker differ in the last digits.
            above = power_below(F.high(tail))
            tails.append(Enclosure(above, above))
            return value

        value = self.enclose(attempt, radius, size=abs(domain.shift))
        return value, tails[-1]


def bits_of(radius: Fraction) -> int:
    """The target bits for a radius."""
    return max(20, _bits_above(1 / radius)) + 4


def _bits_above(ratio: Fraction) -> int:
    """An upper bound of the binary logarithm of a positive number, at most 2 above it."""
    return ratio.numerator.bit_length() - ratio.denominator.bit_length() + 1

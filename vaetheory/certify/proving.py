"""Enclosures with a radius that was asked for: precision rises until it is reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.balls import balls
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.evidence import Domain, assemble, body_by_cells, find_domain
from vaetheory.certify.exact import Vector
from vaetheory.certify.integrals import body_on_line
from vaetheory.certify.models import Model

# Radii that are aimed at where none is asked for, by latent dimension.
RADII = {1: Fraction(1, 10**30), 2: Fraction(1, 10**12)}
# Bits beyond those of the radius at which the first attempt works.
_SPARE = 64
_ATTEMPTS = 4


def require_dim(model: Model) -> None:
    """Demand a latent dimension that integrals are enclosed for."""
    if model.latent_dim not in RADII:
        raise ValueError(f"model: expected 1 or 2 latent dimensions, got {model.latent_dim}")


def domain_of(model: Model, x: Vector, bits: int) -> Domain:
    """Where the integrand of the evidence is, for a relative accuracy of 2^-bits."""
    with balls(200) as F:
        return find_domain(F, model, x, bits)


def refine(attempt: Callable[[int], Enclosure], radius: Fraction, bits: int) -> Enclosure:
    """The enclosure of the first attempt that reaches the radius; each gets as many bits more as
    the one before lacked.

    Raises
    ------
    NotProved
        If none does.
    """
    found: Enclosure | None = None
    trouble = ""
    for _ in range(_ATTEMPTS):
        try:
            found = attempt(bits)
        except NotProved as error:
            trouble, found = str(error), None
            bits += 40
            continue
        if found.rad <= radius:
            return found
        bits += max(4, math.ceil(math.log2(float(found.rad / radius)))) + 3
    reached = f"the radius reached is {found.radius:.2g}" if found else trouble
    raise NotProved(f"the radius {float(radius):.2g} was not reached: {reached}")


def prove_log_evidence(
    model: Model, x: Vector, radius: Fraction
) -> tuple[Enclosure, Domain, Enclosure]:
    """Log evidence, the domain it was found with, and the bound of the scaled tails as [0, t]."""
    require_dim(model)
    start = max(20, math.ceil(-math.log2(float(radius)))) + 4
    # One domain serves all attempts: its tails are far below what the last can reach.
    domain = domain_of(model, x, start + 160)
    tails: list[Enclosure] = []

    def attempt(bits: int) -> Enclosure:
        size = max(0, math.ceil(math.log2(1 + abs(domain.shift))))
        with balls(bits + _SPARE + size) as F:
            if model.latent_dim == 1:
                body = body_on_line(F, model, x, domain, bits=bits)
            else:
                body = body_by_cells(F, model, x, domain, bits=bits, order=16)
            value, tail = assemble(F, model, x, domain, body)
            tails.append(Enclosure.between(Fraction(0), F.high(tail)))
            return Enclosure.between(*F.bounds(value))

    value = refine(attempt, radius, start)
    return value, replace(domain), tails[-1]

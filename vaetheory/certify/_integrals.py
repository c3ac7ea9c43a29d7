"""Integrals on the line by FLINT's own adaptive integrator: the prover's route for d = 1."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb

from vaetheory.certify._balls import Balls
from vaetheory.certify._evidence import Domain, negligible_parts
from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import NotProved, Number
from vaetheory.certify.models import Model


def integral(
    F: Balls,
    f: Callable[[Number], Number],
    low: float,
    high: float,
    *,
    bits: int,
    evaluations: int = 200_000,
) -> Number:
    """Enclose the integral of `f`, finite only where analytic, with an aim of 2^-bits.

    Raises
    ------
    NotProved
        If the result is not finite or wider than a thousand times the aim, as it is after
        `evaluations` calls: FLINT does not say so itself.
    """
    trouble: list[BaseException] = []
    nowhere = acb(arb.nan(), arb.nan())

    def guarded(z: Number, analytic: bool) -> Number:
        # FLINT's integrator passes nothing on that is raised here.
        if trouble:
            return nowhere
        try:
            value = f(z)
        except BaseException as error:
            trouble.append(error)
            return nowhere
        return value if isinstance(value, acb) else acb(value)

    aim = arb(2) ** -bits
    found = acb.integral(
        guarded, acb(low), acb(high), abs_tol=aim, rel_tol=arb(0), eval_limit=evaluations
    ).real
    if trouble:
        raise trouble[0]
    if not found.is_finite() or not found.rad() < 1000 * aim:
        raise NotProved(f"an integral was not enclosed with {evaluations} evaluations")
    return found


def body_on_line(F: Balls, model: Model, x: Vector, domain: Domain, *, bits: int) -> Number:
    """The scaled integral of the joint density over the domain, d = 1."""
    kept, total = negligible_parts(F, model, x, domain, bits + 10)
    shift = F.exact(domain.shift)
    for low, high in kept:
        total = total + integral(F, lambda z: model.joint(F, x, [z], shift), low, high, bits=bits)
    return total

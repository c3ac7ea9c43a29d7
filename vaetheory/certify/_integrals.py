"""Integrals on the line by FLINT's adaptive integrator, which the prover uses for d = 1."""

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
    """Enclose the integral of `f` with a target radius of 2^-bits.

    `f` must return a finite number only where it is analytic.

    Raises
    ------
    NotProved
        If the result is not finite or wider than a thousand times the target radius. This happens
        when `evaluations` calls do not suffice; FLINT itself does not report that.
    """
    errors: list[BaseException] = []
    undefined = acb(arb.nan(), arb.nan())

    def guarded(z: Number, analytic: bool) -> Number:
        # FLINT's integrator swallows exceptions: keep the first one and raise it afterwards.
        if errors:
            return undefined
        try:
            value = f(z)
        except BaseException as error:
            errors.append(error)
            return undefined
        return value if isinstance(value, acb) else acb(value)

    tolerance = arb(2) ** -bits
    value = acb.integral(
        guarded, acb(low), acb(high), abs_tol=tolerance, rel_tol=arb(0), eval_limit=evaluations
    ).real
    if errors:
        raise errors[0]
    if not value.is_finite() or not value.rad() < 1000 * tolerance:
        raise NotProved(f"an integral was not enclosed with {evaluations} evaluations")
    return value


def body_on_line(F: Balls, model: Model, x: Vector, domain: Domain, *, bits: int) -> Number:
    """The scaled integral of the joint density over the domain, d = 1."""
    kept, total = negligible_parts(F, model, x, domain, bits + 10)
    shift = F.exact(domain.shift)
    for low, high in kept:
        total = total + integral(F, lambda z: model.joint(F, x, [z], shift), low, high, bits=bits)
    return total

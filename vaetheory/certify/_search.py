"""The search for maximisers of an ELBO, before the proof; d = 1 or a diagonal covariance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from vaetheory.certify._balls import balls
from vaetheory.certify._evidence import find_domain
from vaetheory.certify._exact import Vector
from vaetheory.certify._objective import ByQuadrature, Objective, objective
from vaetheory.certify._stationary import Candidate, climb, locate, split
from vaetheory.certify.arithmetic import Arithmetic, NotProved
from vaetheory.certify.models import Model

# Bits of the quadrature during the search and in a proof.
ROUGH, FINE = 50, 110


def objective_at(F: Arithmetic, model: Model, x: Vector, bits: int = FINE) -> Objective:
    """The ELBO of a model in the arithmetic `F`."""
    return objective(F, model, x, bits)


def tight_candidate(model: Model, x: Vector, start: Sequence[Fraction]) -> Candidate:
    """A narrow box about the stationary point at which a climb from `start` ends."""
    climbed = _climbed(model, x, start)
    with balls(260) as F:
        target = objective_at(F, model, x)
        bits = 80 if isinstance(target, ByQuadrature) else 150
        return locate(F, target, climbed, bits=bits)[0]


def wide_candidate(model: Model, x: Vector, centre: Vector) -> Candidate:
    """The widest box about a point for which it is proved that it holds one stationary point."""
    with balls(80) as F:
        return locate(F, objective_at(F, model, x, ROUGH), centre, bits=60, widest=True)[0]


def _climbed(model: Model, x: Vector, start: Sequence[Fraction]) -> Vector:
    with balls(100) as F:
        return climb(F, objective_at(F, model, x, ROUGH), start)


def default_start(model: Model, x: Vector) -> list[Fraction]:
    """A point near the peak of the posterior and a variance from the curvature there."""
    with balls(200) as F:
        domain = find_domain(F, model, x, 60)
        return _beside(F, model, x, domain.peak)


def _beside(F: Arithmetic, model: Model, x: Vector, point: Sequence[float]) -> list[Fraction]:
    h = Fraction(1, 2**20)
    variances = []
    for j in range(len(point)):
        moved = [
            model.log_joint(
                F, x, [F.exact(Fraction(p) + k * h * (i == j)) for i, p in enumerate(point)]
            )
            for k in (-1, 0, 1)
        ]
        second = sum(F.floats(moved[0] + moved[2] - 2 * moved[1])) / 2 / float(h) ** 2
        variances.append(Fraction(1 / max(1.0, -second)))
    return [Fraction(p) for p in point] + variances


def maximisers(model: Model, x: Vector, extra: Iterable[Sequence[Fraction]] = ()) -> list[Vector]:
    """Centres, in order, of the apparent global maximisers over all Gaussians (d = 1)."""
    with balls(200) as F:
        peak = find_domain(F, model, x, 60).peak[0]
        starts = [_beside(F, model, x, (p,)) for p in (peak, -peak)]
    starts += [[Fraction(0), Fraction(v)] for v in (1.0, 0.25)] + [list(s) for s in extra]
    maxima: list[tuple[float, Vector]] = []
    reason = ""
    for start in starts:
        try:
            candidate = tight_candidate(model, x, start)
        except NotProved as error:
            reason = f": {error}"
            continue
        with balls(100) as F:
            target = objective_at(F, model, x, ROUGH)
            value = target.value(*split(F.vector(candidate.centre)))
            maxima.append((F.floats(value)[0], candidate.centre))
    if not maxima:
        raise NotProved(f"no stationary point of the ELBO was found{reason}")
    best = max(value for value, _ in maxima)
    distinct: list[Vector] = []
    for value, centre in maxima:
        near = any(abs(centre[0] - c[0]) < Fraction(1, 10**9) for c in distinct)
        if value >= best - 1e-9 * max(1.0, abs(best)) and not near:
            distinct.append(centre)
    return sorted(distinct)

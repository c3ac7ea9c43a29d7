"""Stationary points of the ELBO by Krawczyk's operator: existence, uniqueness, definiteness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._objective import Objective
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.enclosure import dyadic


@dataclass(frozen=True)
class Candidate:
    """A candidate for a stationary point, in exact numbers: first m, then v.

    Attributes
    ----------
    centre : tuple of Fraction
    radius : tuple of Fraction
        A proof must show that the box centre +- radius holds exactly one stationary point.
    """

    centre: Vector
    radius: Vector

    @property
    def box(self) -> list[tuple[Fraction, Fraction]]:
        """The two ends of the box in each coordinate."""
        return [(c - r, c + r) for c, r in zip(self.centre, self.radius, strict=True)]


def split(values: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """The means and the variances in a list that holds the means first."""
    half = len(values) // 2
    return list(values[:half]), list(values[half:])


def numbers(F: Arithmetic, candidate: Candidate) -> list[Number]:
    """The box as numbers of the arithmetic."""
    return [F.hull(a, b) for a, b in candidate.box]


def krawczyk(F: Arithmetic, objective: Objective, candidate: Candidate) -> list[Number]:
    """A box inside the candidate's box; each of them holds exactly one stationary point.

    Let c be the centre, X the box, g and H the gradient and Hessian of the ELBO and Y any matrix.
    Then K = c - Y g(c) + (1 - Y H(X)) (X - c) holds every zero of g that X holds, and if K lies in
    the interior of X, there is exactly one zero.

    Raises
    ------
    NotProved
        If K does not lie in the interior, or the Hessian is not proved negative definite on X.
    """
    if any(low <= 0 for low, _ in candidate.box[len(candidate.centre) // 2 :]):
        raise NotProved("a variance of the box is not positive")
    box = numbers(F, candidate)
    centre = F.vector(candidate.centre)
    gradient = objective.gradient(*split(centre))
    hessian = objective.hessian(*split(box))
    if not all(F.finite(h) for row in hessian for h in row):
        raise NotProved("the Hessian is not finite on the box")
    inverse = _middle_inverse(F, hessian)
    step = [_dot(F, row, gradient) for row in inverse]
    image = []
    size = len(centre)
    for i in range(size):
        value = centre[i] - step[i]
        for j in range(size):
            entry = F.exact(int(i == j)) - _dot(F, inverse[i], [hessian[k][j] for k in range(size)])
            r = F.exact(candidate.radius[j])
            value = value + entry * F.hull(-r, r)
        low, high = candidate.box[i]
        if not F.finite(value):
            raise NotProved("Krawczyk's operator is not finite")
        F.demand(F.exact(low), value, "Krawczyk's box lies within the candidate's")
        F.demand(value, F.exact(high), "Krawczyk's box lies within the candidate's")
        image.append(value)
    negative_definite(F, hessian)
    return image


def negative_definite(F: Arithmetic, hessian: Sequence[Sequence[Number]]) -> None:
    """Prove by elimination that every pivot of the matrix is negative, or raise `NotProved`."""
    rows = [list(r) for r in hessian]
    for i, row in enumerate(rows):
        F.demand(row[i], F.exact(0), "the Hessian is negative definite")
        for later in rows[i + 1 :]:
            factor = later[i] / row[i]
            for j in range(i, len(row)):
                later[j] = later[j] - factor * row[j]


def _dot(F: Arithmetic, a: Sequence[Number], b: Sequence[Number]) -> Number:
    total = F.exact(0)
    for s, t in zip(a, b, strict=True):
        total = total + s * t
    return total


def _middle_inverse(F: Arithmetic, hessian: Sequence[Sequence[Number]]) -> list[list[Number]]:
    """The rounded inverse of the midpoint of the Hessian; any matrix is a valid preconditioner."""
    middle: Matrix = tuple(
        tuple(dyadic(sum(F.bounds(h), Fraction(0)) / 2, 60) for h in row) for row in hessian
    )
    try:
        inverse = _exact.inverse(middle)
    except ValueError:
        raise NotProved("the Hessian is singular in the middle of the box") from None
    return [[F.exact(dyadic(v, 60)) for v in row] for row in inverse]


def newton(
    F: Arithmetic, objective: Objective, start: Sequence[Fraction], *, steps: int, bits: int
) -> Vector:
    """Approach a stationary point by Newton's method on midpoints; nothing is proved."""
    point = tuple(start)
    for _ in range(steps):
        values = F.vector(point)
        gradient = objective.gradient(*split(values))
        inverse = _middle_inverse(F, objective.hessian(*split(values)))
        move = [sum(F.bounds(_dot(F, row, gradient)), Fraction(0)) / 2 for row in inverse]
        point = tuple(dyadic(p - s, bits) for p, s in zip(point, move, strict=True))
        if min(split(point)[1]) <= 0:
            raise NotProved("Newton's method left the positive variances")
        if all(
            abs(s) <= abs(p) / 2 ** (bits - 10) + Fraction(1, 2**bits)
            for p, s in zip(point, move, strict=True)
        ):
            break
    return point


def climb(F: Arithmetic, objective: Objective, start: Sequence[Fraction]) -> Vector:
    """Climb towards a maximum of the ELBO by damped fixed-point steps; nothing is proved."""
    m, v = split(_doubles(start))

    def at(m: list[float], v: list[float]) -> float:
        if not (all(map(math.isfinite, m + v)) and min(v) > 0):
            return -math.inf
        low, high = F.floats(objective.value(*(F.vector([Fraction(t) for t in s]) for s in (m, v))))
        return (low + high) / 2 if math.isfinite(high - low) else -math.inf

    best, damping = at(m, v), 1.0
    for _ in range(80):
        gradient = objective.gradient(*(F.vector([Fraction(t) for t in s]) for s in (m, v)))
        along, across = split([sum(F.floats(g)) / 2 for g in gradient])
        moved = [a + damping * b * g for a, b, g in zip(m, v, along, strict=True)]
        # The fixed-point step replaces 1 / v by 1 / v - 2 dELBO/dv.
        turned = [b / max(1 - 2 * damping * g * b, 0.2) for b, g in zip(v, across, strict=True)]
        value = at(moved, turned)
        if not value > best:
            damping /= 2
            if damping < 1e-3:
                break
            continue
        gain, m, v, best = value - best, moved, turned, value
        damping = min(1.0, 1.5 * damping)
        if gain < 1e-9:
            break
    return tuple(Fraction(t) for t in m + v)


def locate(
    F: Arithmetic,
    objective: Objective,
    start: Sequence[Fraction],
    *,
    bits: int,
    widest: bool = False,
) -> tuple[Candidate, list[Number]]:
    """A proved candidate near `start`, and the tight box that Krawczyk's operator returns for it.

    Boxes about the limit of Newton's method are tried, from narrow to wide, or from wide to narrow
    with `widest`; the first one that is proved is returned.
    """
    centre = newton(F, objective, start, steps=40, bits=bits)
    scales = _scales(centre)
    exponents = range(-2, -14, -1) if widest else range(-(bits - 30), -2, 10)
    reason: NotProved | None = None
    for e in exponents:
        candidate = Candidate(centre, tuple(dyadic(s * Fraction(2) ** e, 4) for s in scales))
        try:
            return candidate, krawczyk(F, objective, candidate)
        except NotProved as error:
            reason = error
    raise NotProved(f"no box about the approximate stationary point is proved: {reason}")


def _doubles(values: Sequence[Fraction]) -> list[float]:
    """Means and variances as doubles, or NotProved if one exceeds their range."""
    try:
        doubles = [float(t) for t in values]
    except OverflowError:
        doubles = [math.inf]
    if not all(map(math.isfinite, doubles)) or min(split(doubles)[1]) <= 0:
        raise NotProved("a mean or a variance exceeds the range of doubles")
    return doubles


def _scales(centre: Vector) -> list[Fraction]:
    """The scale of q in each mean and each variance: standard deviations, then variances."""
    _, v = split(centre)
    return [Fraction(math.sqrt(t)) for t in split(_doubles(centre))[1]] + list(v)


def value_at(F: Arithmetic, objective: Objective, box: Sequence[Number]) -> Number:
    """The objective at the stationary point that a narrow box holds."""
    return objective.value(*split(list(box)))

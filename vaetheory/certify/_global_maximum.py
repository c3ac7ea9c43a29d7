"""The global maximum of the ELBO over all Gaussians, d = 1, by branch and bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vaetheory.certify._exact import Vector
from vaetheory.certify._objective import Objective
from vaetheory.certify._stationary import Candidate, numbers
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number, TooLong
from vaetheory.certify.models import Model


@dataclass(frozen=True)
class Region:
    """A box of means and log variances outside which the ELBO is below a known value."""

    mean: float
    low: float
    high: float


def compact_region(F: Arithmetic, model: Model, x: Vector, known: Number) -> Region:
    """The region where ELBO >= `known` is possible.

    The ELBO is at most C - KL, where C is the greatest log likelihood. KL <= K implies m^2 <= 2K
    and v - 1 - log v <= 2K, hence log v >= -2K - 1, and v <= 1.6 (2K + 1) because log v <= v / e.
    """
    greatest = model.likelihood.greatest(F, x)
    K = max(F.floats(greatest - known)[1], 0.01)
    if not math.isfinite(K):
        raise NotProved("the region where the ELBO can be greatest is not bounded")
    # The margins far exceed the rounding errors of these doubles for any K.
    mean = math.sqrt(2 * K) * (1 + 1e-9) + 1e-9
    return Region(mean, -(2 * K + 1) * (1 + 1e-9), math.log(1.6 * (2 * K + 1)) + 1e-9)


def prove_maximum(
    F: Arithmetic,
    model: Model,
    x: Vector,
    objective: Objective,
    candidates: Sequence[Candidate],
    known: Number,
    *,
    most: int = 50_000,
) -> int:
    """Prove that no Gaussian outside the candidates' boxes has an ELBO of `known` or more.

    `known` must be at most the greatest value of the objective at the candidates. Each candidate's
    box must be proved to hold one stationary point only. Returns the number of boxes used.

    Raises
    ------
    NotProved
        If `most` boxes do not suffice.
    """
    region = compact_region(F, model, x, known)
    unique = [numbers(F, c) for c in candidates]
    whole = (-region.mean, region.mean, region.low, region.high)
    stack = [whole]
    for count in range(most):
        if not stack:
            return count
        box = stack.pop()
        if not _excluded(F, objective, box, known, unique):
            stack.extend(_halves(F, objective, box))
    raise TooLong(f"the global maximum was not proved with {most} boxes")


def _excluded(
    F: Arithmetic,
    objective: Objective,
    box: tuple[float, float, float, float],
    known: Number,
    unique: Sequence[list[Number]],
) -> bool:
    """Whether it is proved that the box holds no maximum outside the candidates."""
    m, theta = F.hull(box[0], box[1]), F.hull(box[2], box[3])
    v = F.exp(theta)
    for c in unique:
        if _inside(F, m, c[0]) and _inside(F, v, c[1]):
            return True
    value = objective.value([m], [v])
    if F.finite(value) and F.less(value, known):
        return True
    slopes = objective.gradient([m], [v])
    zero = F.exact(0)
    if any(F.finite(s) and (F.less(s, zero) or F.less(zero, s)) for s in slopes):
        return True
    if not all(F.finite(s) for s in slopes):
        return False
    # The mean-value form: the narrower enclosure once the slopes are enclosed.
    centre = [F.exact(box[0] / 2 + box[1] / 2), F.exp(F.exact(box[2] / 2 + box[3] / 2))]
    middle = objective.value([centre[0]], [centre[1]])
    value = middle + slopes[0] * (m - centre[0]) + slopes[1] * (v - centre[1])
    if F.finite(value) and F.less(value, known):
        return True
    # The mean-value form of the slopes themselves, with the Hessian over the box.
    hessian = objective.hessian([m], [v])
    at = objective.gradient([centre[0]], [centre[1]])
    for slope, row in zip(at, hessian, strict=True):
        s = slope + row[0] * (m - centre[0]) + row[1] * (v - centre[1])
        if F.finite(s) and (F.less(s, zero) or F.less(zero, s)):
            return True
    return False


def _inside(F: Arithmetic, a: Number, b: Number) -> bool:
    (low, high), (left, right) = F.ends(a), F.ends(b)
    return F.less(left, low) and F.less(high, right)


def _halves(
    F: Arithmetic, objective: Objective, box: tuple[float, float, float, float]
) -> list[tuple[float, float, float, float]]:
    """Split the side along which the ELBO varies more, on lines through the middle."""
    a, b, c, d = box
    m, theta = F.hull(a, b), F.hull(c, d)
    middles = F.exact(a / 2 + b / 2), F.exact(c / 2 + d / 2)
    along = _spread(F, objective.value([m], [F.exp(middles[1])]))
    across = _spread(F, objective.value([middles[0]], [F.exp(theta)]))
    if (along, b - a) > (across, d - c):
        middle = a / 2 + b / 2
        if not a < middle < b:
            raise NotProved("a box of means cannot be split further")
        return [(a, middle, c, d), (middle, b, c, d)]
    middle = c / 2 + d / 2
    if not c < middle < d:
        raise NotProved("a box of variances cannot be split further")
    return [(a, b, c, middle), (a, b, middle, d)]


def _spread(F: Arithmetic, x: Number) -> float:
    low, high = F.floats(x)
    return high - low

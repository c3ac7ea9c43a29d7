"""Enclosures of the log evidence in any arithmetic: integration domain, body and tail bound."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from fractions import Fraction

from vaetheory.certify._cells import Cell, integrate
from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.models import Model

# Steps of the search for the peak of the integrand.
_STEPS = 4000


@dataclass(frozen=True)
class Domain:
    """The domain of integration [-reach, reach]^d and the scale exp(shift) of the integrand.

    For d = 2 the axes are rotated, exactly, by twice the angle whose tangent is given.
    The peak is a point near the greatest value. The enclosure is correct for any choice of them;
    good choices make it narrow.
    """

    reach: float
    shift: float
    tangent: float = 0.0
    peak: tuple[float, ...] = ()

    def turned(self, model: Model) -> Model:
        """The model in the axes of the domain; the prior is isotropic, so the evidence is equal."""
        if self.tangent == 0:
            return model
        t = Fraction(self.tangent)
        c, s = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        return Model(model.decoder.after(((c, -s), (s, c))), model.likelihood)


def find_domain(F: Arithmetic, model: Model, x: Vector, bits: int) -> Domain:
    """A domain outside which less than 2^-bits of the evidence lies, by branch and bound."""
    d = model.latent_dim
    greatest = model.likelihood.greatest(F, x)
    if not F.finite(greatest):
        raise NotProved("the likelihood has no finite greatest value")
    top = F.floats(greatest)[1]
    best, where = _at(F, model, x, (0.0,) * d), (0.0,) * d
    if not math.isfinite(best - top):
        raise NotProved("the log density at 0, or its greatest value, exceeds the range of doubles")
    # Farther out the prior times the greatest likelihood is below the density at 0.
    reach = math.sqrt(2 * max(top - best, 0.0)) + 1.0
    whole: Cell = ((-reach, reach),) * d
    heap = [(-top, whole)]
    for _ in range(_STEPS):
        bound, cell = heapq.heappop(heap)
        # A peak that is a few nats too low only costs working precision.
        if -bound - best < 3.0:
            break
        axis = max(range(d), key=lambda i: cell[i][1] - cell[i][0])
        a, b = cell[axis]
        middle = a / 2 + b / 2
        if not a < middle < b:
            break
        for half in ((a, middle), (middle, b)):
            part = (*cell[:axis], half, *cell[axis + 1 :])
            ceiling = model.ceiling(F, x, [F.hull(u, v) for u, v in part])
            high = min(F.floats(ceiling)[1], -bound)
            if high > best:
                middles = tuple(u / 2 + v / 2 for u, v in part)
                here = _at(F, model, x, middles)
                if here > best:
                    best, where = here, middles
                heapq.heappush(heap, (-high, part))
        if not heap:
            break
    # The integral is about exp(best) times the width of the peak, which may be small.
    narrow = 60.0 * d
    reach = math.sqrt(2 * (max(top - best, 0.0) + bits * math.log(2) + narrow)) + 1.0
    return Domain(reach, best, _tangent(F, model, x, where) if d == 2 else 0.0, where)


def _tangent(F: Arithmetic, model: Model, x: Vector, point: tuple[float, ...]) -> float:
    """The tangent, rounded, of half the angle of the principal axes of curvature at a point."""
    h = 2.0**-20

    def at(i: int, j: int) -> Number:
        return model.log_joint(
            F, x, [F.exact(p) + F.exact(k * h) for p, k in zip(point, (i, j), strict=True)]
        )

    mid = 2 * at(0, 0)
    first = sum(F.floats(at(1, 0) + at(-1, 0) - mid))
    second = sum(F.floats(at(0, 1) + at(0, -1) - mid))
    mixed = sum(F.floats(at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1))) / 4
    angle = math.atan2(2 * mixed, first - second) / 2
    root = math.hypot(first - second, 2 * mixed)
    flat, steep = sorted(abs(first + second + sign * root) for sign in (-1, 1))
    # A rotation saves cells only where the posterior is long and straight.
    if not math.isfinite(angle) or steep < 1000 * flat:
        return 0.0
    return round(math.tan(angle / 2) * 2**40) / 2**40


def _at(F: Arithmetic, model: Model, x: Vector, point: tuple[float, ...]) -> float:
    value = model.log_joint(F, x, [F.exact(t) for t in point])
    return F.floats(value)[0]


def tail_bound(F: Arithmetic, model: Model, x: Vector, domain: Domain) -> Number:
    """An upper bound of the scaled integral outside the domain.

    The likelihood is at most its greatest value, and N(0, I) has at most d erfc(R / sqrt 2) of its
    mass outside [-R, R]^d, where erfc(y) <= exp(-y^2) / (y sqrt pi).
    """
    reach = F.exact(domain.reach)
    d = model.latent_dim
    prior = F.sqrt(F.power(2 * F.pi(), d))
    outside = d * F.exp(-reach * reach / 2) / reach * F.sqrt(F.exact(2) / F.pi())
    greatest = model.likelihood.greatest(F, x)
    return prior * outside * F.exp(greatest - F.exact(domain.shift))


def body_by_cells(
    F: Arithmetic,
    model: Model,
    x: Vector,
    domain: Domain,
    *,
    bits: int,
    order: int,
    most: int = 20_000,
) -> Number:
    """The scaled integral over the domain by `cells.integrate`."""
    shift = F.exact(domain.shift)

    def density(z: list[Number]) -> list[Number]:
        value = model.joint(F, x, z, shift)
        if any(F.is_complex(v) for v in z) or F.less(F.exact(0), value):
            return [value]
        # On a wide box use only that the density lies between 0 and its ceiling.
        cap = F.exp(model.ceiling(F, x, z) - shift)
        return [F.hull(F.exact(0), cap)]

    def log_density(z: list[Number]) -> Number:
        return model.log_joint(F, x, z)

    model = domain.turned(model)
    box = ((-domain.reach, domain.reach),) * model.latent_dim
    return integrate(
        F,
        density,
        box,
        tolerance=math.ldexp(1.0, -bits),
        order=order,
        gauge=log_density,
        most=most,
    )[0]


def assemble(
    F: Arithmetic, model: Model, x: Vector, domain: Domain, body: Number
) -> tuple[Number, Number]:
    """The log evidence from the scaled integral over the domain, and the bound of the tails."""
    tail = tail_bound(F, model, x, domain)
    if not (F.finite(body) and F.finite(tail) and F.less(F.exact(0), body)):
        raise NotProved("the integral over the domain is not enclosed by positive numbers")
    whole = F.hull(body, body + tail)
    return F.log(whole) + F.exact(domain.shift) + model.constant(F, x), tail


def negligible_parts(
    F: Arithmetic, model: Model, x: Vector, domain: Domain, bits: int
) -> tuple[list[tuple[float, float]], Number]:
    """Intervals outside which the integrand is negligible, d = 1; and the rest, enclosed."""
    shift = F.exact(domain.shift)
    threshold = math.ldexp(1.0, -bits)
    kept: list[tuple[float, float]] = []
    rest = F.exact(0)
    stack: list[tuple[float, float]] = [(-domain.reach, domain.reach)]
    for _ in range(20_000):
        if not stack:
            break
        a, b = stack.pop()
        value = model.log_joint(F, x, [F.hull(a, b)])
        width = F.exact(b) - F.exact(a)
        mass = F.exp(model.ceiling(F, x, [F.hull(a, b)]) - shift) * width
        if F.less(mass, F.exact(threshold)):
            rest = rest + F.hull(F.exact(0), mass)
            continue
        low, high = F.floats(value)
        spread = high - low
        middle = a / 2 + b / 2
        if spread < 100.0 or not a < middle < b:
            if kept and kept[-1][1] == a:
                kept[-1] = (kept[-1][0], b)
            else:
                kept.append((a, b))
        else:
            stack.extend([(middle, b), (a, middle)])
    if stack:
        raise NotProved("the negligible parts of the integral could not be separated from the rest")
    return kept, rest

"""Integrals with a proved error: tensor Gauss-Legendre rules on adaptively split cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number, TooLong

#: The integrand maps d numbers, real or complex, to a list of numbers; it returns a finite number
#: only where it is analytic.
Integrand: TypeAlias = Callable[[list[Number]], list[Number]]
#: The two ends of a cell in each dimension, doubles with their exact values.
Cell: TypeAlias = tuple[tuple[float, float], ...]

# Parameters of Bernstein's ellipse to try; the one that most often succeeds comes first.
_ELLIPSES = (4.0, 2.5, 7.0)
# Where the gauge varies more than this over a cell, in nats, one rule is not enough.
_STEEP = 60.0


def integrate(
    F: Arithmetic,
    f: Integrand,
    box: Cell,
    *,
    tolerance: float,
    order: int,
    gauge: Callable[[list[Number]], Number] | None = None,
    most: int = 20_000,
) -> list[Number]:
    """Enclose the integral of every component of `f` over `box`.

    A cell is done when the error of its rule is proved to be below `tolerance`, or when the
    enclosure of the integrand times the cell's volume is below it; either is added in full.
    Otherwise the cell is split across its worst dimension. Where the `gauge`, a real function such
    as the logarithm of the integrand, varies much, the cell is split without trying the rule.

    The error of the n-point rule on [-1, 1], n >= 2, is at most 64/15 M rho^(-2n) / (1 - rho^-2)
    for an integrand that is analytic and at most M inside Bernstein's ellipse of parameter rho.

    Raises
    ------
    TooLong
        If `most` cells do not suffice.
    NotProved
        If a cell cannot be split further.
    """
    threshold = F.exact(tolerance)
    stack: list[Cell] = [box]
    total: list[Number] | None = None
    for _ in range(most):
        if not stack:
            break
        cell = stack.pop()
        reals = [F.hull(a, b) for a, b in cell]
        volume = _volume(F, cell)
        values = f(reals)
        if all(F.finite(v) and F.less(F.magnitude(v) * volume, threshold) for v in values):
            part = [v * volume for v in values]
        else:
            if gauge is not None and _spread(F, gauge(reals)) > _STEEP:
                stack.extend(_halves(cell, _steepest_axis(F, gauge, cell)))
                continue
            errors = [_error(F, f, cell, reals, axis, order, threshold) for axis in _axes(cell)]
            good = all(e is not None and all(F.less(v, threshold) for v in e) for e in errors)
            if not good:
                stack.extend(_halves(cell, _worst_axis(F, cell, errors)))
                continue
            part = _rule(F, f, cell, order)
            for e in errors:
                part = [F.widen(v, r) for v, r in zip(part, e, strict=True)]  # type: ignore[arg-type]
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    if stack or total is None:
        raise TooLong(f"an integral was not enclosed with {most} cells")
    return total


def _spread(F: Arithmetic, x: Number) -> float:
    low, high = F.floats(x)
    return high - low


def _steepest_axis(F: Arithmetic, gauge: Callable[[list[Number]], Number], cell: Cell) -> int:
    """The axis along which the gauge varies most, on lines through the middle of the cell."""
    if len(cell) == 1:
        return 0
    spreads = []
    for axis in _axes(cell):
        line = [
            F.hull(a, b) if i == axis else F.exact(a / 2 + b / 2) for i, (a, b) in enumerate(cell)
        ]
        spreads.append((_spread(F, gauge(line)), cell[axis][1] - cell[axis][0]))
    return spreads.index(max(spreads))


def _axes(cell: Cell) -> range:
    return range(len(cell))


def _volume(F: Arithmetic, cell: Cell) -> Number:
    volume = F.exact(1)
    for a, b in cell:
        volume = volume * (F.exact(b) - F.exact(a))
    return volume


def _error(
    F: Arithmetic,
    f: Integrand,
    cell: Cell,
    reals: list[Number],
    axis: int,
    order: int,
    threshold: Number,
) -> list[Number] | None:
    """Proved errors of the rule along one axis, one a component; None if there is no bound."""
    a, b = cell[axis]
    middle, half = (F.exact(a) + F.exact(b)) / 2, (F.exact(b) - F.exact(a)) / 2
    best = None
    for rho in _ELLIPSES:
        r = F.exact(rho)
        width, height = half * (r + 1 / r) / 2, half * (r - 1 / r) / 2
        point = [*reals]
        point[axis] = F.complex(F.widen(middle, width), F.widen(F.exact(0), height))
        values = f(point)
        if not all(F.finite(v) for v in values):
            continue
        factor = _volume(F, cell) / 2 * F.exact(64) / 15 / (1 - 1 / (r * r)) / F.power(r, 2 * order)
        errors = [F.magnitude(v) * factor for v in values]
        if all(F.less(e, threshold) for e in errors):
            return errors
        if best is None or F.less(errors[0], best[0]):
            best = errors
    return best


def _worst_axis(F: Arithmetic, cell: Cell, errors: Sequence[list[Number] | None]) -> int:
    """The axis with the greatest error, or the longest of the axes without an error bound."""
    unknown = [i for i, e in enumerate(errors) if e is None]
    if unknown:
        return max(unknown, key=lambda i: cell[i][1] - cell[i][0])
    worst = 0
    for i in _axes(cell):
        if F.less(errors[worst][0], errors[i][0]):  # type: ignore[index]
            worst = i
    return worst


def _halves(cell: Cell, axis: int) -> list[Cell]:
    a, b = cell[axis]
    middle = a / 2 + b / 2
    if not a < middle < b:
        raise NotProved("an integral was not enclosed: a cell cannot be split further")
    return [
        (*cell[:axis], (a, middle), *cell[axis + 1 :]),
        (*cell[:axis], (middle, b), *cell[axis + 1 :]),
    ]


def _rule(F: Arithmetic, f: Integrand, cell: Cell, order: int) -> list[Number]:
    """The value of the rule on a cell."""
    lines = []
    for a, b in cell:
        middle, half = (F.exact(a) + F.exact(b)) / 2, (F.exact(b) - F.exact(a)) / 2
        lines.append([(middle + half * t, half * w) for t, w in F.legendre(order)])
    total: list[Number] | None = None
    for nodes in itertools.product(*lines):
        weight = nodes[0][1]
        for _, w in nodes[1:]:
            weight = weight * w
        terms = [v * weight for v in f([z for z, _ in nodes])]
        total = terms if total is None else [a + b for a, b in zip(total, terms, strict=True)]
    assert total is not None
    return total

"""The quadrature rules: lattice sums (routes A and B) and composite Gauss-Legendre."""

import itertools
import math

from arithmetic import digits_between
from models import Coordinates
from mpmath import mp
from mpmath.calculus.quadrature import GaussLegendre
from search import CUT, find_mode, surviving_boxes

MIN_DIGITS = 32


def lattice_sum(model, coordinates, top, h, offset, cell):
    """Trapezoid sum of the integrand over the lattice u = h (k + offset); the log of it."""
    d = model.d
    leaves = surviving_boxes(model, coordinates, float(top), cell)
    C = coordinates
    # The node k is z = base + M k, in floats and, from the same floats, in mp.
    M = [[a * h for a in row] for row in C.L]
    base = [
        m + sum(a * o for a, o in zip(row, offset, strict=True))
        for m, row in zip(C.m, M, strict=True)
    ]
    Me, be = [[mp.mpf(t) for t in row] for row in M], [mp.mpf(t) for t in base]
    log_float, log_exact, cut = model.log_float, model.log_exact, float(top) - CUT
    terms, total = [], mp.mpf(0)
    last = d - 1
    for box in leaves:
        ranges = [
            range(math.ceil(lo / h - o), math.ceil(hi / h - o))
            for (lo, hi), o in zip(box, offset, strict=True)
        ]
        for outer in itertools.product(*ranges[:-1]):
            row_f = [b + sum(M[i][j] * k for j, k in enumerate(outer)) for i, b in enumerate(base)]
            row_e = None
            for k in ranges[last]:
                z = [r + m[last] * k for r, m in zip(row_f, M, strict=True)]
                if log_float(z) < cut:
                    continue
                if row_e is None:
                    row_e = [
                        b + sum(Me[i][j] * q for j, q in enumerate(outer)) for i, b in enumerate(be)
                    ]
                z = [r + m[last] * k for r, m in zip(row_e, Me, strict=True)]
                terms.append(mp.exp(log_exact(z) - top))
        if len(terms) > 1000:
            total += mp.fsum(terms)
            terms = []
    total += mp.fsum(terms)
    volume = abs(mp.det(mp.matrix(Me)))
    return mp.log(total * volume) + top + model.constant


NODES = GaussLegendre(mp).calc_nodes(5, mp.prec)


def gauss_legendre_sum(function, pieces):
    """Composite rule, 48 nodes to a piece."""
    terms = []
    for lo, hi in pieces:
        mid, half = (mp.mpf(lo) + mp.mpf(hi)) / 2, (mp.mpf(hi) - mp.mpf(lo)) / 2
        terms.extend(half * w * function(mid + half * x) for x, w in NODES)
    return mp.fsum(terms)


def gauss_legendre(model, coordinates, top, cell):
    """Gauss-Legendre over the surviving intervals, for d = 1."""
    pieces = [box[0] for box in surviving_boxes(model, coordinates, float(top), cell)]
    m, scale = mp.mpf(coordinates.m[0]), mp.mpf(coordinates.L[0][0])

    def integrand(u):
        return mp.exp(model.log_exact([m + scale * u]) - top)

    total = gauss_legendre_sum(integrand, pieces)
    return mp.log(total * abs(scale)) + top + model.constant


def rotation(d):
    """Some rotation (to float accuracy, which is all that is needed)."""
    q = [[float(i == j) for j in range(d)] for i in range(d)]
    for (i, j), t in zip(itertools.combinations(range(d), 2), (0.6, -1.1, 0.35), strict=False):
        c, s = math.cos(t), math.sin(t)
        for row in q:
            row[i], row[j] = c * row[i] - s * row[j], s * row[i] + c * row[j]
    return q


def integrate(model, step=0.42, width=None):
    """Routes A and B (and Gauss-Legendre for d = 1); the list of (route, value).

    ``step`` is the lattice step in whitened units to start with; ``width`` replaces the
    whitening by a multiple of the identity (for integrands without an isolated mode).
    """
    d = model.d
    z, top, precision = find_mode(model)
    m = [float(t) for t in z]
    if width is None:
        low = mp.cholesky(mp.inverse(precision))
        L = [[float(low[i, j]) for j in range(d)] for i in range(d)]
    else:
        L = [[float(width) if i == j else 0.0 for j in range(d)] for i in range(d)]
    q = rotation(d)
    LQ = [[sum(L[i][k] * q[k][j] for k in range(d)) for j in range(d)] for i in range(d)]
    cell = 2.0 if d == 1 else 1.5
    ratio = 0.8 if d == 3 else 0.7
    for _ in range(9):
        a = lattice_sum(model, Coordinates(m, L), top, step, [0.0] * d, cell)
        b = lattice_sum(
            model, Coordinates(m, LQ), top, ratio * step, [0.37, 0.19, 0.71][:d], 0.875 * cell
        )
        if digits_between(a, b) >= MIN_DIGITS + 2:
            break
        step *= 0.75
    else:
        raise ArithmeticError("the trapezoid rule does not settle")
    routes = [("trapezoid A", a), ("trapezoid B", b)]
    if d == 1:
        routes.append(("Gauss-Legendre", gauss_legendre(model, Coordinates(m, L), top, 1.25)))
    return routes

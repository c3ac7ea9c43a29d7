"""Where the integrand is: its mode, and the boxes on which it is not negligible."""

import heapq
import math

from models import Coordinates
from mpmath import mp

CUT = 105.0


def find_mode(model):
    """A point within a few units of the maximum of the log integrand (branch and bound),
    moved to the local maximum by Newton steps; with minus the Hessian there (mp).
    """
    d = model.d
    identity = [[float(i == j) for j in range(d)] for i in range(d)]
    bound = model.bound_on(Coordinates([0.0] * d, identity))
    best, where = model.log_float([0.0] * d), [0.0] * d
    radius = math.sqrt(2 * max(0.0, model.likelihood_supremum() - best)) + 1.0
    heap = [(-bound([0.0] * d, [radius] * d), [0.0] * d, [radius] * d)]
    pops = 0
    while heap and -heap[0][0] > best + 0.5 and pops < 400000:
        _, c, w = heapq.heappop(heap)
        pops += 1
        j = w.index(max(w))
        for sign in (-0.5, 0.5):
            c2, w2 = list(c), list(w)
            c2[j] += sign * w[j]
            w2[j] = w[j] / 2
            value = model.log_float(c2)
            if value > best:
                best, where = value, c2
            up = bound(c2, w2)
            if up > best:
                heapq.heappush(heap, (-up, c2, w2))
    # A little off where it is, which may be a saddle (symmetry puts some at 0).
    z = [mp.mpf(t + o) for t, o in zip(where, (1e-6, 0.7e-6, 0.4e-6), strict=False)]
    value = model.log_exact(z)
    for _ in range(200):
        grad, hess = derivatives(model, z)
        damping = mp.mpf(0)
        while True:
            a = -hess + damping * mp.eye(d)
            try:
                mp.cholesky(a)
                step = mp.lu_solve(a, grad)
                new = [t + step[i] for i, t in enumerate(z)]
                new_value = model.log_exact(new)
                if new_value >= value or mp.norm(step) < mp.mpf("1e-14"):
                    break
            except (ValueError, ZeroDivisionError):
                pass
            damping = 4 * damping if damping else mp.mpf("1e-3") * max(1, mp.norm(hess, 1))
        z, value = new, new_value
        if mp.norm(step) < mp.mpf("1e-14"):
            break
    return z, value, -derivatives(model, z)[1]


def derivatives(model, z):
    """Gradient and Hessian of log_exact by central differences (only the lattice's
    placement depends on them, so a dozen digits are plenty).
    """
    d, e = len(z), mp.mpf("1e-15")

    def at(*moves):
        y = list(z)
        for j, s in moves:
            y[j] = y[j] + s * e
        return model.log_exact(y)

    grad, hess, mid = mp.matrix(d, 1), mp.matrix(d, d), at()
    for i in range(d):
        up, down = at((i, 1)), at((i, -1))
        grad[i] = (up - down) / (2 * e)
        hess[i, i] = (up - 2 * mid + down) / e**2
        for j in range(i):
            cross = (
                at((i, 1), (j, 1))
                - at((i, 1), (j, -1))
                - at((i, -1), (j, 1))
                + at((i, -1), (j, -1))
            )
            hess[i, j] = hess[j, i] = cross / (4 * e**2)
    return grad, hess


def surviving_boxes(model, coordinates, top, cell):
    """The boxes (lists of (lo, hi) in u, half open, disjoint) of side at most ``cell`` on
    which the log integrand is not shown to be below top - CUT.  Whatever lies outside
    them is below it.  ``cell`` has few bits, so that the ends of boxes are exact floats and
    neighbours share theirs.
    """
    assert (cell * 64).is_integer()
    d = model.d
    radius = math.sqrt(2 * (model.likelihood_supremum() - top + CUT)) + 1e-9
    inverse = mp.inverse(mp.matrix(coordinates.L))
    half = 0.0
    for i in range(d):
        row = [float(inverse[i, j]) for j in range(d)]
        centre = sum(r * m for r, m in zip(row, coordinates.m, strict=True))
        half = max(half, abs(centre) + radius * math.sqrt(sum(r * r for r in row)))
    side = cell / 2
    while side < half:
        side *= 2
    bound = model.bound_on(coordinates)
    stack, leaves = [([0.0] * d, [side] * d)], []
    while stack:
        c, w = stack.pop()
        if bound(c, w) < top - CUT:
            continue
        j = w.index(max(w))
        if 2 * w[j] <= cell * (1 + 1e-12):
            leaves.append([(a - b, a + b) for a, b in zip(c, w, strict=True)])
            continue
        for sign in (-0.5, 0.5):
            c2, w2 = list(c), list(w)
            c2[j] += sign * w[j]
            w2[j] = w[j] / 2
            stack.append((c2, w2))
    return leaves

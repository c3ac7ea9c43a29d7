"""Piecewise linear networks, and their evidences on the line to many digits.

The kinks are found again, in exact arithmetic.
"""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory.decoders import LinearMap

#: Names of activations.
ACTIVATIONS = ("absolute", "hard_tanh", "leaky_relu", "relu")


@st.composite
def networks(draw, dim=None):
    """Weights, biases and the name of an activation."""
    d = draw(st.integers(1, 3)) if dim is None else dim
    sizes = [d, *draw(st.lists(st.integers(1, 4), min_size=0, max_size=3)), draw(st.integers(1, 3))]
    number = st.integers(-4, 4).map(lambda n: n / 2)
    weights, biases = [], []
    for before, after in pairwise(sizes):
        row = st.lists(number, min_size=before, max_size=before)
        weights.append(np.array(draw(st.lists(row, min_size=after, max_size=after))))
        biases.append(np.array(draw(st.lists(number, min_size=after, max_size=after))))
    return weights, biases, draw(st.sampled_from(ACTIVATIONS))


def exact(values):
    """Arrays of floats as nested lists of exact numbers."""
    return [exact(v) for v in values] if getattr(values, "ndim", 0) else mpf(float(values))


def _pieces_of(layers):
    """Intervals of the line with the slope and the offset of each output, in exact arithmetic."""
    pieces = [(mpf("-inf"), mpf("inf"), [mpf(1)], [mpf(0)])]
    for layer in layers:
        after = []
        for low, high, slope, offset in pieces:
            if isinstance(layer, LinearMap):
                weight, bias = exact(layer.weight), exact(layer.bias)
                a = [mp.fdot(row, slope) for row in weight]
                b = [mp.fdot(row, offset) + c for row, c in zip(weight, bias, strict=True)]
                after.append((low, high, a, b))
                continue
            units = len(slope)
            tables = [
                [exact(row[u] if row.ndim == 2 else row) for u in range(units)]
                for row in (layer.thresholds, layer.slopes, layer.intercepts)
            ]
            cuts = {
                (t - b) / a
                for a, b, row in zip(slope, offset, tables[0], strict=True)
                for t in row
                if a != 0 and low < (t - b) / a < high
            }
            edges = [low, *sorted(cuts), high]
            for start, end in pairwise(edges):
                inside = _between(start, end)
                a, b = [], []
                for u in range(units):
                    x = slope[u] * inside + offset[u]
                    k = sum(x > t for t in tables[0][u])
                    a.append(tables[1][u][k] * slope[u])
                    b.append(tables[1][u][k] * offset[u] + tables[2][u][k])
                after.append((start, end, a, b))
        pieces = after
    return pieces


def _between(low, high):
    if mp.isinf(low):
        return mpf(0) if mp.isinf(high) else high - 1
    return low + 1 if mp.isinf(high) else (low + high) / 2


def _gauss(p, m, low, high):
    """Integral of exp(-p z^2 / 2 + m z) without the factor exp(m^2 / 2 p)."""
    u, v = ((edge - m / p) * mp.sqrt(p / 2) for edge in (low, high))
    if u > 0:
        return mp.erfc(u) - mp.erfc(v)
    if v < 0:
        return mp.erfc(-v) - mp.erfc(-u)
    return mp.erf(v) - mp.erf(u)


def line_log_evidence(layers, x, *, scale=None, cov=None, digits=50):
    """Log p(x) of the layers on the line with Gaussian noise, in nats, to many digits."""
    with mp.workdps(digits + 20):
        data = exact(x)
        size = len(data)
        if cov is None:
            scales = [
                mpf(float(s)) for s in (scale if getattr(scale, "ndim", 0) else [scale] * size)
            ]
            precision = mp.diag([1 / s**2 for s in scales])
            log_det = 2 * sum(mp.log(s) for s in scales)
        else:
            matrix = mp.matrix(exact(cov))
            precision, log_det = matrix**-1, mp.log(mp.det(matrix))
        terms = []
        for low, high, slope, offset in _pieces_of(layers):
            a = mp.matrix(slope)
            r = mp.matrix(data) - mp.matrix(offset)
            p = 1 + (a.T * precision * a)[0]
            m = (a.T * precision * r)[0]
            top = m**2 / (2 * p) - (r.T * precision * r)[0] / 2
            mass = _gauss(p, m, low, high)
            if mass > 0:
                terms.append(top + mp.log(mass * mp.sqrt(mp.pi / (2 * p))))
        most = max(terms)
        total = most + mp.log(mp.fsum(mp.exp(t - most) for t in terms))
        return total - mp.log(2 * mp.pi) / 2 - size * mp.log(2 * mp.pi) / 2 - log_det / 2

"""Make log_evidence.json: log evidences of small latent-variable models to 30 digits.

The quantity is

    log p(x) = log integral over R^d of N(z; 0, I_d) p(x | f(z)) dz

for the decoders f and likelihoods p(x | eta) in ``cases()`` below, with d = 1, 2
or 3.  Only mpmath and the standard library are used, at 60 working digits (up to
120 in closed forms, for their cancellation); nothing of the library under test
enters.  Every parameter is a decimal string and stands for the float64 nearest to
it, so ``"0.1"`` means ``mp.mpf(float("0.1"))``: that is the number the library sees.
All are dyadic and exact but some noise scales (0.3, 0.1, 0.05, 0.01, 0.001, 0.0001).

How each value is obtained and checked
--------------------------------------
1.  *Where the integrand is.*  ``find_mode`` runs a best-first branch and bound on
    the log integrand (float interval bounds of decoder, likelihood and prior over
    boxes) to find its maximum, and a Newton iteration gives the curvature there,
    which sets the whitened coordinates z = m + L u.  ``surviving_boxes`` then
    splits a box that holds the ball |z| <= R, outside which prior times the
    largest likelihood is below exp(-CUT) of the maximum, and drops every box on
    which the bound shows the integrand below exp(-CUT) of the maximum (CUT = 105:
    2e-46).  No mode is assumed: whatever is not shown negligible is summed.
2.  *The sum.*  Route A is the trapezoid rule on the lattice u in h Z^d, over the
    nodes of the surviving boxes; for an analytic integrand its error falls
    geometrically in 1/h.  Route B is the same rule with the step 0.7 h (0.8 h for
    d = 3), an offset lattice and, for d >= 2, rotated axes (so the boxes and nodes
    are all others).  Until A and B agree, h is reduced and both are done again.
3.  *Other routes.*  Every d = 1 integral is also done by composite Gauss-Legendre
    quadrature over the surviving intervals.  Where there is a closed form or an
    exact reduction it is one more route: affine with a Gaussian likelihood (a
    Gaussian), z^2 and |z|^2 (parabolic cylinder functions D_{-d/2}), the circle (a
    Bessel series), the banana and its correlated relative (z_2 integrates out).
    Separable models are sums of the logs of d = 1 integrals, each with its routes
    A, B and Gauss-Legendre (and D_{-1/2} for z^2).  |z|^2 with d = 3 is done by A, B
    and Gauss-Legendre in the radius.
4.  All routes of a case must agree pairwise to MIN_DIGITS = 32 significant digits
    of the log evidence, or the script stops and writes nothing.

Run (about ten minutes on one core):

    python make_log_evidence.py              write log_evidence.json beside this file
    python make_log_evidence.py --check      compute and compare with that file, write nothing
    python make_log_evidence.py --only NAME  the cases whose name contains NAME, write nothing
"""

import argparse
import heapq
import itertools
import json
import math
import os
import sys
import tempfile
import time

from mpmath import mp
from mpmath.calculus.quadrature import GaussLegendre

mp.dps = 60

DIGITS = 30
MIN_DIGITS = 32
CUT = 105.0
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "log_evidence.json")


# --------------------------------------------------------------------------------------
# The models: decoder, likelihood, log integrand (float and mp) and its upper bound on a box
# --------------------------------------------------------------------------------------


def number(s):
    """The mp number of a parameter: a decimal string stands for its float64."""
    return mp.mpf(float(s)) if isinstance(s, str) else mp.mpf(s)


def numbers(a):
    return [numbers(b) for b in a] if isinstance(a, (list, tuple)) else number(a)


def floats(a):
    return [floats(b) for b in a] if isinstance(a, list) else float(a)


class Functions:
    """The elementary functions, in float (guarded against overflow) or in mp."""

    def __init__(self, exact):
        if exact:
            self.exp, self.sinh, self.dot = mp.exp, mp.sinh, mp.fdot
            self.tanh, self.sin, self.cos = mp.tanh, mp.sin, mp.cos
            self.zero = mp.mpf(0)
            self.softplus = lambda t: mp.log1p(mp.exp(t)) if t < 0 else t + mp.log1p(mp.exp(-t))
            self.log = mp.log
        else:
            self.exp = lambda t: math.exp(min(t, 700.0))
            self.sinh = lambda t: math.sinh(max(-350.0, min(350.0, t)))
            self.dot = lambda a, b: sum(map(float.__mul__, a, b))
            self.tanh, self.sin, self.cos = math.tanh, math.sin, math.cos
            self.zero = 0.0
            self.softplus = lambda t: (
                math.log1p(math.exp(t)) if t < 0 else t + math.log1p(math.exp(-t))
            )
            self.log = math.log


FLOAT, EXACT = Functions(False), Functions(True)


def make_decoder(decoder, F, conv):
    """f as a function of a list z, with arithmetic F and parameters through conv."""
    kind = decoder["kind"]
    if kind == "affine":
        w, b = conv(decoder["weight"]), conv(decoder["bias"])
        return lambda z: [F.dot(row, z) + c for row, c in zip(w, b)]
    if kind == "polynomial":
        powers, coef = decoder["powers"], conv(decoder["coefficients"])
        columns = list(zip(*coef))
        columns = [list(c) for c in columns]

        def polynomial(z):
            monomials = []
            for p in powers:
                m = F.zero + 1
                for zj, e in zip(z, p):
                    for _ in range(e):
                        m = m * zj
                monomials.append(m)
            return [F.dot(c, monomials) for c in columns]

        return polynomial
    if kind == "circle":
        r = conv(decoder["radius"])
        return lambda z: [r * F.cos(z[0] / r), r * F.sin(z[0] / r)]
    if kind == "tanh":
        (w1, w2), (b1, b2) = map(conv, decoder["weights"]), map(conv, decoder["biases"])

        def net(z):
            hidden = [F.tanh(F.dot(row, z) + c) for row, c in zip(w1, b1)]
            return [F.dot(row, hidden) + c for row, c in zip(w2, b2)]

        return net
    if kind == "sine":
        a, w, p = conv(decoder["amplitude"]), conv(decoder["frequency"]), conv(decoder["phase"])
        return lambda z: [ai * F.sin(F.dot(wi, z) + pi) for ai, wi, pi in zip(a, w, p)]
    if kind == "sinh":
        a = conv(decoder["scale"])
        return lambda z: [F.sinh(a * zi) / a for zi in z]
    raise ValueError(kind)


def whitener(cov):
    """The inverse of the lower Cholesky factor of cov, as lists of mp numbers."""
    n = len(cov)
    inv = mp.inverse(mp.cholesky(mp.matrix(cov)))
    return [[inv[i, j] for j in range(n)] for i in range(n)]


def make_likelihood(likelihood, x, F, conv):
    """log p(x | eta) less its constant, as a function of eta."""
    kind = likelihood["kind"]
    xs = conv(x)
    if kind == "gaussian" and "cov" in likelihood:
        v = [conv(row) for row in whitener(numbers(likelihood["cov"]))]

        def full(eta):
            r = [xi - e for xi, e in zip(xs, eta)]
            y = [F.dot(row, r) for row in v]
            return -F.dot(y, y) / 2

        return full
    if kind == "gaussian":
        inverse = conv([1 / s for s in gaussian_scales(likelihood, len(x))])

        def diagonal(eta):
            y = [(xi - e) * v for xi, e, v in zip(xs, eta, inverse)]
            return -F.dot(y, y) / 2

        return diagonal
    if kind == "bernoulli":
        signs = [1 if float(xi) == 1 else -1 for xi in x]
        return lambda eta: -sum((F.softplus(-s * e) for s, e in zip(signs, eta)), F.zero)
    if kind == "poisson":
        return lambda eta: F.dot(xs, eta) - sum((F.exp(e) for e in eta), F.zero)
    if kind == "categorical":
        hot = [float(xi) for xi in x].index(1.0)

        def categorical(eta):
            top = max(eta)
            return eta[hot] - top - F.log(sum((F.exp(e - top) for e in eta), F.zero))

        return categorical
    if kind == "gamma":
        a = conv(likelihood["shape"])
        return lambda eta: -a * sum((e + xi * F.exp(-e) for xi, e in zip(xs, eta)), F.zero)
    raise ValueError(kind)


def gaussian_scales(likelihood, n):
    scale = likelihood["scale"]
    return numbers(scale) if isinstance(scale, list) else [number(scale)] * n


def likelihood_constant(likelihood, x):
    """What make_likelihood leaves out: the terms that do not depend on eta."""
    kind, n, xs = likelihood["kind"], len(x), numbers(x)
    if kind == "gaussian" and "cov" in likelihood:
        det = mp.det(mp.matrix(numbers(likelihood["cov"])))
        return -(n * mp.log(2 * mp.pi) + mp.log(det)) / 2
    if kind == "gaussian":
        return -n * mp.log(2 * mp.pi) / 2 - mp.fsum(
            mp.log(s) for s in gaussian_scales(likelihood, n)
        )
    if kind == "poisson":
        return -mp.fsum(mp.loggamma(xi + 1) for xi in xs)
    if kind == "gamma":
        a = number(likelihood["shape"])
        return mp.fsum(a * mp.log(a) - mp.loggamma(a) + (a - 1) * mp.log(xi) for xi in xs)
    return mp.mpf(0)


# Intervals are (lo, hi) pairs of floats.


def i_power(lo, hi, e):
    a, b = lo**e, hi**e
    if e % 2 == 0 and e > 0:
        if lo <= 0.0 <= hi:
            return 0.0, max(a, b)
        return min(a, b), max(a, b)
    return a, b


def i_times(a, b):
    p = (a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1])
    return min(p), max(p)


def i_scale(c, a):
    return (c * a[0], c * a[1]) if c >= 0 else (c * a[1], c * a[0])


def i_sin(lo, hi):
    if hi - lo >= 2 * math.pi:
        return -1.0, 1.0
    a, b = math.sin(lo), math.sin(hi)
    low, high = min(a, b), max(a, b)
    if math.floor((hi - math.pi / 2) / (2 * math.pi)) >= math.ceil(
        (lo - math.pi / 2) / (2 * math.pi)
    ):
        high = 1.0
    if math.floor((hi + math.pi / 2) / (2 * math.pi)) >= math.ceil(
        (lo + math.pi / 2) / (2 * math.pi)
    ):
        low = -1.0
    return low, high


def i_polynomial(powers, coefficients, zbox):
    """Natural interval value of the scalar polynomial sum_k coefficients[k] z^powers[k]."""
    low = high = 0.0
    for p, c in zip(powers, coefficients):
        if c == 0.0:
            continue
        m = (1.0, 1.0)
        for (lo, hi), e in zip(zbox, p):
            if e:
                m = i_times(m, i_power(lo, hi, e))
        m = i_scale(c, m)
        low, high = low + m[0], high + m[1]
    return low, high


def i_linear(row, constant, intervals):
    low = high = constant
    for c, a in zip(row, intervals):
        s = i_scale(c, a)
        low, high = low + s[0], high + s[1]
    return low, high


class Coordinates:
    """z = m + L u, with L and m floats (exactly the same numbers in mp)."""

    def __init__(self, m, L):
        self.m, self.L, self.d = m, L, len(m)

    def point(self, u):
        return [mi + sum(a * uj for a, uj in zip(row, u)) for mi, row in zip(self.m, self.L)]

    def linear(self, row):
        """The coefficients of u in row . z"""
        return [sum(r * self.L[i][j] for i, r in enumerate(row)) for j in range(self.d)]


class Model:
    def __init__(self, decoder, likelihood, x, d):
        self.decoder, self.likelihood, self.x, self.d = decoder, likelihood, x, d
        conv = lambda a: floats(numbers(a))
        f, lik = make_decoder(decoder, FLOAT, conv), make_likelihood(likelihood, x, FLOAT, conv)
        fe, le = (
            make_decoder(decoder, EXACT, numbers),
            make_likelihood(likelihood, x, EXACT, numbers),
        )
        self.log_float = lambda z: lik(f(z)) - sum(t * t for t in z) / 2
        self.log_exact = lambda z: le(fe(z)) - mp.fdot(z, z) / 2
        self.f_float = f
        self.constant = likelihood_constant(likelihood, x) - d * mp.log(2 * mp.pi) / 2
        self._prepare_bound()

    # ---- upper bounds ----

    def _prepare_bound(self):
        dec, lik = self.decoder, self.likelihood
        kind = dec["kind"]
        p = {k: floats(numbers(v)) for k, v in dec.items() if k not in ("kind", "powers")}
        self.xs = floats(numbers(self.x))
        if lik["kind"] == "gaussian":
            # Put the noise's whitening into the decoder's last linear layer, where it has one.
            n = len(self.x)
            if "cov" in lik:
                v = floats(whitener(numbers(lik["cov"])))
            else:
                s = floats(gaussian_scales(lik, n))
                v = [[1 / s[i] if i == j else 0.0 for j in range(n)] for i in range(n)]
            mul = lambda a, b: [
                [sum(r * c for r, c in zip(row, col)) for col in zip(*b)] for row in a
            ]
            app = lambda a, b: [sum(r * c for r, c in zip(row, b)) for row in a]
            self.noise = None
            if kind == "affine":
                p["weight"], p["bias"] = mul(v, p["weight"]), app(v, p["bias"])
            elif kind == "tanh":
                p["weights"] = [p["weights"][0], mul(v, p["weights"][1])]
                p["biases"] = [p["biases"][0], app(v, p["biases"][1])]
            elif kind == "polynomial":
                p["coefficients"] = [app(v, c) for c in p["coefficients"]]
            else:
                self.noise = v
            if self.noise is None:
                self.xs = app(v, self.xs)
        self.par = p
        if kind == "polynomial":
            powers, self.columns = dec["powers"], [list(c) for c in zip(*p["coefficients"])]
            self.partials = []  # one (powers, columns) for each z_j
            for j in range(self.d):
                keep = [k for k, q in enumerate(powers) if q[j] > 0]
                dp = [[e - (i == j) for i, e in enumerate(powers[k])] for k in keep]
                self.partials.append(
                    (dp, [[c[k] * powers[k][j] for k in keep] for c in self.columns])
                )
            self.scaled = make_decoder(
                {"kind": "polynomial", "powers": powers, "coefficients": p["coefficients"]},
                FLOAT,
                lambda a: a,
            )

    def bound_on(self, coordinates):
        """A function (centre, half widths) -> upper bound of log_float on that box of u."""
        kind, p, d = self.decoder["kind"], self.par, self.d
        C = coordinates
        identity = [[float(i == j) for j in range(d)] for i in range(d)]
        reach = lambda rows: [[abs(t) for t in C.linear(r)] for r in rows]
        z_reach = reach(identity)
        if kind == "affine":
            first, shift = p["weight"], p["bias"]
        elif kind == "tanh":
            first, shift = p["weights"][0], p["biases"][0]
        elif kind == "sine":
            first, shift = p["frequency"], p["phase"]
        else:
            first, shift = [], []
        first_reach = reach(first)

        def bound(u, w):
            zc = C.point(u)
            zbox, prior = [], 0.0
            for c, row in zip(zc, z_reach):
                r = sum(a * b for a, b in zip(row, w))
                zbox.append((c - r, c + r))
                near = max(0.0, abs(c) - r)
                prior += near * near
            pre = []
            for row, c, rr in zip(first, shift, first_reach):
                mid = c + sum(a * b for a, b in zip(row, zc))
                r = sum(a * b for a, b in zip(rr, w))
                pre.append((mid - r, mid + r))
            if kind == "affine":
                eta = pre
            elif kind == "tanh":
                hidden = [(math.tanh(a), math.tanh(b)) for a, b in pre]
                eta = [i_linear(row, c, hidden) for row, c in zip(p["weights"][1], p["biases"][1])]
            elif kind == "sine":
                eta = [i_scale(a, i_sin(*t)) for a, t in zip(p["amplitude"], pre)]
            elif kind == "circle":
                r = p["radius"]
                lo, hi = zbox[0][0] / r, zbox[0][1] / r
                eta = [
                    i_scale(r, i_sin(lo + math.pi / 2, hi + math.pi / 2)),
                    i_scale(r, i_sin(lo, hi)),
                ]
            elif kind == "sinh":
                a = p["scale"]
                eta = [(FLOAT.sinh(a * lo) / a, FLOAT.sinh(a * hi) / a) for lo, hi in zbox]
            else:
                eta = self._polynomial_range(zc, zbox, C, w)
            return self._likelihood_bound(eta) - prior / 2

        return bound

    def _polynomial_range(self, zc, zbox, C, w):
        """Natural interval value, cut with the mean value form in u."""
        value = self.scaled(zc)
        out = []
        for i, column in enumerate(self.columns):
            low, high = i_polynomial(self.decoder["powers"], column, zbox)
            gradient = [i_polynomial(dp, cols[i], zbox) for dp, cols in self.partials]
            r = 0.0
            for j in range(self.d):
                g = i_linear([C.L[k][j] for k in range(self.d)], 0.0, gradient)
                r += max(abs(g[0]), abs(g[1])) * w[j]
            out.append((max(low, value[i] - r), min(high, value[i] + r)))
        return out

    def _likelihood_bound(self, eta):
        kind = self.likelihood["kind"]
        if kind == "gaussian":
            residual = [(x - hi, x - lo) for x, (lo, hi) in zip(self.xs, eta)]
            if self.noise is not None:
                residual = [i_linear(row, 0.0, residual) for row in self.noise]
            total = 0.0
            for lo, hi in residual:
                near = max(0.0, lo, -hi)
                total -= near * near / 2
            return total
        if kind == "bernoulli":
            return -sum(FLOAT.softplus(-hi if x == 1 else lo) for x, (lo, hi) in zip(self.xs, eta))
        if kind == "poisson":
            total = 0.0
            for x, (lo, hi) in zip(self.xs, eta):
                e = min(hi, max(lo, math.log(x))) if x > 0 else lo
                total += x * e - FLOAT.exp(e)
            return total
        if kind == "categorical":
            hot = self.xs.index(1.0)
            high = eta[hot][1]
            rest = [lo - high for k, (lo, _) in enumerate(eta) if k != hot]
            top = max(0.0, max(rest))
            return -(top + math.log(math.exp(-top) + sum(math.exp(t - top) for t in rest)))
        if kind == "gamma":
            a, total = float(number(self.likelihood["shape"])), 0.0
            for x, (lo, hi) in zip(self.xs, eta):
                e = min(hi, max(lo, math.log(x)))
                total -= a * (e + x * FLOAT.exp(-e))
            return total
        raise ValueError(kind)

    def likelihood_supremum(self):
        kind = self.likelihood["kind"]
        if kind == "poisson":
            return sum(x * math.log(x) - x for x in self.xs if x > 0)
        if kind == "gamma":
            return -float(number(self.likelihood["shape"])) * sum(1 + math.log(x) for x in self.xs)
        return 0.0


# --------------------------------------------------------------------------------------
# Where the integrand is
# --------------------------------------------------------------------------------------


def find_mode(model):
    """A point within a few units of the maximum of the log integrand (branch and bound),
    moved to the local maximum by Newton steps; with minus the Hessian there (mp)."""
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
    z = [mp.mpf(t + o) for t, o in zip(where, (1e-6, 0.7e-6, 0.4e-6))]
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
    placement depends on them, so a dozen digits are plenty)."""
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
    neighbours share theirs."""
    assert (cell * 64).is_integer()
    d = model.d
    radius = math.sqrt(2 * (model.likelihood_supremum() - top + CUT)) + 1e-9
    inverse = mp.inverse(mp.matrix(coordinates.L))
    half = 0.0
    for i in range(d):
        row = [float(inverse[i, j]) for j in range(d)]
        centre = sum(r * m for r, m in zip(row, coordinates.m))
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
            leaves.append([(a - b, a + b) for a, b in zip(c, w)])
            continue
        for sign in (-0.5, 0.5):
            c2, w2 = list(c), list(w)
            c2[j] += sign * w[j]
            w2[j] = w[j] / 2
            stack.append((c2, w2))
    return leaves


# --------------------------------------------------------------------------------------
# The rules
# --------------------------------------------------------------------------------------


def lattice_sum(model, coordinates, top, h, offset, cell):
    """Trapezoid sum of the integrand over the lattice u = h (k + offset); the log of it."""
    d = model.d
    leaves = surviving_boxes(model, coordinates, float(top), cell)
    C = coordinates
    # The node k is z = base + M k, in floats and, from the same floats, in mp.
    M = [[a * h for a in row] for row in C.L]
    base = [m + sum(a * o for a, o in zip(row, offset)) for m, row in zip(C.m, M)]
    Me, be = [[mp.mpf(t) for t in row] for row in M], [mp.mpf(t) for t in base]
    log_float, log_exact, cut = model.log_float, model.log_exact, float(top) - CUT
    terms, total, nodes = [], mp.mpf(0), 0
    last = d - 1
    for box in leaves:
        ranges = [
            range(math.ceil(lo / h - o), math.ceil(hi / h - o)) for (lo, hi), o in zip(box, offset)
        ]
        for outer in itertools.product(*ranges[:-1]):
            row_f = [b + sum(M[i][j] * k for j, k in enumerate(outer)) for i, b in enumerate(base)]
            row_e = None
            for k in ranges[last]:
                z = [r + m[last] * k for r, m in zip(row_f, M)]
                if log_float(z) < cut:
                    continue
                if row_e is None:
                    row_e = [
                        b + sum(Me[i][j] * q for j, q in enumerate(outer)) for i, b in enumerate(be)
                    ]
                terms.append(mp.exp(log_exact([r + m[last] * k for r, m in zip(row_e, Me)]) - top))
        if len(terms) > 1000:
            nodes += len(terms)
            total += mp.fsum(terms)
            terms = []
    nodes += len(terms)
    total += mp.fsum(terms)
    volume = abs(mp.det(mp.matrix(Me)))
    return mp.log(total * volume) + top + model.constant, nodes


def gauss_legendre_sum(function, pieces):
    """Composite rule, 48 nodes to a piece."""
    if not NODES:
        NODES.extend(GaussLegendre(mp).calc_nodes(5, mp.prec))
    terms = []
    for lo, hi in pieces:
        mid, half = (mp.mpf(lo) + mp.mpf(hi)) / 2, (mp.mpf(hi) - mp.mpf(lo)) / 2
        terms.extend(half * w * function(mid + half * x) for x, w in NODES)
    return mp.fsum(terms)


NODES = []


def gauss_legendre(model, coordinates, top, cell):
    """d = 1: Gauss-Legendre over the surviving intervals."""
    pieces = [box[0] for box in surviving_boxes(model, coordinates, float(top), cell)]
    m, scale = mp.mpf(coordinates.m[0]), mp.mpf(coordinates.L[0][0])
    integrand = lambda u: mp.exp(model.log_exact([m + scale * u]) - top)
    total = gauss_legendre_sum(integrand, pieces)
    return mp.log(total * abs(scale)) + top + model.constant


def rotation(d):
    """Some rotation (to float accuracy, which is all that is needed)."""
    q = [[float(i == j) for j in range(d)] for i in range(d)]
    for (i, j), t in zip(itertools.combinations(range(d), 2), (0.6, -1.1, 0.35)):
        c, s = math.cos(t), math.sin(t)
        for row in q:
            row[i], row[j] = c * row[i] - s * row[j], s * row[i] + c * row[j]
    return q


def digits_between(a, b):
    if a == b:
        return float(mp.dps)
    return float(-mp.log10(abs(a - b) / max(abs(a), abs(b))))


def integrate(model, step=0.42, width=None, quad=True, label=""):
    """Routes A and B (and Gauss-Legendre for d = 1); the list of (route, value).

    ``step`` is the lattice step in whitened units to start with; ``width`` replaces the
    whitening by a multiple of the identity (for integrands without an isolated mode)."""
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
    cell = {1: 2.0, 2: 1.5, 3: 1.5}[d]
    for _ in range(9):
        a, na = lattice_sum(model, Coordinates(m, L), top, step, [0.0] * d, cell)
        ratio = 0.8 if d == 3 else 0.7
        b, nb = lattice_sum(
            model, Coordinates(m, LQ), top, ratio * step, [0.37, 0.19, 0.71][:d], 0.875 * cell
        )
        agreement = digits_between(a, b)
        nodes = f"{na} and {nb} nodes, A and B agree to {agreement:.1f} digits"
        note(f"    {label} step {step:.4g}: {nodes}")
        if agreement >= MIN_DIGITS + 2:
            break
        step *= 0.75
    else:
        raise ArithmeticError(f"the trapezoid rule does not settle: {label}")
    routes = [("trapezoid A", a), ("trapezoid B", b)]
    if d == 1 and quad:
        routes.append(("Gauss-Legendre", gauss_legendre(model, Coordinates(m, L), top, 1.25)))
    return routes


def note(text):
    if VERBOSE:
        print(text, flush=True)


VERBOSE = False


# --------------------------------------------------------------------------------------
# Closed forms and reductions
# --------------------------------------------------------------------------------------


def affine_closed(case):
    """x ~ N(b, W W^T + noise)."""
    w, b = (
        mp.matrix(numbers(case["decoder"]["weight"])),
        mp.matrix(numbers(case["decoder"]["bias"])),
    )
    x, lik = mp.matrix(numbers(case["x"])), case["likelihood"]
    n = len(x)
    if "cov" in lik:
        noise = mp.matrix(numbers(lik["cov"]))
    else:
        noise = mp.diag([s**2 for s in gaussian_scales(lik, n)])
    cov = w * w.T + noise
    r = x - b
    return -(n * mp.log(2 * mp.pi) + mp.log(mp.det(cov)) + (r.T * mp.lu_solve(cov, r))[0]) / 2


def chi_square_closed(x, scale, d):
    """log of E N(x; |z|^2, scale^2): the integral over t = |z|^2 of its chi-square density
    t^(d/2-1) exp(-t/2) / (2^(d/2) Gamma(d/2)) times the normal density."""
    with mp.workdps(120):
        x, s, nu = number(x), number(scale), mp.mpf(d) / 2
        y = (mp.mpf(1) / 2 - x / s**2) * s
        if d == 2:  # D_{-1}
            cylinder = mp.exp(y**2 / 4) * mp.sqrt(mp.pi / 2) * mp.erfc(y / mp.sqrt(2))
        elif d == 1:  # D_{-1/2}, by Bessel functions of order 1/4
            q = y**2 / 4
            if y > 0:
                cylinder = mp.sqrt(y / (2 * mp.pi)) * mp.besselk(mp.mpf(1) / 4, q)
            else:
                both = mp.besseli(mp.mpf(-1) / 4, q) + mp.besseli(mp.mpf(1) / 4, q)
                cylinder = mp.sqrt(-mp.pi * y) / 2 * both
        else:
            cylinder = mp.pcfd(-nu, y)
        log = -(x**2) / (2 * s**2) + nu * mp.log(s) + y**2 / 4 + mp.log(cylinder)
        return log - nu * mp.log(2) - mp.log(2 * mp.pi) / 2 - mp.log(s)


def circle_closed(case):
    """exp(k cos t) = I_0(k) + 2 sum I_n(k) cos(n t), and the mean of cos(n (z/r - a)) is
    exp(-n^2/2r^2) cos(n a)."""
    with mp.workdps(80):
        r, s = number(case["decoder"]["radius"]), number(case["likelihood"]["scale"])
        x = numbers(case["x"])
        rho, angle = mp.hypot(*x), mp.atan2(x[1], x[0])
        k = rho * r / s**2
        total, n = mp.besseli(0, k), 0
        while True:
            n += 1
            term = 2 * mp.besseli(n, k) * mp.exp(-(n**2) / (2 * r**2))
            total += term * mp.cos(n * angle)
            if term < total * mp.mpf("1e-70"):
                break
        return mp.log(total) - (rho**2 + r**2) / (2 * s**2) - mp.log(2 * mp.pi) - 2 * mp.log(s)


def radial_routes(case):
    """f = |z|^2 with d = 3: 4 pi r^2 (2 pi)^(-3/2) exp(-r^2/2) N(x; r^2, s^2), integrated over
    r > 0, is half of an even entire integrand on the line."""
    x, s = number(case["x"][0]), number(case["likelihood"]["scale"])
    integrand = lambda r: r**2 * mp.exp(-(r**2) / 2 - ((x - r**2) / s) ** 2 / 2)
    reach = mp.sqrt(x + 20 * s)
    width = s / (2 * mp.sqrt(x))
    logs = []
    for h, offset in ((0.3 * width, mp.mpf(0)), (0.21 * width, mp.mpf("0.37"))):
        n = int(reach / h) + 1
        logs.append(mp.log(mp.fsum(integrand((k + offset) * h) for k in range(-n, n + 1)) * h / 2))
    ends = mp.linspace(0, reach, 81)
    logs.append(mp.log(gauss_legendre_sum(integrand, zip(ends, ends[1:]))))
    constant = mp.log(4 * mp.pi) - 2 * mp.log(2 * mp.pi) - mp.log(s)
    return list(zip(("trapezoid A", "trapezoid B", "Gauss-Legendre"), (v + constant for v in logs)))


def component(case, i):
    """The i-th factor of a separable model (scalar scale, d = D) as a d = 1 case."""
    dec = case["decoder"]
    dec = {"kind": "sinh", "scale": dec["scale"]} if dec["kind"] == "sinh" else square(1)
    return dict(case, latent_dim=1, decoder=dec, x=[case["x"][i]])


def separable_routes(case):
    """Sums of the routes of the d = 1 factors."""
    factors = []
    for i in range(case["latent_dim"]):
        part = component(case, i)
        routes = integrate(case_model(part), label=f"{case['name']} factor {i}")
        if part["decoder"]["kind"] == "polynomial":
            routes.append(
                ("closed form", chi_square_closed(part["x"][0], part["likelihood"]["scale"], 1))
            )
        factors.append(routes)
    return [("factors, " + rows[0][0], mp.fsum(v for _, v in rows)) for rows in zip(*factors)]


def banana_routes(case):
    """f = (z1, z2 + a z1^2): with e1 = x1 - z1 the first noise, x2 given z1 is normal, with
    mean a z1^2 + c e1 and variance 1 + v (c and v the regression of the second noise on the
    first and what it leaves), so one integral over z1 is left."""
    lik, (x1, x2) = case["likelihood"], numbers(case["x"])
    if "cov" in lik:
        (c11, c12), (_, c22) = numbers(lik["cov"])
    else:
        c11 = c22 = number(lik["scale"]) ** 2
        c12 = mp.mpf(0)
    c, v, a = c12 / c11, c22 - c12**2 / c11, case["decoder"]["coefficients"][2][1]
    decoder = {"kind": "polynomial", "powers": [[1], [2]], "coefficients": [["1", -c], ["0", a]]}
    likelihood = {"kind": "gaussian", "scale": [mp.sqrt(c11), mp.sqrt(1 + v)]}
    routes = integrate(
        Model(decoder, likelihood, [x1, x2 - c * x1], 1), label=case["name"] + " reduced"
    )
    return [("reduced to d = 1, " + name, value) for name, value in routes]


def case_model(case):
    return Model(case["decoder"], case["likelihood"], case["x"], case["latent_dim"])


# --------------------------------------------------------------------------------------
# The cases
# --------------------------------------------------------------------------------------


def affine(weight, bias):
    return {"kind": "affine", "weight": [r.split() for r in weight], "bias": bias.split()}


def polynomial(powers, coefficients):
    return {
        "kind": "polynomial",
        "powers": powers,
        "coefficients": [c.split() for c in coefficients],
    }


def square(d):
    """f_i = z_i^2."""
    powers = [[2 * (i == j) for j in range(d)] for i in range(d)]
    return {
        "kind": "polynomial",
        "powers": powers,
        "coefficients": [["1" if i == j else "0" for j in range(d)] for i in range(d)],
    }


def norm_square(d):
    """f = |z|^2."""
    return {"kind": "polynomial", "powers": square(d)["powers"], "coefficients": [["1"]] * d}


def tanh(w1, w2, b1, b2):
    rows = lambda w: [r.split() for r in w]
    return {"kind": "tanh", "weights": [rows(w1), rows(w2)], "biases": [b1.split(), b2.split()]}


def gaussian(scale):
    return {"kind": "gaussian", "scale": scale}


W2_4_3 = ["0.75 -0.5 0.25 1.0", "-0.25 1.0 0.5 -0.75", "0.5 0.25 -1.0 0.5"]
TANH_1 = tanh(["1.25", "-0.75", "2.0", "0.5"], W2_4_3, "0.25 -0.5 -1.0 0.75", "0.125 -0.25 0.0")
TANH_2 = tanh(
    ["1.0 0.5", "-0.5 1.25", "0.75 -1.0", "0.25 0.75"],
    W2_4_3,
    "0.25 -0.25 0.5 0.0",
    "0.125 -0.25 0.0",
)
TANH_3 = tanh(
    ["0.5 0.125 -0.25", "-0.125 0.375 0.25", "0.25 -0.125 0.5"],
    ["2.0 -0.5 1.0", "0.5 2.5 -1.0", "-1.0 0.5 2.0"],
    "0.125 -0.25 0.0",
    "0.25 0.0 -0.125",
)
GRAPH = polynomial(
    [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]], ["1 0 0", "0 1 0", "0 0 0.5", "0 0 0.25", "0 0 -0.25"]
)
BANANA = polynomial([[1, 0], [0, 1], [2, 0]], ["1 0", "0 1", "0 1"])
BEND = polynomial([[1, 0], [0, 1], [2, 0]], ["1 0", "0 1", "0 0.25"])
LOGITS_1 = affine(["1.5", "-0.75", "2.0", "0.5", "-1.25", "1.0"], "0.25 -0.5 0.0 1.0 0.75 -1.5")
LOGITS_2 = affine(
    ["1.5 0.5", "-0.75 1.0", "2.0 -1.0", "0.5 0.75", "-1.25 0.25", "1.0 1.5"],
    "0.25 -0.5 0.0 1.0 0.75 -1.5",
)


def cases():
    """Pairs of a case and its options for ``solve`` (a lattice step to start with, a route)."""
    out = []

    def add(name, d, decoder, likelihood, x, **options):
        case = {
            "name": name,
            "latent_dim": d,
            "decoder": decoder,
            "likelihood": likelihood,
            "x": x.split(),
        }
        out.append((case, options))

    # ---- d = 1 ----
    add("linear_d1", 1, affine(["1.5"], "0.25"), gaussian("1.0"), "0.75")
    add(
        "linear_d1_D3_0.01",
        1,
        affine(["1.5", "-0.5", "0.75"], "0.25 0.0 -1.0"),
        gaussian("0.01"),
        "1.375 -0.375 -0.4375",
    )
    for s in ("1.0", "0.1", "0.01", "0.001", "0.0001"):
        add(f"square_d1_{s}", 1, square(1), gaussian(s), "1.5")
    # (z - 1/2)^2: preimages 2 and -1 of different prior weight.
    add(
        "unequal_two_modes",
        1,
        polynomial([[0], [1], [2]], ["0.25", "-1", "1"]),
        gaussian("0.0625"),
        "2.25",
    )
    # z^2 + z^3/8: preimages 0.95 and -1.1, and a third at -7.8 of prior weight e^-31.
    add(
        "unequal_remote_third_mode",
        1,
        polynomial([[2], [3]], ["1", "0.125"]),
        gaussian("0.0625"),
        "1.0",
    )
    add("cubic_three_modes", 1, polynomial([[1], [3]], ["-3", "1"]), gaussian("0.125"), "0.5")
    add("cubic_three_modes_0.001", 1, polynomial([[1], [3]], ["-3", "1"]), gaussian("0.001"), "0.5")
    circle = {"kind": "circle", "radius": "1.0"}
    add("circle_0.3", 1, circle, gaussian("0.3"), "0.625 0.875")
    add("circle_0.001", 1, circle, gaussian("0.001"), "0.625 0.78125")
    add("tanh_d1_1.0", 1, TANH_1, gaussian("1.0"), "2.75 -2.640625 0.75")
    add("tanh_d1_0.1", 1, TANH_1, gaussian("0.1"), "2.078125 -1.7421875 0.296875")
    add(
        "tanh_d1_0.001",
        1,
        TANH_1,
        gaussian("0.001"),
        "2.00048828125 -1.6395263671875 0.251220703125",
    )
    add(
        "tanh_d1_0.0001",
        1,
        TANH_1,
        gaussian("0.0001"),
        "1.99982452392578125 -1.638641357421875 0.2507171630859375",
    )
    sine1 = {"kind": "sine", "amplitude": ["1.0"], "frequency": [["12.0"]], "phase": ["0.25"]}
    sine2 = {
        "kind": "sine",
        "amplitude": ["1.0", "0.5"],
        "frequency": [["12.0"], ["5.0"]],
        "phase": ["0.25", "-0.5"],
    }
    add("sine_frequency12_0.1", 1, sine1, gaussian("0.1"), "0.5")
    add("sine_frequency12_5_0.05", 1, sine2, gaussian("0.05"), "0.5 0.25")
    add("sinh_d1_0.01", 1, {"kind": "sinh", "scale": "0.5"}, gaussian("0.01"), "2.25")
    add("far_linear_1", 1, affine(["1.0"], "0.0"), gaussian("1.0"), "40.0")
    add("far_linear_0.1", 1, affine(["1.0"], "0.0"), gaussian("0.1"), "40.0")
    add("far_tanh_d1_1", 1, TANH_1, gaussian("1.0"), "40.0 0.25 -0.5")
    add("far_tanh_d1_0.1", 1, TANH_1, gaussian("0.1"), "40.0 0.25 -0.5")
    add("far_square_1600", 1, square(1), gaussian("1.0"), "1600.5")
    add("far_square_no_preimage", 1, square(1), gaussian("1.0"), "-40.0")
    parabola = polynomial([[1], [2]], ["1 0", "0 1"])
    add("unequal_scales_d1", 1, parabola, gaussian(["1.0", "0.001"]), "0.5 1.5")
    correlated = {"kind": "gaussian", "cov": [["1.0", "0.9990234375"], ["0.9990234375", "1.0"]]}
    add("correlated_d1", 1, polynomial([[1], [2]], ["1 1", "0 0.25"]), correlated, "0.75 1.0")
    add("bernoulli_d1_D1", 1, affine(["1.5"], "0.25"), {"kind": "bernoulli"}, "1")
    add("bernoulli_d1_D6", 1, LOGITS_1, {"kind": "bernoulli"}, "1 0 1 1 0 1")
    add("poisson_d1", 1, affine(["0.75", "-0.5"], "0.5 1.0"), {"kind": "poisson"}, "3 0")
    add(
        "poisson_d1_counts500",
        1,
        affine(["0.5", "-0.25"], "6.0 6.25"),
        {"kind": "poisson"},
        "512 487",
    )
    add(
        "categorical_d1",
        1,
        affine(["1.0", "-0.5", "0.25", "2.0"], "0.0 0.5 -0.25 -1.0"),
        {"kind": "categorical"},
        "0 0 0 1",
    )
    add(
        "gamma_d1_shape0.5",
        1,
        affine(["0.75", "-0.5"], "0.25 0.5"),
        {"kind": "gamma", "shape": "0.5"},
        "0.125 2.5",
    )
    add(
        "gamma_d1_shape3",
        1,
        affine(["0.75", "-0.5"], "0.25 0.5"),
        {"kind": "gamma", "shape": "3.0"},
        "4.0 0.75",
    )
    # ---- d = 2 ----
    for s in ("0.1", "0.01", "0.001"):
        add(f"graph_{s}", 2, GRAPH, gaussian(s), "0.75 -0.5 0.125")
    for s in ("0.1", "0.001"):
        add(f"folded_d2_{s}", 2, square(2), gaussian(s), "1.5 0.75", routes="separable")
    for s, w in (("0.1", 0.035), ("0.01", 0.0035)):  # the width of the ring
        add(f"ring_{s}", 2, norm_square(2), gaussian(s), "2.0", width=w, step=0.46)
    add("banana_far_0.05", 2, BANANA, gaussian("0.05"), "6.0 30.0", routes="banana")
    add("tanh_d2_1.0", 2, TANH_2, gaussian("1.0"), "1.8125 -1.65625 -0.40625", step=0.15)
    add("tanh_d2_0.1", 2, TANH_2, gaussian("0.1"), "1.140625 -0.7578125 -0.8515625", step=0.18)
    add(
        "tanh_d2_0.001",
        2,
        TANH_2,
        gaussian("0.001"),
        "1.06982421875 -0.6611328125 -0.9024658203125",
    )
    near = affine(["1.0 1.0009765625", "0.5 0.5", "-0.75 -0.7490234375"], "0.0 0.25 -0.5")
    add("near_singular_d2_0.001", 2, near, gaussian("0.001"), "1.25 0.875 -1.4365234375")
    add(
        "far_linear_d2_0.1",
        2,
        affine(["1.0 0.5", "-0.5 1.25", "0.75 0.25"], "0.0 0.0 0.0"),
        gaussian("0.1"),
        "40.0 -40.0 20.0",
    )
    add("far_tanh_d2_1", 2, TANH_2, gaussian("1.0"), "40.0 0.25 -0.5", step=0.24)
    add(
        "unequal_scales_d2",
        2,
        affine(["1.0 0.5", "0.25 1.0", "-0.5 0.75"], "0.0 0.5 0.0"),
        gaussian(["1.0", "0.001", "0.125"]),
        "0.5 1.25 -0.25",
    )
    add(
        "correlated_d2",
        2,
        BEND,
        {
            "kind": "gaussian",
            "cov": [["0.0625", "0.06243896484375"], ["0.06243896484375", "0.0625"]],
        },
        "0.75 0.5",
        routes="banana",
        step=0.06,
    )
    add("bernoulli_d2_D6", 2, LOGITS_2, {"kind": "bernoulli"}, "1 0 1 1 0 1", step=0.2)
    add(
        "poisson_d2",
        2,
        affine(["0.75 0.25", "-0.5 0.5", "0.25 -0.75"], "0.5 1.0 0.0"),
        {"kind": "poisson"},
        "3 0 2",
        step=0.28,
    )
    add(
        "poisson_d2_counts500",
        2,
        affine(["0.5 0.25", "-0.25 0.5", "0.125 -0.125"], "6.0 6.25 6.0"),
        {"kind": "poisson"},
        "512 487 350",
    )
    add(
        "categorical_d2",
        2,
        affine(["1.0 0.5", "-0.5 1.0", "0.25 -1.5", "2.0 0.0"], "0.0 0.5 -0.25 -1.0"),
        {"kind": "categorical"},
        "0 1 0 0",
        step=0.12,
    )
    gamma2 = affine(["0.75 0.25", "-0.5 0.5", "0.25 -0.75"], "0.25 0.5 0.0")
    add(
        "gamma_d2_shape0.5",
        2,
        gamma2,
        {"kind": "gamma", "shape": "0.5"},
        "0.125 2.5 1.0",
        step=0.26,
    )
    add("gamma_d2_shape3", 2, gamma2, {"kind": "gamma", "shape": "3.0"}, "4.0 0.75 1.5", step=0.3)
    # ---- d = 3 ----
    w3 = affine(
        ["1.0 0.25 -0.5", "0.5 -1.0 0.25", "-0.25 0.5 1.0", "0.75 0.5 0.25"], "0.0 0.25 -0.5 0.125"
    )
    add(
        "linear_d3_0.001",
        3,
        w3,
        gaussian("0.001"),
        "0.0634765625 0.9365234375 0.00048828125 0.5625",
        step=0.46,
    )
    add(
        "sinh_d3_0.01",
        3,
        {"kind": "sinh", "scale": "0.5"},
        gaussian("0.01"),
        "0.5 -1.25 2.0",
        routes="separable",
    )
    add("folded_d3_0.05", 3, square(3), gaussian("0.05"), "1.5 0.75 0.25", routes="separable")
    add("sphere_d3_0.1", 3, norm_square(3), gaussian("0.1"), "2.0", routes="radial")
    add("tanh_d3_0.1", 3, TANH_3, gaussian("0.1"), "1.328125 -1.5390625 0.125", step=0.38)
    add(
        "tanh_d3_0.001",
        3,
        TANH_3,
        gaussian("0.001"),
        "1.25537109375 -1.43994140625 0.07861328125",
        step=0.46,
    )
    return out


def solve(case, options):
    """All routes of one case."""
    options = dict(options)
    special = options.pop("routes", None)
    kind, lik, d = case["decoder"]["kind"], case["likelihood"], case["latent_dim"]
    if special == "separable":
        routes = separable_routes(case)
    elif special == "radial":
        routes = radial_routes(case)
    else:
        routes = integrate(case_model(case), label=case["name"], **options)
    if special == "banana":
        routes += banana_routes(case)
    if kind == "affine" and lik["kind"] == "gaussian":
        routes.append(("closed form", affine_closed(case)))
    if kind == "circle":
        routes.append(("closed form", circle_closed(case)))
    if case["decoder"] == norm_square(d):
        routes.append(("closed form", chi_square_closed(case["x"][0], lik["scale"], d)))
    return routes


def main():
    global VERBOSE
    parser = argparse.ArgumentParser(description="Make log_evidence.json")
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    parser.add_argument(
        "--only", default=None, help="only cases whose name contains this, write nothing"
    )
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    VERBOSE = args.verbose
    stored = {}
    if args.check:
        with open(OUT) as file:
            stored = {c["name"]: c for c in json.load(file)["cases"]}
    start, records, worst = time.time(), [], (math.inf, "")
    todo = cases()
    assert len({case["name"] for case, _ in todo}) == len(todo)
    for case, options in todo:
        if args.only is not None and args.only not in case["name"]:
            continue
        begin = time.time()
        routes = solve(case, options)
        agreement = min(
            digits_between(a, b) for (_, a), (_, b) in itertools.combinations(routes, 2)
        )
        value = routes[-1][1] if routes[-1][0] == "closed form" else routes[1][1]
        text = mp.nstr(value, DIGITS, strip_zeros=False, min_fixed=-mp.inf, max_fixed=mp.inf)
        seconds = time.time() - begin
        report = f"{len(routes)} routes agree to {agreement:.1f} digits, {seconds:.1f} s"
        print(f"{case['name']:32s} {text:>38s}  {report}", flush=True)
        if agreement < MIN_DIGITS:
            for name, v in routes:
                print(f"    {name:40s} {mp.nstr(v, 45)}")
            raise ArithmeticError(
                f"{case['name']}: the routes agree to {agreement:.1f} digits only"
            )
        worst = min(worst, (agreement, case["name"]))
        record = dict(case, log_evidence=text)
        if args.check and stored.get(case["name"]) != record:
            raise ArithmeticError(f"{case['name']}: not what {OUT} has: {stored.get(case['name'])}")
        records.append(record)
    least = f"least agreement {worst[0]:.1f} digits ({worst[1]})"
    print(f"{len(records)} cases, {time.time() - start:.0f} s; {least}")
    if args.check and args.only is None and len(stored) != len(records):
        raise ArithmeticError(f"{OUT} has {len(stored)} cases, not {len(records)}")
    if args.check or args.only is not None:
        return 0
    rows = ",\n".join("  " + json.dumps(r) for r in records)
    handle, name = tempfile.mkstemp(dir=HERE, suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as file:
            file.write('{"digits": %d, "cases": [\n%s\n]}\n' % (DIGITS, rows))
        os.chmod(name, 0o644)
        os.replace(name, OUT)
    except BaseException:
        os.unlink(name)
        raise
    print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

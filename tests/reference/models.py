"""A model: its log integrand, in float and in mpmath, and an upper bound of it on a box."""

import math

from arithmetic import EXACT, FLOAT, floats, number, numbers
from densities import gaussian_scales, likelihood_constant, make_decoder, make_likelihood, whitener
from intervals import i_linear, i_polynomial, i_scale, i_sin
from mpmath import mp


class Coordinates:
    """z = m + L u, with L and m floats (exactly the same numbers in mp)."""

    def __init__(self, m, L):
        self.m, self.L, self.d = m, L, len(m)

    def point(self, u):
        return [
            mi + sum(a * uj for a, uj in zip(row, u, strict=True))
            for mi, row in zip(self.m, self.L, strict=True)
        ]

    def linear(self, row):
        """The coefficients of u in row . z."""
        return [sum(r * self.L[i][j] for i, r in enumerate(row)) for j in range(self.d)]


def times_vector(a, b):
    return [sum(r * c for r, c in zip(row, b, strict=True)) for row in a]


def times_matrix(a, b):
    return [times_vector(zip(*b, strict=True), row) for row in a]


class Model:
    def __init__(self, decoder, likelihood, x, d):
        self.decoder, self.likelihood, self.x, self.d = decoder, likelihood, x, d
        f, lik = make_decoder(decoder, FLOAT), make_likelihood(likelihood, x, FLOAT)
        fe, le = make_decoder(decoder, EXACT), make_likelihood(likelihood, x, EXACT)
        self.log_float = lambda z: lik(f(z)) - sum(t * t for t in z) / 2
        self.log_exact = lambda z: le(fe(z)) - mp.fdot(z, z) / 2
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
            self.noise = None
            if kind == "affine":
                p["weight"], p["bias"] = times_matrix(v, p["weight"]), times_vector(v, p["bias"])
            elif kind == "tanh":
                p["weights"] = [p["weights"][0], times_matrix(v, p["weights"][1])]
                p["biases"] = [p["biases"][0], times_vector(v, p["biases"][1])]
            elif kind == "polynomial":
                p["coefficients"] = [times_vector(v, c) for c in p["coefficients"]]
            else:
                self.noise = v
            if self.noise is None:
                self.xs = times_vector(v, self.xs)
        self.par = p
        if kind == "polynomial":
            powers = dec["powers"]
            self.columns = [list(c) for c in zip(*p["coefficients"], strict=True)]
            self.partials = []  # one (powers, columns) for each z_j
            for j in range(self.d):
                keep = [k for k, q in enumerate(powers) if q[j] > 0]
                dp = [[e - (i == j) for i, e in enumerate(powers[k])] for k in keep]
                self.partials.append(
                    (dp, [[c[k] * powers[k][j] for k in keep] for c in self.columns])
                )
            self.scaled = make_decoder(
                {"kind": "polynomial", "powers": powers, "coefficients": p["coefficients"]}, FLOAT
            )

    def bound_on(self, coordinates):
        """A function (centre, half widths) -> upper bound of log_float on that box of u."""
        kind, p, d = self.decoder["kind"], self.par, self.d
        C = coordinates
        identity = [[float(i == j) for j in range(d)] for i in range(d)]

        def reach(rows):
            return [[abs(t) for t in C.linear(r)] for r in rows]

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
            for c, row in zip(zc, z_reach, strict=True):
                r = sum(a * b for a, b in zip(row, w, strict=True))
                zbox.append((c - r, c + r))
                near = max(0.0, abs(c) - r)
                prior += near * near
            pre = []
            for row, c, rr in zip(first, shift, first_reach, strict=True):
                mid = c + sum(a * b for a, b in zip(row, zc, strict=True))
                r = sum(a * b for a, b in zip(rr, w, strict=True))
                pre.append((mid - r, mid + r))
            if kind == "affine":
                eta = pre
            elif kind == "tanh":
                hidden = [(math.tanh(a), math.tanh(b)) for a, b in pre]
                eta = [
                    i_linear(row, c, hidden)
                    for row, c in zip(p["weights"][1], p["biases"][1], strict=True)
                ]
            elif kind == "sine":
                eta = [i_scale(a, i_sin(*t)) for a, t in zip(p["amplitude"], pre, strict=True)]
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
            residual = [(x - hi, x - lo) for x, (lo, hi) in zip(self.xs, eta, strict=True)]
            if self.noise is not None:
                residual = [i_linear(row, 0.0, residual) for row in self.noise]
            total = 0.0
            for lo, hi in residual:
                near = max(0.0, lo, -hi)
                total -= near * near / 2
            return total
        if kind == "bernoulli":
            return -sum(
                FLOAT.softplus(-hi if x == 1 else lo)
                for x, (lo, hi) in zip(self.xs, eta, strict=True)
            )
        if kind == "poisson":
            total = 0.0
            for x, (lo, hi) in zip(self.xs, eta, strict=True):
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
            for x, (lo, hi) in zip(self.xs, eta, strict=True):
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


def case_model(case):
    return Model(case["decoder"], case["likelihood"], case["x"], case["latent_dim"])

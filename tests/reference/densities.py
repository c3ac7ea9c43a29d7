"""Decoders and log likelihoods as functions of lists of numbers, in either arithmetic."""

from arithmetic import number, numbers
from mpmath import mp


def make_decoder(decoder, F):
    """The decoder f as a function of a list z, in the arithmetic F."""
    kind = decoder["kind"]
    if kind == "affine":
        w, b = F.numbers(decoder["weight"]), F.numbers(decoder["bias"])
        return lambda z: [F.dot(row, z) + c for row, c in zip(w, b, strict=True)]
    if kind == "polynomial":
        powers, coef = decoder["powers"], F.numbers(decoder["coefficients"])
        columns = [list(c) for c in zip(*coef, strict=True)]

        def polynomial(z):
            monomials = []
            for p in powers:
                m = F.zero + 1
                for zj, e in zip(z, p, strict=True):
                    for _ in range(e):
                        m = m * zj
                monomials.append(m)
            return [F.dot(c, monomials) for c in columns]

        return polynomial
    if kind == "circle":
        r = F.numbers(decoder["radius"])
        return lambda z: [r * F.cos(z[0] / r), r * F.sin(z[0] / r)]
    if kind == "tanh":
        (w1, w2), (b1, b2) = map(F.numbers, decoder["weights"]), map(F.numbers, decoder["biases"])

        def net(z):
            hidden = [F.tanh(F.dot(row, z) + c) for row, c in zip(w1, b1, strict=True)]
            return [F.dot(row, hidden) + c for row, c in zip(w2, b2, strict=True)]

        return net
    if kind == "sine":
        a, w, p = (F.numbers(decoder[key]) for key in ("amplitude", "frequency", "phase"))
        return lambda z: [ai * F.sin(F.dot(wi, z) + pi) for ai, wi, pi in zip(a, w, p, strict=True)]
    if kind == "sinh":
        a = F.numbers(decoder["scale"])
        return lambda z: [F.sinh(a * zi) / a for zi in z]
    raise ValueError(kind)


def whitener(cov):
    """The inverse of the lower Cholesky factor of cov, as lists of mp numbers."""
    n = len(cov)
    inv = mp.inverse(mp.cholesky(mp.matrix(cov)))
    return [[inv[i, j] for j in range(n)] for i in range(n)]


def make_likelihood(likelihood, x, F):
    """Log p(x | eta) less its constant, as a function of eta."""
    kind = likelihood["kind"]
    xs = F.numbers(x)
    if kind == "gaussian" and "cov" in likelihood:
        v = [F.numbers(row) for row in whitener(numbers(likelihood["cov"]))]

        def full(eta):
            r = [xi - e for xi, e in zip(xs, eta, strict=True)]
            y = [F.dot(row, r) for row in v]
            return -F.dot(y, y) / 2

        return full
    if kind == "gaussian":
        inverse = F.numbers([1 / s for s in gaussian_scales(likelihood, len(x))])

        def diagonal(eta):
            y = [(xi - e) * v for xi, e, v in zip(xs, eta, inverse, strict=True)]
            return -F.dot(y, y) / 2

        return diagonal
    if kind == "bernoulli":
        signs = [1 if float(xi) == 1 else -1 for xi in x]
        return lambda eta: (
            -sum((F.softplus(-s * e) for s, e in zip(signs, eta, strict=True)), F.zero)
        )
    if kind == "poisson":
        return lambda eta: F.dot(xs, eta) - sum((F.exp(e) for e in eta), F.zero)
    if kind == "categorical":
        hot = [float(xi) for xi in x].index(1.0)

        def categorical(eta):
            top = max(eta)
            return eta[hot] - top - F.log(sum((F.exp(e - top) for e in eta), F.zero))

        return categorical
    if kind == "gamma":
        a = F.numbers(likelihood["shape"])
        return lambda eta: (
            -a * sum((e + xi * F.exp(-e) for xi, e in zip(xs, eta, strict=True)), F.zero)
        )
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

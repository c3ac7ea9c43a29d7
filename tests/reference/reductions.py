"""Exact reductions of a case to integrals over one variable."""

import itertools

from arithmetic import number, numbers
from cases import square
from closed_forms import chi_square_closed
from models import Model, case_model
from mpmath import mp
from rules import gauss_legendre_sum, integrate


def radial_routes(case):
    """For f = |z|^2 with d = 3: 4 pi r^2 (2 pi)^(-3/2) exp(-r^2/2) N(x; r^2, s^2), integrated
    over r > 0, is half of an even entire integrand on the line.
    """
    x, s = number(case["x"][0]), number(case["likelihood"]["scale"])

    def integrand(r):
        return r**2 * mp.exp(-(r**2) / 2 - ((x - r**2) / s) ** 2 / 2)

    reach = mp.sqrt(x + 20 * s)
    width = s / (2 * mp.sqrt(x))
    logs = []
    for h, offset in ((0.3 * width, mp.mpf(0)), (0.21 * width, mp.mpf("0.37"))):
        n = int(reach / h) + 1
        logs.append(mp.log(mp.fsum(integrand((k + offset) * h) for k in range(-n, n + 1)) * h / 2))
    ends = mp.linspace(0, reach, 81)
    logs.append(mp.log(gauss_legendre_sum(integrand, itertools.pairwise(ends))))
    constant = mp.log(4 * mp.pi) - 2 * mp.log(2 * mp.pi) - mp.log(s)
    names = ("trapezoid A", "trapezoid B", "Gauss-Legendre")
    return [(name, v + constant) for name, v in zip(names, logs, strict=True)]


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
        routes = integrate(case_model(part))
        if part["decoder"]["kind"] == "polynomial":
            routes.append(
                ("closed form", chi_square_closed(part["x"][0], part["likelihood"]["scale"], 1))
            )
        factors.append(routes)
    return [
        ("factors, " + rows[0][0], mp.fsum(v for _, v in rows))
        for rows in zip(*factors, strict=True)
    ]


def banana_routes(case):
    """For f = (z1, z2 + a z1^2): with e1 = x1 - z1 the first noise, x2 given z1 is normal, with
    mean a z1^2 + c e1 and variance 1 + v (c and v the regression of the second noise on the
    first and what it leaves), so one integral over z1 is left.
    """
    lik, (x1, x2) = case["likelihood"], numbers(case["x"])
    if "cov" in lik:
        (c11, c12), (_, c22) = numbers(lik["cov"])
    else:
        c11 = c22 = number(lik["scale"]) ** 2
        c12 = mp.mpf(0)
    c, v, a = c12 / c11, c22 - c12**2 / c11, case["decoder"]["coefficients"][2][1]
    decoder = {"kind": "polynomial", "powers": [[1], [2]], "coefficients": [["1", -c], ["0", a]]}
    likelihood = {"kind": "gaussian", "scale": [mp.sqrt(c11), mp.sqrt(1 + v)]}
    routes = integrate(Model(decoder, likelihood, [x1, x2 - c * x1], 1))
    return [("reduced to d = 1, " + name, value) for name, value in routes]

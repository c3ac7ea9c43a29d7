"""Closed forms of log evidences."""

from arithmetic import number, numbers
from densities import gaussian_scales
from mpmath import mp


def affine_closed(case):
    """For an affine decoder and a Gaussian likelihood, x ~ N(b, W W^T + noise)."""
    w = mp.matrix(numbers(case["decoder"]["weight"]))
    b = mp.matrix(numbers(case["decoder"]["bias"]))
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
    """The log of E N(x; |z|^2, scale^2): the integral over t = |z|^2 of its chi-square density
    t^(d/2-1) exp(-t/2) / (2^(d/2) Gamma(d/2)) times the normal density.
    """
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
    exp(-n^2/2r^2) cos(n a).
    """
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

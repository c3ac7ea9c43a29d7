"""Gauss-Legendre rules with proved errors for exponentials of quadratics."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vaetheory._validation import Array

#: The error of a rule is below exp(-_DIGITS) of its interval's length times the bound of the
#: integrand that `rules` states.
_DIGITS = 38.0
_SIZES = (3, 4, 5, 6, 8, 10, 12, 16, 20)
#: Bounds the error of each panel, relative to its length times the bound of its integrand.
PANEL_ERROR = float(np.exp(-_DIGITS))


@lru_cache(maxsize=1)
def rules() -> tuple[tuple[float, Array, Array], ...]:
    r"""Rules `(reach, nodes, weights)` on [0, 1] in the order of their reach.

    On an interval of half-length h, let an integrand be, up to a real factor, a linear function
    that is nowhere negative times an average of exponentials of -l - m^2 / 2 - n^2 / 2, where l, m
    and n are real linear functions that change by at most L, M and N from the middle to an end. If
    neither L nor sqrt(M^2 + N^2) exceeds `reach`, then the error of the rule is at most exp(-38)
    times the interval's length, the linear function's value in the middle, and the greatest
    exponential of -l.

    Proof. On the ellipse of the complex plane with foci at the ends and semi-axes a h and b h,
    a = (r + 1/r) / 2 and b = (r - 1/r) / 2, the real part of -l is greater than on the interval by
    at most L (a - 1), that of -m^2 / 2 is at most M^2 b^2 / 2, and the linear function is at most
    1 + a times its value in the middle. So the integrand is at most B = (1 + a) exp(L (a - 1) +
    (M^2 + N^2) b^2 / 2) times what is stated. A polynomial of degree 2 n - 1 differs from it by at
    most 2 B r^(1 - 2 n) / (r - 1) on the interval (its Chebyshev series), and a rule of n nodes
    with positive weights is exact for that polynomial, so that its error is at most twice this
    times the length. `reach` is the greatest number for which some r makes this small enough.
    """
    return tuple((_reach(n), *_on_unit(n)) for n in _SIZES)


def _on_unit(n: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return 0.5 + 0.5 * nodes, 0.5 * weights


def log_error(reach: Array, n: int, log_r: Array) -> Array:
    """Log of the error bound of a rule of n nodes, for ellipses with sums of semi-axes r."""
    a, b = np.cosh(log_r), np.sinh(log_r)
    growth = reach * (a - 1) + 0.5 * (reach * b) ** 2
    return np.log(4 * (1 + a)) + growth + (1 - 2 * n) * log_r - np.log(np.expm1(log_r))


def _reach(n: int) -> float:
    """The greatest reach of a rule, by bisection over its logarithm."""
    log_r = np.linspace(0.05, 12.0, 400)
    low, high = -20.0, 5.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        good = log_error(np.exp(middle), n, log_r).min() < -_DIGITS
        low, high = (middle, high) if good else (low, middle)
    return float(np.exp(low))

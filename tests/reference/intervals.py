"""Interval arithmetic on (lo, hi) pairs of floats."""

import math


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
    for p, c in zip(powers, coefficients, strict=True):
        if c == 0.0:
            continue
        m = (1.0, 1.0)
        for (lo, hi), e in zip(zbox, p, strict=True):
            if e:
                m = i_times(m, i_power(lo, hi, e))
        m = i_scale(c, m)
        low, high = low + m[0], high + m[1]
    return low, high


def i_linear(row, constant, intervals):
    low = high = constant
    for c, a in zip(row, intervals, strict=True):
        s = i_scale(c, a)
        low, high = low + s[0], high + s[1]
    return low, high

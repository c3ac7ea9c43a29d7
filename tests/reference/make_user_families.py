"""Make user_families.json: log evidences of families that are not the package's, to 30 digits."""

# The quantity is log p(x) = log integral over R^d of N(z; 0, I_d) p(x | f(z)) dz, for polynomial
# decoders f, d = 1 or 2, and a logistic, a Weibull and a zero-inflated Poisson likelihood. Only
# mpmath and the standard library are used, at 50 working digits; nothing of the library under
# test enters. Every number is a decimal string and stands for the float64 nearest to it.
#
# Where the integrand is: the log integrand is looked at on a fine grid (float), and cells are kept
# next to which it is within CUT nats of its greatest value there. d = 1: route A is the
# trapezoid rule on those cells with the step h, route B one with the step 0.7 h and an offset;
# h falls until both agree to MIN_DIGITS. Route C is Gauss-Legendre quadrature, piece by piece.
# d = 2: A and B on lattices in the plane, B turned by an angle.
#
# Run (some minutes on one core):
#
#     python make_user_families.py           write user_families.json beside this file
#     python make_user_families.py --check   compute and compare with that file, write nothing

import itertools
import json
import math
import sys
from pathlib import Path

from mpmath import mp, mpf

mp.dps = 50
MIN_DIGITS = 32
CUT = 95
FILE = Path(__file__).with_suffix("").with_name("user_families.json")

#: Name, family, its constant, exponents and coefficients of the decoder, data.
CASES = [
    ("logistic", "logistic", "1.0", [[0], [1]], [["0.25"], ["1.0"]], ["0.5"]),
    ("logistic narrow", "logistic", "0.0009765625", [[0], [1]], [["0.25"], ["2.0"]], ["3.0"]),
    ("logistic two modes", "logistic", "0.0078125", [[2]], [["1.0"]], ["2.25"]),
    ("logistic far", "logistic", "0.25", [[1]], [["1.0"]], ["60.0"]),
    ("logistic three outputs", "logistic", "0.5", [[1], [2]],
     [["1.0", "-0.5", "0.0"], ["0.0", "0.0", "1.0"]], ["1.0", "3.0", "-0.5"]),
    ("weibull", "weibull", "1.5", [[0], [1]], [["0.25"], ["1.0"]], ["1.0"]),
    ("weibull narrow", "weibull", "64.0", [[1]], [["1.0"]], ["1.5"]),
    ("weibull very narrow", "weibull", "4096.0", [[1]], [["1.0"]], ["3.0"]),
    ("weibull small", "weibull", "0.5", [[1]], [["2.0"]], ["9.5367431640625e-07"]),
    ("weibull large", "weibull", "2.0", [[1]], [["1.0"]], ["1048576.0"]),
    ("weibull tiny", "weibull", "8.0", [[1]], [["1.0"]], ["8.673617379884035e-19"]),
    ("weibull two modes", "weibull", "3.0", [[2]], [["1.0"]], ["8.0"]),
    ("weibull cubic", "weibull", "2.0", [[1], [3]], [["0.5"], ["1.0"]], ["0.5"]),
    ("weibull at odds", "weibull", "4.0", [[1]], [["1.0", "-1.0"]], ["3.0", "2.0"]),
    ("zip counts", "zero_inflated_poisson", "0.25", [[0], [1]], [["1.0"], ["1.0"]], ["7.0"]),
    ("zip nought", "zero_inflated_poisson", "0.25", [[0], [1]], [["1.0"], ["2.0"]], ["0.0"]),
    ("zip steep nought", "zero_inflated_poisson", "0.0078125", [[0], [1]], [["6.0"], ["8.0"]],
     ["0.0"]),
    ("zip rare nought", "zero_inflated_poisson", "9.5367431640625e-07", [[0], [1]],
     [["4.0"], ["8.0"]], ["0.0"]),
    ("zip nought, two modes", "zero_inflated_poisson", "0.0009765625", [[0], [1]],
     [["8.0"], ["2.0"]], ["0.0"]),
    ("zip nought, square", "zero_inflated_poisson", "0.001953125", [[0], [2]],
     [["3.0"], ["-2.0"]], ["0.0"]),
    ("zip far", "zero_inflated_poisson", "0.5", [[1]], [["1.0"]], ["100000.0"]),
    ("zip narrow", "zero_inflated_poisson", "0.5", [[0], [1]], [["12.0"], ["4.0"]], ["1000000.0"]),
    ("zip mixed", "zero_inflated_poisson", "0.125", [[0], [1]], [["0.0", "1.0"], ["2.0", "3.0"]],
     ["0.0", "5.0"]),
    ("logistic plane", "logistic", "0.25", [[1, 0], [0, 1], [2, 0]],
     [["1.0", "0.0"], ["0.0", "1.0"], ["0.0", "1.0"]], ["1.0", "2.0"]),
    ("weibull plane", "weibull", "2.0", [[1, 0], [0, 1]],
     [["1.0", "0.5"], ["-0.5", "1.0"]], ["2.0", "0.5"]),
    ("zip plane", "zero_inflated_poisson", "0.0625", [[0, 0], [1, 0], [0, 1]],
     [["1.0", "0.5"], ["2.0", "1.0"], ["0.0", "1.0"]], ["0.0", "3.0"]),
]  # fmt: skip


def exact(text):
    """The float64 nearest to a decimal."""
    return mpf(float(text))


def log_density(family, constant, x, t, m):
    """Log p(x given t), by the functions of `m`: math or mpmath."""
    if family == "logistic":
        w = abs(x - t) / constant
        return -w - 2 * m.log1p(m.exp(-w)) - m.log(constant)
    if family == "weibull":
        y = constant * (m.log(x) - t)
        if m is math and y > 700:
            return -math.inf
        return m.log(constant) - m.log(x) + y - m.exp(y)
    if m is math and t > 700:
        return m.log(constant) if x == 0 else -math.inf
    rate = m.exp(t)
    if x > 0:
        return m.log1p(-constant) + x * t - rate - (m.lgamma if m is math else m.loggamma)(x + 1)
    if m is math:
        first, second = m.log(constant), m.log1p(-constant) - rate
        top = max(first, second)
        return top + m.log1p(m.exp(min(first, second) - top))
    return m.log(constant + (1 - constant) * m.exp(-rate))


def log_joint(case, z, m):
    """Log p(x, z), by the functions of `m`."""
    _, family, constant, exponents, coefficients, data = case
    number = float if m is math else exact
    out = -sum(v * v for v in z) / 2 - len(z) * m.log(2 * (math.pi if m is math else mp.pi)) / 2
    for j, x in enumerate(data):
        t = number("0.0")
        for powers, row in zip(exponents, coefficients, strict=True):
            term = number(row[j])
            for v, k in zip(z, powers, strict=True):
                term = term * v**k
            t = t + term
        out = out + log_density(family, number(constant), number(x), t, m)
    return out


def spans(case):
    """Intervals of the line outside which the integrand is negligible, and its greatest log."""
    width = 2.0**-10
    grid = [i * width for i in range(-24 * 1024, 24 * 1024 + 1)]
    values = [log_joint(case, (z,), math) for z in grid]
    # A narrow summit may lie between two nodes: it is climbed.
    i = max(range(len(grid)), key=values.__getitem__)
    a, b = grid[i] - 2 * width, grid[i] + 2 * width
    for _ in range(200):
        c, d = a + (b - a) / 3, b - (b - a) / 3
        if log_joint(case, (c,), math) < log_joint(case, (d,), math):
            a = c
        else:
            b = d
    top = max(values[i], log_joint(case, ((a + b) / 2,), math))
    # Between neighbours the greatest value of the integrand is at most that of their tangents.
    kept = []
    for i in range(len(grid) - 1):
        inside = [log_joint(case, (grid[i] + k * width / 8,), math) for k in range(9)]
        if max(inside) < -1e30:
            continue
        slope = max(abs(u - v) for u, v in itertools.pairwise(inside))
        if not max(inside) + 2 * slope < top - CUT:
            if kept and kept[-1][1] == grid[i]:
                kept[-1][1] = grid[i + 1]
            else:
                kept.append([grid[i], grid[i + 1]])
    return kept, top


def trapezoid(case, kept, top, step, offset):
    """Sum over the nodes `(k + offset) step` in the intervals."""
    total = mpf(0)
    for a, b in kept:
        for k in range(math.ceil(a / step - offset), math.ceil(b / step - offset)):
            total += mp.exp(log_joint(case, ((k + mpf(offset)) * step,), mp) - top)
    return mp.log(total * step) + top


def legendre(case, kept, top, width):
    """Gauss-Legendre quadrature on pieces of about a width."""
    total = mpf(0)
    for a, b in kept:
        pieces = max(1, math.ceil((b - a) / width))
        points = [mpf(a) + (mpf(b) - a) * k / pieces for k in range(pieces + 1)]
        total += sum(
            mp.quad(lambda z: mp.exp(log_joint(case, (z,), mp) - top), [u, v], maxdegree=5)
            for u, v in itertools.pairwise(points)
        )
    return mp.log(total) + top


def digits(a, b):
    """How many digits two numbers share."""
    return math.inf if a == b else float(-mp.log10(abs(a - b) / max(1, abs(a))))


def line(case):
    """Log evidence of a case with d = 1, by three routes."""
    kept, top = spans(case)
    length = sum(b - a for a, b in kept)
    nodes = 256
    for _ in range(8):
        step = mpf(2) ** round(math.log2(length / nodes))
        first = trapezoid(case, kept, top, step, 0.0)
        second = trapezoid(case, kept, top, step * mpf("0.7"), 0.3)
        if digits(first, second) >= MIN_DIGITS:
            break
        nodes *= 2
    else:
        raise SystemExit(f"{case[0]}: {first} and {second} differ")
    third = legendre(case, kept, top, float(12 * step))
    if digits(second, third) < MIN_DIGITS:
        raise SystemExit(f"{case[0]}: {second} and {third} differ")
    return second


def plane_sum(case, top, step, angle):
    """Sum over a turned square lattice, row by row as far as the integrand goes."""
    c, s = mp.cos(angle), mp.sin(angle)
    reach = math.ceil(15 / step)
    total = mpf(0)
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            u, v = i * step + mpf("0.01"), j * step - mpf("0.02")
            z = (c * u - s * v, s * u + c * v)
            if log_joint(case, tuple(map(float, z)), math) > top - CUT:
                total += mp.exp(log_joint(case, z, mp) - top)
    return mp.log(total * step * step) + top


def plane(case):
    """Log evidence of a case with d = 2, by two lattices."""
    grid = [i / 32 for i in range(-12 * 32, 12 * 32 + 1)]
    top = max(log_joint(case, (a, b), math) for a in grid for b in grid)
    step = mpf(1) / 16
    for _ in range(3):
        first = plane_sum(case, top, step, mpf(0))
        second = plane_sum(case, top, step * mpf("0.8"), mpf("0.7"))
        if digits(first, second) >= MIN_DIGITS:
            return second
        step /= 2
    raise SystemExit(f"{case[0]}: {first} and {second} differ")


def main():
    """Make the file, or compare with it."""
    out = []
    for case in CASES:
        name, family, constant, exponents, coefficients, data = case
        value = mp.nstr((line if len(exponents[0]) == 1 else plane)(case), 30)
        print(f"{name}: {value}", flush=True)
        out.append(
            {
                "name": name,
                "family": family,
                "constant": constant,
                "exponents": exponents,
                "coefficients": coefficients,
                "x": data,
                "log_evidence": value,
            }
        )
    lines = ",\n  ".join(json.dumps(case) for case in out)
    text = f'{{"digits": 30, "cases": [\n  {lines}\n]}}\n'
    if "--check" in sys.argv[1:]:
        if text != FILE.read_text():
            raise SystemExit(f"{FILE.name} says something else")
    else:
        FILE.write_text(text)


if __name__ == "__main__":
    main()

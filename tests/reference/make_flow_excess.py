"""Makes flow_excess.json: log p_sigma less its limit, to 30 digits, by mpmath.

Run from anywhere: `python tests/reference/make_flow_excess.py [--check]`.

The integral over the latent is summed over two lattices of different step, in coordinates in
which its integrand is nearly N(0, I); where D = d a third sum runs over the data space. All must
agree to 30 digits of the excess. Scales of 1e-15 give the coefficient of sigma^2 to 30 digits.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

from mpmath import mp

mp.dps = 120
OUT = Path(__file__).parent / "flow_excess.json"
DIGITS, MIN_DIGITS = 30, 31
RADIUS = 18

COUPLINGS = [
    [
        "coupling",
        [True, False],
        [[[1.0], [-0.5]], [[0.5, 0.25], [1.0, -0.75]]],
        [[0.25, 0.5], [0.0, 0.5]],
    ],
    [
        "coupling",
        [False, True],
        [[[0.75], [1.5]], [[-0.5, 0.25], [0.5, 0.5]]],
        [[-0.25, 0.0], [0.25, 0.0]],
    ],
]
FLOWS = {
    "affine": [["affine", [[2.0]], [0.5]]],
    "cubic": [["cubic"]],
    "sinh": [["sinh"]],
    "stacked": [["affine", [[0.75]], [0.25]], ["cubic"], ["affine", [[0.5]], [-0.25]], ["sinh"]],
    "triangular": [
        [
            "triangular",
            [[0.0, 0.0], [1.0, 0.0]],
            [0.25, -0.5],
            [0.5, 0.75],
            [[0.5, 0.0], [0.25, 1.0]],
        ]
    ],
    "couplings": COUPLINGS,
    "mixed": [["affine", [[1.0, 0.5], [-0.25, 0.75]], [0.0, 0.5]], ["cubic"], COUPLINGS[0]],
    "helix": [["helix", 1.0, 0.5]],
    "parabola": [["polynomial", [[1], [2]], [[1.0, 0.0], [0.0, 0.5]]]],
    "cubic curve": [["cubic"], ["polynomial", [[1], [2]], [[0.5, 0.0, 0.25], [0.0, 0.25, 0.0]]]],
    "sphere": [["sphere", 2.0]],
    "graph": [
        [
            "polynomial",
            [[1, 0], [0, 1], [2, 0], [1, 1]],
            [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.25]],
        ]
    ],
}
LATENTS = {1: [[0.5], [-1.75]], 2: [[0.5, -0.75]]}


def dot(rows, vector):
    return [mp.fdot(zip(map(mp.mpf, row), vector, strict=True)) for row in rows]


def network(weights, biases, z):
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = [a + c for a, c in zip(dot(w, z), b, strict=True)]
        z = z if i + 1 == len(weights) else [mp.tanh(a) for a in z]
    return z


def forward(layer, z):
    kind, *p = layer
    if kind == "affine":
        return [a + b for a, b in zip(dot(p[0], z), p[1], strict=True)]
    if kind == "cubic":
        return [a + a**3 / 3 for a in z]
    if kind == "sinh":
        return [mp.sinh(a) for a in z]
    if kind == "triangular":
        weight, bias, log_scale, shift = p
        h = [mp.tanh(a + b) for a, b in zip(dot(weight, z), bias, strict=True)]
        return [
            mp.exp(a * u) * v + t for a, u, v, t in zip(log_scale, h, z, dot(shift, h), strict=True)
        ]
    if kind == "coupling":
        mask, weights, biases = p
        out = network(weights, biases, [v for v, keep in zip(z, mask, strict=True) if keep])
        m = len(out) // 2
        pairs = iter(zip(out[:m], out[m:], strict=True))
        return [
            v if keep else v * mp.exp(s) + t
            for v, keep in zip(z, mask, strict=True)
            for s, t in ([(0, 0)] if keep else [next(pairs)])
        ]
    if kind == "helix":
        r, pitch = p
        c = mp.sqrt(mp.mpf(r) ** 2 + mp.mpf(pitch) ** 2)
        return [r * mp.cos(z[0] / c), r * mp.sin(z[0] / c), pitch * z[0] / c]
    if kind == "polynomial":
        powers, coefficients = p
        terms = [mp.fprod(v**k for v, k in zip(z, row, strict=True)) for row in powers]
        return [
            mp.fdot(zip(map(mp.mpf, column), terms, strict=True))
            for column in zip(*coefficients, strict=True)
        ]
    if kind == "sphere":
        s = 1 + sum(v * v for v in z) / (4 * mp.mpf(p[0]) ** 2)
        return [*(v / s for v in z), p[0] * (2 / s - 1)]
    raise ValueError(kind)


def decode(flow, z):
    for layer in flow:
        z = forward(layer, z)
    return z


def jacobian(flow, z):
    h = mp.mpf(10) ** -40
    columns = []
    for j in range(len(z)):
        up, down = (decode(flow, [v + s * h * (i == j) for i, v in enumerate(z)]) for s in (1, -1))
        columns.append([(a - b) / (2 * h) for a, b in zip(up, down, strict=True)])
    return mp.matrix(columns).T


def lattice(step, dim, radius=RADIUS):
    count = int(radius / step)
    axis = [mp.mpf(step) * k for k in range(-count, count + 1)]
    return itertools.product(axis, repeat=dim)


def by_latents(flow, z, sigma, step, radius=RADIUS):
    J, x, d = jacobian(flow, z), decode(flow, z), len(z)
    g = J.T * J
    # Any matrix near g^(-1/2) will do: its determinant is divided out.
    B = mp.inverse(mp.cholesky(g)).T
    norm = sum(v * v for v in z)
    total = mp.mpf(0)
    for v in lattice(step, d, radius):
        if sum(a * a for a in v) > radius**2:
            continue
        at = [a + sigma * b for a, b in zip(z, B * mp.matrix(v), strict=True)]
        off = sum(((a - b) / sigma) ** 2 for a, b in zip(decode(flow, at), x, strict=True))
        total += mp.exp(-(off + sum(a * a for a in at) - norm) / 2)
    return mp.log(
        total * mp.mpf(step) ** d * (2 * mp.pi) ** (-mp.mpf(d) / 2) * mp.det(B) * mp.sqrt(mp.det(g))
    )


def by_data(flow, z, sigma, step):
    """E[p(x + sigma u)] / p(x), the flow inverted by Newton's iteration."""
    x, d = decode(flow, z), len(z)

    def log_p(y):
        u = list(z)
        for _ in range(200):
            J = jacobian(flow, u)
            move = mp.lu_solve(
                J, mp.matrix([a - b for a, b in zip(y, decode(flow, u), strict=True)])
            )
            u = [a + b for a, b in zip(u, move, strict=True)]
            if max(map(abs, move)) < mp.mpf(10) ** -70:
                break
        return -sum(a * a for a in u) / 2 - mp.log(abs(mp.det(jacobian(flow, u))))

    start, total = log_p(x), mp.mpf(0)
    for v in lattice(step, d):
        square = sum(a * a for a in v)
        if square < 324:
            total += mp.exp(
                log_p([a + sigma * b for a, b in zip(x, v, strict=True)]) - start - square / 2
            )
    return mp.log(total * mp.mpf(step) ** d * (2 * mp.pi) ** (-mp.mpf(d) / 2))


def solve(name, z, scale):
    flow, sigma = FLOWS[name], mp.mpf(float(scale))
    z = [mp.mpf(v) for v in z]
    one, d = float(scale) < 0.05, len(z)
    steps, radius = ((0.36, 0.3), RADIUS) if one else ((0.05, 0.03), 60)
    routes = [by_latents(flow, z, sigma, step, radius) for step in steps]
    if len(decode(flow, z)) == d == 1 and one:
        routes.append(by_data(flow, z, sigma, 0.36))
    spread = max(abs(a - b) for a, b in itertools.combinations(routes, 2))
    digits = mp.inf if spread == 0 else -mp.log10(spread / abs(routes[0]))
    g = jacobian(flow, z)
    g = g.T * g
    limit = -sum(v * v for v in z) / 2 - d * mp.log(2 * mp.pi) / 2 - mp.log(mp.det(g)) / 2
    return routes[1], limit, digits


def text(value):
    return mp.nstr(value, DIGITS, strip_zeros=False, min_fixed=-mp.inf, max_fixed=-mp.inf)


def main():
    parser = argparse.ArgumentParser(description="Make flow_excess.json")
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    check = parser.parse_args().check
    records = []
    for name in FLOWS:
        d = 2 if name in ("triangular", "couplings", "mixed", "sphere", "graph") else 1
        for z in LATENTS[d]:
            for scale in ("1e-15", "1e-4", "1e-3", "1e-2", *(["0.25"] if d == 1 else [])):
                value, limit, digits = solve(name, z, scale)
                print(f"{name:12s} {z} {scale:6s} {text(value)} {float(digits):.1f}", flush=True)
                if digits < MIN_DIGITS:
                    raise ArithmeticError(f"{name}: the routes agree to {digits} digits only")
                records.append(
                    {
                        "flow": name,
                        "latent": z,
                        "scale": scale,
                        "limit": text(limit),
                        "excess": text(value),
                    }
                )
    found = {"digits": DIGITS, "flows": FLOWS, "cases": records}
    if check:
        if json.loads(OUT.read_text()) != found:
            raise ArithmeticError(f"not what {OUT} has")
        return 0
    rows = ",\n".join("  " + json.dumps(r) for r in records)
    flows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in FLOWS.items())
    head = f'{{"digits": {DIGITS},\n"flows": {{\n{flows}\n}},\n"cases": [\n{rows}\n]}}\n'
    OUT.with_suffix(".tmp").write_text(head)
    OUT.with_suffix(".tmp").replace(OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())

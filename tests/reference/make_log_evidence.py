"""Make log_evidence.json: log evidences of small latent-variable models to 30 digits."""

# The quantity is
#
#     log p(x) = log integral over R^d of N(z; 0, I_d) p(x | f(z)) dz
#
# for the decoders f and likelihoods p(x | eta) in ``cases.py``, with d = 1, 2
# or 3.  Only mpmath and the standard library are used, at 60 working digits (up to
# 120 in closed forms, for their cancellation); nothing of the library under test
# enters.  Every parameter is a decimal string and stands for the float64 nearest to
# it, so ``"0.1"`` means ``mp.mpf(float("0.1"))``: that is the number the library sees.
# All are dyadic and exact but some noise scales (0.3, 0.1, 0.05, 0.01, 0.001, 0.0001).
#
# How each value is obtained and checked
# --------------------------------------
# 1.  *Where the integrand is.*  ``find_mode`` runs a best-first branch and bound on
#     the log integrand (float interval bounds of decoder, likelihood and prior over
#     boxes) to find its maximum, and a Newton iteration gives the curvature there,
#     which sets the whitened coordinates z = m + L u.  ``surviving_boxes`` then
#     splits a box that holds the ball |z| <= R, outside which prior times the
#     largest likelihood is below exp(-CUT) of the maximum, and drops every box on
#     which the bound shows the integrand below exp(-CUT) of the maximum (CUT = 105:
#     2e-46).  No mode is assumed: whatever is not shown negligible is summed.
# 2.  *The sum.*  Route A is the trapezoid rule on the lattice u in h Z^d, over the
#     nodes of the surviving boxes; for an analytic integrand its error falls
#     geometrically in 1/h.  Route B is the same rule with the step 0.7 h (0.8 h for
#     d = 3), an offset lattice and, for d >= 2, rotated axes (so the boxes and nodes
#     are all others).  Until A and B agree, h is reduced and both are done again.
# 3.  *Other routes.*  Every d = 1 integral is also done by composite Gauss-Legendre
#     quadrature over the surviving intervals.  Where there is a closed form or an
#     exact reduction it is one more route: affine with a Gaussian likelihood (a
#     Gaussian), z^2 and |z|^2 (parabolic cylinder functions D_{-d/2}), the circle (a
#     Bessel series), the banana and its correlated relative (z_2 integrates out).
#     Separable models are sums of the logs of d = 1 integrals, each with its routes
#     A, B and Gauss-Legendre (and D_{-1/2} for z^2).  |z|^2 with d = 3 is done by A, B
#     and Gauss-Legendre in the radius.
# 4.  All routes of a case must agree pairwise to MIN_DIGITS = 32 significant digits
#     of the log evidence, or the script stops and writes nothing.
#
# Run (about ten minutes on one core):
#
#     python make_log_evidence.py              write log_evidence.json beside this file
#     python make_log_evidence.py --check      compute and compare with that file, write nothing
#     python make_log_evidence.py --only NAME  the cases whose name contains NAME, write nothing

import argparse
import itertools
import json
import math
import os
import sys
import tempfile
import time

from arithmetic import digits_between
from cases import cases, norm_square
from closed_forms import affine_closed, chi_square_closed, circle_closed
from models import case_model
from mpmath import mp
from reductions import banana_routes, radial_routes, separable_routes
from rules import MIN_DIGITS, integrate

DIGITS = 30
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "log_evidence.json")


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
        routes = integrate(case_model(case), **options)
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
    parser = argparse.ArgumentParser(description="Make log_evidence.json")
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    parser.add_argument(
        "--only", default=None, help="only cases whose name contains this, write nothing"
    )
    args = parser.parse_args()
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
        print(f"{case['name']:32s}", end=" ", flush=True)
        begin = time.time()
        routes = solve(case, options)
        agreement = min(
            digits_between(a, b) for (_, a), (_, b) in itertools.combinations(routes, 2)
        )
        value = routes[-1][1] if routes[-1][0] == "closed form" else routes[1][1]
        text = mp.nstr(value, DIGITS, strip_zeros=False, min_fixed=-mp.inf, max_fixed=mp.inf)
        seconds = time.time() - begin
        report = f"{len(routes)} routes agree to {agreement:.1f} digits, {seconds:.1f} s"
        print(f"{text:>38s}  {report}", flush=True)
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
            file.write(f'{{"digits": {DIGITS}, "cases": [\n{rows}\n]}}\n')
        os.chmod(name, 0o644)
        os.replace(name, OUT)
    except BaseException:
        os.unlink(name)
        raise
    print(f"wrote {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

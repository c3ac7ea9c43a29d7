"""Cost and error of the log evidence, by the engine and by alternative methods.

    OPENBLAS_NUM_THREADS=1 python benchmarks/evidence.py

The models are tanh networks d-32-D, with data drawn from the model. CPU seconds are given as ratios
to those of the engine in the same run. An alternative is stopped after `--limit` seconds, SciPy's
cubature not before its ratio is conclusive. Methods that take one datum at a time are timed on a
few data, and the time is scaled to N. The script writes docs/evidence.csv, docs/evidence-table.md
and, by `evidence_figure.py`, docs/evidence.png. vegas and dynesty are included if they are there.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import autograd.numpy as anp
import evidence_figure
import numpy as np
from audit_evidence import line_evidence, plane_evidence
from scipy.integrate import cubature, nquad
from scipy.optimize import minimize
from scipy.special import logsumexp

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory._files import replacing

RTOL = 1e-10
BOX = 8.0
DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Case:
    """A model and the number of its data."""

    d: int
    size: int
    scale: float
    count: int
    folded: bool = False

    @property
    def name(self) -> str:
        """Short name."""
        folded = " folded" if self.folded else ""
        return f"d{self.d} D{self.size} s{self.scale:g} N{self.count}{folded}"

    def build(self) -> tuple[LatentModel, np.ndarray]:
        """The model and its data."""
        rng = np.random.default_rng(0)
        w, b = rng.normal(size=(32, self.d)), rng.normal(size=32)
        v, c = rng.normal(size=(self.size, 32)) / np.sqrt(32), 0.1 * rng.normal(size=self.size)
        network = decoders.TanhNetwork([w, v], [b, c])
        decoder = (lambda z: anp.tanh((z * z) @ w.T + b) @ v.T + c) if self.folded else network
        model = LatentModel(decoder, likelihoods.Gaussian(scale=self.scale), self.d)
        params = model.decode(rng.normal(size=(self.count, self.d)))
        return model, params + self.scale * rng.normal(size=params.shape)


CASES = (
    Case(1, 64, 1.0, 1000), Case(1, 64, 0.03, 1000), Case(1, 8, 0.03, 1), Case(1, 8, 1.0, 1000),
    Case(2, 64, 1.0, 1000), Case(2, 64, 0.1, 1000), Case(2, 64, 0.03, 1), Case(2, 64, 0.03, 1000),
    Case(2, 8, 0.1, 100), Case(2, 64, 0.1, 100, folded=True), Case(2, 64, 1.0, 1),
    Case(3, 64, 0.03, 3), Case(3, 64, 0.1, 3), Case(3, 64, 1.0, 3),
)  # fmt: skip


#: Times the engine's own seconds after which cubature is stopped; on many narrow posteriors.
ENOUGH, ENOUGH_NARROW = 12.0, 105.0


class OutOfTime(Exception):
    """An alternative took too long."""


@dataclass
class Clock:
    """A limit of the CPU time of an integrand."""

    limit: float
    start: float = 0.0

    def __post_init__(self) -> None:
        self.start = time.process_time()

    def check(self) -> None:
        """Raise `OutOfTime` after the limit."""
        if time.process_time() - self.start > self.limit:
            raise OutOfTime


#: Log evidences, claimed errors (NaN for none), and how many of the data that was.
Answer = tuple[np.ndarray, np.ndarray, int]


def peak(model: LatentModel) -> float:
    """The logarithm of the constant of the Gaussian likelihood."""
    return model.likelihood.log_peak(model.data_dim)


def by_cubature(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """SciPy's cubature over the prior's box for all data at once, by one matrix product a call."""
    scale, square = model.likelihood.scale, (X**2).sum(axis=-1)

    def weight(z: np.ndarray) -> np.ndarray:
        clock.check()
        f = model.decode(z)
        away = (f**2).sum(axis=-1)[:, None] + square - 2 * f @ X.T
        return np.exp(-0.5 * away / scale**2 - 0.5 * (z**2).sum(axis=-1)[:, None])

    d = model.latent_dim
    result = cubature(weight, [-BOX] * d, [BOX] * d, rtol=RTOL, atol=0.0, max_subdivisions=100_000)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(result.estimate) + peak(model) - 0.5 * d * np.log(2 * np.pi)
        error = np.where(result.estimate > 0, result.error / result.estimate, result.error)
    return value, error, len(X)


def by_nquad(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """SciPy's nquad over the prior's box, datum by datum."""
    d, x = model.latent_dim, X[0]

    def weight(*z: float) -> float:
        clock.check()
        return float(np.exp(model.log_joint(x, np.array(z)[None])[0] - peak(model)))

    options = {"epsabs": 0.0, "epsrel": RTOL, "limit": 200}
    value, error = nquad(weight, [(-BOX, BOX)] * d, opts=options)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log([value]) + peak(model), np.array([error]) / max(value, 1e-300), 1


def laplace(model: LatentModel, x: np.ndarray, starts: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """The mode, from a few climbs, and a factor of the Laplace covariance."""
    rng, best = np.random.default_rng(0), None
    for k in range(starts):
        start = rng.normal(size=model.latent_dim) * (k > 0)

        def potential(z: np.ndarray) -> tuple[float, np.ndarray]:
            gradient = model.gauss_newton(x[None], z[None])[0][0]
            return -float(model.log_joint(x, z[None])[0]), gradient

        result = minimize(potential, start, jac=True, method="BFGS")
        best = result if best is None or result.fun < best.fun else best
    _, hessian, safe = model.potential_derivatives(x[None], best.x[None])
    try:
        return best.x, np.linalg.cholesky(np.linalg.inv(hessian[0]))
    except np.linalg.LinAlgError:
        return best.x, np.linalg.cholesky(np.linalg.inv(safe[0]))


def few(X: np.ndarray) -> np.ndarray:
    """A few of the data, for methods that take one datum at a time."""
    return X[:20]


def by_hermite(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """Gauss-Hermite with 20 nodes an axis at the best of four climbs by BFGS."""
    d = model.latent_dim
    line, weights = np.polynomial.hermite_e.hermegauss(20)
    nodes = np.stack(np.meshgrid(*(line,) * d), axis=-1).reshape(-1, d)
    logs = np.stack(np.meshgrid(*(np.log(weights) + 0.5 * line**2,) * d), axis=-1)
    logs = logs.reshape(-1, d).sum(axis=-1)
    out = []
    for x in few(X):
        clock.check()
        mode, factor = laplace(model, x)
        joint = model.log_joint(x, mode + nodes @ factor.T)
        out.append(logsumexp(joint + logs) + np.log(np.abs(np.diagonal(factor))).sum())
    return np.array(out), np.full(len(out), np.nan), len(out)


def by_importance(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """Importance sampling with 5,000 draws from the Laplace approximation."""
    rng, d = np.random.default_rng(0), model.latent_dim
    value, error = [], []
    for x in few(X):
        clock.check()
        mode, factor = laplace(model, x)
        w = rng.normal(size=(5000, d))
        logs = model.log_joint(x, mode + w @ factor.T) + 0.5 * (w**2).sum(axis=-1)
        logs += 0.5 * d * np.log(2 * np.pi) + np.log(np.abs(np.diagonal(factor))).sum()
        weights = np.exp(logs - logs.max())
        value.append(logs.max() + np.log(weights.mean()))
        error.append(2 * weights.std() / weights.mean() / np.sqrt(5000))
    return np.array(value), np.array(error), len(value)


def by_vegas(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """Vegas over the prior's box, one datum."""
    import vegas

    d, x = model.latent_dim, X[0]
    top = float(model.log_joint(x, laplace(model, x)[0][None])[0])

    @vegas.batchintegrand
    def weight(z: np.ndarray) -> np.ndarray:
        clock.check()
        return np.exp(model.log_joint(x, z) - top)

    integrator = vegas.Integrator([[-BOX, BOX]] * d)
    integrator(weight, nitn=5, neval=20_000)
    result = integrator(weight, nitn=10, neval=20_000)
    return np.log([result.mean]) + top, np.array([2 * result.sdev / result.mean]), 1


def by_dynesty(model: LatentModel, X: np.ndarray, clock: Clock) -> Answer:
    """Nested sampling by dynesty, one datum."""
    import dynesty
    from scipy.stats import norm

    x = X[0]

    def log_likelihood(z: np.ndarray) -> float:
        clock.check()
        return float(model.log_likelihood(x, z[None])[0])

    sampler = dynesty.NestedSampler(
        log_likelihood, norm.ppf, model.latent_dim, rstate=np.random.default_rng(0)
    )
    sampler.run_nested(print_progress=False)
    result = sampler.results
    return np.array([result.logz[-1]]), np.array([2 * result.logzerr[-1]]), 1


ALTERNATIVES: dict[str, Callable[[LatentModel, np.ndarray, Clock], Answer]] = {
    "cubature": by_cubature,
    "nquad": by_nquad,
    "Gauss-Hermite": by_hermite,
    "importance": by_importance,
}
for _name, _route in (("vegas", by_vegas), ("dynesty", by_dynesty)):
    if importlib.util.find_spec(_name):
        ALTERNATIVES[_name] = _route


def bare_seconds(model: LatentModel, X: np.ndarray, pairs: int, decoded: int) -> float:
    """Time of the decoder for these latents, and of matrix product and exp for these pairs."""
    z = np.random.default_rng(0).normal(size=(2048, model.latent_dim))
    chunk = X[: min(len(X), 1000)]

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    f = model.decode(z)
    decode = best(lambda: model.decode(z)) / len(z)
    product = best(lambda: np.exp(-np.abs(chunk @ f.T))) / (len(z) * len(chunk))
    return decode * decoded + product * pairs


class Counting(decoders.Decoder):
    """A decoder that counts its latents."""

    def __init__(self, inner: decoders.Decoder) -> None:
        self.inner, self.count = inner, 0

    def __call__(self, z: np.ndarray) -> np.ndarray:
        self.count += z.size // z.shape[-1]
        return self.inner(z)

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        return self.inner.jacobian(z)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.inner.hessian(z)

    def weighted_hessian(self, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self.inner.weighted_hessian(z, weights)


def reference(case: Case, model: LatentModel, X: np.ndarray) -> tuple[np.ndarray, str]:
    """Log evidences of some data by a method other than the engine; NaN if there is none."""
    some = X[:50]
    if case.d == 1:
        return line_evidence(model.decode, some, case.scale), "brute force"
    if case.d == 2 and case.scale >= 0.1:
        return plane_evidence(model, some, case.scale), "brute force"
    result = log_evidence(model, some, method="trapezoid", rtol=1e-12, max_nodes=20_000_000)
    known = int(result.reached.sum())
    if not known:
        return log_evidence(model, some, rtol=1e-13).value, "engine at 1e-13, not independent"
    return np.where(result.reached, result.value, np.nan), f"trapezoid, {known} data"


Row = dict[str, str | float]


def run(case: Case, limit: float) -> list[Row]:
    """The results of every method on one case."""
    model, X = case.build()
    truth, source = reference(case, model, X)
    log_evidence(model, X[:1])
    times = []
    while len(times) < 3 or (sum(times) < 0.5 and len(times) < 20):
        start = time.process_time()
        ours = log_evidence(model, X, rtol=RTOL)
        times.append(time.process_time() - start)
    seconds = float(np.median(times))
    counting = Counting(model.decoder)
    pairs = log_evidence(LatentModel(counting, model.likelihood, case.d), X).nodes
    bare = bare_seconds(model, X, pairs, counting.count)
    known = np.isfinite(truth)
    off = float(np.abs(ours.value[: len(truth)] - truth)[known].max(initial=0.0))
    rows: list[Row] = [{
        "case": case.name, "route": "vaetheory", "seconds": seconds, "ratio": 1.0,
        "true error": off, "claimed": float(ours.error.max()),
        "verdict": "right" if ours.reached.all() else "not reached",
        "pairs a datum": pairs / len(X), "to bare": seconds / bare, "reference": source,
    }]  # fmt: skip
    for name, route in ALTERNATIVES.items():
        row: Row = {"case": case.name, "route": name}
        allowed = limit
        if name == "cubature":
            narrow = case.scale <= 0.1 and case.count >= 1000
            allowed = max(limit, (ENOUGH_NARROW if narrow else ENOUGH) * seconds)
        start = time.process_time()
        try:
            with np.errstate(all="ignore"):
                value, claimed, done = route(model, X, Clock(allowed))
        except OutOfTime:
            row |= {
                "seconds": allowed, "ratio": allowed / seconds, "verdict": f"over {allowed:.2g} s",
            }  # fmt: skip
            rows.append(row)
            continue
        taken = (time.process_time() - start) * len(X) / done
        k = min(len(value), len(truth))
        error = np.abs(value[:k] - truth[:k])
        wrong = ~(error <= 10 * RTOL) & known[:k]
        error = error[known[:k]]
        # Silently wrong: the error is much greater than the stated one, or none is stated.
        silent = wrong[known[:k]] & ~(error <= 3 * claimed[:k][known[:k]])
        verdict = "right" if not wrong.any() else "silently wrong" if silent.any() else "inaccurate"
        row |= {
            "seconds": taken, "ratio": taken / seconds, "true error": float(error.max(initial=0.0)),
            "claimed": float(np.max(claimed)), "verdict": verdict,
        }  # fmt: skip
        rows.append(row)
    return rows


COLUMNS = (
    "case", "route", "seconds", "ratio", "true error", "claimed", "verdict", "pairs a datum",
    "to bare", "reference",
)  # fmt: skip


def show(value: str | float | None) -> str:
    """A cell of the table."""
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.2g}" if value < 1000 else f"{value:.0f}"


def summary(rows: list[Row]) -> str:
    """A comparison of the engine with cubature and with faster methods that are right."""
    ratios = []
    for row in rows:
        if row["route"] == "cubature":
            answered = row["verdict"] == "right" or str(row["verdict"]).startswith("over")
            ratios.append(float(row["ratio"]) if answered else np.inf)
    faster = [
        f"{row['case']} by {row['route']} ({1 / float(row['ratio']):.1f} times)"
        for row in rows
        if row["verdict"] == "right" and float(row["ratio"]) < 1 / 1.2
    ]
    return (
        f"The median over {len(ratios)} cases of the time of cubature is {np.median(ratios):.2g} "
        "times that of the engine; a stopped run counts with the time until then, and a wrong "
        "result counts as infinite. Right and faster by more than a fifth: "
        f"{', '.join(faster) or 'none'}."
    )


#: The beginning of the page with the table, for readers who come from elsewhere.
HEADING = """# Evidences by several routes, measured

By `benchmarks/evidence.py`; `evidence.csv` has the same numbers. Cases are tanh networks d-32-D
with noise s and N data. `ratio` is the time over that of `log_evidence` ("vaetheory"), errors are
in nats, and `claimed` is the error that the method states.

**In short.** Each case has a row for each route, this package's first, with its verdict.
[What the verdicts mean, and what the table shows](evidence.md#cost). `pairs a datum` counts the
latents at which the log joint of a datum was evaluated, `to bare` is the time over that of these
evaluations alone, and `reference` says where the true value comes from.
"""


def write(rows: list[Row]) -> None:
    """Write table, data and figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(DOCS / "evidence.csv") as path:
        path.write_text(text.getvalue())
    shown = [c for c in COLUMNS if c != "seconds"]
    lines = [HEADING, "| " + " | ".join(shown) + " |"]
    lines += ["| " + " | ".join("---" for _ in shown) + " |"]
    lines += ["| " + " | ".join(show(row.get(c)) for c in shown) + " |" for row in rows]
    lines += ["", summary(rows)]
    with replacing(DOCS / "evidence-table.md") as path:
        path.write_text("\n".join(lines) + "\n")
    evidence_figure.draw(rows, DOCS / "evidence.png")


def main() -> int:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=20.0, help="most seconds of an alternative")
    parser.add_argument("--cases", type=int, nargs="*", help="positions in the list of cases")
    parser.add_argument("--dry", action="store_true", help="print only")
    options = parser.parse_args()
    rows: list[Row] = []
    for i in range(len(CASES)) if options.cases is None else options.cases:
        for row in run(CASES[i], options.limit):
            rows.append(row)
            print("  ".join(f"{show(row.get(c)):>14}" for c in COLUMNS), flush=True)
    if not options.dry:
        write(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

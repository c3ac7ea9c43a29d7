"""Truth, interval and cost of log evidences beyond quadrature, by several methods, in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/bounds.py [--data N] [--nested] [CASE ...]

The models are products of blocks of two latents behind a random rotation, whose evidence quadrature
knows; the data are drawn from them. The methods:

- `evidence_estimate`;
- importance weighting from the mean-field Gaussian with the greatest ELBO, with 5,000 draws and
  with as many calls of the decoder as `evidence_estimate` needed;
- annealed importance sampling from the prior with Hamiltonian moves (AIS), and bidirectional Monte
  Carlo (BDMC, Grosse et al., arXiv:1511.02543), whose upper bound comes from chains back from the
  latents of the data. Temperatures and moves are a pilot run's; the temperatures are then made
  finer until forward and reverse chains together cost as much as `evidence_estimate`;
- with `--nested`, nautilus and dynesty where they are installed, for the first datum of the models
  with 8 latents, or of all models that CASE names: minutes.

A call of the decoder counts as one, and its gradient as two more. CPU seconds are ratios to those
of `evidence_estimate`. A value misses if the truth is outside its own 99.9 % interval. That of BDMC
reaches from the lower end of the forward chains' interval to the upper end of that of the reverse
chains. With `--scheduler ADDRESS` our estimates run on a Dask cluster, and their CPU seconds are
not counted. After each method the script writes docs/bounds.csv, a line a datum, and from this file
docs/bounds-table.md and docs/bounds.png. Lines of models and methods that were not run are kept.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.special import logsumexp, ndtri

from vaetheory import LatentModel, _plotting, decoders, likelihoods
from vaetheory._files import replacing
from vaetheory._sampling import annealing
from vaetheory._sampling.target import GRADIENT, Target
from vaetheory.bounds import evidence_estimate, simulate
from vaetheory.bounds.bracket import ESTIMATED
from vaetheory.checking.block_products import BlockModel

DOCS = Path(__file__).parents[1] / "docs"
OURS = "evidence_estimate"
FEW, EQUAL = "weighting, 5,000 draws", "weighting, equal cost"
AIS, BDMC = "AIS", "BDMC, equal cost"
#: The methods in their order, and the words of `--methods`.
METHODS = (OURS, FEW, EQUAL, AIS, BDMC, "nautilus", "dynesty")
CHOICES = ("evidence_estimate", "weighting", "bdmc")
#: Colours of intervals with the truth and without.
GOOD, BAD = _plotting.UNBOUNDED, _plotting.BOUNDED
#: Chains of annealed importance sampling.
CHAINS = 32
#: Draws of importance weighting that are computed at once, and the 99.95 % quantile of a normal.
BLOCK, WIDE = 4096, 3.29


@dataclass(frozen=True)
class Case:
    """A model of blocks, and the number of its data."""

    blocks: int
    scale: float | None = None
    folds: int = 0
    learned: bool = False

    @property
    def name(self) -> str:
        """Short name."""
        words = "learned scales" if self.learned else "Bernoulli"
        words = f"sigma {self.scale:g}" if self.scale else words
        return f"d {2 * self.blocks}, {words}{f', {self.folds} folds' if self.folds else ''}"

    def build(self) -> BlockModel:
        """The model: networks of tanh, and folds, which give the same data at z and -z."""
        rng = np.random.default_rng(self.blocks)
        fold = decoders.Polynomial(
            [[2, 0], [0, 1], [0, 2]], [[1, 0, 0], [0, 1.0, 0.5], [0, 0, 0.2]]
        )
        blocks: list[decoders.Decoder] = [fold] * self.folds
        outputs = 6 if self.learned else 3
        for _ in range(self.blocks - self.folds):
            first, last = rng.normal(size=(6, 2)), rng.normal(size=(outputs, 6)) * 0.6
            last[3:] *= 0.3
            bias = np.where(np.arange(outputs) < 3, 0.0, np.log(0.15))
            blocks.append(decoders.TanhNetwork([first, last], [0.7 * rng.normal(size=6), bias]))
        family: likelihoods.Likelihood = likelihoods.Bernoulli()
        if self.learned:
            family = likelihoods.GaussianMeanScale(least_scale=0.01)
        elif self.scale:
            family = likelihoods.Gaussian(scale=self.scale)
        return BlockModel.of(blocks, family, seed=1)


CASES = (
    Case(4, 0.3),
    Case(4, 0.1),
    Case(4, 0.1, folds=2),
    Case(8, 0.1),
    Case(8, learned=True),
    Case(16, 0.3),
    Case(16, 0.1),
    Case(16),
)
#: Cases that are run only by their places, which go on from those of the others.
MORE = (Case(16, 0.1, folds=2),)
#: What the picture shows.
SHOWN = (CASES[0], CASES[3], CASES[6], CASES[7])


@dataclass(frozen=True)
class Row:
    """What one method found for the data of one case; costs are those of a datum.

    Where the method gave no value, it is NaN, `lower` is a bound that holds, and `upper` infinite.
    """

    case: str
    method: str
    calls: float
    seconds: float
    truth: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Which data have a value."""
        return np.isfinite(self.value)

    @property
    def off(self) -> np.ndarray:
        """Errors of the values that there are, in nats."""
        return np.abs(self.value - self.truth)[self.known]

    @property
    def missed(self) -> np.ndarray:
        """Which data have an interval without the truth."""
        return self.known & ~((self.lower <= self.truth) & (self.truth <= self.upper))

    def cells(self, ours: Row) -> list[str]:
        """The entries of the table."""
        some = bool(self.known.any())
        ratio, numbers = np.nan, ["", "", ""]
        if some:
            wide = 0.5 * (self.upper - self.lower)[self.known]
            found = (np.median(self.off), np.sqrt((self.off**2).mean()), np.median(wide))
            numbers = [f"{x:.2g}" for x in found]
        if some and ours.known.any():
            ratio = float(np.median(self.off) / np.median(ours.off))
        return [
            self.case,
            self.method,
            f"{self.calls:.2g}",
            f"{self.seconds / ours.seconds:.2g}",
            *numbers,
            f"{self.missed.sum()} of {self.known.sum()}",
            f"{(~self.known).sum()}",
            f"{ratio:.3g}" if np.isfinite(ratio) else "",
        ]


HEADINGS = (
    "model", "method", "calls a datum", "CPU ratio", "median error", "rms error",
    "half the interval", "misses", "no value", "median error ratio",
)  # fmt: skip
COLUMNS = ("model", "method", "datum", "truth", "value", "lower", "upper", "calls", "CPU seconds")


TITLE = """# Log evidences in many dimensions, measured

By `benchmarks/bounds.py`; `bounds.csv` has a line for each datum. Errors are in nats, and their
ratios are to those of `evidence_estimate`. Medians are over the data with a value.

**In short.** Each model has a row for each method, `evidence_estimate` first. A value *misses* if
the truth is outside its own 99.9 % interval.
[What the table shows](evidence-estimates.md#measured).

"""


#: The rows by model and method.
Rows = dict[tuple[str, str], Row]


def mean_field(target: Target, steps: int = 60, pairs: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale `(N, d)` of independent Gaussians: steps towards the greatest ELBO."""
    _, start, _ = annealing.pilot(target, 64)
    height = target.log_joint(start)
    mean = start[np.arange(len(start)), height.argmax(axis=1)]
    scale = np.full(mean.shape, 0.1)
    best, kept = np.full(len(mean), -np.inf), (mean, scale)
    for step in range(steps):
        half = ndtri(target.streams.sobol(f"mean field {step}", pairs, target.dim))
        e = np.concatenate([half, -half], axis=1)
        at = target.with_gradient(mean[:, None] + scale[:, None] * e)
        elbo = (at.value + 0.5 * (e**2).sum(axis=-1)).mean(axis=1) + np.log(scale).sum(axis=1)
        better = (elbo > best)[:, None]
        best = np.maximum(best, elbo)
        kept = (np.where(better, mean, kept[0]), np.where(better, scale, kept[1]))
        residual = -at.gradient * scale[:, None] - e
        curve = np.clip(1 + (e * residual).mean(axis=1), 0.5, 2.0)
        move = np.clip(-residual.mean(axis=1) / curve, -0.5, 0.5)
        mean, scale = mean + scale * move, scale / np.sqrt(curve)
    return kept


def weighted(target: Target, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Importance weighting from the best mean-field Gaussian, with its own interval."""
    mean, scale = mean_field(target)
    logs = []
    for i in range(0, draws, BLOCK):
        e = target.streams.normals(f"weighting {i}", min(BLOCK, draws - i), target.dim)
        inside = 0.5 * (e**2).sum(axis=-1) + np.log(scale).sum(axis=1)[:, None]
        inside += 0.5 * target.dim * np.log(2 * np.pi)
        logs.append(target.log_joint(mean[:, None] + scale[:, None] * e) + inside)
    return _mean_and_interval(np.concatenate(logs, axis=1))


def chain(
    target: Target, schedule: annealing.Schedule, finer: int, z: np.ndarray, *, forward: bool
) -> np.ndarray:
    """Log weights of chains from `z` `(N, chains, d)`, from the prior or from the posterior.

    The mean of exp(log weight) is the evidence for chains from the prior, and its reciprocal for
    chains back from exact samples of the posterior, which take the same moves in reverse order.
    Each interval of temperatures is cut into `finer` equal ones.
    """
    at = annealing._evaluated(target, z)
    logs = np.zeros(z.shape[:-1])
    steps = [(t, j) for t in range(len(schedule.frames)) for j in range(finer)]
    for t, j in steps if forward else steps[::-1]:
        low, high = schedule.temperatures[t : t + 2]
        on = np.flatnonzero(low < 1)
        rise = (high - low)[on, None] / finer
        heat = low[on] + (j + 1) * rise[:, 0]
        some, mine = at.of(on), target.take(on)
        if forward:
            logs[on] += rise * some.value
        some, _ = annealing._moved(
            mine, some, annealing.PRIOR, heat, schedule.frames[t][on], schedule.steps[t][on],
            f"chain {forward} {t} {j}",
        )  # fmt: skip
        if not forward:
            logs[on] -= rise * some.value
        at.put(on, some)
    return logs


def ladder(target: Target, calls: float) -> tuple[annealing.Schedule, int]:
    """A pilot's schedule, and how much finer it must be for two sets of chains to cost `calls`."""
    schedule, _, _ = annealing.pilot(target, 256)
    left = calls - target.count.calls / len(target)
    temperatures = (schedule.temperatures[:-1] < 1).sum(axis=0).mean()
    each = CHAINS * temperatures * annealing._LEAPS * (1 + GRADIENT)
    return schedule, max(1, round(left / (2 * each)))


def _mean_and_interval(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log of the mean weight, and half of the interval that the weights' spread suggests."""
    count = logs.shape[1]
    value = logsumexp(logs, axis=1) - np.log(count)
    ratio = np.exp(logs - value[:, None])
    return value, WIDE * ratio.std(axis=1) / np.sqrt(count)


def nested(model: LatentModel, x: np.ndarray, library: str) -> tuple[float, float, int]:
    """Nested sampling of one datum by another library: value, interval, calls."""

    def inside(z: np.ndarray) -> np.ndarray:
        return model.log_likelihood(x, np.atleast_2d(z))

    d = model.latent_dim
    if library == "nautilus":
        module = importlib.import_module("nautilus")
        sampler = module.Sampler(ndtri, inside, n_dim=d, vectorized=True, n_live=1000, seed=0)
        sampler.run(n_eff=10000)
        return sampler.log_z, WIDE / np.sqrt(sampler.n_eff), sampler.n_like
    module = importlib.import_module("dynesty")
    # Its default below ten dimensions, uniform draws from ellipsoids, warns that it is inefficient.
    sampler = module.NestedSampler(
        lambda z: float(inside(z)[0]),
        ndtri,
        d,
        nlive=500,
        sample="rwalk",
        rstate=np.random.default_rng(0),
    )
    sampler.run_nested(print_progress=False, dlogz=0.01)
    found = sampler.results
    return found.logz[-1], WIDE * found.logzerr[-1], int(np.sum(found.ncall))


@dataclass
class Bench:
    """The methods for one case, whose rows are written as they come."""

    case: Case
    count: int
    executor: Any
    rows: Rows

    def run(self, methods: Sequence[str], libraries: Sequence[str]) -> None:
        """Run the chosen methods, and nested sampling by the libraries for the first datum."""
        made = self.case.build()
        model = made.model
        X, z = simulate(model, self.count, seed=7)
        self.truth = made.log_evidence(X, rtol=1e-8).value
        if "evidence_estimate" in methods:
            with self.timed(OURS) as add:
                found = evidence_estimate(model, X, executor=self.executor)
                good = found.status == ESTIMATED
                value = np.where(good, found.value, np.nan)
                low = np.where(good, found.value - found.error, found.lower)
                add(found.evaluations, value, low, np.where(good, value + found.error, np.inf))
        cost = self.rows[self.case.name, OURS].calls
        if "weighting" in methods:
            for name, draws in ((FEW, 5000), (EQUAL, int(cost))):
                with self.timed(name) as add:
                    target = Target.of(model, X, seed=3)
                    value, error = weighted(target, draws)
                    add(target.count.calls, value, value - error, value + error)
        if "bdmc" in methods:
            with self.timed(AIS) as add:
                target = Target.of(model, X, seed=3)
                schedule, finer = ladder(target, cost)
                start = target.streams.normals("chains", CHAINS, target.dim)
                logs = chain(target, schedule, finer, start, forward=True)
                value, error = _mean_and_interval(logs)
                add(target.count.calls, value, value - error, value + error)
            with self.timed(BDMC, before=self.rows[self.case.name, AIS].seconds) as add:
                start = np.broadcast_to(z[:, None], start.shape).copy()
                logs = chain(target, schedule, finer, start, forward=False)
                above, wide = _mean_and_interval(logs)
                add(target.count.calls, 0.5 * (value - above), value - error, wide - above)
        for library in libraries:
            if importlib.util.find_spec(library):
                with self.timed(library, 1) as add:
                    one, off, calls = nested(model, X[0], library)
                    add(calls, np.array([one]), np.array([one - off]), np.array([one + off]))

    @contextmanager
    def timed(
        self, method: str, some: int = 0, before: float = 0.0
    ) -> Iterator[Callable[..., None]]:
        """Count CPU seconds until calls, values and intervals of `some` data are told.

        `before` are seconds a datum that were spent earlier.
        """
        some = some or self.count
        begun = time.process_time()

        def add(calls: int, value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
            seconds = before + (time.process_time() - begun) / some
            row = Row(
                self.case.name,
                method,
                calls / some,
                seconds,
                self.truth[:some],
                value,
                lower,
                upper,
            )
            self.rows[row.case, row.method] = row
            ours = self.rows.get((row.case, OURS), row)
            print(" | ".join(row.cells(ours)), flush=True)

        yield add
        write(self.rows)


def draw(rows: Rows, path: Path) -> None:
    """Every interval relative to the truth, a panel for each case and a band for each method."""
    names = [case.name for case in SHOWN if (case.name, OURS) in rows]
    figure, panels = plt.subplots(1, len(names), figsize=(9, 3.7), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        panel.axvline(0, color="0.3", lw=1)
        for place, method in enumerate(METHODS):
            row = rows.get((name, method))
            if row is None:
                continue
            _draw_intervals(panel, place, row)
        panel.set_xscale("symlog", linthresh=0.1, linscale=0.8)
        panel.set_xlim(-40, 300)
        panel.set_xticks([-10, -1, -0.1, 0, 0.1, 1, 10], ["−10", "−1", "", "0", "", "1", "10"])
        panel.tick_params(axis="x", which="major", labelsize=8)
        panel.tick_params(axis="x", which="minor", length=0)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        panel.set_title(name, fontsize=11)
    panels[0, 0].set_yticks(range(len(METHODS)), list(METHODS))
    panels[0, 0].set_ylim(len(METHODS) - 0.5, -0.6)
    figure.supxlabel("interval − truth, nats; in grey: decoder calls a datum", fontsize=10)
    figure.suptitle(
        "Each bar is one datum's interval: blue if it holds the truth (0), orange if not\n"
        "(grey arrow: no value, only a lower bound)",
        fontsize=11,
    )
    figure.tight_layout()
    with replacing(path) as draft:
        _plotting.save(figure, draft)
    plt.close(figure)


def _draw_intervals(panel: Axes, place: int, row: Row) -> None:
    """The intervals of one method below each other, and what it cost."""
    offsets = np.linspace(-0.28, 0.28, len(row.truth)) if len(row.truth) > 1 else np.zeros(1)
    low, high, at = (a - row.truth for a in (row.lower, row.upper, row.value))
    for good, colour in ((row.known & ~row.missed, GOOD), (row.missed, BAD)):
        height = place + offsets[good]
        panel.hlines(height, low[good], high[good], color=colour, lw=2)
        panel.plot(at[good], height, ".", color=colour, ms=4)
    none = ~row.known
    panel.plot(low[none], place + offsets[none], ">", color="0.55", ms=4)
    panel.annotate(
        f"{row.calls:,.0f}"[:-4] + "k", (0.99, place), xycoords=("axes fraction", "data"),
        ha="right", va="center", fontsize=8, color="0.35",
    )  # fmt: skip


def client(address: str | None) -> AbstractContextManager[Any]:
    """A client of a running Dask cluster, or nothing."""
    if address is None:
        return nullcontext()
    return importlib.import_module("distributed").Client(address, set_as_default=False)


def main() -> None:
    """Run the cases that the command line names by their places, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", type=int, help="places of cases, from 0 (all but 8)")
    parser.add_argument("--data", type=int, default=4, help="data of each case (4)")
    parser.add_argument(
        "--methods", default=",".join(CHOICES),
        help="which, separated by commas; what is stored of the others is kept (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--nested", nargs="?", const="nautilus,dynesty", default="",
        help="nested sampling by other libraries (nautilus,dynesty)",
    )  # fmt: skip
    parser.add_argument("--scheduler", help="address of the scheduler of a Dask cluster")
    options = parser.parse_args()
    libraries = [name for name in options.nested.split(",") if name]
    rows = read()
    with client(options.scheduler) as executor:
        for case in [(*CASES, *MORE)[i] for i in options.cases] or CASES:
            few = case.blocks == 4 and not case.folds
            bench = Bench(case, options.data, executor, rows)
            bench.run(options.methods.split(","), libraries if options.cases or few else ())


def read() -> Rows:
    """What docs/bounds.csv has."""
    rows: Rows = {}
    if not (DOCS / "bounds.csv").exists():
        return rows
    with (DOCS / "bounds.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for case, method in dict.fromkeys((line["model"], line["method"]) for line in lines):
        own = [line for line in lines if (line["model"], line["method"]) == (case, method)]
        arrays = [np.array([float(x[name]) for x in own]) for name in COLUMNS[3:7]]
        calls, seconds = (float(own[0][name]) for name in COLUMNS[7:])
        rows[case, method] = Row(case, method, calls, seconds, *arrays)
    return rows


def _ordered(rows: Rows) -> list[Row]:
    places = ((case.name, method) for case in (*CASES, *MORE) for method in METHODS)
    return [rows[place] for place in places if place in rows]


def write(rows: Rows) -> None:
    """Write the lines, and from them the table and the picture."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _ordered(rows):
        arrays = (row.truth, row.value, row.lower, row.upper)
        for number, values in enumerate(zip(*arrays, strict=True)):
            shown = [f"{x:.7g}" for x in (*values, row.calls, row.seconds)]
            writer.writerow([row.case, row.method, number, *shown])
    with replacing(DOCS / "bounds.csv") as draft:
        draft.write_text(stream.getvalue(), encoding="utf-8")
    rows = read()
    known = [row for row in _ordered(rows) if (row.case, OURS) in rows]
    cells = [row.cells(rows[row.case, OURS]) for row in known]
    lines = [" | ".join(line) for line in (HEADINGS, ["---"] * len(HEADINGS), *cells)]
    with replacing(DOCS / "bounds-table.md") as draft:
        draft.write_text(TITLE + "".join(f"| {line} |\n" for line in lines), encoding="utf-8")
    with _plotting.style():
        draw(rows, DOCS / "bounds.png")


if __name__ == "__main__":
    main()

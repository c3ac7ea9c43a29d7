"""Error, stated error and cost of log evidences beyond quadrature, by several methods, in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/bounds.py [--data N] [--nested] [CASE ...]

The models are products of blocks of two latents behind a random rotation, whose evidence quadrature
knows; the data are drawn from them. The methods are `evidence_estimate`; importance weighting from
the mean-field Gaussian with the greatest ELBO, with 5,000 draws and with as many calls of the
decoder as `evidence_estimate` needed; annealed importance sampling from the prior, with 16 chains
and the schedule of a pilot run. With `--nested`, nautilus and dynesty where they are installed, for
one datum of the models with 8 latents, which takes minutes. A call of the decoder counts as one,
and its gradient as two more. CPU seconds are ratios to those of `evidence_estimate`. A value misses
if the truth is outside its own 99.9 % interval. With `--scheduler ADDRESS` our estimates run on a
Dask cluster, and their CPU seconds are not counted. After each case the script writes
docs/bounds.csv, docs/bounds-table.md and docs/bounds.png.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter
from scipy.special import logsumexp, ndtri

from vaetheory import LatentModel, _plotting, decoders, likelihoods
from vaetheory._files import replacing
from vaetheory._sampling import annealing
from vaetheory._sampling.target import Target
from vaetheory.bounds import evidence_estimate, simulate
from vaetheory.bounds.bracket import ESTIMATED
from vaetheory.checking.block_products import BlockModel

DOCS = Path(__file__).parents[1] / "docs"
OURS = "evidence_estimate"
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


@dataclass(frozen=True)
class Row:
    """What one method found for the data of one case."""

    case: str
    method: str
    calls: float
    seconds: float
    truth: np.ndarray
    value: np.ndarray
    error: np.ndarray

    @property
    def off(self) -> np.ndarray:
        """Errors in nats."""
        return np.abs(self.value - self.truth)

    def cells(self, ours: Row) -> list[str]:
        """The entries of the table."""
        known = np.isfinite(self.value)
        off = self.off[known]
        numbers = [np.median(off), np.sqrt((off**2).mean()), np.median(self.error[known])]
        return [
            self.case,
            self.method,
            f"{self.calls:.2g}",
            f"{self.seconds / ours.seconds:.2g}",
            *(f"{x:.2g}" for x in numbers),
            f"{int((off > self.error[known]).sum())} of {known.sum()}",
            f"{int((~known).sum())}",
            f"{np.median(off) / np.median(ours.off[np.isfinite(ours.value)]):.3g}",
        ]


HEADINGS = (
    "model", "method", "calls a datum", "CPU ratio", "median error", "rms error", "stated error",
    "misses", "no value", "median error ratio",
)  # fmt: skip


TITLE = """# Log evidences in many dimensions, measured

By `benchmarks/bounds.py`. Errors are in nats, and their ratios are to ours.

"""


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


def annealed(target: Target, chains: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Annealed importance sampling from the prior, with a pilot's schedule."""
    schedule, _, _ = annealing.pilot(target, 256)
    n = len(target)
    rows = np.repeat(np.arange(n), chains)
    some = target.take(rows)
    streams = type(target.streams)(target.streams.seed + 1, np.arange(n * chains))
    some = Target(**{**vars(some), "streams": streams})
    wide = annealing.Schedule(
        schedule.temperatures[:, rows], schedule.frames[:, rows], schedule.steps[:, rows]
    )
    logs, _ = annealing.frozen(some, wide, 1, resample=0.0)
    return _mean_and_interval(logs.reshape(n, chains))


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
    sampler = module.NestedSampler(
        lambda z: float(inside(z)[0]), ndtri, d, nlive=500, rstate=np.random.default_rng(0)
    )
    sampler.run_nested(print_progress=False, dlogz=0.01)
    found = sampler.results
    return found.logz[-1], WIDE * found.logzerr[-1], int(np.sum(found.ncall))


def measure(case: Case, count: int, executor: Any, libraries: Sequence[str]) -> list[Row]:
    """All methods for one case."""
    made = case.build()
    X, _ = simulate(made.model, count, seed=7)
    truth = made.log_evidence(X, rtol=1e-8).value
    rows: list[Row] = []

    def add(
        method: str, run: Callable[[], tuple[np.ndarray, np.ndarray, float]], some: int
    ) -> None:
        begun = time.process_time()
        value, error, calls = run()
        seconds = (time.process_time() - begun) / some
        rows.append(Row(case.name, method, calls / some, seconds, truth[:some], value, error))
        print(" | ".join(rows[-1].cells(rows[0])), flush=True)

    def ours() -> tuple[np.ndarray, np.ndarray, float]:
        found = evidence_estimate(made.model, X, executor=executor)
        good = found.status == ESTIMATED
        return np.where(good, found.value, np.nan), found.error, found.evaluations

    def by(function: Callable[..., tuple[np.ndarray, np.ndarray]], *options: int) -> Any:
        def run() -> tuple[np.ndarray, np.ndarray, float]:
            target = Target.of(made.model, X, seed=3)
            value, error = function(target, *options)
            return value, error, target.count.calls

        return run

    add(OURS, ours, count)
    add("mean field, 5,000 draws", by(weighted, 5000), count)
    add("mean field, equal cost", by(weighted, int(rows[0].calls)), count)
    add("AIS from the prior", by(annealed), count)
    for library in libraries:
        if case.blocks == 4 and not case.folds and importlib.util.find_spec(library):

            def run(name: str = library) -> tuple[np.ndarray, np.ndarray, float]:
                value, error, calls = nested(made.model, X[0], name)
                return np.array([value]), np.array([error]), calls

            add(library, run, 1)
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """The truth, the intervals and the cost: a panel for each case."""
    names = list(dict.fromkeys(row.case for row in rows))
    figure, panels = plt.subplots(2, (len(names) + 1) // 2, figsize=(13, 6.4), squeeze=False)
    for panel, name in zip(panels.ravel(), names, strict=False):
        for row in (r for r in rows if r.case == name):
            known = np.isfinite(row.value)
            off = np.maximum(row.off[known], 1e-5)
            at = row.calls * 1.12 ** (np.arange(known.sum()) - 0.5 * known.sum())
            missed = off > row.error[known]
            (line,) = panel.plot(at, off, "o", ms=4, alpha=0.7, label=row.method)
            panel.plot(at[missed], off[missed], "x", color="k", ms=7)
            panel.hlines(np.median(row.error[known]), at.min(), at.max(), color=line.get_color())
        panel.set(xscale="log", yscale="log", title=name)
        panel.xaxis.set_minor_formatter(NullFormatter())
    panels[0, 0].set_ylabel("distance from the truth, nats")
    panels[1, 0].set_ylabel("distance from the truth, nats")
    for panel in panels[1]:
        panel.set_xlabel("calls of the decoder a datum")
    handles = {
        label: handle
        for panel in panels.ravel()
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    for panel in panels.ravel()[len(names) :]:
        panel.axis("off")
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=len(handles))
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    with replacing(path) as draft:
        _plotting.save(figure, draft)
    plt.close(figure)


def client(address: str | None) -> AbstractContextManager[Any]:
    """A client of a running Dask cluster, or nothing."""
    if address is None:
        return nullcontext()
    return importlib.import_module("distributed").Client(address, set_as_default=False)


def main() -> None:
    """Run the cases that the command line names by their places, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", type=int, help="places of cases, from 0 (all)")
    parser.add_argument("--data", type=int, default=16, help="data of each case (16)")
    parser.add_argument("--nested", action="store_true", help="nested sampling by other libraries")
    parser.add_argument("--scheduler", help="address of the scheduler of a Dask cluster")
    options = parser.parse_args()
    rows: list[Row] = []
    libraries = ("nautilus", "dynesty") if options.nested else ()
    with client(options.scheduler) as executor:
        for case in [CASES[i] for i in options.cases] or CASES:
            rows += measure(case, options.data, executor, libraries)
            write(rows)


def write(rows: list[Row]) -> None:
    """Write the table and the picture."""
    first = {row.case: row for row in rows if row.method == OURS}
    cells = [row.cells(first[row.case]) for row in rows]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([HEADINGS, *cells])
    lines = [" | ".join(line) for line in (HEADINGS, ["---"] * len(HEADINGS), *cells)]
    for name, text in (
        ("bounds.csv", stream.getvalue()),
        ("bounds-table.md", TITLE + "".join(f"| {line} |\n" for line in lines)),
    ):
        with replacing(DOCS / name) as draft:
            draft.write_text(text, encoding="utf-8")
    with _plotting.style():
        draw(rows, DOCS / "bounds.png")


if __name__ == "__main__":
    main()

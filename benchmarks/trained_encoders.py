"""Where the encoders of trained VAEs lose, how noisy their gradients are, and what has converged.

    OPENBLAS_NUM_THREADS=1 python benchmarks/trained_encoders.py --jobs 2
    python benchmarks/trained_encoders.py --quick --out FOLDER     (a minute; other numbers)

Trains VAEs of claim 11 on the digits again, with the same result, and measures each on its first
held-out digits: the parts of the gap between log evidence and ELBO (`gap_split`), the signal to
noise ratio of the gradient in the encoder's means (`gradient_noise`, `sampled_gradient_noise`), and
on the training digits the remainders of the entropy sum (`entropy_sum`). Writes
`trained-encoders.csv`, with a line for each model, and `trained-encoders-table.md`.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vaetheory import LatentModel, Posterior
from vaetheory._files import replacing
from vaetheory.bounds import (
    GapSplit,
    entropy_sum,
    evidence_estimate,
    gap_split,
    gradient_noise,
    sampled_gradient_noise,
)
from vaetheory.cli._jobs import processes
from vaetheory.training import (
    OBJECTIVES,
    SOURCES,
    Density,
    Settings,
    confidence_interval,
    density_of,
    split_data,
    train,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
#: Names of the models, their objectives and presumed informations.
MODELS = {
    "ordinary": ("ordinary", 0.0),
    "one sigma": ("one-sigma", 0.0),
    "optimal sigma": ("optimal-sigma", 0.0),
    "half-network, h = 1.5": ("half", 1.5),
}
#: Samples of the bound of several, and evaluations of a gradient that is sampled.
SAMPLES, EVALUATIONS = 16, 1000
#: Latents up to which gradients are not sampled.
EXACT = 2
#: Draws from the posterior of each training digit for the remainders.
_DRAWS = 16
PARTS = ("gap", "approximation", "diagonal", "amortisation")
RATIOS = ("total, K = 1", "path, K = 1", f"total, K = {SAMPLES}", f"DReG, K = {SAMPLES}")
REMAINDERS = ("scale remainder", "latents' remainder")
FIELDS = (
    "model", "latents", "seed", "digits", *PARTS, "stated error", *RATIOS, "path quieter",
    *REMAINDERS, "CPU seconds",
)  # fmt: skip
TITLE = """# Encoders of trained VAEs

By `benchmarks/trained_encoders.py`; `trained-encoders.csv` has a line for each model. Means over
the seeds with Student's 95 % intervals.

Nats a held-out digit. *Stated error* is the greatest one of a part of a digit.

"""
NOISE = f"""
Signal to noise of the gradient in the encoder's means, the median of the held-out digits; K =
{SAMPLES} is the bound of so many samples. *Path quieter* counts the digits whose path gradient has
the smaller variance at K = 1.

"""
CONVERGED = """
Remainders of the entropy sum on the training digits, in nats: of the scale of the likelihood, and
of the scales of all latents.

"""


Asked = TypeVar("Asked")


def encoded(density: Density, X: np.ndarray) -> Posterior:
    """Posteriors of the density's `latent_model`, whose latent is z over the prior's scale."""
    loc, scale = density.encode(X)
    return Posterior(loc / density.prior_scale, scale=scale / density.prior_scale)


def greatest_error(split: GapSplit) -> float:
    """The greatest error of a part of a digit."""
    errors = (split.approximation_error, split.diagonal_error, split.amortisation_error)
    return float(np.max(errors))


def finished(
    tasks: Sequence[Asked], function: Callable[[Asked], dict[str, Any]], jobs: int
) -> Iterator[tuple[Asked, dict[str, Any]]]:
    """Tasks with what the function returns, as they are finished by so many processes."""
    with processes(jobs) as executor:
        if executor is None:
            yield from ((task, function(task)) for task in tasks)
            return
        futures = {executor.submit(function, task): task for task in tasks}
        yield from ((futures[f], f.result()) for f in as_completed(futures))


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


@dataclass(frozen=True)
class Task:
    """One model, and what is measured of it."""

    model: str
    latents: int
    seed: int
    digits: int
    quick: bool


def ratios(model: LatentModel, X: np.ndarray, q: Posterior, evaluations: int) -> dict[str, Any]:
    """Signal to noise ratios of the gradient in the means of q, and how often path is quieter."""
    d = model.latent_dim
    counts = [1, SAMPLES]
    if d <= EXACT:
        found: Any = gradient_noise(model, X, q, counts, rtol=1e-3)
    else:
        found = sampled_gradient_noise(model, X, q, counts, draws=evaluations)
    signal, noise = {}, {}
    for name, one in found.items():
        # Arrays (N, counts, 2 d): the means first. A squared estimate contains its own noise.
        own = 0.0 if d <= EXACT else one.variance[..., :d].sum(axis=-1) / evaluations
        noise[name] = one.variance[..., :d].sum(axis=-1)
        square = np.maximum((one.mean[..., :d] ** 2).sum(axis=-1) - own, 0.0)
        signal[name] = np.sqrt(square / noise[name])
    first, last = 0, 1
    values = (
        signal["total"][:, first], signal["path"][:, first],
        signal["total"][:, last], signal["dreg"][:, last],
    )  # fmt: skip
    told: dict[str, Any] = {
        name: float(np.median(v)) for name, v in zip(RATIOS, values, strict=True)
    }
    told["path quieter"] = int((noise["path"][:, first] < noise["total"][:, first]).sum())
    return told


def measured(task: Task) -> dict[str, Any]:
    """Train a VAE and measure its encoder."""
    begun = time.process_time()
    key, information = MODELS[task.model]
    data = split_data(SOURCES["digits"](), task.seed)
    smaller: dict[str, Any] = {"hidden": (16,), "epochs": 20} if task.quick else {}
    settings = Settings(latent_dim=task.latents, **smaller)
    vae = settings.model(OBJECTIVES[key], data.train, information)
    run = train(vae, data, settings, seed=task.seed)
    density = density_of(vae, run.best, data.train, seed=task.seed, draws=8)
    model = density.latent_model()
    X = data.test[: task.digits]
    q = encoded(density, X)
    known = None if task.latents <= EXACT else evidence_estimate(model, X, seed=task.seed)
    split = gap_split(model, X, q, evidence=known, structure="diagonal")
    evaluations = 200 if task.quick else EVALUATIONS
    remains = entropy_sum(
        model, data.train, encoded(density, data.train), draws=_DRAWS,
        rng=np.random.default_rng([task.seed, 23]), learned_scale=key != "ordinary",
    )  # fmt: skip
    return {
        "model": task.model, "latents": task.latents, "seed": task.seed, "digits": len(X),
        **{name: float(getattr(split, name).mean()) for name in PARTS},
        "stated error": greatest_error(split),
        **ratios(model, X, q, evaluations),
        **dict(zip(REMAINDERS, (remains.remainder, float(remains.latent_remainders.sum())),
                   strict=True)),
        "CPU seconds": time.process_time() - begun,
    }  # fmt: skip


def interval(values: Sequence[float], digits: int = 2) -> str:
    found = confidence_interval(values)
    if not np.isfinite(found.high):
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ± {found.high - found.mean:.{digits}f}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The page, with one line for each model and number of latents."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["latents"], row["model"]), []).append(row)
    losses, noises, remains = [], [], []
    for (latents, model), own in groups.items():
        start = [model, str(latents), f"{len(own)} x {own[0]['digits']}"]
        error = max(r["stated error"] for r in own)
        losses.append([*start, *(interval([r[p] for r in own]) for p in PARTS), f"{error:.2g}"])
        quieter = f"{sum(r['path quieter'] for r in own)} of {sum(r['digits'] for r in own)}"
        noises.append([*start, *(interval([r[p] for r in own]) for p in RATIOS), quieter])
        remains.append(
            [model, str(latents), *(interval([r[p] for r in own], 3) for p in REMAINDERS)]
        )
    parts = (
        (TITLE, ("model", "latents", "seeds x digits", *PARTS, "stated error"), losses),
        (NOISE, ("model", "latents", "seeds x digits", *RATIOS, "path quieter"), noises),
        (CONVERGED, ("model", "latents", *REMAINDERS), remains),
    )
    page = ""
    for words, head, lines in parts:
        page += words + markdown(head, lines)
    return page


def lines_of(rows: Sequence[dict[str, Any]]) -> str:
    """The lines of the CSV file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in rows:
        values = list(row.values())
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
    return stream.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the two files")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs=2, default=(5, 3), metavar="N",
                        help="seeds with two latents, and with eight")  # fmt: skip
    parser.add_argument("--digits", type=int, nargs=2, default=(16, 2), metavar="N",
                        help="held-out digits of each, likewise")  # fmt: skip
    parser.add_argument("--latents", type=int, nargs="+", default=(2, 8), choices=(2, 8))
    parser.add_argument("--quick", action="store_true", help="one seed, two latents, small nets")
    options = parser.parse_args(arguments)
    if options.quick and options.out == DOCS:
        parser.error("--quick gives other numbers: name a folder by --out")
    latents = (2,) if options.quick else options.latents
    seeds = {2: 1 if options.quick else options.seeds[0], 8: options.seeds[1]}
    numbers = {2: 3 if options.quick else options.digits[0], 8: options.digits[1]}
    tasks = [
        Task(model, d, seed, numbers[d], options.quick)
        for d in latents for model in MODELS for seed in range(seeds[d])
    ]  # fmt: skip
    found: dict[Task, dict[str, Any]] = {}
    for task, row in finished(tasks, measured, options.jobs):
        found[task] = row
        print(
            f"{len(found)}/{len(tasks)}: {task.model}, d = {task.latents}, seed {task.seed}: "
            f"gap {row['gap']:.2f}, {row['CPU seconds']:.0f} CPU s", flush=True,
        )  # fmt: skip
    rows = [found[task] for task in tasks]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("trained-encoders.csv", lines_of(rows)),
        ("trained-encoders-table.md", table(rows)),
    ):
        with replacing(options.out / name) as draft:
            draft.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

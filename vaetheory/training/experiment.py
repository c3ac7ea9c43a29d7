"""The experiment of claim 11: all objectives, seeds and scales, on any executor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaetheory._documents import read_json, sealed, unsealed
from vaetheory._environment import environment
from vaetheory._files import write_json
from vaetheory._progress import Progress, report
from vaetheory._validation import (
    LARGEST_DIMENSION,
    Array,
    boolean,
    integer,
    option,
    positive,
    require,
    sequence,
)
from vaetheory._value_equality import ByValue
from vaetheory.rounding import gamma
from vaetheory.training.data import Source, Split, split_data
from vaetheory.training.measures import (
    EXACT_DIM,
    UNRESOLVED,
    Measures,
    exact_evidence,
    sampled_measures,
)
from vaetheory.training.objectives import OBJECTIVES
from vaetheory.training.runs import Run, Settings, density_of, train

#: Draws over the training posteriors when the density is fixed, and of the sweep's ELBOs.
_FIXING, _SWEEP = 8, 100
_CONTRADICTION = float(np.log(1e9))


@dataclass(frozen=True, eq=False)
class Experiment(ByValue):
    """What is trained and how it is measured.

    Attributes
    ----------
    source : Source
        The data.
    settings : Settings
        The same for all objectives.
    seeds : int
        Number of seeds, each with its own split, initial parameters, batches and draws.
    objectives : tuple of str
        Keys of `OBJECTIVES`.
    informations : tuple of float
        Values of BAGGINS' h, of which each seed takes the one of the greatest validation ELBO.
    scales : tuple of float
        Factors that the data are multiplied by.
    draws : int
        K of the importance-weighted bound.
    exact : bool
        Whether the exact log evidence is computed where the latent has two dimensions.
    first_seed : int
    """

    source: Source
    settings: Settings = field(default_factory=Settings)
    seeds: int = 10
    objectives: tuple[str, ...] = tuple(OBJECTIVES)
    informations: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 3.0, 6.0)
    scales: tuple[float, ...] = (1.0,)
    draws: int = 5000
    exact: bool = True
    first_seed: int = 0

    def __post_init__(self) -> None:
        require("source", self.source, Source)
        require("settings", self.settings, Settings)
        boolean("exact", self.exact)
        integer("seeds", self.seeds, low=1, high=LARGEST_DIMENSION)
        integer("first_seed", self.first_seed)
        integer("draws", self.draws, low=2, high=LARGEST_DIMENSION)
        for name in ("objectives", "informations", "scales"):
            object.__setattr__(self, name, tuple(sequence(name, getattr(self, name))))
        for name in self.objectives:
            option("objectives", name, OBJECTIVES)
        for name in ("objectives", "informations", "scales"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one, got none")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives: expected each once, got {self.objectives}")
        for name in ("informations", "scales"):
            values = getattr(self, name)
            positive(name, values, max_ndim=1)
            # Files are named by them.
            if len({f"{value:g}" for value in values}) < len(values):
                raise ValueError(
                    f"{name}: expected numbers that differ in six digits, got {values}"
                )

    def tasks(self) -> list[Task]:
        """The independent pieces of work, seed by seed."""
        return [
            Task(self, name, seed, scale)
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for scale in self.scales
            for name in self.objectives
        ]

    def described(self) -> dict[str, Any]:
        """The settings as plain values."""
        plain = asdict(self)
        X = self.source.X
        digest = hashlib.sha256(np.ascontiguousarray(X).tobytes()).hexdigest()
        plain["source"] = {
            "sha256": digest,
            "name": self.source.name,
            "shape": list(X.shape),
            "step": self.source.step,
        }
        return json.loads(json.dumps(plain))


@dataclass(frozen=True, eq=False)
class Task(ByValue):
    """One objective with one seed at one scale; BAGGINS with all its values of h."""

    experiment: Experiment
    objective: str
    seed: int
    scale: float

    def __post_init__(self) -> None:
        require("experiment", self.experiment, Experiment)
        option("objective", self.objective, OBJECTIVES)
        integer("seed", self.seed)
        positive("scale", self.scale)

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.objective}-seed{self.seed}-scale{self.scale:g}"


def run_task(task: Task, folder: str | None = None) -> dict[str, Any]:
    """Train and measure one task; pure but for checkpoints in `folder`.

    Returns
    -------
    dict
        Plain values. Log densities are in nats and in the units of the unscaled data: D log of
        the scale is added.
    """
    require("task", task, Task)
    experiment, settings = task.experiment, task.experiment.settings
    data = split_data(experiment.source, task.seed).times(task.scale)
    objective = OBJECTIVES[task.objective]
    swept = objective.likelihood == "baggins"
    shift = data.train.shape[1] * np.log(task.scale)
    test_rng = np.random.default_rng([task.seed, 400])
    noise = test_rng.standard_normal((_SWEEP, len(data.test), settings.latent_dim))
    found: tuple[Run, Any] | None = None
    sweep: list[dict[str, Any]] = []
    values = experiment.informations if swept else (0.0,)
    for k, h in enumerate(values):
        vae = settings.model(objective, data.train, h)
        checkpoint = None
        if folder is not None:
            checkpoint = Path(folder) / f"{task.name}--h{h:g}.ckpt"

        def tell(done: float, k: int = k) -> None:
            report((k + done) / (len(values) + 1))

        run = train(vae, data, settings, seed=task.seed, checkpoint=checkpoint, progress=tell)
        density = density_of(vae, run.best, data.train, seed=task.seed, draws=_FIXING)
        entry: dict[str, Any] = {
            "information": h if swept else None,
            "validation": run.best_validation + shift,
            "test": float(density.elbo(data.test, noise).mean()) + shift,
            "epochs": run.epoch,
            "best_epoch": run.best_epoch,
            "ended": run.ended,
        }
        sweep.append(entry)
        if found is None or run.best_validation > found[0].best_validation:
            found = run, density
            chosen = entry
    assert found is not None
    out = {"objective": task.objective, "seed": task.seed, "scale": task.scale, **chosen}
    del out["test"]
    try:
        measured = _measured(found[1], data, experiment, test_rng)
    except FloatingPointError as error:
        raise ValueError(f"{task.name}: expected test data like the others, got {error}") from None
    out["measures"] = _summary(measured, shift)
    out["sweep"] = sweep if swept else []
    out["sizes"] = [len(data.train), len(data.validation), len(data.test)]
    out["outputs"] = list(
        objective.outputs(latent_dim=settings.latent_dim, data_dim=data.train.shape[1])
    )
    return out


def _measured(
    density: Any, data: Split, experiment: Experiment, rng: np.random.Generator
) -> Measures:
    found = sampled_measures(density, data.test, draws=experiment.draws, rng=rng)
    if not experiment.exact or density.vae.latent_dim != EXACT_DIM:
        return found
    evidence, error, apart = exact_evidence(density, data.test)
    # What the draws contradict, but for a chance of 1e-9 (Markov), is no evidence.
    error = np.where(found.importance > evidence + _CONTRADICTION, np.inf, error)
    return replace(found, evidence=evidence, evidence_error=error, apart=apart)


def _summary(found: Measures, shift: float) -> dict[str, Any]:
    """Means over the test data, with the error of the computation and of the choice of data."""
    count = len(found.elbo)

    def of(values: Array, error: Array | None = None, add: float = 0.0) -> dict[str, float]:
        out = {"mean": float(values.mean()) + add}
        out["standard_error"] = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
        if error is not None:
            out["sampling_error"] = float(np.sqrt((error**2).sum()) / count)
        return out

    summary: dict[str, Any] = {
        "elbo": of(found.elbo, found.elbo_error, shift),
        "importance": of(found.importance, found.importance_error, shift),
        "rate": of(found.rate),
        "distortion": of(found.distortion, found.elbo_error, -shift),
        "median_effective_draws": float(np.median(found.effective)),
    }
    # The bound is of the same draws; the divergence in closed form and rounding let it fall short.
    short = found.elbo_error + found.importance_error + gamma(20) * np.abs(found.elbo)
    tiny = float(np.finfo(float).tiny)
    excess = float(((found.elbo - found.importance) / np.maximum(short, tiny)).max())
    summary["elbo_above_importance_in_errors"] = excess
    if found.evidence is not None and found.evidence_error is not None:
        open_ones = np.flatnonzero(found.evidence_error > UNRESOLVED)
        summary["unresolved"] = open_ones.size
        if open_ones.size:
            # By their place among the test data.
            summary["unresolved_data"] = open_ones.tolist()
            # A mean over the others would be one of other data.
            return summary
        summary["evidence"] = of(found.evidence, None, shift)
        summary["evidence"] |= {"error": float(found.evidence_error.max()), "apart": found.apart}
        summary["order"] = {
            # By Markov's inequality exp(importance - evidence) exceeds 1 / p with probability p.
            "importance_above_evidence": float((found.importance - found.evidence).max()),
            "elbo_above_evidence_in_errors": float(
                ((found.elbo - found.evidence) / (found.elbo_error + found.evidence_error)).max()
            ),
            "largest_gap_of_importance": float((found.evidence - found.importance).max()),
            "mean_gap_of_elbo": float((found.evidence - found.elbo).mean()),
        }
    return summary


def run(
    experiment: Experiment,
    *,
    folder: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Run an experiment, yielding the result of each task, in order.

    Parameters
    ----------
    experiment : Experiment
    folder : Path, optional
        For results and checkpoints, made if it is not there. An interrupted run that is started
        again with the same folder keeps the tasks that are done and goes on with the others from
        their checkpoints: its numbers are those of an unbroken run.
    executor : concurrent.futures.Executor, optional
        Where the tasks run; anything with its `submit` will do. By default, here. With `folder`
        its workers must see that folder.
    progress : callable, optional
        Called with the fraction of the tasks that is done.

    Yields
    ------
    dict
        Of `run_task`.

    Raises
    ------
    ValueError
        If the folder holds another experiment, or something in it is damaged.

    Examples
    --------
    >>> X = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)
    >>> few = Settings(latent_dim=1, hidden=(4,), batch=10, epochs=2, every=4)
    >>> experiment = Experiment(Source("parabola", X), few, seeds=1, draws=10)
    >>> [result["objective"] for result in run(experiment)][-1]
    'half'
    """
    tasks = require("experiment", experiment, Experiment).tasks()
    known: dict[str, dict[str, Any]] = {}
    if folder is not None:
        known = _prepare(experiment, tasks, folder)
    left = [t for t in tasks if t.name not in known]
    room = None if folder is None else str(folder / "checkpoints")
    futures = {}
    if executor is not None:
        futures = {t.name: executor.submit(run_task, t, room) for t in left}
    try:
        for number, task in enumerate(tasks):
            if task.name in known:
                result = known[task.name]
            else:
                future = futures.get(task.name)
                result = run_task(task, room) if future is None else future.result()
                if folder is not None:
                    write_json(folder / "tasks" / f"{task.name}.json", sealed(result))
                    _forget(task, folder)
            report((number + 1) / len(tasks), progress)
            yield result
    finally:
        for future in futures.values():
            future.cancel()


def _prepare(
    experiment: Experiment, tasks: Sequence[Task], folder: Path
) -> dict[str, dict[str, Any]]:
    """Make the folder or find in it what is done."""
    for name in ("tasks", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    document = {"experiment": experiment.described(), "environment": environment()}
    settings = folder / "experiment.json"
    if settings.exists():
        came = _read(settings)
        for key, value in document.items():
            if came.get(key) != value:
                raise ValueError(
                    f"{settings}: expected the folder of this experiment, got one of another "
                    f"{key}; choose another folder"
                )
    else:
        write_json(settings, sealed(document))
    known = {}
    for task in tasks:
        path = folder / "tasks" / f"{task.name}.json"
        if path.exists():
            known[task.name] = _read(path)
            came = {key: known[task.name].get(key) for key in ("objective", "seed", "scale")}
            if came != {key: getattr(task, key) for key in came}:
                raise ValueError(f"{path}: expected the result of {task.name}, got one of {came}")
            # What was killed after it had written the result did not come to this.
            _forget(task, folder)
    return known


def _forget(task: Task, folder: Path) -> None:
    """Remove the checkpoints of a task that is done."""
    for left_over in (folder / "checkpoints").glob(f"{task.name}--*.ckpt"):
        left_over.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        return unsealed(str(path), read_json(path))
    except ValueError as error:
        raise ValueError(f"{error}; delete it to redo it") from None

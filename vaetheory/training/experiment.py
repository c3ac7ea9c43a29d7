"""The experiment of claim 11: all objectives, seeds and scales, run on any executor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, fields, replace
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
from vaetheory.bounds import bilbo, evidence_estimate
from vaetheory.training._summaries import summary
from vaetheory.training.data import Source, Split, split_data
from vaetheory.training.density import Density
from vaetheory.training.image_settings import ImageSettings, torch_version
from vaetheory.training.images import Images
from vaetheory.training.measures import (
    EXACT_DIM,
    Measures,
    exact_evidence,
    sampled_measures,
)
from vaetheory.training.objectives import OBJECTIVES, OF_INFORMATION, OF_LOGITS
from vaetheory.training.runs import FIXING_ROWS, Run, Settings, density_of, train

#: Draws from the training posteriors to fix the density, and draws for the ELBOs of the sweep.
_FIXING, _SWEEP = 8, 100
_CONTRADICTION = float(np.log(1e9))


@dataclass(frozen=True, eq=False)
class Experiment(ByValue):
    """An experiment: what is trained, and how it is measured.

    Attributes
    ----------
    source : Source
        The data; `Images` for `ImageSettings`.
    settings : Settings
        The same for all objectives.
    seeds : int
        Number of seeds, each with its own split, initial parameters, batches and draws.
    objectives : tuple of str
        Keys of `OBJECTIVES`, or of `IMAGE_OBJECTIVES` with `ImageSettings`.
    informations : tuple of float
        Values of BAGGINS' h; each seed uses the one with the greatest validation ELBO.
    scales : tuple of float
        Factors by which the data are multiplied.
    draws : int
        K of the importance-weighted bound.
    exact : bool
        Whether to compute the exact log evidence if the latent has two dimensions.
    first_seed : int
    estimates : int
        Number of held-out data of each task, the first ones, whose log evidence is estimated by
        `evidence_estimate`, for latents of any dimension.
    held_out : int or None
        Number of held-out data of each task that are measured, the first ones; by default all.
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
    estimates: int = 0
    held_out: int | None = None

    def __post_init__(self) -> None:
        require("source", self.source, Source)
        require("settings", self.settings, Settings)
        boolean("exact", self.exact)
        integer("seeds", self.seeds, low=1, high=LARGEST_DIMENSION)
        integer("first_seed", self.first_seed)
        integer("estimates", self.estimates, high=LARGEST_DIMENSION)
        if self.held_out is not None:
            integer("held_out", self.held_out, low=1, high=LARGEST_DIMENSION)
        integer("draws", self.draws, low=2, high=LARGEST_DIMENSION)
        for name in ("objectives", "informations", "scales"):
            object.__setattr__(self, name, tuple(sequence(name, getattr(self, name))))
        for name in self.objectives:
            option("objectives", name, self.settings.objectives)
        for name in ("objectives", "informations", "scales"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one, got none")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives: expected each once, got {self.objectives}")
        for name in ("informations", "scales"):
            values = getattr(self, name)
            positive(name, values, max_ndim=1)
            # File names contain these values in six digits.
            if len({f"{value:g}" for value in values}) < len(values):
                raise ValueError(
                    f"{name}: expected numbers that differ in six digits, got {values}"
                )
        self._require_images()

    def _require_images(self) -> None:
        """Raise a ValueError unless networks for images and the data go together."""
        if not isinstance(self.settings, ImageSettings):
            return
        source = require("source", self.source, Images)
        if source.shape != self.settings.shape:
            raise ValueError(
                f"settings: expected those for images of shape {source.shape}, got "
                f"{self.settings.shape}"
            )
        wrong = [n for n in self.objectives if self.settings.objectives[n].likelihood in OF_LOGITS]
        if wrong and (self.scales != (1.0,) or not source.within_one):
            raise ValueError(
                f"objectives: expected data in [0, 1] at scale 1 for {wrong[0]}, got scales "
                f"{', '.join(f'{s:g}' for s in self.scales)} of {source.name}, which is "
                f"{'' if source.within_one else 'not '}in [0, 1]"
            )

    def tasks(self) -> list[Task]:
        """The independent tasks, seed by seed."""
        return [
            Task(self, name, seed, scale)
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for scale in self.scales
            for name in self.objectives
        ]

    def require_pictures(self) -> None:
        """Raise a ValueError unless pictures of some tasks can be drawn."""
        if not isinstance(self.source, Images) or not any(t.pictured for t in self.tasks()):
            raise ValueError(
                "pictures: expected images and a scale of 1, got scales "
                f"{', '.join(f'{s:g}' for s in self.scales)} of {self.source.name}, "
                f"{'' if isinstance(self.source, Images) else 'not '}as images"
            )

    def described(self) -> dict[str, Any]:
        """The settings as plain values."""
        X = self.source.X
        plain: dict[str, Any] = {
            "source": {
                "sha256": hashlib.sha256(np.ascontiguousarray(X).data).hexdigest(),
                "name": self.source.name,
                "shape": list(X.shape),
                "step": self.source.step,
            },
            "settings": asdict(self.settings),
        }
        # No copy of the data, as `asdict` would make.
        plain |= {f.name: getattr(self, f.name) for f in fields(self) if f.name not in plain}
        if isinstance(self.settings, ImageSettings):
            plain["torch"] = torch_version()
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
        option("objective", self.objective, self.experiment.settings.objectives)
        integer("seed", self.seed)
        positive("scale", self.scale)

    @property
    def name(self) -> str:
        """The name of the task in file names."""
        return f"{self.objective}-seed{self.seed}-scale{self.scale:g}"

    @property
    def pictured(self) -> bool:
        """Whether it has a picture, if pictures are drawn: those of the first seed at scale 1."""
        return self.seed == self.experiment.first_seed and self.scale == 1


def run_task(task: Task, folder: str | None = None, pictures: str | None = None) -> dict[str, Any]:
    """Train and measure one task.

    Its only side effects are checkpoints in `folder`, and in the folder `pictures` the picture of
    the task, if it is one of the first seed at scale 1; see `vaetheory.training.pictures`.

    Returns
    -------
    dict
        Plain values. Log densities are in nats and refer to the units of the unscaled data: D times
        the log of the scale is added. Of dequantised data, "bits_per_dim" is the bound for their
        grey values that follows from the ELBO, in bits a dimension.
    """
    require("task", task, Task)
    experiment, settings = task.experiment, task.experiment.settings
    data, sizes = _data_of(task)
    objective = settings.objectives[task.objective]
    swept = objective.likelihood in OF_INFORMATION
    shift = data.train.shape[1] * np.log(task.scale)
    test_rng = np.random.default_rng([task.seed, 400])
    noise = test_rng.standard_normal((_SWEEP, len(data.test), settings.latent_dim))
    best: tuple[Run, Any] | None = None
    sweep: list[dict[str, Any]] = []
    values = experiment.informations if swept else (0.0,)
    for k, h in enumerate(values):

        def advance(done: float, k: int = k) -> None:
            report((k + done) / (len(values) + 1))

        run, density = _trained(task, data, h, folder, advance)
        entry: dict[str, Any] = {
            "information": h if swept else None,
            "validation": run.best_validation + shift,
            "test": float(density.elbo(data.test, noise).mean()) + shift,
            "epochs": run.epoch,
            "best_epoch": run.best_epoch,
            "ended": run.ended,
        }
        sweep.append(entry)
        if best is None or run.best_validation > best[0].best_validation:
            best = run, density
            chosen = entry
    assert best is not None
    result = {"objective": task.objective, "seed": task.seed, "scale": task.scale, **chosen}
    del result["test"]
    try:
        measured = _measured(best[1], data, task, test_rng)
    except FloatingPointError as error:
        raise ValueError(f"{task.name}: expected test data like the others, got {error}") from None
    result["measures"] = summary(measured, shift)
    if step := experiment.source.step:
        # The bound for the grey values, see `Source`.
        dim = data.train.shape[1]
        bound = result["measures"]["elbo"]["mean"] + dim * np.log(step)
        result["measures"]["bits_per_dim"] = {"mean": float(-bound / (dim * np.log(2)))}
    result["sweep"] = sweep if swept else []
    if objective.floating:
        result["full_prior_gain"] = _full_prior_gain(best[1], data.train)
    result["sizes"] = sizes
    result["outputs"] = list(
        objective.outputs(latent_dim=settings.latent_dim, data_dim=data.train.shape[1])
    )
    if pictures is not None and task.pictured:
        _draw(best[1], data, task, pictures)
    return result


def _full_prior_gain(density: Density, X: Array) -> float:
    """By how much a full covariance of the floating prior would raise BILBO of training data."""
    loc, scale = density.encode(X[:FIXING_ROWS])
    forms = (bilbo(0.0, loc, scale[0], form=form) for form in ("full", "diagonal"))
    full, diagonal = (float(bound.value) for bound in forms)
    return full - diagonal


def draw_task(
    task: Task, result: dict[str, Any], folder: str | None, pictures: str
) -> dict[str, Any]:
    """Draw the picture that a finished task lacks; return its `result`.

    No parameters of finished tasks are kept, so the run that was chosen is trained again, from a
    checkpoint if there is one. Nothing is measured.

    Raises
    ------
    ValueError
        If training gives another validation ELBO than that of the result.
    """
    data, _ = _data_of(task)
    run, density = _trained(task, data, result["information"] or 0.0, folder, report)
    if run.best_validation != result["validation"]:
        raise ValueError(
            f"{task.name}: expected the validation ELBO {result['validation']:g} of its result "
            f"again, got {run.best_validation:g}; the numbers of this machine have changed"
        )
    _draw(density, data, task, pictures)
    return result


def _data_of(task: Task) -> tuple[Split, list[int]]:
    """The data of a task with those held-out data that are measured, and the sizes of all parts."""
    data = split_data(task.experiment.source, task.seed).times(task.scale)
    sizes = [len(data.train), len(data.validation), len(data.test)]
    held_out = task.experiment.held_out
    if held_out is not None and held_out < len(data.test):
        # A copy, so that the other held-out data are not kept.
        data = replace(data, test=data.test[:held_out].copy())
    return data, sizes


def _trained(
    task: Task, data: Split, h: float, folder: str | None, progress: Progress
) -> tuple[Run, Density]:
    """A training run of a task with one value of BAGGINS' h, and the density of its maximum."""
    settings = task.experiment.settings
    vae = settings.model(settings.objectives[task.objective], data.train, h)
    checkpoint = None if folder is None else Path(folder) / f"{task.name}--h{h:g}.ckpt"
    run = train(vae, data, settings, seed=task.seed, checkpoint=checkpoint, progress=progress)
    return run, density_of(vae, run.best, data.train, seed=task.seed, draws=_FIXING)


def _draw(density: Density, data: Split, task: Task, pictures: str) -> None:
    # Only this needs Matplotlib.
    from vaetheory.training.pictures import write_picture

    source = require("source", task.experiment.source, Images)
    write_picture(_picture(task, pictures), density, source, data.test, seed=task.seed)


def _picture(task: Task, pictures: str) -> Path:
    return Path(pictures) / f"{task.name}.png"


def _measured(density: Any, data: Split, task: Task, rng: np.random.Generator) -> Measures:
    experiment = task.experiment
    measures = sampled_measures(density, data.test, draws=experiment.draws, rng=rng)
    if experiment.estimates:
        some = data.test[: experiment.estimates]
        found = evidence_estimate(density.latent_model(), some, seed=task.seed)
        measures = replace(measures, estimates=found)
    if not experiment.exact or density.vae.latent_dim != EXACT_DIM:
        return measures
    evidence, error, apart = exact_evidence(density, data.test)
    # The draws contradict the evidence, up to a probability of 1e-9 (Markov): mark it unresolved.
    error = np.where(measures.importance > evidence + _CONTRADICTION, np.inf, error)
    return replace(measures, evidence=evidence, evidence_error=error, apart=apart)


def run(
    experiment: Experiment,
    *,
    folder: Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    pictures: bool = False,
) -> Iterator[dict[str, Any]]:
    """Run an experiment, yielding the result of each task, in order.

    Parameters
    ----------
    experiment : Experiment
    folder : Path, optional
        The folder for results and checkpoints; it is created if necessary. An interrupted run that
        is started again with the same folder keeps the finished tasks and resumes the others from
        their checkpoints; its numbers are those of an uninterrupted run.
    executor : concurrent.futures.Executor, optional
        Runs the tasks; any object with the method `submit` works. By default the tasks run in this
        process. With `folder`, the workers must be able to access that folder.
    progress : callable, optional
        Called with the fraction of finished tasks.
    pictures : bool, optional
        Whether to write a picture of each objective, with the first seed at scale 1, as
        `pictures/<task>.png` in the folder, which must be given; only of images. A picture is
        written before the result of its task, and both are kept in a run that resumes. If a
        finished task lacks its picture, its chosen run is trained again for it, with the same
        numbers; its result is kept and not measured again.

    Yields
    ------
    dict
        The result of `run_task`.

    Raises
    ------
    ValueError
        If the folder holds another experiment, or something in it is damaged; or if there is
        nothing that pictures could be drawn of.

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
    if boolean("pictures", pictures):
        experiment.require_pictures()
        folder = require("folder", folder, Path)
    if folder is not None:
        known = _prepare(experiment, tasks, folder, pictures=pictures)
    room = None if folder is None else str(folder / "checkpoints")
    drawn = None if folder is None or not pictures else str(folder / "pictures")
    jobs: dict[str, tuple[Any, ...]] = {}
    for task in tasks:
        if task.name not in known:
            jobs[task.name] = (run_task, task, room, drawn)
        elif drawn is not None and task.pictured and not _picture(task, drawn).exists():
            jobs[task.name] = (draw_task, task, known[task.name], room, drawn)
        elif folder is not None:
            # A run killed right after writing the result left its checkpoints.
            _forget(task, folder)
    futures = {}
    if executor is not None:
        futures = {name: executor.submit(*job) for name, job in jobs.items()}
    try:
        for number, task in enumerate(tasks):
            if task.name in jobs:
                function, *arguments = jobs[task.name]
                future = futures.get(task.name)
                result = function(*arguments) if future is None else future.result()
                if folder is not None:
                    if task.name not in known:
                        write_json(folder / "tasks" / f"{task.name}.json", sealed(result))
                    _forget(task, folder)
            else:
                result = known[task.name]
            report((number + 1) / len(tasks), progress)
            yield result
    finally:
        for future in futures.values():
            future.cancel()


def _prepare(
    experiment: Experiment, tasks: Sequence[Task], folder: Path, *, pictures: bool
) -> dict[str, dict[str, Any]]:
    """Make the folder, or read the finished tasks from it."""
    for name in ("tasks", "checkpoints", *(("pictures",) if pictures else ())):
        (folder / name).mkdir(parents=True, exist_ok=True)
    document = {"experiment": experiment.described(), "environment": environment()}
    settings = folder / "experiment.json"
    if settings.exists():
        stored = _read(settings)
        for key, value in document.items():
            if stored.get(key) != value:
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
            stored = {key: known[task.name].get(key) for key in ("objective", "seed", "scale")}
            if stored != {key: getattr(task, key) for key in stored}:
                raise ValueError(f"{path}: expected the result of {task.name}, got one of {stored}")
    return known


def _forget(task: Task, folder: Path) -> None:
    """Remove the checkpoints of a finished task."""
    for left_over in (folder / "checkpoints").glob(f"{task.name}--*.ckpt"):
        left_over.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        return unsealed(str(path), read_json(path))
    except ValueError as error:
        raise ValueError(f"{error}; delete it to redo it") from None

"""A training run: settings, minibatches, early stopping, checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vaetheory._progress import Progress, report
from vaetheory._validation import (
    Array,
    boolean,
    data_set,
    dimension,
    fraction,
    integer,
    option,
    require,
)
from vaetheory.training import _checkpoints
from vaetheory.training._learner import Learner
from vaetheory.training.data import UNITS, Split
from vaetheory.training.density import Density
from vaetheory.training.networks import widths
from vaetheory.training.objectives import OBJECTIVES, Objective
from vaetheory.training.vae import Units, Vae, rows_of

#: The most training data, and the most latent draws in total, used to fix a density; fewer, if
#: the reconstructions have more numbers than that.
FIXING_ROWS, _FIXING_NUMBERS = 16_384, 2**23
EARLY, BUDGET, DIVERGED = "stopped early", "budget spent", "diverged"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a run, the same for all objectives.

    Attributes
    ----------
    latent_dim : int
    hidden : tuple of int
        Widths of the hidden layers.
    batch : int
        Data in a step; a smaller training set is one batch.
    epochs : int
        The most passes through the training data.
    every : int
        Steps between two evaluations of the validation ELBO, rounded to epochs.
    patience : int
        The run stops after this many evaluations without a new maximum.
    rate : float
        Adam's learning rate.
    units : {"pooled", "each", "plain"}
        See `Units`.
    pooled : bool
        Whether the variances computed from a batch are the same for all dimensions.

    Raises
    ------
    ValueError
        If a setting is out of range.

    Examples
    --------
    >>> Settings(latent_dim=8).hidden
    (128,)
    """

    latent_dim: int = 2
    hidden: tuple[int, ...] = (128,)
    batch: int = 128
    epochs: int = 600
    every: int = 50
    patience: int = 8
    rate: float = 2e-3
    units: str = "pooled"
    pooled: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "every", "patience"):
            integer(name, getattr(self, name), low=1)
        dimension("latent_dim", self.latent_dim)
        integer("batch", self.batch, low=2)
        object.__setattr__(self, "hidden", widths("hidden", self.hidden))
        object.__setattr__(self, "rate", fraction("rate", self.rate, low=1e-8, high=1.0))
        option("units", self.units, UNITS)
        boolean("pooled", self.pooled)

    @property
    def objectives(self) -> Mapping[str, Objective]:
        """The objectives that can be trained with these settings."""
        return OBJECTIVES

    def model(self, objective: Objective, train: Array, information: float) -> Vae:
        """The VAE of an objective, with units from the training data."""
        data = data_set("train", train)
        return Vae(
            objective,
            data.shape[1],
            self.latent_dim,
            self.hidden,
            Units.of(data, self.units),
            information,
            self.pooled,
        )


@dataclass(eq=False)
class Run:
    """A training run, finished or not.

    Attributes
    ----------
    best : array (count,)
        Parameters at the greatest validation ELBO.
    best_epoch : int
    validation : list of float
        Validation ELBO at each evaluation, in nats a datum.
    epoch : int
        Finished epochs.
    ended : str
        "stopped early", "budget spent" or "diverged" (a number overflowed; `best` is from before
        that), or empty if the run is not finished.
    """

    best: Array
    best_epoch: int = 0
    validation: list[float] = field(default_factory=list)
    epoch: int = 0
    ended: str = ""

    @property
    def best_validation(self) -> float:
        """The greatest validation ELBO, nats a datum."""
        return max(self.validation)


def _noise(seed: int, kind: int, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng([seed, 200, kind]).standard_normal(shape)


def density_of(vae: Vae, params: Array, train: Array, *, seed: int, draws: int = 1) -> Density:
    """The density model for given parameters; a seed sets the draws from the training posteriors.

    At most the first 16,384 training data are used, fewer if they have more than 2^23 numbers;
    `split` has shuffled them.

    Raises
    ------
    FloatingPointError
        If a number overflows.
    """
    require("vae", vae, Vae)
    seed = integer("seed", seed)
    integer("draws", draws, low=1)
    most = max(2, min(FIXING_ROWS, _FIXING_NUMBERS // vae.data_dim))
    # Only these are converted to double precision.
    some = train[:most] if isinstance(train, np.ndarray) and train.ndim == 2 else train
    rows = rows_of("train", some, vae.data_dim)[:most]
    draws = max(1, min(draws, most // len(rows)))
    noise = _noise(seed, 0, (draws, len(rows), vae.latent_dim))
    with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
        return Density.of(vae, params, rows, noise=noise)


def validation_elbo(vae: Vae, params: Array, data: Split, *, seed: int, draws: int = 8) -> float:
    """Mean validation ELBO, with the same draws every time; raises as `density_of`."""
    noise = _noise(seed, 1, (draws, len(data.validation), vae.latent_dim))
    density = density_of(vae, params, data.train, seed=seed)
    with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
        return float(density.elbo(data.validation, noise).mean())


def train(
    vae: Vae,
    data: Split,
    settings: Settings,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train until the validation ELBO no longer grows or the budget is spent.

    Parameters
    ----------
    vae : Vae
    data : Split
        Only the training and validation parts are used.
    settings : Settings
    seed : int
        Sets the initial parameters, the order of the data and the noise: objectives trained with
        the same seed see the same batches and the same draws.
    checkpoint : Path, optional
        A file that is written at every evaluation of the validation ELBO. If it exists, the run
        resumes from it, with the same result, bit for bit, as an uninterrupted run.
    progress : callable, optional
        Called with the fraction of finished epochs.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the data do not fit the VAE, the networks overflow at the initial parameters, or the
        checkpoint is damaged or belongs to another run.

    Examples
    --------
    >>> from vaetheory.training import OBJECTIVES
    >>> X = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)
    >>> data = Split(X[::2], X[1::4], X[3::4])
    >>> settings = Settings(latent_dim=1, hidden=(4,), batch=10, epochs=8, every=4)
    >>> vae = settings.model(OBJECTIVES["half"], data.train, 1.5)
    >>> run = train(vae, data, settings, seed=0)
    >>> run.ended, run.epoch, len(run.validation)
    ('budget spent', 8, 5)
    """
    seed = integer("seed", seed)
    require("vae", vae, Vae)
    require("data", data, Split)
    require("settings", settings, Settings)
    vae.require_data("train", data.train)
    vae.require_data("validation", data.validation)
    task = _fingerprint(vae, data, settings, seed)
    rng = np.random.default_rng([seed, 300])
    learner = vae.learner(vae.initial(seed), settings.rate, data.train)
    run = Run(learner.params())
    if checkpoint is not None and checkpoint.exists():
        run = _resume(checkpoint, task, learner, rng)
    batch = min(settings.batch, len(data.train))
    steps = len(data.train) // batch
    every = max(1, round(settings.every / steps))
    try:
        if not run.validation:
            run.validation.append(validation_elbo(vae, learner.params(), data, seed=seed))
        while not run.ended:
            for _ in range(min(every, settings.epochs - run.epoch)):
                order = rng.permutation(len(data.train))
                for i in range(steps):
                    noise = rng.standard_normal((batch, vae.latent_dim))
                    learner.step(order[i * batch : (i + 1) * batch], noise)
                run.epoch += 1
            params = learner.params()
            validation = validation_elbo(vae, params, data, seed=seed)
            if validation > run.best_validation:
                run.best = params
                run.best_epoch = run.epoch
            run.validation.append(validation)
            since_best = len(run.validation) - 1 - int(np.argmax(run.validation))
            if since_best >= settings.patience:
                run.ended = EARLY
            elif run.epoch >= settings.epochs:
                run.ended = BUDGET
            if checkpoint is not None:
                _keep(checkpoint, task, run, learner, rng)
            report(run.epoch / settings.epochs, progress)
    except FloatingPointError:
        run.ended = DIVERGED
        if not run.validation:
            raise ValueError(
                "data: expected numbers that the networks can take, got an overflow at the "
                "initial parameters"
            ) from None
    return run


def _fingerprint(vae: Vae, data: Split, settings: Settings, seed: int) -> str:
    """A hash of everything that determines a run; its checkpoint stores it."""
    plain = {
        "objective": asdict(vae.objective),
        "information": vae.information,
        "settings": asdict(settings),
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for part in (data.train, data.validation):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _keep(path: Path, task: str, run: Run, learner: Learner, rng: np.random.Generator) -> None:
    values = {
        "task": task,
        "steps": learner.steps,
        "rng": rng.bit_generator.state,
        "best_epoch": run.best_epoch,
        "validation": run.validation,
        "epoch": run.epoch,
        "ended": run.ended,
    }
    _checkpoints.save(path, {**learner.arrays(), "best": run.best}, values)


def _resume(path: Path, task: str, learner: Learner, rng: np.random.Generator) -> Run:
    arrays, values = _checkpoints.load(path)
    known: dict[str, Any] = dict(values)
    if known.get("task") != task:
        raise ValueError(
            f"{path}: expected a checkpoint of this run, got one of other data, settings, "
            "objective or seed"
        )
    try:
        learner.restore(arrays, known["steps"])
        rng.bit_generator.state = known["rng"]
        return Run(
            arrays["best"], known["best_epoch"], known["validation"], known["epoch"], known["ended"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a checkpoint of this run, got {type(error).__name__}: {error}"
        ) from None

"""Check of 11f: a run that is interrupted and resumed from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.scenes import TINY, TinyRun, tiny_runs
from vaetheory.training import Run, train
from vaetheory.training._checkpoints import load, save


@dataclass(frozen=True)
class BrokenRun:
    """A run, the validation after which it is interrupted, and Adam's rate.

    At a high rate the best parameters are those of an early step.
    """

    run: TinyRun
    look: int
    rate: float


def broken_runs() -> SearchStrategy[BrokenRun]:
    """Runs of three validations, interrupted after the first or the second."""
    return st.builds(BrokenRun, tiny_runs(), st.integers(1, 2), st.sampled_from((0.02, 0.5)))


class _Interrupted(Exception):
    """Raised to interrupt a run."""


def resumed_run(scene: BrokenRun, *, forget: str = "") -> Comparison:
    """Compare a run that is interrupted and resumed with one that is not."""
    run = scene.run
    settings = replace(run.settings, rate=scene.rate)
    whole = train(run.vae(), run.data(), settings, seed=run.seed)
    looks = 0

    def kill(done: float) -> None:
        nonlocal looks
        looks += 1
        if looks == scene.look:
            raise _Interrupted

    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.ckpt"
        try:
            train(run.vae(), run.data(), settings, seed=run.seed, checkpoint=path, progress=kill)
        except _Interrupted:
            _forget(path, forget, run)
        resumed = train(run.vae(), run.data(), settings, seed=run.seed, checkpoint=path)
    return Comparison.all_of(
        Comparison.identity(_everything(resumed), _everything(whole), scale=1.0, rounding=0.0),
    )


def _forget(path: Path, what: str, run: TinyRun) -> None:
    """Remove something from a checkpoint."""
    arrays, values = load(path)
    if what == "rng":
        fresh = np.random.default_rng(run.seed).bit_generator.state
        values["rng"] = fresh
    elif what == "moments":
        arrays["first"], arrays["second"] = 0 * arrays["first"], 0 * arrays["second"]
    elif what == "steps":
        values["steps"] = 0
    save(path, arrays, values)


def _everything(run: Run) -> Array:
    """Everything that a run returns, as one vector."""
    history = np.zeros(16)
    history[: len(run.validation)] = run.validation
    return np.concatenate([run.best, history, [run.best_epoch, run.epoch, len(run.ended)]])


RESUMED_RUN = Proposition(
    label="11f",
    title="A run that is killed and resumed is the run that was not, bit for bit",
    statement=r"\theta_T(\text{resumed at } t) = \theta_T(\text{unbroken})",
    hypotheses=(
        ("the checkpoint", r"\text{parameters, Adam's moments and count, the generator}"),
        TINY,
    ),
    kind="identity",
    instances=broken_runs(),
    check=resumed_run,
    controls=wrong(
        resumed_run,
        {
            "the generator begun anew": {"forget": "rng"},
            "Adam's moments forgotten": {"forget": "moments"},
            "Adam's count forgotten": {"forget": "steps"},
        },
    ),
)

"""Where the encoders of VAEs on images lose, and what their losses are by `vaetheory.audit`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/trained_images.py --jobs 2
    python benchmarks/trained_images.py --objectives half-varying --latents 8

Trains VAEs with the networks of PyTorch on the digits of MNIST, reduced to eight grey values: 3,024
steps of 128, without early stopping. Of each it measures the parts of the gap between log evidence
and ELBO of the first held-out images (`gap_split`; four with two latents and one with eight, which
take two CPU minutes of all eight models), and lets `audit` say what the loss is that
trained it, and which weight its divergence has. Writes `trained-images.json` in the folder of
`--out`, after each model, and prints a table. A run that is started again with the same folder goes
on: finished models are kept, of any objectives, and training goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import ContinuousBernoulli, Normal
from trained_encoders import PARTS, encoded, finished, greatest_error, markdown

from vaetheory._documents import read_json, sealed, unsealed
from vaetheory._environment import environment
from vaetheory._files import write_json
from vaetheory.audit import audit
from vaetheory.bounds import evidence_estimate, gap_split
from vaetheory.evidence import Integral
from vaetheory.training import (
    IMAGE_OBJECTIVES,
    IMAGES,
    Density,
    ImageSettings,
    density_of,
    exact_evidence,
    split_data,
    train,
)
from vaetheory.training._torch.loss import bounded, loss
from vaetheory.training._torch.variance_function import common_origin, relative_log_variances
from vaetheory.training.image_settings import torch_version
from vaetheory.training.measures import EXACT_DIM, UNRESOLVED

OBJECTIVES = ("ordinary", "bounded", "optimal-sigma", "half")
FILE = "trained-images.json"
#: With more latents than two, a tolerance that keeps an image below 45 CPU seconds; best posteriors
#: are then searched from the highest mode only.
_RTOL = 1e-4
#: Held-out images of which the audit takes its batches.
_AUDITED = 64
#: More evaluations than there are: no early stopping.
_PATIENCE = 10**6
_HEAD = ("objective", "latents", "images", *PARTS, "stated error", "audit", "beta", "residual")


@dataclass(frozen=True)
class Task:
    """One VAE, and what is measured of it."""

    objective: str
    latents: int
    seed: int = 0
    information: float = 3.0
    data: str = "mnist"
    levels: int = 8
    epochs: int = 112
    hidden: tuple[int, ...] = (256,)
    rate: float = 1e-3
    images: int = 4

    @property
    def name(self) -> str:
        return f"{self.objective}-d{self.latents}-seed{self.seed}"


class Vae(nn.Module):
    """A trained VAE as its user would write it, in double precision.

    Its loss is the one that trained it, with its own draws. `outputs` is what the decoder returns,
    before it becomes means and variances.
    """

    def __init__(self, density: Density) -> None:
        super().__init__()
        self.vae: Any = density.vae
        parts = (torch.tensor(np.array(part)) for part in density.vae.split(density.params))
        self.inner, self.outer, self.extra = (nn.Parameter(part) for part in parts)
        units = density.vae.units
        for name, value in (("loc", units.loc), ("unit", units.scale),
                            ("prior_scale", density.prior_scale)):  # fmt: skip
            self.register_buffer(name, torch.tensor(np.array(value)))
        # What the objective computes from each batch is declared as fixed by the training data.
        self.log_sigma = None if density.log_sigma is None else torch.tensor(density.log_sigma)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and log variances."""
        code = self.vae.encoder.apply(self.inner, (x - self.loc) / self.unit)
        d, posterior = self.vae.latent_dim, self.vae.objective.posterior
        loc, second = code[:, :d], code[:, d:]
        if posterior == "constant":
            second = (2 * self.extra[:d]).expand_as(loc)
        elif posterior == "unit":
            second = torch.zeros_like(loc)
        return loc, bounded(second) if posterior == "bounded" else second

    def outputs(self, z: torch.Tensor) -> torch.Tensor:
        """What the decoder returns."""
        return self.vae.decoder.apply(self.outer, z)

    def likelihood(self, out: torch.Tensor) -> torch.distributions.Distribution:
        """The declared density of the data."""
        kind, dim = self.vae.objective.likelihood, self.vae.data_dim
        if kind == "continuous":
            return ContinuousBernoulli(logits=out)
        means, more = self.loc + self.unit * out[:, :dim], out[:, dim:]
        if kind in ("learned", "bounded"):
            log_sigma = (bounded(more) if kind == "bounded" else more) / 2
        elif kind == "one":
            log_sigma = self.extra[-1]
        else:
            assert self.log_sigma is not None
            log_sigma = self.log_sigma
        if kind == "varying":
            relative = relative_log_variances(self.extra, out + common_origin(self.loc, self.unit))
            log_sigma = log_sigma + relative / 2
        return Normal(means, torch.exp(log_sigma))

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of training; the audit sees what the decoder is given."""
        vae = self.vae
        called = SimpleNamespace(count=vae.decoder.count, apply=lambda _, z: self.outputs(z))
        names = ("encoder", "latent_dim", "data_dim", "objective", "pooled", "information")
        seen: Any = SimpleNamespace(decoder=called, **{name: getattr(vae, name) for name in names})
        params = torch.cat([self.inner, self.outer, self.extra])
        noise = torch.randn(len(x), vae.latent_dim, dtype=x.dtype)
        return loss(seen, (self.loc, self.unit), params, x, noise)


def audited(density: Density, X: np.ndarray, seed: int) -> dict[str, Any]:
    """What the audit says of the loss that trained a VAE."""
    vae = Vae(density)
    prior = None
    if density.vae.objective.floating:
        prior = Normal(torch.zeros_like(vae.prior_scale), vae.prior_scale)
    of_logits = density.vae.objective.likelihood == "bernoulli"
    found = audit(
        vae.loss, vae.encode, vae.outputs, torch.tensor(np.asarray(X, np.float64)), module=vae,
        likelihood="bernoulli-logits" if of_logits else vae.likelihood, prior=prior,
        decoder="outputs", seed=seed,
    )  # fmt: skip
    told = json.loads(found.to_json())
    wanted = ("status", "verdict", "findings", "coefficients", "residual", "beta")
    return {name: told[name] for name in wanted}


def evidence_of(density: Density, X: np.ndarray, seed: int) -> Any:
    """Log evidences: from lattices if there are two latents, and otherwise estimated."""
    if density.vae.latent_dim != EXACT_DIM:
        return evidence_estimate(density.latent_model(), X, seed=seed)
    value, error, _ = exact_evidence(density, X)
    status = np.where(error <= UNRESOLVED, "reached", "not reached")
    return Integral(value, error, status, 0)


def measured(task: Task, folder: Path) -> dict[str, Any]:
    """Train a VAE, split its gap, and audit its loss."""
    clock = [time.process_time()]
    images = IMAGES[task.data]().with_levels(task.levels)
    data = split_data(images, task.seed)
    settings = ImageSettings(
        shape=images.shape, latent_dim=task.latents, hidden=task.hidden, epochs=task.epochs,
        rate=task.rate, patience=_PATIENCE, units=images.units,
    )  # fmt: skip
    vae = settings.model(IMAGE_OBJECTIVES[task.objective], data.train, task.information)
    run = train(vae, data, settings, seed=task.seed, checkpoint=folder / f"{task.name}.ckpt")
    density = density_of(vae, run.best, data.train, seed=task.seed, draws=8)
    clock.append(time.process_time())
    X = data.test[: task.images].astype(np.float64)
    known = evidence_of(density, X, task.seed)
    quicker: dict[str, Any] = {} if task.latents <= EXACT_DIM else {"restart": False, "rtol": _RTOL}
    split = gap_split(
        density.latent_model(), X, encoded(density, X), evidence=known, structure="diagonal",
        **quicker,
    )  # fmt: skip
    clock.append(time.process_time())
    told = audited(density, data.test[:_AUDITED], task.seed)
    clock.append(time.process_time())
    each = {name: getattr(split, name) for name in ("evidence", "elbo", *PARTS)}
    return {
        "task": json.loads(json.dumps(asdict(task))),
        "data": hashlib.sha256(np.ascontiguousarray(images.X).data).hexdigest(),
        "ended": run.ended, "steps": run.epoch * (len(data.train) // settings.batch),
        "best epoch": run.best_epoch, "validation": run.best_validation,
        "each": {name: [_number(v) for v in values] for name, values in each.items()},
        **{name: _number(each[name].mean()) for name in PARTS},
        "evidence status": np.asarray(known.status).tolist(),
        "stated error": _number(greatest_error(split)),
        "audit": told,
        "CPU seconds": dict(zip(("training", "gap", "audit"), np.diff(clock).tolist(),
                                strict=True)),
    }  # fmt: skip


def _number(value: Any) -> float | None:
    """A number for JSON."""
    return float(value) if np.isfinite(value) else None


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The page: a line for each model, and what the audit says of each loss."""

    def text(value: float | None, form: str = ".2f") -> str:
        return "-" if value is None else format(value, form)

    lines, said = [], []
    for row in rows:
        task, told = row["task"], row["audit"]
        codes = [f["code"] for f in told["findings"] if f["severity"] != "note"]
        lines.append([
            task["objective"], str(task["latents"]), str(len(row["each"]["gap"])),
            *(text(row[name]) for name in PARTS), text(row["stated error"], ".2g"),
            ", ".join([told["status"], *codes]), text(told["beta"], ".6g"),
            text(told["residual"], ".1g"),
        ])  # fmt: skip
        said.append(f"- {task['objective']}, {task['latents']} latents: {told['verdict']}.\n")
    return markdown(_HEAD, lines) + "\n" + "".join(said)


def _stored(path: Path, described: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of a file, if there is one."""
    if not path.exists():
        return []
    document = unsealed(str(path), read_json(path))
    if document["environment"] != described:
        raise ValueError(
            f"{path}: expected results of this environment, got those of another; choose another "
            "folder"
        )
    return list(document["results"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("trained-images"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--objectives", default=",".join(OBJECTIVES), help="separated by commas")
    parser.add_argument("--latents", type=int, nargs="+", default=(2, 8))
    parser.add_argument("--images", type=int, nargs=2, default=(4, 1), metavar="N",
                        help="held-out images of two latents, and of more")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="mnist", choices=tuple(IMAGES))
    parser.add_argument("--levels", type=int, default=8, help="grey values")
    parser.add_argument("--epochs", type=int, default=112)
    parser.add_argument("--hidden", type=int, nargs="+", default=(256,))
    options = parser.parse_args(arguments)
    names = options.objectives.split(",")
    if unknown := set(names) - set(IMAGE_OBJECTIVES):
        parser.error(f"--objectives: expected some of {', '.join(IMAGE_OBJECTIVES)}, got {unknown}")
    shared: dict[str, Any] = {
        name: getattr(options, name) for name in ("seed", "data", "levels", "epochs")
    }
    tasks = [
        Task(name, d, hidden=tuple(options.hidden), images=options.images[d > EXACT_DIM], **shared)
        for d in options.latents
        for name in names
    ]
    described = {**environment(), "torch": torch_version()}
    checkpoints = options.out / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    rows = _stored(options.out / FILE, described)
    done = [row["task"] for row in rows]
    left = [task for task in tasks if json.loads(json.dumps(asdict(task))) not in done]
    work = partial(measured, folder=checkpoints)
    for number, (task, row) in enumerate(finished(left, work, options.jobs)):
        rows.append(row)
        write_json(options.out / FILE, sealed({"environment": described, "results": rows}))
        (checkpoints / f"{task.name}.ckpt").unlink(missing_ok=True)
        seconds = ", ".join(f"{name} {s:.0f}" for name, s in row["CPU seconds"].items())
        print(f"{number + 1}/{len(left)}: {task.name}: CPU s: {seconds}", flush=True)
    print(table(sorted(rows, key=lambda row: row["task"]["latents"])), end="")


if __name__ == "__main__":
    main()

"""The terms of which a divergence from a Gaussian prior, or its estimate, is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._shots import Shot

#: The terms in the order in which they are left out, where fewer explain the loss: the rarest
#: first. `m` is the mean and `v` the log variance of the posterior in units of the prior, `z` the
#: latent in these units, and `e` the noise.
RARE = ("m^2 exp(-v)", "exp(-v)", "|m|", "m", "exp(2v)", "exp(v/2)", "v^2", "e^2", "z^2")
#: How many draws beside that of the latents are looked at.
_OTHERS = 2
#: Those of the closed form.
CLOSED = ("exp(v)", "v", "m^2")


@dataclass(frozen=True)
class Units:
    """Latents in units of a prior."""

    m: Array
    v: Array
    log_det: Array
    z: Array


def in_units(shot: Shot, *, standard: bool = False) -> Units:
    """Posterior and latents in units of the declared prior, or as they are."""
    if standard:
        return Units(shot.loc, shot.log_variance, shot.log_det, shot.z)
    scale = shot.prior_scale
    return Units(
        (shot.loc - shot.prior_loc) / scale,
        shot.log_variance - 2 * np.log(scale),
        shot.log_det - 2 * np.log(np.broadcast_to(scale, shot.loc.shape)).sum(-1),
        (shot.z - shot.prior_loc) / scale,
    )


def declared_columns(shots: Sequence[Shot], *, standard: bool = False) -> dict[str, Array]:
    """The divergence (KL), and the terms by which an estimate without bias may differ from it.

    "sampled z": half of z^2 - m^2 - exp(v), whose mean over the noise is 0; "sampled e": half of
    e^2 - 1. The estimate log q - log p of one sample has the coefficients 1 and -1 in them.
    """
    columns: dict[str, list[float]] = {"KL": [], "sampled z": [], "sampled e": []}
    for shot in shots:
        if not shot.gaussian:
            return _other_columns(shots)
        at = in_units(shot, standard=standard)
        with np.errstate(over="ignore"):
            trace = np.exp(at.v).sum()
        square = (at.m**2).sum()
        d = at.m.shape[-1]
        columns["KL"].append((square + trace - at.log_det.sum() - shot.size * d) / 2)
        columns["sampled z"].append(((at.z**2).sum() / len(at.z) - square - trace) / 2)
        noise = 0.0 if shot.eps is None else (shot.eps**2 - 1).sum() / len(shot.eps) / 2
        columns["sampled e"].append(float(noise))
    made = {name: np.array(column) for name, column in columns.items()}
    return made | _of_other_draws(shots, standard=standard)


def _of_other_draws(shots: Sequence[Shot], *, standard: bool) -> dict[str, Array]:
    """The same for a latent that is drawn beside the one that is decoded."""
    count = {len(s.more) for s in shots}
    if len(count) > 1 or any(s.factor is not None for s in shots):
        return {}
    columns = {}
    for i in range(min(next(iter(count)), _OTHERS)):
        rows = []
        for shot in shots:
            at, e = in_units(shot, standard=standard), shot.more[i]
            with np.errstate(over="ignore"):
                z, trace = at.m + np.exp(at.v / 2) * e, np.exp(at.v)
            rows.append(((z**2 - at.m**2 - trace).sum() / 2, (e**2 - 1).sum() / 2))
        for name, column in zip(("z", "e"), np.array(rows).T, strict=True):
            columns[f"sampled {name}, draw {i + 2}"] = column
    return columns


def guarded(shots: Sequence[Shot], size: float, power: float) -> list[Shot]:
    """The shots as a divergence reads them that adds `size` to s^power in its logarithm."""
    made = []
    for shot in shots:
        log = np.logaddexp(power / 2 * shot.log_variance, np.log(size)) * 2 / power
        made.append(replace(shot, log_det=log.sum(-1)))
    return made


def latent_columns(shots: Sequence[Shot]) -> dict[str, Array]:
    """The divergence of each latent, in nats, summed over the batch."""
    if not all(s.gaussian and s.factor is None for s in shots):
        return {}
    rows = []
    for shot in shots:
        at = in_units(shot)
        with np.errstate(over="ignore"):
            rows.append(((at.m**2 + np.exp(at.v) - at.v - 1) / 2).sum(0))
    return {f"KL of latent {j}": column for j, column in enumerate(np.array(rows).T)}


def _other_columns(shots: Sequence[Shot]) -> dict[str, Array]:
    """The same of a posterior of another family."""
    rows = []
    for shot in shots:
        assert shot.log_q is not None
        assert shot.log_p is not None
        sampled = float((shot.log_q - shot.log_p).sum()) / len(shot.log_q)
        closed = sampled if shot.divergence is None else float(shot.divergence.sum())
        rows.append((closed, sampled - closed))
    known, sampled_too = np.array(rows).T
    columns = {"KL": known}
    if np.abs(sampled_too).max() > 0:
        columns["sampled z"] = sampled_too
    return columns


def free_columns(shots: Sequence[Shot], *, standard: bool = False) -> dict[str, Array]:
    """Every term of `RARE` and `CLOSED`, summed over the batch and the latents."""
    columns: dict[str, list[float]] = {name: [] for name in (*RARE, *CLOSED)}
    for shot in shots:
        at = in_units(shot, standard=standard)
        m, v = at.m, at.v
        with np.errstate(over="ignore", invalid="ignore"):
            row = {
                "m^2 exp(-v)": (m**2 * np.exp(-v)).sum(),
                "exp(-v)": np.exp(-v).sum(),
                "|m|": np.abs(m).sum(),
                "m": m.sum(),
                "exp(2v)": np.exp(2 * v).sum(),
                "exp(v/2)": np.exp(v / 2).sum(),
                "v^2": (v**2).sum(),
                "e^2": 0.0 if shot.eps is None else (shot.eps**2).sum() / len(shot.eps),
                "z^2": (at.z**2).sum() / len(at.z),
                "exp(v)": np.exp(v).sum(),
                "v": at.log_det.sum(),
                "m^2": (m**2).sum(),
            }
        for name, value in row.items():
            columns[name].append(float(value))
    return {name: np.array(column) for name, column in columns.items()}

"""The best Gaussian posterior of many latents, by natural gradients over quasi-random points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.bounds._noise_means import quasi_random
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, ReducedModel
from vaetheory.modes import highest_modes

_ITERATIONS, _HALVINGS, _ROUNDS = 60, 8, 6
#: The points of the search, and those of the deficit; their number follows that of the parabola's
#: coefficients. Other replicates than those of `sampled_elbo`.
_SEARCH, _DEFICIT = 101, 102
_FEWEST, _MOST, _A_COEFFICIENT = 2**12, 2**16, 16
#: Numbers that a decoder returns at a time, and the least curvature of a step, of 1 for the prior.
_NUMBERS, _FLAT = 2**22, 0.1


@dataclass(frozen=True)
class Found:
    """Posteriors, and an estimate of what their ELBOs still lack, `(N,)` in nats."""

    posterior: Posterior
    deficit: Array


def sampled_posterior(
    model: LatentModel, data: Array, *, diagonal: bool, start: Posterior | None, rtol: float
) -> Found:
    """Gaussian posteriors of checked data `(N, D)` at which the ELBO is nearly stationary.

    The steps are those of `stationary_posterior`. The parabola nearest to U under q is fitted to
    values at quasi-random points. The deficit is that of a parabola fitted at other points, so
    that it includes the error of the fit.
    """
    reduced, d = model.reduced(data), model.latent_dim
    count = 2 ** int(np.ceil(np.log2(np.clip(_A_COEFFICIENT * d**2, _FEWEST, _MOST))))
    points = quasi_random(d, _SEARCH, count, normal=True)
    if start is None:
        loc = highest_modes(reduced.model, reduced.data)
        _, precision, safe = reduced.model.search_derivatives(reduced.data, loc)
        weak = np.linalg.eigvalsh(precision)[:, 0] <= 0
        precision = np.where(weak[:, None, None], safe, precision)
    else:
        loc, precision = start.loc.copy(), np.linalg.inv(start.cov)
    if diagonal:
        precision = precision * np.eye(d)
    with unchecked():
        for row in range(len(data)):
            loc[row], precision[row] = _climb(
                reduced, row, loc[row], precision[row], points, diagonal=diagonal, rtol=rtol
            )
        fresh = quasi_random(d, _DEFICIT, count, normal=True)
        deficit = np.array(
            [
                _gain(
                    *_parabola(reduced, row, loc[row], _root(precision[row]), fresh)[1:], diagonal
                )
                for row in range(len(data))
            ]
        )
    cov = np.linalg.inv(precision)
    return Found(Posterior(loc, cov=(cov + np.swapaxes(cov, -1, -2)) / 2), deficit)


def _root(precision: Array) -> Array:
    return np.asarray(np.linalg.inv(np.linalg.cholesky(precision)).T)


def _parabola(
    reduced: ReducedModel, row: int, loc: Array, root: Array, points: Array
) -> tuple[float, Array, Array]:
    """The ELBO without its entropy, and slope and curvature of the parabola, in units of q."""
    block = max(1, _NUMBERS // reduced.model.param_dim)
    x = reduced.data[row]
    potential = np.concatenate(
        [
            -reduced.model.log_joint(x, loc + part @ root.T)
            for part in np.split(points, range(block, len(points), block))
        ]
    )
    d, height = len(loc), float(potential.mean())
    slope, bend = np.zeros(d), np.zeros((d, d))
    left = potential - height
    # What a parabola leaves of U is small, and so is what the points make of it.
    for _ in range(_ROUNDS):
        slope += left @ points / len(points)
        bend += (points * left[:, None]).T @ points / len(points) - left.mean() * np.eye(d)
        bend = (bend + bend.T) / 2
        fitted = points @ slope + 0.5 * (((points @ bend) * points).sum(axis=1) - np.trace(bend))
        left = potential - fitted
        height = float(left.mean())
        left = left - height
    return -height, slope, bend


def _safe(bend: Array) -> Array:
    values, axes = np.linalg.eigh(bend)
    return np.asarray((axes * np.maximum(values, _FLAT)) @ axes.T)


def _gain(slope: Array, bend: Array, diagonal: bool) -> float:
    """What a step in the mean and one in the precision gain, in nats."""
    if not np.isfinite(bend).all():
        return np.inf
    off = bend - np.eye(len(slope))
    off = np.diagonal(off) if diagonal else off
    return float(0.5 * slope @ np.linalg.solve(_safe(bend), slope) + 0.25 * (off**2).sum())


def _climb(
    reduced: ReducedModel,
    row: int,
    loc: Array,
    precision: Array,
    points: Array,
    *,
    diagonal: bool,
    rtol: float,
) -> tuple[Array, Array]:
    """Steps of one datum, which are halved where the ELBO falls."""
    best, share, halvings = -np.inf, 1.0, 0
    kept = goal = loc, precision
    for _ in range(_ITERATIONS):
        root = _root(precision)
        height, slope, bend = _parabola(reduced, row, loc, root, points)
        value = height + float(np.linalg.slogdet(root)[1])
        if not value > best - rtol * (1 + abs(best)) and halvings < _HALVINGS:
            share, halvings = share / 2, halvings + 1
        else:
            if not np.isfinite(value):
                break
            best, kept, halvings = max(value, best), (loc, precision), 0
            if _gain(slope, bend, diagonal) <= rtol * (1 + abs(value)):
                break
            share = min(2 * share, 1.0)
            back = np.linalg.inv(root)
            target = back.T @ _safe(bend) @ back
            goal = loc - root @ np.linalg.solve(_safe(bend), slope), _shape(target, diagonal)
        loc, precision = (a + share * (b - a) for a, b in zip(kept, goal, strict=True))
    return kept


def _shape(target: Array, diagonal: bool) -> Array:
    return target * np.eye(len(target)) if diagonal else (target + target.T) / 2

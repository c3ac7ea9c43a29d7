"""Importance sampling of evidences: replicated estimates, and estimates through one exact sample.

Let w = p(x, z) / q(z). The mean of w over draws of q estimates the evidence Z without bias. If one
of the draws, at a random place, is replaced by an exact posterior sample, then the reciprocal of
the mean estimates 1 / Z without bias: draws and place then have the density (mean of w) / Z
relative to that of the draws alone (Andrieu, Doucet and Holenstein, *Particle Markov chain Monte
Carlo methods*, JRSS B 72, 2010). For points of a rule with a random shift the same holds if the
shift moves the point at a random place to the numbers from which the sample is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vaetheory._log_sums import log_sum_exp
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.rounding import gamma

INDEPENDENT, SOBOL, LATTICE = "independent", "sobol", "lattice"
#: How points are placed.
POINTS = (SOBOL, LATTICE, INDEPENDENT)
#: The heaviest draws of a datum, whose rounding is computed.
_HEAVY = 8
#: Numbers of latents of one block of data.
_NUMBERS = 2**21


class Estimates(NamedTuple):
    """Estimates of log evidences.

    Attributes
    ----------
    log_mean : array (N, R)
        Log of the mean weight of each replicate, in nats.
    log_weights : array (N, R, K)
        The weights.
    rounding : array (N,)
        How far `log_mean` is rounded, in nats: the largest of the heaviest draws.
    """

    log_mean: Array
    log_weights: Array
    rounding: Array


def replicated(
    target: Target,
    proposal: Mixture,
    *,
    count: int,
    replicates: int,
    purpose: str,
    points: str = SOBOL,
) -> Estimates:
    """Independent estimates of the evidences by `count` draws each."""
    n, size = len(target), proposal.coordinates
    u = np.concatenate(
        [_points(target, f"{purpose} {r}", count, size, points) for r in range(replicates)], axis=1
    )
    z = proposal.draw(u)
    joint = target.log_joint(z)
    weights = joint - proposal.log_density(z)
    off = _rounding(target, proposal, z, joint, weights)
    logs = weights.reshape(n, replicates, count)
    return Estimates(_log_mean(logs), logs, off)


def through(
    target: Target,
    proposal: Mixture,
    z: Array,
    *,
    count: int,
    purpose: str,
    points: str = SOBOL,
) -> Estimates:
    """Estimates by `count` draws, one of which is the exact posterior sample `z` `(N, d)`.

    The sample is the first of `log_weights` `(N, 1, count)`.
    """
    streams, size = target.streams, proposal.coordinates
    rows = np.arange(len(target))
    if points == INDEPENDENT:
        place = np.zeros(len(target), dtype=np.intp)
        u = streams.uniforms(purpose, count, size)
    else:
        place = (streams.uniforms(f"{purpose} place") * count).astype(np.intp)
        point = proposal.undrawn(z, streams, f"{purpose} point")
        if points == SOBOL:
            u = streams.sobol_through(purpose, count, place, point, size)
        else:
            u = streams.lattice_through(count, place, point, size)
    latents = proposal.draw(u)
    latents[rows, place] = latents[:, 0]
    latents[:, 0] = z
    joint = target.log_joint(latents)
    weights = joint - proposal.log_density(latents)
    off = _rounding(target, proposal, latents, joint, weights)
    return Estimates(_log_mean(weights[:, None]), weights[:, None], off)


def block_size(dim: int, draws: int) -> int:
    """How many data with so many draws each are computed at once."""
    return max(1, _NUMBERS // (draws * dim))


def _points(target: Target, purpose: str, count: int, size: int, points: str) -> Array:
    if points == INDEPENDENT:
        return target.streams.uniforms(purpose, count, size)
    rule = target.streams.sobol if points == SOBOL else target.streams.lattice
    return rule(purpose, count, size)


def _log_mean(logs: Array) -> Array:
    """Log of the mean of exp over the last axis, minus infinity where all are."""
    top = logs.max(axis=-1)
    some = np.isfinite(top)
    shifted = np.where(some[..., None], logs, 0.0)
    return np.where(some, log_sum_exp(shifted) - np.log(logs.shape[-1]), top)


def _rounding(target: Target, proposal: Mixture, z: Array, joint: Array, weights: Array) -> Array:
    """How far log means of weights `(N, K)` are rounded, `(N,)`, from the heaviest of them."""
    few = min(_HEAVY, weights.shape[1])
    heavy = np.argpartition(-weights, few - 1, axis=1)[:, :few]
    rows = np.arange(len(z))[:, None]
    some, log_joint = z[rows, heavy], joint[rows, heavy]
    known = np.isfinite(log_joint)
    off = target.rounding(some, np.where(known, log_joint, 0.0)) + proposal.rounding(some)
    worst: Array = np.where(known, off, 0.0).max(axis=1)
    return worst + gamma(weights.shape[1] + 16)

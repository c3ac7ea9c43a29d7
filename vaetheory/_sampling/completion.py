"""Evidences of which a proposal accounts for one part, and annealed particles for the rest.

Let q be a mixture that lacks modes or is too narrow in places, and L a hundred times the evidence.
Then p(x, z) = min(p, L q) + (p - L q)+. The integral A of the first part is the mean of
min(p / q, L) over draws of q: bounded weights, whatever q lacks. Particles that are annealed from
the prior, and do not know q, estimate the integrals of both parts without bias: H of the first one,
and U of the second one. The evidence is A + U, and A (H + U) / H. The second form is the value:
what makes H too small in one run, such as a poor start, does the same to U and cancels. Whether H
agrees with A says whether the particles find what the searches have found.

Source: the second form is the identity of bridge sampling (Meng and Wong, *Simulating ratios of
normalizing constants via a simple identity*, Statistica Sinica 6, 1996); the cut of the weights is
that of Ionides, *Truncated importance sampling*, J. Comput. Graph. Stat. 17 (2008).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp, stdtrit

from vaetheory._sampling import annealing
from vaetheory._sampling.annealing import Schedule
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.replicates import LEVEL
from vaetheory._sampling.target import Target
from vaetheory._validation import Array

#: Weights beyond so many times the evidence are left to the particles.
_RATIO = 100.0
#: Replicates of draws from the proposal, and points of each (powers of two).
_REPLICATES, _POINTS = 32, 4096
#: Runs of annealed particles that are computed together, and particles of each.
RUNS, PARTICLES = 16, 64
#: Their temperatures are at least and at most so many times finer than those of the pilot.
_COARSEST, _FINEST = 2, 4


@dataclass(frozen=True)
class Completion:
    """Evidences of N data by draws of a proposal and by R annealed runs.

    Attributes
    ----------
    limit : array (N,)
        Log of L, in nats.
    covered : array (N, 32)
        Logs of unbiased estimates of A by the draws, in nats.
    seen, rest : array (N, R)
        Logs of unbiased estimates of H and of U by the runs.
    """

    limit: Array
    covered: Array
    seen: Array
    rest: Array

    def joined(self, other: Completion) -> Completion:
        """The same with more runs."""
        seen, rest = (
            np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
            for name in ("seen", "rest")
        )
        return Completion(self.limit, self.covered, seen, rest)

    @property
    def _both(self) -> tuple[Array, Array]:
        """Estimates of H and of U by each run, `(N, R)`, over those of A."""
        scale = _log_mean(self.covered)[:, None]
        return np.exp(self.seen - scale), np.exp(self.rest - scale)

    @property
    def value(self) -> Array:
        """Log A + log((H + U) / H), `(N,)` in nats."""
        seen, rest = self._both
        return _log_mean(self.covered) + np.log1p(_ratio(rest.sum(axis=1), seen.sum(axis=1)))

    @property
    def share(self) -> Array:
        """The share U / (H + U) of the posterior that the proposal lacks, `(N,)`."""
        seen, rest = (part.sum(axis=1) for part in self._both)
        return rest / (seen + rest)

    @property
    def spread(self) -> Array:
        """Standard error of the value, `(N,)`: by the draws, and by leaving out one run."""
        return np.hypot(_error_of(self.covered), self._left_out)

    @property
    def _left_out(self) -> Array:
        seen, rest = self._both
        runs = seen.shape[1]
        parts = (part.sum(axis=1, keepdims=True) - part for part in (rest, seen))
        without = np.log1p(_ratio(*parts))
        return np.sqrt((runs - 1) * without.var(axis=1))

    @property
    def greatest(self) -> Array:
        """The share of the posterior that the proposal lacks and a single run has shown, `(N,)`."""
        _, rest = self._both
        return self.share * rest.max(axis=1) / np.maximum(rest.sum(axis=1), 1e-300)

    @property
    def apart(self) -> Array:
        """The difference of the two forms of the evidence, `(N,)` in nats."""
        seen, rest = (part.mean(axis=1) for part in self._both)
        return np.abs(np.log1p(rest) - np.log1p(_ratio(rest, seen)))

    @property
    def effective(self) -> Array:
        """The effective number of runs, `(N,)`: as many equal ones would say as much."""
        seen, _ = self._both
        return _ratio(seen.sum(axis=1) ** 2, (seen**2).sum(axis=1))

    @property
    def error(self) -> Array:
        """Half a 99.9 % interval, and what it does not count, `(N,)` in nats.

        That is the share that a single run has shown, the difference of both forms, and a share of
        the posterior of which so many particles show none with a probability of 0.1 %.
        """
        level = 0.5 + LEVEL / 2
        draws = stdtrit(self.covered.shape[1] - 1, level) * _error_of(self.covered)
        runs = stdtrit(self.seen.shape[1] - 1, level) * self._left_out
        unseen = _ratio(np.full(len(draws), -np.log(1 - LEVEL)), self.effective * PARTICLES)
        return np.hypot(draws, runs) + self.greatest + self.apart + unseen

    @property
    def disagreement(self) -> Array:
        """H / A - 1 in standard deviations, `(N,)`: zero but for chance."""
        seen, _ = self._both
        deviation = seen.std(axis=1, ddof=1) / np.sqrt(seen.shape[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return (seen.mean(axis=1) - 1) / np.hypot(deviation, _error_of(self.covered))

    @property
    def annealed(self) -> tuple[Array, Array]:
        """The value by the runs alone, and its error, `(N,)` in nats.

        Half of its 99.9 % interval, the share of the greatest run, and |log (H / A)|: by how much
        the runs are off on the part that the draws see as well.
        """
        logs = np.logaddexp(self.seen, self.rest)
        runs, value = logs.shape[1], _log_mean(logs)
        quantile = stdtrit(runs - 1, 0.5 + LEVEL / 2)
        share = np.exp(logs.max(axis=1) - value) / runs
        off = np.abs(_log_mean(self.seen) - _log_mean(self.covered))
        return value, quantile * _error_of(logs) + share + off


def completed(
    target: Target,
    q: Mixture,
    schedule: Schedule,
    log_evidence: Array,
    purpose: str,
    tolerance: float,
    calls: float,
) -> Completion | None:
    """Draws of proposals and annealed runs, more of these until the error is small enough.

    Parameters
    ----------
    target : Target
    q : Mixture
    schedule : Schedule
        Of a pilot; the runs have finer temperatures.
    log_evidence : array (N,)
        Nearly, in nats. Neither this nor the schedule may depend on random numbers of this purpose.
    purpose : str
    tolerance : float
        The error at which no more runs are made.
    calls : float
        Calls of the decoder for each datum that may be made. None is returned where they do not
        suffice.
    """
    each = float(schedule.calls(RUNS * PARTICLES).mean())
    calls -= _REPLICATES * _POINTS
    times = min(_FINEST, int(calls // each))
    if times < _COARSEST:
        return None
    limit = log_evidence + np.log(_RATIO)
    schedule = schedule.finer(times)
    found = _annealed(target, q, schedule, limit, f"{purpose} 0")
    found = replace(found, covered=_covered(target, q, limit, f"{purpose} draws"))
    for again in range(1, int(calls // (times * each))):
        if (found.error <= tolerance).all():
            break
        found = found.joined(_annealed(target, q, schedule, limit, f"{purpose} {again}"))
    return found


def beyond(log_weights: Array, limit: Array) -> Array:
    """Of p at latents with weights `(N, K)`, the share (p - L q)+ / p, `(N, K)`."""
    return np.asarray(-np.expm1(np.minimum(limit[:, None] - log_weights, 0.0)))


def _covered(target: Target, q: Mixture, limit: Array, purpose: str) -> Array:
    """Logs of estimates of A `(N, 32)`, where weights of more than `limit` `(N,)` are cut."""
    logs = np.empty((len(target), _REPLICATES))
    for r in range(_REPLICATES):
        z = q.draw(target.streams.sobol(f"{purpose} {r}", _POINTS, q.coordinates))
        weights = np.minimum(target.log_joint(z) - q.log_density(z), limit[:, None])
        logs[:, r] = _log_mean(weights)
    return logs


def _annealed(
    target: Target, q: Mixture, schedule: Schedule, limit: Array, purpose: str
) -> Completion:
    """Annealed runs, without estimates of A."""
    at, log_weights, total = annealing.run(
        target, schedule, PARTICLES, purpose=purpose, groups=RUNS
    )
    lacking = beyond(at.value + at.base - q.log_density(at.z), limit)
    with np.errstate(divide="ignore"):
        parts = np.stack([np.log1p(-lacking), np.log(lacking)])
    parts = (parts + log_weights).reshape(2, len(target), RUNS, PARTICLES)
    seen, rest = _log_mean(parts) + total
    return Completion(limit, np.zeros((len(target), 0)), seen, rest)


def _ratio(a: Array, b: Array) -> Array:
    return a / np.maximum(b, 1e-300)


def _log_mean(logs: Array) -> Array:
    """Log of the mean of exp over the last axis, minus infinity where all are."""
    with np.errstate(divide="ignore"):
        return np.asarray(logsumexp(logs, axis=-1) - np.log(logs.shape[-1]))


def _error_of(logs: Array) -> Array:
    """Standard error of the mean of exp over the last axis, as a share of it."""
    ratio = np.exp(logs - _log_mean(logs)[..., None])
    return np.asarray(ratio.std(axis=-1, ddof=1) / np.sqrt(logs.shape[-1]))

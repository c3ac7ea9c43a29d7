"""Sequential Monte Carlo from the prior, or from a proposal, to the posterior of many data at once.

A pilot run chooses temperatures, frames and step sizes from its particles. Its own estimate of the
evidence is biased, because it adapts to the particles that it averages. A second run with these
frozen is unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from vaetheory._gaussians import standard_log_prob
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import GRADIENT, Target
from vaetheory._validation import Array, Index

#: Conditional effective sample size, as a share of the particles, from one temperature to the next.
_SHARE = 0.8
#: Acceptance rate at which the pilot aims, leapfrog steps of a move, and the most temperatures.
_ACCEPTANCE, _LEAPS, _MOST = 0.8, 6, 300
#: Log likelihood where it is not a number, least step of the temperature, and least variance.
_NOWHERE, _LEAST, _FLAT = -1e300, 1e-12, 1e-20
#: Temperature (inverse) at which particles are kept to start searches from.
EARLY = 0.3
#: Beyond this the density of the prior is zero in float64.
_FAR = 40.0


@dataclass(frozen=True)
class Base:
    """Where the particles start: the prior, or a proposal for each datum.

    Attributes
    ----------
    proposal : Mixture, optional
        The prior if there is none.
    """

    proposal: Mixture | None = None

    def take(self, rows: Index) -> Base:
        """The bases of some of the data."""
        return self if self.proposal is None else Base(self.proposal.take(rows))

    def draw(self, target: Target, purpose: str, count: int) -> Array:
        """Independent draws `(N, count, d)`."""
        if self.proposal is None:
            return target.streams.normals(purpose, count, target.dim)
        return self.proposal.draw(
            target.streams.uniforms(purpose, count, self.proposal.coordinates)
        )

    def log_density(self, z: Array) -> Array:
        """Log density at latents `(N, K, d)`, `(N, K)` in nats."""
        if self.proposal is None:
            return standard_log_prob(z)
        return self.proposal.log_density(z)

    def slope(self, z: Array) -> Array:
        """Gradient of the log density, `(N, K, d)`."""
        return -z if self.proposal is None else self.proposal.slope(z)


#: Particles start from the prior.
PRIOR = Base()


@dataclass(frozen=True)
class Schedule:
    """What the pilot chose, with the temperatures as the first axis.

    Attributes
    ----------
    temperatures : array (T + 1, N)
        From 0, the prior, to 1, the posterior.
    frames : array (T, N, d, d)
        Roots of the covariances of the particles, shrunk towards their diagonals.
    steps : array (T, N)
        Step sizes in these frames.
    """

    temperatures: Array
    frames: Array
    steps: Array

    def take(self, rows: Index) -> Schedule:
        """The schedules of some of the data."""
        return Schedule(self.temperatures[:, rows], self.frames[:, rows], self.steps[:, rows])

    def finer(self, times: int) -> Schedule:
        """Each interval of temperatures cut into so many equal ones, with its own moves."""
        low, high = self.temperatures[:-1, None], self.temperatures[1:, None]
        parts = low + (high - low) * (np.arange(times)[:, None] / times)
        parts = parts.reshape(-1, self.temperatures.shape[1])
        return Schedule(
            np.concatenate([parts, self.temperatures[-1:]]),
            np.repeat(self.frames, times, axis=0),
            np.repeat(self.steps, times, axis=0),
        )

    def calls(self, count: int) -> Array:
        """Calls of the decoder for each datum, `(N,)`, of a run with so many particles."""
        moves = (self.temperatures[:-1] < 1).sum(axis=0)
        return count * (1 + GRADIENT) * (1 + _LEAPS * moves)


@dataclass
class Particles:
    """Particles `(N, K, d)` with the log joint over the base and both gradients.

    From the prior the log joint over the base is the log likelihood.
    """

    z: Array
    value: Array
    slope: Array
    base: Array
    base_slope: Array

    #: The arrays.
    NAMES = ("z", "value", "slope", "base", "base_slope")

    def chosen(self, index: Index) -> Particles:
        """Particles by their index `(N, K)`."""
        row = np.arange(len(index))[:, None]
        return Particles(*(getattr(self, name)[row, index] for name in self.NAMES))

    def of(self, rows: Index) -> Particles:
        """The particles of some data."""
        return Particles(*(getattr(self, name)[rows] for name in self.NAMES))

    def put(self, rows: Index, new: Particles) -> None:
        """Replace the particles of some data."""
        for name in self.NAMES:
            getattr(self, name)[rows] = getattr(new, name)


def _evaluated(target: Target, z: Array, base: Base = PRIOR) -> Particles:
    value, slope = target.with_gradient(z)
    log_base, base_slope = base.log_density(z), base.slope(z)
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(value) | ~np.isfinite(slope).all(axis=-1)
        value = np.where(bad, _NOWHERE, value - log_base)
        slope = np.where(bad[..., None], 0.0, slope - base_slope)
        return Particles(z, value, slope, log_base, base_slope)


def _moved(
    target: Target,
    at: Particles,
    base: Base,
    heat: Array,
    frame: Array,
    step: Array,
    purpose: str,
) -> tuple[Particles, Array]:
    """One Hamiltonian move of all particles at inverse temperatures `heat` `(N,)`.

    Returns the particles, and the mean acceptance `(N,)`.
    """
    h, e = heat[:, None, None], step[:, None, None]
    turned = np.swapaxes(frame, -1, -2)
    count, d = at.z.shape[1:]
    p = target.streams.normals(f"{purpose} momenta", count, d)
    before = heat[:, None] * at.value + at.base - 0.5 * (p**2).sum(axis=-1)
    new, momentum = at, p + 0.5 * e * ((h * at.slope + at.base_slope) @ frame)
    lost = np.zeros(at.value.shape, dtype=bool)
    for i in range(_LEAPS):
        z = new.z + e * (momentum @ turned)
        # A path that leaves the prior is rejected; it goes on from its start.
        lost |= ~(np.abs(z) < _FAR).all(axis=-1)
        new = _evaluated(target, np.where(lost[..., None], at.z, z), base)
        half = 0.5 if i == _LEAPS - 1 else 1.0
        momentum = momentum + half * e * ((h * new.slope + new.base_slope) @ frame)
    with np.errstate(all="ignore"):
        after = heat[:, None] * new.value + new.base
        gain = after - 0.5 * (momentum**2).sum(axis=-1) - before
    gain = np.where(np.isfinite(gain) & ~lost, gain, -np.inf)
    accept = np.log(target.streams.uniforms(f"{purpose} acceptance", count)) < gain
    pairs = [(getattr(new, name), getattr(at, name)) for name in Particles.NAMES]
    wide = accept[..., None]
    kept = Particles(*(np.where(wide if b.ndim > 2 else accept, a, b) for a, b in pairs))
    return kept, np.exp(np.minimum(gain, 0.0)).mean(axis=-1)


def _next(value: Array, heat: Array, share: float) -> Array:
    """The greatest temperature `(N,)` at which the effective sample size is still enough."""
    low, high = heat, np.ones_like(heat)

    def enough(t: Array) -> Array:
        tilt = (t - heat)[:, None] * value
        w = np.exp(tilt - tilt.max(axis=1, keepdims=True))
        return w.sum(axis=1) ** 2 >= share * w.shape[1] * (w * w).sum(axis=1)

    whole = enough(high)
    for _ in range(40):
        middle = 0.5 * (low + high)
        good = enough(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    # Where hardly any particle has a likelihood, the temperature still rises.
    return np.where(whole, 1.0, np.maximum(low, heat + _LEAST))


def _resampled(at: Particles, log_weights: Array, ticks: Array) -> Particles:
    """Particles drawn by their weights, with `ticks` `(N,)` in (0, 1)."""
    return at.chosen(_choice(log_weights, ticks))


def _choice(log_weights: Array, ticks: Array) -> Index:
    """Places drawn by the weights `(N, K)`: systematic resampling, with `ticks` `(N,)`."""
    count = log_weights.shape[1]
    p = np.exp(log_weights - logsumexp(log_weights, axis=1, keepdims=True))
    edges = np.cumsum(p, axis=1)
    edges /= edges[:, -1:]
    places = (ticks[:, None] + np.arange(count)) / count
    # One sorted search for all data: row n lies between n and n + 1.
    row = np.arange(len(p))[:, None]
    found = np.searchsorted((edges + row).ravel(), (places + row).ravel(), side="right")
    return np.asarray(np.clip(found.reshape(p.shape) - count * row, 0, count - 1))


def _frame(z: Array) -> Array:
    """Root `(N, d, d)` of the covariance of particles, shrunk towards its diagonal."""
    count, d = z.shape[1:]
    off = z - z.mean(axis=1, keepdims=True)
    cov = np.swapaxes(off, -1, -2) @ off / count
    shrink = d / (d + 0.5 * count)
    diagonal = np.einsum("nii->ni", cov).copy()
    cov *= 1 - shrink
    np.einsum("nii->ni", cov)[...] += shrink * diagonal + _FLAT
    return np.linalg.cholesky(cov)


def pilot(
    target: Target,
    count: int,
    base: Base = PRIOR,
    purpose: str = "pilot",
    share: float = _SHARE,
    most: int = _MOST,
) -> tuple[Schedule, Array, Array]:
    """An adaptive run with `count` particles and at most `most` temperatures.

    `share` is the effective share of the particles from one temperature to the next.

    Returns
    -------
    schedule : Schedule
    particles : array (N, count, d)
        At the end.
    early : array (N, count, d)
        At the last temperature below `EARLY`, where more modes are seen than at the end.
    """
    n, d = len(target), target.dim
    at = _evaluated(target, base.draw(target, f"{purpose} start", count), base)
    heat, step = np.zeros(n), np.full(n, float(d) ** -0.25)
    frame = np.broadcast_to(np.eye(d), (n, d, d))
    temperatures: list[Array] = [heat]
    frames: list[Array] = []
    steps: list[Array] = []
    early = at.z.copy()
    while (heat < 1).any() and len(frames) < most:
        on = np.flatnonzero(heat < 1)
        some, mine, step_name = at.of(on), target.take(on), f"{purpose} {len(frames)}"
        after = _next(some.value, heat[on], share)
        ticks = mine.streams.uniforms(f"{step_name} choice", 1)[:, 0]
        some = _resampled(some, (after - heat[on])[:, None] * some.value, ticks)
        heat, frame, step = heat.copy(), frame.copy(), step.copy()
        heat[on], frame[on] = after, _frame(some.z)
        frames.append(frame)
        steps.append(step.copy())
        temperatures.append(heat)
        some, rate = _moved(mine, some, base.take(on), after, frame[on], step[on], step_name)
        at.put(on, some)
        warm = on[after < EARLY]
        early[warm] = at.z[warm]
        step[on] = np.clip(step[on] * np.exp(0.8 * (rate - _ACCEPTANCE)), 1e-3, 2.0)
    return Schedule(np.array(temperatures), np.array(frames), np.array(steps)), at.z, early


def frozen(
    target: Target, schedule: Schedule, count: int, *, resample: float = 0.5
) -> tuple[Array, Array]:
    """A run from the prior with a fixed schedule; `resample` as in `run`.

    Returns
    -------
    log_evidence : array (N,)
        Log of an unbiased estimate, in nats.
    particles : array (N, count, d)
        Approximate draws from the posteriors.
    """
    at, log_weights, total = run(target, schedule, count, resample=resample)
    ticks = target.streams.uniforms("frozen choice", 1)[:, 0]
    return total[:, 0] + _log_mean(log_weights), _resampled(at, log_weights, ticks).z


def run(
    target: Target,
    schedule: Schedule,
    count: int,
    *,
    base: Base = PRIOR,
    purpose: str = "frozen",
    resample: float = 0.5,
    groups: int = 1,
) -> tuple[Particles, Array, Array]:
    """Independent runs with a fixed schedule, one for each group of `count` particles.

    Particles are drawn anew where their effective number is below the share `resample` of them.
    With 0 they never are: that is annealed importance sampling, whose weights are independent.

    Returns
    -------
    particles : Particles
        `(N, groups * count, ...)`.
    log_weights : array (N, groups * count)
        Since they were last drawn anew, in nats.
    total : array (N, groups)
        Log of the product of the mean weights before.
    """
    n, many = len(target), groups * count
    at = _evaluated(target, base.draw(target, f"{purpose} start", many), base)
    log_weights, total = np.zeros((n, groups, count)), np.zeros((n, groups))
    heats = schedule.temperatures
    for t, (frame, step) in enumerate(zip(schedule.frames, schedule.steps, strict=True)):
        on, step_name = np.flatnonzero(heats[t] < 1), f"{purpose} {t}"
        if not len(on):
            break
        some, mine = at.of(on), target.take(on)
        rise = (heats[t + 1] - heats[t])[on][:, None] * some.value
        lw = log_weights[on] + rise.reshape(len(on), groups, count)
        w = np.exp(lw - lw.max(axis=2, keepdims=True))
        poor = w.sum(axis=2) ** 2 < resample * count * (w * w).sum(axis=2)
        rows = np.flatnonzero(poor.any(axis=1))
        if len(rows):
            which = poor[rows]
            total[on[rows]] += np.where(which, _log_mean(lw[rows]), 0.0)
            ticks = mine.streams.take(rows).uniforms(f"{step_name} choice", groups)
            index = np.tile(np.arange(count), (len(rows), groups, 1))
            index[which] = _choice(lw[rows][which], ticks[which])
            index += count * np.arange(groups)[:, None]
            some.put(rows, some.of(rows).chosen(index.reshape(len(rows), many)))
            lw[poor] = 0.0
        log_weights[on] = lw
        heat = heats[t + 1][on]
        some, _ = _moved(mine, some, base.take(on), heat, frame[on], step[on], step_name)
        at.put(on, some)
    return at, log_weights.reshape(n, many), total


def _log_mean(log_weights: Array) -> Array:
    return logsumexp(log_weights, axis=-1) - np.log(log_weights.shape[-1])

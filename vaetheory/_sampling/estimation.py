"""Evidences of a batch of data: scout, modes, proposals, replicates, gates, and second tries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vaetheory._sampling import annealing, completion
from vaetheory._sampling.bridging import bridged
from vaetheory._sampling.fitting import adapted, fitted, with_components
from vaetheory._sampling.gates import uncovered
from vaetheory._sampling.mode_search import Modes, crossed, find_modes, jumped, pooled
from vaetheory._sampling.proposals import Mixture, put
from vaetheory._sampling.replicates import Replicates, replicated
from vaetheory._sampling.target import Target
from vaetheory._validation import Array, Index

#: Starts of searches from each set of particles, and from combined modes; most modes of a datum.
_STARTS, _COMBINED, MODES = 16, 16, 32
#: Most starts from particles at a high temperature, and their number times d.
_EARLY, _ALL_STARTS = 96, 3072
#: Most starts on the principal axes of the first mode, and their number times d.
_JUMPS, _ALL_JUMPS = 160, 8192
#: Independent replicates, and points of each (powers of two): while proposals are tried, when all
#: is well in up to 16 dimensions and in more, and at most, where the tolerance is not reached.
REPLICATES, POINTS, MORE, MANY, MOST = 32, 512, 4096, 16384, 32768
#: Numbers of the latents of one replicate that are held at once.
_TOGETHER = 2**22
#: Tries after the first one.
_AGAIN = 2
#: Particles of a replicate that are annealed from the proposal, and for what.
_BRIDGES, _UNEVEN = 128, ("coverage", "pareto shape", "tolerance")
#: Heaviest draws that have components of their own where the weights' tail is too heavy.
_HEAVY = 4
#: Ratios of weight to evidence at which the scout's particles are compared with the proposal's
#: draws; at the first one too great a difference is an alarm.
_RATIOS = (10.0, 100.0, 1000.0)
#: The least shape of the weights' tail that is an alarm, and the greatest differences from the
#: scout's log evidence: upwards, which is unlikely for an unbiased estimate, and downwards.
_SHAPE, _ABOVE, _BELOW = 0.7, 1.5, 3.0
#: Annealed runs are made beside a proposal whose error is more than this share of the tolerance, or
#: that has so many modes. Beside so many there may be one more.
_DOUBT, _CROWD = 0.5, 16
#: Standard deviations by which annealed runs and proposal may differ on what both see, and the
#: least effective number of these runs.
_UNLIKE, _FEWEST = 4.0, 4.0

#: What a datum lacks, in the order in which it is looked for.
REASONS = ("", "temperatures", "modes", "coverage", "pareto shape", "scout", "tolerance")


@dataclass(frozen=True)
class Scout:
    """What the annealed particles say of N posteriors.

    Attributes
    ----------
    particles : array (N, 2 K, d)
        Of both runs, at the end.
    early : array (N, K, d)
        Of the pilot, at a high temperature.
    log_evidence : array (N,)
        Log of the frozen run's unbiased estimate, in nats.
    finished : array of bool (N,)
        Whether the pilot came to the posterior.
    schedule : Schedule
        What the pilot chose.
    """

    particles: Array
    early: Array
    log_evidence: Array
    finished: NDArray[np.bool_]
    schedule: annealing.Schedule


@dataclass
class Outcome:
    """Estimates of N log evidences in nats, and what was measured on the way, `(N,)` each.

    Attributes
    ----------
    value, error : array (N,)
    reason : array of int (N,)
        Place in `REASONS`: 0 where nothing is lacking.
    spread, greatest, excess : array (N,)
        Parts of the error: the replicates' standard error, the greatest single weight's share, and
        the share of the posterior that the scout sees in excess of the proposal.
    shape, scout, modes : array (N,)
        Tail of the weights; the scout's log evidence; number of modes.
    annealed, annealed_error, covered, limit : array (N,)
        Where there are annealed runs beside the proposal, see `Completion`, the log evidence by
        these alone and its error; where they are part of the value, the share of the evidence for
        which the proposal accounts, and the log weight beyond which it does not. NaN elsewhere.
    hole : array of bool (N,)
        Whether the scout sees more than the proposal predicts, by one standard deviation.
    heaviest : array (N, R, d)
        The heaviest draw of each replicate, the heaviest of all first.
    proposal : Mixture
    """

    value: Array
    error: Array
    reason: Index
    spread: Array
    greatest: Array
    excess: Array
    shape: Array
    scout: Array
    modes: Index
    annealed: Array
    annealed_error: Array
    covered: Array
    limit: Array
    hole: NDArray[np.bool_]
    heaviest: Array = field(repr=False)
    proposal: Mixture = field(repr=False)

    #: The arrays over the data, and those that are of use only on the way.
    ARRAYS = (
        "value", "error", "reason", "spread", "greatest", "excess", "shape", "scout", "modes",
        "annealed", "annealed_error", "covered", "limit",
    )  # fmt: skip
    INNER = ("hole", "heaviest")

    def put(self, rows: Index, new: Outcome) -> None:
        """Replace the results of some data."""
        for name in (*self.ARRAYS, *self.INNER):
            getattr(self, name)[rows] = getattr(new, name)
        self.proposal = put(self.proposal, rows, new.proposal)

    def taken(self, rows: Index) -> Outcome:
        """A copy of the results of some data."""
        arrays = {name: getattr(self, name)[rows] for name in (*self.ARRAYS, *self.INNER)}
        return Outcome(**arrays, proposal=self.proposal.take(rows))


def scouted(target: Target, particles: int) -> Scout:
    """Two runs from the prior to the posteriors: a pilot, and one with its schedule."""
    schedule, first, early = annealing.pilot(target, particles)
    log_evidence, second = annealing.frozen(target, schedule, particles)
    finished = schedule.temperatures[-1] >= 1
    both = np.concatenate([first, second], axis=1)
    return Scout(both, early, log_evidence, finished, schedule)


def modes_near(target: Target, scout: Scout) -> Modes:
    """The modes to which some of the scout's particles lead, and combinations of them."""
    modes = find_modes(target, _starts(target, scout), MODES)
    jumps = jumped(modes, int(np.clip(_ALL_JUMPS // target.dim, _STARTS, _JUMPS)))
    modes = pooled(modes, find_modes(target, jumps, MODES), MODES)
    return _with_crossed(target, modes)


def estimated(target: Target, particles: int, tolerance: float, most: float) -> Outcome:
    """Estimates to a tolerance in nats, for about `most` calls of the decoder for each datum."""
    scout = scouted(target, particles)
    modes = modes_near(target, scout)
    found = _tried(target, scout, modes, "first")
    found.reason[(found.reason == 0) & (found.error > tolerance)] = _lacking("tolerance")
    for again in range(_AGAIN):
        rows = np.flatnonzero((found.reason > 0) | found.hole)
        if not len(rows):
            break
        some, part = target.take(rows), _part(scout, rows)
        heavy = _uncovered(some, part, found.proposal.take(rows))
        starts = np.concatenate([heavy, found.heaviest[rows]], axis=1)
        mine = modes.chosen(rows[:, None], np.arange(modes.z.shape[1]))
        mine = pooled(mine, find_modes(some, starts, MODES), MODES)
        mine, purpose = _with_crossed(some, mine), f"again {again}"
        beside = np.stack([heavy[:, 0], found.heaviest[rows, 0]], axis=1)
        new = _tried(some, part, mine, purpose, beside)
        new.reason[(new.reason == 0) & (new.error > tolerance)] = _lacking("tolerance")
        found.put(rows, new)
        modes = _put_modes(modes, rows, mine)
    late, heavy_tail = _lacking("tolerance"), _lacking("pareto shape")
    more = MORE if target.dim <= 16 else MANY
    for stage, (points, wanted) in enumerate(
        ((more, (0, late)), (MORE, (heavy_tail,)), (MORE, (heavy_tail,)), (MOST, (late,)))
    ):
        rows = np.flatnonzero(np.isin(found.reason, wanted))
        if not len(rows) or target.count.calls / len(target) + REPLICATES * points > most:
            continue
        together = max(1, _TOGETHER // (points * target.dim))
        for few in _alike((found.proposal.weights > 0).sum(axis=1), rows, together):
            some, part = target.take(few), _part(scout, few)
            mine = modes.chosen(few[:, None], np.arange(modes.z.shape[1]))
            q, purpose = found.proposal.take(few).trimmed(), f"stage {stage}"
            if wanted == (heavy_tail,):
                # More draws have come to where the proposal is too thin.
                q = adapted(some, with_components(q, found.heaviest[few, :_HEAVY]), purpose)
            new = _measured(some, part, mine, q, purpose, points)
            new.reason[(new.reason == 0) & (new.error > tolerance)] = late
            found.put(few, new)
    found = _bridged(target, scout, modes, found, tolerance, most)
    return _completed(target, scout, found, tolerance, most)


def _completed(
    target: Target, scout: Scout, found: Outcome, tolerance: float, most: float
) -> Outcome:
    """Estimates by the proposal and annealed runs, where the proposal alone is doubtful."""
    # Half of all calls, so that the numbers of a datum do not depend on its neighbours.
    calls = min(0.5 * most, most - target.count.calls / len(target))
    doubtful = (found.reason > 0) | (found.error > _DOUBT * tolerance) | (found.modes >= _CROWD)
    for n in np.flatnonzero(doubtful & scout.finished):
        row = np.array([n])
        part, q = _part(scout, row), found.proposal.take(row).trimmed()
        known = np.maximum(part.log_evidence, found.value[row])
        made = completion.completed(
            target.take(row), q, part.schedule, known, "completion", tolerance, calls
        )
        # Among so many modes one may be missing; without runs that know the others, who can say?
        crowd = found.reason[n] == 0 and found.modes[n] >= _CROWD
        if made is None:
            found.reason[n] = _lacking("modes") if crowd else found.reason[n]
            continue
        new = found.taken(row)
        new.annealed, new.annealed_error = made.annealed
        # Particles that miss what the proposal has say nothing of what it lacks, and an estimate
        # that is good enough needs no worse one that agrees with it.
        apart = np.abs(made.value - new.value)[0] > new.error[0]
        better = found.reason[n] > 0 or made.error[0] <= tolerance or apart
        sound = np.abs(made.disagreement[0]) <= _UNLIKE and made.effective[0] >= _FEWEST
        if better and sound:
            new.value, new.error, new.spread = made.value, made.error, made.spread
            new.greatest, new.excess = made.greatest, made.apart
            new.covered, new.limit = 1 - made.share, made.limit
            signs = [part.log_evidence - made.value > _ABOVE, ~(made.error <= tolerance)]
            new.reason = np.select(signs, [_lacking("scout"), _lacking("tolerance")], 0)
        elif crowd and not sound:
            new.reason = np.array([_lacking("modes")])
        found.put(row, new)
    return found


def _bridged(
    target: Target, scout: Scout, modes: Modes, found: Outcome, tolerance: float, most: float
) -> Outcome:
    """Estimates by annealing from the proposal, where weights alone are too uneven."""
    rows = np.flatnonzero(np.isin(found.reason, [_lacking(word) for word in _UNEVEN]))
    late = _lacking("tolerance")
    together = max(1, _TOGETHER // (REPLICATES * _BRIDGES * target.dim))
    for few in _alike((found.proposal.weights > 0).sum(axis=1), rows, together):
        if target.count.calls / len(target) > most:
            break
        some, part = target.take(few), _part(scout, few)
        mine = modes.chosen(few[:, None], np.arange(modes.z.shape[1]))
        q = found.proposal.take(few).trimmed()
        by_steps, arrived = bridged(some, q, "bridge", REPLICATES, _BRIDGES)
        new = _judged(some, part, mine, q, by_steps)
        new.reason[(new.reason == 0) & (new.error > tolerance)] = late
        better = np.flatnonzero(arrived & np.isin(new.reason, (0, late)))
        found.put(few[better], new.taken(better))
    return found


def _tried(
    target: Target, scout: Scout, modes: Modes, purpose: str, beside: Array | None = None
) -> Outcome:
    """The evidences by proposals fitted at modes."""
    whole: Outcome | None = None
    count = modes.known.sum(axis=1)
    for rows in _alike(count, np.arange(len(target)), len(target)):
        some, part = target.take(rows), _part(scout, rows)
        mine = modes.chosen(rows[:, None], np.arange(count[rows[0]]))
        q = fitted(some, mine, purpose, None if beside is None else beside[rows])
        new = _measured(some, part, mine, q, purpose, POINTS)
        if whole is None:
            # Every place is replaced once.
            whole = new.taken(np.zeros(len(target), dtype=np.intp))
        whole.put(rows, new)
    assert whole is not None
    return whole


def _alike(count: Index, rows: Index, most: int) -> Iterator[Index]:
    """Rows with equal counts of components, at most so many at once.

    The points of a mixture of several components have a coordinate more than those of one, and
    only one has control variates. So what is computed together has the same count: the numbers of
    a datum do not depend on its neighbours.
    """
    for size in np.unique(count[rows]):
        same = rows[count[rows] == size]
        for i in range(0, len(same), most):
            yield same[i : i + most]


def _lacking(word: str) -> int:
    return REASONS.index(word)


def _part(scout: Scout, rows: Index) -> Scout:
    names = ("particles", "early", "log_evidence", "finished")
    arrays = {name: getattr(scout, name)[rows] for name in names}
    return Scout(**arrays, schedule=scout.schedule.take(rows))


def _starts(target: Target, scout: Scout) -> Array:
    """Starts of searches `(N, S, d)`: some particles of each kind, and the origin.

    Most are early ones: where a narrow mode wins late, few particles are in it at the end, or none.
    """
    n, half, d = scout.early.shape
    early = int(np.clip(_ALL_STARTS // d, _STARTS, _EARLY))
    sets = (
        (scout.early, early),
        (scout.particles[:, :half], _STARTS),
        (scout.particles[:, half:], _STARTS),
    )
    chosen = [
        z[np.arange(n)[:, None], _some(target, f"starts {i}", half)[:, :count]]
        for i, (z, count) in enumerate(sets)
    ]
    return np.concatenate([*chosen, np.zeros((n, 1, d))], axis=1)


def _some(target: Target, purpose: str, count: int) -> Index:
    """The numbers up to `count` in a random order of each datum, `(N, count)`."""
    return target.streams.uniforms(purpose, count).argsort(axis=1)


def _with_crossed(target: Target, modes: Modes) -> Modes:
    """Modes, and those that combinations of three of them lead to."""
    rows = np.flatnonzero(modes.known.sum(axis=1) > 2)
    if not len(rows):
        return modes
    some = target.take(rows)
    mine = modes.chosen(rows[:, None], np.arange(modes.z.shape[1]))
    new = find_modes(some, crossed(some, mine, _COMBINED), MODES)
    return _put_modes(modes, rows, pooled(mine, new, MODES))


def _uncovered(target: Target, scout: Scout, q: Mixture) -> Array:
    """The particles that the proposal is least likely to draw, relative to the posterior."""
    z = np.concatenate([scout.particles, scout.early], axis=1)
    weight = target.log_joint(z) - q.log_density(z)
    best = np.argsort(-weight, axis=1)[:, :_STARTS]
    return z[np.arange(len(z))[:, None], best]


def _put_modes(modes: Modes, rows: Index, new: Modes) -> Modes:
    """Modes with those of some data replaced."""
    count = modes.known.shape[1]
    width = max(count, new.known.shape[1])
    made = []
    for name in ("z", "height", "information", "known"):
        old, other = getattr(modes, name), getattr(new, name)
        # Padding repeats the first mode, so that it is as harmless as that one.
        wide = np.concatenate([old] + [old[:, :1]] * (width - count), axis=1)
        other = np.concatenate([other] + [other[:, :1]] * (width - other.shape[1]), axis=1)
        if name == "known":
            wide[:, count:] = False
            other[:, new.known.shape[1] :] = False
        wide[rows] = other
        made.append(wide)
    return Modes(*made)


def _measured(
    target: Target, scout: Scout, modes: Modes, q: Mixture, purpose: str, points: int
) -> Outcome:
    """The evidences by replicates of a proposal, with what the gates say of them."""
    found = replicated(target, q, f"{purpose} estimate", REPLICATES, points)
    return _judged(target, scout, modes, q, found)


def _judged(target: Target, scout: Scout, modes: Modes, q: Mixture, found: Replicates) -> Outcome:
    """What the gates say of an estimate."""
    weights = target.log_joint(scout.particles) - q.log_density(scout.particles)
    looks = [
        uncovered(weights, found.densities, found.log_weights, found.value, ratio)
        for ratio in _RATIOS
    ]
    alarm = looks[0].alarm
    excess = np.max([look.seen - look.predicted for look in looks], axis=0, initial=0.0)
    most = np.max([look.most for look in looks], axis=0, initial=0.0)
    most = np.minimum(most, 1 - 1e-9)
    heaviest = np.argsort(
        -found.log_weights.reshape(*found.log_means.shape, -1).max(axis=2), axis=1
    )
    off = scout.log_evidence - found.value
    count = modes.known.sum(axis=1)
    crowded = count >= MODES
    another = np.where(count >= _CROWD, 1 / np.maximum(count, 1), 0.0)
    apart = (off > _ABOVE) | (off < -_BELOW)
    signs = [~scout.finished, crowded, alarm, found.shape >= _SHAPE, apart]
    # The place of the first sign, which is one less than that of its word.
    reason = np.where(np.any(signs, axis=0), 1 + np.argmax(signs, axis=0), 0)
    unknown = np.full((4, len(target)), np.nan)
    return Outcome(
        found.value,
        found.error - np.log1p(-most) + another,
        reason,
        found.spread,
        found.greatest,
        excess,
        found.shape,
        scout.log_evidence.copy(),
        count,
        unknown[0],
        unknown[1],
        unknown[2],
        unknown[3],
        np.any([look.hole for look in looks], axis=0),
        found.heaviest[np.arange(len(target))[:, None], heaviest],
        q,
    )

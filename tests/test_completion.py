"""Evidences of which a proposal sees one part, and annealed particles the rest."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling import annealing, completion, estimation, fitting, mode_search
from vaetheory._sampling.completion import Completion
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams
from vaetheory._sampling.target import Target
from vaetheory.bounds import evidence_estimate
from vaetheory.checking.block_products import BlockModel
from vaetheory.evidence import linear_log_evidence

DATUM = np.array([[1.0, 0.5, 2.0, 0.5]])


@cache
def folds():
    """Two folds behind a rotation, with four modes of equal mass for `DATUM`."""
    parts = [decoders.Polynomial([[2]], [[slope, 0.5]]) for slope in (1.0, 2.0)]
    return BlockModel.of(parts, likelihoods.Gaussian(scale=0.2), seed=0)


@cache
def scene():
    """Its target, exact evidence, mixtures with 1 to 4 of the modes, and a pilot's schedule."""
    made = folds()
    target = Target.of(made.model, DATUM, seed=0)
    signs = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    z = (signs @ made.model.decoder.rotation.T)[None]
    modes = [mode_search.find_modes(target, z[:, :count], 4) for count in range(1, 5)]
    proposals = [fitting.fitted(target, some, f"modes {i}") for i, some in enumerate(modes)]
    schedule, _, _ = annealing.pilot(target, 64)
    return target, made.log_evidence(DATUM).value, proposals, schedule


@cache
def completed(count):
    """What is found with `count` of the four modes in the proposal."""
    target, exact, proposals, schedule = scene()
    found = completion.completed(
        target, proposals[count - 1], schedule, exact, f"with {count}", 1.0, 2e6
    )
    assert found is not None, "two million calls did not suffice"
    return found


@pytest.mark.parametrize("count", [1, 3, 4])
def test_both_parts_together_are_the_evidence(count):
    found, exact = completed(count), scene()[1]
    off = abs(found.value - exact)[0]
    assert off <= found.error[0], f"off by {off}, stated {found.error}"
    assert found.error[0] < (0.02 if count == 4 else 0.8), f"an error of {found.error} says little"
    share = 1 - found.share[0]
    assert abs(share - count / 4) < 0.12, f"a share of {share} for {count} of four modes"
    alone, wide = found.annealed
    assert abs(alone - exact)[0] <= wide[0] < 1.0, f"{alone} +- {wide} by the runs, {exact} exactly"


def test_draws_and_runs_agree_on_the_part_that_both_see():
    found, exact = completed(3), scene()[1]
    draws = stats.ttest_ind(np.exp(found.covered[0] - exact), np.exp(found.seen[0] - exact))
    assert draws.pvalue > 1e-6, f"{draws}"
    assert abs(found.disagreement[0]) < 5, f"apart by {found.disagreement} deviations"


def test_runs_are_unbiased():
    model = LatentModel(
        decoders.Affine([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]), likelihoods.Gaussian(scale=0.5)
    )
    X = np.array([[0.5, 1.0, -0.3]])
    exact = linear_log_evidence(model, X).value
    target = Target.of(model, X, seed=4)
    schedule, _, _ = annealing.pilot(target, 64)
    for resample in (0.0, 0.7):
        _, weights, total = annealing.run(
            target, schedule, 8, purpose=f"run {resample}", resample=resample, groups=400
        )
        ratio = np.exp(weights.reshape(400, 8) + total.reshape(400, 1) - exact).mean(axis=1)
        off = (ratio.mean() - 1) / (ratio.std(ddof=1) / 20)
        assert abs(off) < 5, f"resample {resample}: {off} standard errors from unbiased"
        same = np.unique(total).size == 1
        assert same == (resample == 0), f"resample {resample}: totals {total}"


def test_a_group_of_particles_does_not_depend_on_the_others():
    target, _, _, schedule = scene()
    one, own, total = annealing.run(target, schedule, 16, purpose="groups")
    many, weights, totals = annealing.run(target, schedule, 16, purpose="groups", groups=3)
    assert total[0, 0] != 0, "particles were never drawn anew"
    np.testing.assert_allclose(many.z[:, :16], one.z, rtol=1e-9, err_msg="other particles")
    np.testing.assert_allclose(weights[:, :16], own, rtol=1e-9, err_msg="other weights")
    np.testing.assert_allclose(totals[:, :1], total, rtol=1e-9, err_msg="another total")


def test_particles_are_drawn_from_their_own_group():
    target, _, _, schedule = scene()
    # Without moves what is drawn anew are the starts.
    still = annealing.Schedule(schedule.temperatures, schedule.frames, 0 * schedule.steps)
    at, _, _ = annealing.run(target, still, 8, purpose="still", groups=5)
    starts = annealing.PRIOR.draw(target, "still start", 40)[0].reshape(5, 1, 8, 2)
    own = (np.abs(at.z[0].reshape(5, 8, 1, 2) - starts).max(axis=-1) < 1e-12).any(axis=-1)
    assert own.all(), f"particles of another group: {own}"
    kept = [len(np.unique(z.round(9), axis=0)) for z in at.z[0].reshape(5, 8, 2)]
    assert max(kept) < 8, "nothing was drawn anew"


def test_a_finer_schedule_has_all_temperatures_and_costs_what_it_says():
    target, _, _, schedule = scene()
    finer = schedule.finer(3)
    heats, fine = schedule.temperatures[:, 0], finer.temperatures[:, 0]
    np.testing.assert_allclose(fine[::3], heats, rtol=1e-15, err_msg="temperatures were lost")
    steps = np.diff(fine).reshape(-1, 3)
    np.testing.assert_allclose(steps, np.diff(heats)[:, None] / 3 + 0 * steps, rtol=1e-9)
    for some in (schedule, finer):
        before = target.count.calls
        annealing.run(target, some, 4, purpose=f"count {len(some.frames)}")
        assert target.count.calls - before == some.calls(4)[0], "another number of calls"


def made(seen, rest, covered=None):
    """A completion by its logs."""
    logs = np.zeros((1, 32)) if covered is None else covered
    return Completion(np.zeros(1), logs, np.atleast_2d(seen), np.atleast_2d(rest))


def test_the_figures_are_those_of_their_formulas():
    r = np.random.default_rng(0)
    found = made(0.3 * r.normal(size=16), r.normal(size=16) - 2, 0.1 * r.normal(size=(1, 32)))
    draws, seen, rest = (np.exp(a[0]) for a in (found.covered, found.seen, found.rest))
    value = np.log(draws.mean() * (1 + rest.sum() / seen.sum()))
    assert found.value[0] == pytest.approx(value, rel=1e-12), "another value"
    left = [np.log(1 + np.delete(rest, i).sum() / np.delete(seen, i).sum()) for i in range(16)]
    jackknife = np.sqrt(15 / 16 * np.sum((np.array(left) - np.mean(left)) ** 2))
    spread = np.hypot(stats.sem(draws) / draws.mean(), jackknife)
    assert found.spread[0] == pytest.approx(spread, rel=1e-9), "another standard error"
    wide = np.hypot(
        stats.t(31).ppf(0.9995) * stats.sem(draws) / draws.mean(),
        stats.t(15).ppf(0.9995) * jackknife,
    )
    wide += rest.max() / (seen + rest).sum()
    wide += abs(np.log(draws.mean() + rest.mean()) - value)
    effective = seen.sum() ** 2 / (seen**2).sum()
    # Of which (1 - share) ** (effective * PARTICLES) is nearly 0.001.
    wide += np.log(1000) / (effective * completion.PARTICLES)
    assert found.error[0] == pytest.approx(wide, rel=1e-9), "another error"
    both = found.joined(found)
    assert both.value[0] == pytest.approx(value, rel=1e-12), "the same runs twice"
    assert both.spread[0] < found.spread[0], "more runs have a smaller spread"
    all_runs = seen + rest
    alone = stats.t(15).ppf(0.9995) * stats.sem(all_runs) / all_runs.mean()
    alone += all_runs.max() / all_runs.sum() + abs(np.log(seen.mean() / draws.mean()))
    assert found.annealed[0][0] == pytest.approx(np.log(all_runs.mean()), rel=1e-9), "runs' value"
    assert found.annealed[1][0] == pytest.approx(alone, rel=1e-9), "another error of the runs"
    unlike = (seen.mean() / draws.mean() - 1) / np.hypot(
        stats.sem(seen) / draws.mean(), stats.sem(draws) / draws.mean()
    )
    assert found.disagreement[0] == pytest.approx(unlike, rel=1e-9), "another disagreement"


def test_errors_cover_where_runs_vary_together():
    # Runs whose common factor varies by a half, as that of a poor start.
    r = np.random.default_rng(1)
    common = 0.5 * r.normal(size=(500, 16)) - 0.125
    seen, rest = (
        np.log(0.8 * r.gamma(9, 1 / 9, (500, 16))),
        np.log(0.2 * r.gamma(4, 0.25, (500, 16))),
    )
    found = Completion(np.zeros(500), np.full((500, 32), np.log(0.8)), common + seen, common + rest)
    off = np.abs(found.value)
    assert (off <= found.error).mean() > 0.995, f"{(off > found.error).sum()} of 500 are outside"
    sums = np.log(0.8 + np.exp(common + rest).mean(axis=1))
    assert off.std() < sums.std(), "the common factor does not cancel"


@cache
def lacking():
    """A proposal with the first mode only, and what is found of it before annealed runs."""
    target, _, proposals, _ = scene()
    scout = estimation.scouted(target, 128)
    modes = mode_search.find_modes(target, proposals[0].means, 4)
    return scout, estimation._measured(target, scout, modes, proposals[0], "lacking", 256)


def outcome(calls=4e6):
    """What becomes of it."""
    scout, found = lacking()
    assert found.reason[0] == estimation.REASONS.index("coverage"), found.reason
    rows, target = np.zeros(1, dtype=int), Target.of(folds().model, DATUM, seed=0)
    return estimation._completed(target, scout, found.taken(rows), 1.0, calls)


def test_what_lacks_modes_is_completed():
    found, exact = outcome(), scene()[1]
    assert estimation.REASONS[found.reason[0]] == "", estimation.REASONS[found.reason[0]]
    off = abs(found.value - exact)[0]
    assert off <= found.error[0] < 0.8, f"off by {off}, stated {found.error}"
    assert 0.1 < found.covered[0] < 0.4, f"covered {found.covered} of a quarter"
    assert abs(found.annealed - exact)[0] <= found.annealed_error[0], "the runs alone"


def test_without_enough_calls_all_stays_as_it_is():
    found = outcome(1e4)
    assert estimation.REASONS[found.reason[0]] == "coverage", found.reason
    assert np.isnan(found.annealed).all(), "a value by runs that were not made"


@pytest.mark.parametrize(
    ("seen", "rest", "word"),
    [
        (0.0, -3.0, ""),
        (-0.5, -3.0, "coverage"),
        (0.5, -3.0, "coverage"),
        (-np.inf, -np.inf, "coverage"),
        (0.0, 2.0, "tolerance"),
        (0.0, -3.0, "few"),
    ],
)
def test_the_gates_of_annealed_runs(seen, rest, word, monkeypatch):
    r = np.random.default_rng(0)
    logs = 0.05 * r.normal(size=(2, 16))
    level = scene()[1]
    if word == "few":
        # One run that says as much as all others should.
        logs[0], word = np.log([*[0.05] * 15, 15.25]), "coverage"
    some = made(level + seen + logs[0], level + rest + 30 * logs[1], level + np.zeros((1, 32)))
    monkeypatch.setattr(completion, "completed", lambda *args: some)
    with np.errstate(invalid="ignore"):
        found, alone = outcome(), some.annealed[0]
    assert estimation.REASONS[found.reason[0]] == word, estimation.REASONS[found.reason[0]]
    as_it_was = (found.value == lacking()[1].value)[0], np.isnan(found.covered)[0]
    assert as_it_was == ((word == "coverage",) * 2), "particles that disagree are part of the value"
    assert np.array_equal(found.annealed, alone, equal_nan=True), "the runs' own value is not there"


@pytest.mark.parametrize(
    ("modes", "calls", "seen", "word"),
    [
        (15, 4e6, -0.5, ""),
        (16, 4e6, -0.5, "modes"),
        (16, 1e4, 0.0, "modes"),
        (16, 4e6, 0.0, ""),
    ],
)
def test_many_modes_are_trusted_if_annealed_runs_confirm_them(
    modes, calls, seen, word, monkeypatch
):
    scout, found = lacking()
    found = found.taken(np.zeros(1, dtype=int))
    found.reason, found.modes = np.zeros(1, dtype=int), np.array([modes])
    logs, level = 0.01 * np.random.default_rng(0).normal(size=(1, 16)), found.value[0]
    some = made(level + seen + logs, level - 9 + logs, level + np.zeros((1, 32)))
    monkeypatch.setattr(completion, "completed", lambda *args: some if calls > 1e5 else None)
    target = Target.of(folds().model, DATUM, seed=0)
    last = estimation._completed(target, scout, found, 100.0, calls)
    got = estimation.REASONS[last.reason[0]]
    assert got == word, f"'{got}', expected '{word}'"


def test_more_runs_are_made_until_the_error_is_small(monkeypatch):
    target, exact, proposals, schedule = scene()
    monkeypatch.setattr(completion, "PARTICLES", 8)
    each = schedule.calls(completion.RUNS * 8)[0]
    asked, filled = [], Streams._filled

    def recorded(streams, purpose, *rest):
        asked.extend((streams.seed, purpose, i) for i in streams.indices.tolist())
        return filled(streams, purpose, *rest)

    monkeypatch.setattr(Streams, "_filled", recorded)
    for tolerance, calls, runs in ((5.0, 20 * each, 1), (1e-9, 13 * each, 3), (1e-9, 5 * each, 1)):
        asked.clear()
        found = completion.completed(
            target, proposals[2], schedule, exact, "more", tolerance, calls + 32 * 4096
        )
        assert found.seen.shape == (1, 16 * runs), f"{found.seen.shape[1]} runs, expected {runs}"
        assert len(set(asked)) == len(asked), "a stream was used twice"
    few = completion.completed(target, proposals[2], schedule, exact, "few", 1.0, each + 32 * 4096)
    assert few is None, "runs for which the calls do not suffice"


def test_shares_beyond_the_limit():
    found = completion.beyond(np.log([[50.0, 100.0, 200.0, 1000.0]]), np.log([100.0]))
    np.testing.assert_allclose(found, [[0.0, 0.0, 0.5, 0.9]], atol=1e-12)


def test_twins_say_what_share_the_proposals_lack(monkeypatch):
    inner = estimation.modes_near

    def first_only(target, scout):
        modes, zero = inner(target, scout), np.zeros((len(target), 1), dtype=int)
        return modes.chosen(np.arange(len(target))[:, None], zero)

    monkeypatch.setattr(estimation, "modes_near", first_only)
    monkeypatch.setattr(estimation, "_AGAIN", 0)
    monkeypatch.setattr(estimation, "_BRIDGES", 1)
    monkeypatch.setattr(estimation, "MORE", 512)
    monkeypatch.setattr(completion, "_POINTS", 256)
    monkeypatch.setattr(completion, "PARTICLES", 16)
    found = evidence_estimate(folds().model, DATUM, particles=64, twins=4, tolerance=2.0)
    twins = found.diagnostics["twins"]
    assert twins["annealed"] >= 3, twins
    deviation = np.sqrt(twins["annealed"]) / 2
    assert abs(twins["rest"] - twins["rest_stated"]) < 4 * deviation, twins
    assert 0.3 < twins["rest_stated"] / twins["annealed"] < 0.95, twins
    assert twins["silent"] == 0, twins


def test_the_mixture_of_exact_draws_leaves_nothing(monkeypatch):
    model = LatentModel(decoders.Affine(np.eye(2)), likelihoods.Gaussian(scale=0.5))
    X = np.array([[0.3, -0.2]])
    exact = linear_log_evidence(model, X).value
    q = Mixture(np.ones((1, 1)), 0.8 * X[:, None], np.sqrt(0.2) * np.eye(2)[None, None], np.inf)
    target = Target.of(model, X, seed=0)
    schedule, _, _ = annealing.pilot(target, 64)
    found = completion.completed(target, q, schedule, exact, "exact", 1.0, 2e6)
    assert abs(found.value - exact)[0] < 1e-9, found.value - exact
    assert found.share[0] == 0, f"a share of {found.share} is lacking"
    unseen = np.log(1000) / (found.effective[0] * completion.PARTICLES)
    assert found.error[0] == pytest.approx(unseen, abs=1e-9), "there is nothing else to it"


@pytest.mark.parametrize(
    ("rest", "noise", "error", "word", "kept"),
    [
        (-3.0, 0.05, 0.1, "", True),
        (-3.0, 0.05, 0.2, "", False),
        (-3.0, 2.0, 0.29, "", True),
        (2.0, 2.0, 0.29, "tolerance", False),
    ],
)
def test_a_good_estimate_is_only_replaced_by_a_better_one(
    rest, noise, error, word, kept, monkeypatch
):
    # It stands if its error is small, or if a wider one agrees with it.
    level, r = scene()[1], np.random.default_rng(0)
    logs = r.normal(size=16)
    logs -= logs.mean()
    runs = made(level + 0.1 * logs, level + rest + noise * logs, level + np.zeros((1, 32)))
    assert (runs.error[0] <= 0.3) == (noise < 1), runs.error
    monkeypatch.setattr(completion, "completed", lambda *args: runs)
    scout, first = lacking()
    good = first.taken(np.zeros(1, dtype=int))
    good.value, good.error, good.reason = level + 0.2, np.array([error]), np.zeros(1, dtype=int)
    target = Target.of(folds().model, DATUM, seed=0)
    found = estimation._completed(target, scout, good.taken(np.zeros(1, dtype=int)), 0.3, 4e6)
    assert (found.value[0] == good.value[0]) == kept, f"{found.value} after {good.value}"
    assert estimation.REASONS[found.reason[0]] == word, estimation.REASONS[found.reason[0]]


def test_beside_many_modes_there_may_be_one_more(monkeypatch):
    target, _, proposals, _ = scene()
    scout = lacking()[0]
    modes = mode_search.find_modes(target, proposals[3].means, 4)
    errors = []
    for crowd in (4, 5):
        monkeypatch.setattr(estimation, "_CROWD", crowd)
        found = estimation._measured(target, scout, modes, proposals[3], "many", 64)
        errors.append(found.error[0])
    assert errors[0] - errors[1] == pytest.approx(1 / 4, rel=1e-9), errors

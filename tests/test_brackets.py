"""Brackets of evidences: statements, bets, and bounds held against exact evidences."""

import json
import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from itertools import product
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from frameworks import framework
from hypothesis import given
from hypothesis import strategies as st

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling.importance import POINTS, replicated, through
from vaetheory._sampling.laplace_mixtures import laplace_mixture
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory.bounds import (
    Bracket,
    betting_lower_bound,
    evidence_bracket,
    simulate,
    simulated_evidence,
)
from vaetheory.bounds.betting import BETS, log_wealth
from vaetheory.bounds.simulated_evidence import Settings, bracket_by
from vaetheory.checking.block_products import BlockModel, BlockProduct, rotation
from vaetheory.evidence import linear_log_evidence
from vaetheory.testing import assert_evidence_between, check_decoder

#: Bounds of the tests below fail with this probability, one in a billion for each.
SURE = 1 - 1e-9


def network(latents, outputs, seed, size=1.0):
    r = np.random.default_rng(seed)
    weights = [r.normal(size=(6, latents)), size * r.normal(size=(outputs, 6))]
    return decoders.TanhNetwork(weights, [0.7 * r.normal(size=6), np.zeros(outputs)])


def fold():
    """Two latents that give almost the same data: z and -z."""
    return decoders.Polynomial([[0], [1], [2]], [[0.0, 0.5], [0.2, 0.0], [1.0, 0.1]])


def blocks(name):
    """Blocks of a model, with a likelihood."""
    return {
        "small noise": (6 * [None], likelihoods.Gaussian(scale=1e-3)),
        "tiny noise": (3 * [None], likelihoods.Gaussian(scale=1e-6)),
        "large noise": (6 * [None], likelihoods.Gaussian(scale=100.0)),
        "one latent": ([None], likelihoods.Gaussian(scale=0.1)),
        "Bernoulli": (8 * [None], likelihoods.Bernoulli()),
        "saturated": (5 * [40.0], likelihoods.Bernoulli()),
        "heavy tails": (3 * [None], likelihoods.StudentT(scale=0.1, dof=2.0)),
        "counts": (6 * [None], likelihoods.Poisson()),
        "learned scales": (6 * [None], likelihoods.GaussianMeanScale(least_scale=1e-2)),
        "folds": (["fold", "fold", None, None], likelihoods.Gaussian(scale=0.3)),
    }[name]


CASES = (
    "small noise", "tiny noise", "large noise", "one latent", "Bernoulli", "saturated",
    "heavy tails", "counts", "learned scales", "folds",
)  # fmt: skip


def block_model(name):
    kinds, likelihood = blocks(name)
    made = []
    for seed, kind in enumerate(kinds):
        outputs = 2 * likelihood.params_each
        if kind == "fold":
            made.append(fold())
        else:
            made.append(network(1, outputs, seed, kind or 0.6))
    return BlockModel.of(made, likelihood, seed=3)


@cache
def exact(name, count):
    """Data, latents and the exact evidences."""
    scene = block_model(name)
    X, z = simulate(scene.model, count, seed=5)
    return X, z, scene.log_evidence(X)


# The statement -----------------------------------------------------------------------------------


def test_a_bracket_reads_like_a_sentence():
    one = Bracket(-1.0, np.inf, -1.5, np.inf, 0.99, "bounded below", 3)
    assert repr(one) == "bounded below by -1.5 nats at 99 % confidence", repr(one)
    failed = Bracket(np.nan, np.inf, -np.inf, np.inf, 0.99, "unresolved", 3)
    assert repr(failed) == "unresolved", repr(failed)
    status = ["estimated", "unresolved", "estimated"]
    some = Bracket(np.zeros(3), np.ones(3), -np.ones(3), np.ones(3), 0.999, status, 9)
    assert repr(some).startswith("3 log evidences: 2 estimated, 1 unresolved;"), repr(some)


def test_a_bracket_goes_through_json():
    made = Bracket(
        [-1.0], [0.5], [-1.5], [-0.5], 0.99, ["bracketed"], 3, {"missed": np.array([False])}
    )
    found = json.loads(json.dumps(made.to_dict()))
    assert found == {
        "value": [-1.0], "error": [0.5], "lower": [-1.5], "upper": [-0.5], "confidence": 0.99,
        "status": ["bracketed"], "evaluations": 3, "diagnostics": {"missed": [False]},
    }, found  # fmt: skip
    again = Bracket(**{**found, "diagnostics": {"missed": np.array([False])}})
    assert again == made, "another bracket"


@given(low=st.floats(-5, 0), high=st.floats(0, 5), a=st.floats(-9, 9), b=st.floats(-9, 9))
def test_a_bracket_contains_and_separates(low, high, a, b):
    made = Bracket(0.0, 1.0, low, high, 0.99, "bracketed", 1)
    inside = [low <= v <= high for v in (a, b)]
    assert [bool(made.contains(v)) for v in (a, b)] == inside, "what it contains"
    assert bool(made.separates(a, b)) == (inside[0] != inside[1]), "what it separates"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 1.0, -1.0, 0.9, "bracketed", 1), "lower and upper: expected numbers in asc"),
        ((0.0, 1.0, np.nan, 1.0, 0.9, "bracketed", 1), "lower and upper: expected"),
        ((0.0, 1.0, -1.0, 1.0, 1.0, "bracketed", 1), "confidence: expected a number in"),
        ((0.0, 1.0, -1.0, 1.0, 0.9, "proved", 1), "status: expected one of bracketed"),
        ((0.0, [1.0], -1.0, 1.0, 0.9, "bracketed", 1), "Bracket: expected arrays of one shape"),
    ],
)
def test_what_is_no_bracket_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bracket(*arguments)


# Bets --------------------------------------------------------------------------------------------


@st.composite
def populations(draw):
    """A few weights with their probabilities, a number of draws, and bets, all rational."""
    count = draw(st.integers(1, 3))
    parts = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    values = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count).filter(any))
    bets = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    probabilities = [Fraction(p, sum(parts)) for p in parts]
    return values, probabilities, draw(st.integers(1, 4)), [Fraction(b, 8) for b in bets]


@given(populations())
def test_the_wealth_is_that_of_exact_arithmetic_and_one_on_average(case):
    values, probabilities, n, bets = case
    mean = sum(p * v for p, v in zip(probabilities, values, strict=True))
    rows = list(product(range(len(values)), repeat=n))
    with np.errstate(divide="ignore"):
        logs = np.log([[float(values[i] / mean) for i in row] for row in rows])
    shares = np.array([float(b) for b in bets])
    found = log_wealth(logs, shares, np.full(len(bets), -np.log(len(bets))))
    total = Fraction(0)
    for row, log in zip(rows, found, strict=True):
        wealth = Fraction(0)
        for bet in bets:
            one = Fraction(1)
            for i in row:
                one *= 1 + bet * (values[i] / mean - 1)
            wealth += one / len(bets)
        chance = Fraction(1)
        for i in row:
            chance *= probabilities[i]
        total += chance * wealth
        assert np.exp(log) <= float(wealth) * (1 + 1e-13), "more wealth than there is"
        assert np.exp(log) >= float(wealth) * (1 - 1e-9), "wealth is lost"
    assert total == 1, f"the wealth has the expectation {total}"


@given(populations(), st.sampled_from((0.5, 0.9, 0.99)))
def test_the_bound_exceeds_the_mean_no_more_often_than_it_may(case, confidence):
    values, probabilities, n, bets = case
    mean = sum(p * v for p, v in zip(probabilities, values, strict=True))
    rows = np.array(list(product(range(len(values)), repeat=n)))
    chances = np.prod(np.array([float(p) for p in probabilities])[rows], axis=1)
    with np.errstate(divide="ignore"):
        logs = np.log(np.array(values, dtype=float)[rows])
    found = betting_lower_bound(logs, confidence=confidence, bets=[float(b) for b in bets])
    missed = chances[found > np.log(float(mean))].sum()
    assert missed <= (1 - confidence) * (1 + 1e-9), f"misses with probability {missed:.4g}"


@given(st.integers(0, 10**6), st.floats(-700, 700), st.sampled_from((1, 2, 9, 40)))
def test_the_bound_is_the_largest_mean_that_is_excluded(seed, shift, n):
    r = np.random.default_rng(seed)
    logs = r.normal(size=(3, n)) * r.choice([0.0, 0.1, 1.0, 30.0])
    logs[r.random((3, n)) < 0.1] = -np.inf
    found = betting_lower_bound(logs, confidence=0.99)
    some = np.isfinite(found)
    stakes = np.full(len(BETS), -np.log(len(BETS)))
    at = log_wealth(logs[some] - found[some, None], BETS, stakes)
    above = log_wealth(logs[some] - found[some, None] - 1e-6, BETS, stakes)
    assert (at >= np.log(100)).all(), "the bound itself is not excluded"
    assert (above < np.log(100)).all(), "a larger mean is excluded as well"
    moved = betting_lower_bound(logs + shift, confidence=0.99)
    off = np.abs(moved[some] - found[some] - shift)
    assert (off <= 1e-6).all(), "not equivariant"
    assert not np.isfinite(moved[~some]).any(), "a bound from nowhere"


def test_bets_of_degenerate_weights():
    assert betting_lower_bound(np.full(7, -np.inf)) == -np.inf, "nothing was seen"
    alone = float(betting_lower_bound([0.0], confidence=0.999))
    # One weight of one: with the bet b the mean m is excluded where 1 + b (1 / m - 1) = 1000.
    wealth = np.mean(1 + BETS * (np.exp(-alone) - 1))
    assert abs(np.log(wealth) - np.log(1000)) < 1e-5, f"a wealth of {wealth:.6g}"
    equal = float(betting_lower_bound(np.full(10_000, 5.0), confidence=0.999, bets=[1.0]))
    assert abs(equal - 5 + np.log(1000) / 10_000) < 1e-6, "equal weights and all the wealth"
    shape = betting_lower_bound(np.zeros((2, 3, 8))).shape
    assert shape == (2, 3), shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: betting_lower_bound(0.0), "log_weights: expected"),
        (lambda: betting_lower_bound([np.inf]), "log_weights: expected numbers below infinity"),
        (lambda: betting_lower_bound([np.nan]), "log_weights: expected"),
        (lambda: betting_lower_bound([0.0], confidence=1.0), "confidence: expected"),
        (lambda: betting_lower_bound([0.0], bets=[0.0]), "bets: expected numbers above 0"),
        (lambda: betting_lower_bound([0.0], bets=[1.5]), "bets: expected numbers above 0"),
        (lambda: betting_lower_bound([0.0], bets=[1.0], stakes=[2.0]), "stakes: expected one"),
        (lambda: betting_lower_bound([0.0], bets=[1.0], stakes=[1.0, 1.0]), "stakes: expected"),
    ],
)
def test_what_is_no_bet_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Brackets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("name", CASES)
def test_brackets_of_block_products_hold_the_exact_evidence(name, points):
    scene = block_model(name)
    for count in (1, 60):
        X, z, truth = exact(name, count)
        found = evidence_bracket(
            scene.model, X, z, confidence=SURE, draws=128, particles=0, points=points, seed=count
        )
        mean, off = truth.value.mean(), truth.error.mean()
        assert found.lower - off <= mean <= found.upper + off, (
            f"{count} data: {found} does not hold {mean:.6g}"
        )
        assert str(found.status) == "bracketed", f"{count} data: {found}"
    each = evidence_bracket(
        scene.model, X, z, confidence=SURE, draws=128, particles=0, per_datum=True
    )
    outside = (truth.value + truth.error < each.lower) | (truth.value - truth.error > each.upper)
    assert not outside.any(), f"{outside.sum()} of 60 data outside their bounds"


@pytest.mark.parametrize("dim", [1, 2, 9, 33, 128])
def test_linear_models_are_bracketed_and_beyond_32_latents_exact(dim):
    weight = np.random.default_rng(dim).normal(size=(dim + 3, dim)) / np.sqrt(dim)
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.1))
    X, z = simulate(model, 12, seed=1)
    truth = linear_log_evidence(model, X)
    found = evidence_bracket(model, X, z, confidence=SURE, draws=64, particles=0)
    assert found.contains(truth.value.mean()), f"{found} without {truth.value.mean():.6g}"
    if dim > 32:
        # The proposal is the posterior, so that all weights are the evidence.
        off = abs(float(found.value) - truth.value.mean())
        assert off < 1e-9, f"the value is off by {off:.2g}"
        slack = -np.log(0.5 * (1 - SURE)) / 12
        assert abs(found.upper - found.value - slack) < 1e-6, "more than the slack above"


def product_of_ratios(points, df, count=4000):
    """Ratios evidence / estimate through the exact sample, of many data with a bad proposal."""
    model = LatentModel(decoders.Affine([[1.0], [0.3]]), likelihoods.Gaussian(scale=0.5))
    X, z = simulate(model, count, seed=2)
    # Two components, both too narrow and beside the posterior.
    means = np.stack([X[:, :1] * 0.5 + 0.4, X[:, :1] * 0.5 - 0.6], axis=1)
    roots = np.full((count, 2, 1, 1), 0.4)
    proposal = Mixture(np.tile([0.3, 0.7], (count, 1)), means, roots, df)
    target = Target.of(model, X, 11)
    truth = linear_log_evidence(model, X).value
    above = through(target, proposal, z, count=8, purpose="above", points=points)
    below = replicated(target, proposal, count=8, replicates=1, purpose="below", points=points)
    return np.exp(truth - above.log_mean[:, 0]), np.exp(below.log_mean[:, 0] - truth)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("df", [5.0, np.inf])
def test_estimates_through_an_exact_sample_are_unbiased_for_the_reciprocal(points, df):
    above, below = product_of_ratios(points, df)
    for name, ratios in (("above", above), ("below", below)):
        error = ratios.std() / np.sqrt(len(ratios))
        off = abs(ratios.mean() - 1) / error
        assert off < 5.5, f"{name}: the mean {ratios.mean():.4f} is off by {off:.2f} errors"
        assert 0.002 < error < 0.1, f"{name}: an error of {error:.2g} shows nothing"


def test_a_missed_mode_makes_the_bracket_wide_and_is_told():
    scene = block_model("folds")
    X, z = simulate(scene.model, 400, seed=5)
    truth = scene.log_evidence(X).value
    target = Target.of(scene.model, X, 0)
    # One narrow component at z itself for half of the data, at -z for the others: whichever mode
    # it is, the other one is missed. It is chosen by the data alone.
    fitted = laplace_mixture(target)
    first = Mixture(np.ones((400, 1)), fitted.means[:, :1], fitted.roots[:, :1], fitted.df)
    settings = Settings(SURE, False, 256, 16, "sobol")
    found = bracket_by(target, iter([(slice(0, 400), first)]), z, settings)
    assert found.contains(truth.mean()), f"{found} without {truth.mean():.6g}"
    assert found.width > 0.5, "the missed modes do not show"
    assert found.diagnostics["missed"].mean() > 0.05, "no missed mode was told"


@pytest.mark.parametrize("name", ["folds", "Bernoulli"])
def test_particles_find_the_modes(name):
    X, z, truth = exact(name, 12)
    scene = block_model(name)
    found = evidence_bracket(scene.model, X, z, confidence=SURE, draws=256)
    mean = truth.value.mean()
    assert found.contains(mean), f"{found} without {mean:.6g}"
    assert not found.diagnostics["missed"].any(), "a mode was missed"
    beside = np.abs([found.diagnostics[k].mean() - mean for k in ("lower", "upper")])
    assert beside.max() < 0.05, f"the estimates are off by {beside}"


def test_what_is_fitted_does_not_know_the_latents(monkeypatch):
    scene = block_model("Bernoulli")
    X, z = simulate(scene.model, 10, seed=5)
    seen = []
    inner = simulated_evidence.mixture_for
    monkeypatch.setattr(
        simulated_evidence, "mixture_for", lambda t, k: seen.append(inner(t, k)) or seen[-1]
    )
    options = {"particles": 0, "draws": 64, "replicates": 4, "points": "independent"}
    first = evidence_bracket(scene.model, X, z, **options)
    drawn = []
    draw = Mixture.draw
    monkeypatch.setattr(
        Mixture, "draw", lambda q, u, c=None: drawn.append(draw(q, u, c)) or drawn[-1].copy()
    )
    again = evidence_bracket(scene.model, X, z, **options)
    other = evidence_bracket(scene.model, X, z[::-1].copy(), **options)
    assert again == first, "another bracket for the same data"
    for name in ("weights", "means", "roots"):
        assert np.array_equal(getattr(seen[1], name), getattr(seen[2], name)), f"{name} moved"
    half = len(drawn) // 2
    for mine, its in zip(drawn[:half], drawn[half:], strict=True):
        assert np.array_equal(mine, its), "draws depend on the latents"
    assert other.lower == first.lower, "the lower bound depends on the latents"
    assert other.upper != first.upper, "the upper bound does not"


def test_the_random_numbers_of_a_datum_do_not_depend_on_the_batch(monkeypatch):
    scene = block_model("Bernoulli")
    X, z = simulate(scene.model, 9, seed=5)
    whole = evidence_bracket(scene.model, X, z, draws=64, particles=0)
    monkeypatch.setattr("vaetheory._sampling.importance._NUMBERS", 64 * 8 * 2)
    parts = evidence_bracket(scene.model, X, z, draws=64, particles=0)
    assert whole.evaluations == parts.evaluations, "another number of calls"
    for name in ("lower", "upper"):
        off = np.abs(whole.diagnostics[name] - parts.diagnostics[name]).max()
        assert off < 1e-9, f"{name} moved by {off:.2g} in smaller parts"
    other = evidence_bracket(scene.model, X, z, draws=64, particles=0, seed=1)
    assert other.value != whole.value, "the seed has no effect"
    done = []
    evidence_bracket(scene.model, X, z, draws=64, particles=0, progress=done.append)
    assert done == sorted(done), f"progress {done}"
    assert done[-1] == 1, f"progress {done}"


@pytest.mark.parametrize("particles", [0, 16])
def test_executors_give_the_same_bracket(particles, monkeypatch):
    monkeypatch.setattr(simulated_evidence, "_MOST", 2)
    monkeypatch.setattr("vaetheory._sampling.importance._NUMBERS", 64 * 8 * 2)
    scene = block_model("Bernoulli")
    X, z = simulate(scene.model, 5, seed=5)
    options = {"draws": 64, "particles": particles}
    alone = evidence_bracket(scene.model, X, z, **options)
    done = []
    with ThreadPoolExecutor(2) as threads, ThreadPool(2) as pool:
        for executor in (threads, pool):
            found = evidence_bracket(
                scene.model, X, z, **options, executor=executor, progress=done.append
            )
            assert found == alone, f"a {type(executor).__name__} gave another bracket"
    assert done == pytest.approx([0.4, 0.8, 1.0] * 2), f"progress {done}"


def test_results_of_a_pool_are_told_as_they_come(monkeypatch):
    monkeypatch.setattr("vaetheory._sampling.importance._NUMBERS", 64)
    asked, told = [], []

    class Pool:
        """The part of a pool that gives results in order."""

        def imap(self, function, tasks):
            for task in tasks:
                asked.append(task)
                yield function(task)

        map = None

    scene = block_model("one latent")
    X, z = simulate(scene.model, 3, seed=5)
    evidence_bracket(
        scene.model, X, z, draws=64, particles=0, executor=Pool(),
        progress=lambda share: told.append(len(asked)),
    )  # fmt: skip
    assert told == [1, 2, 3], f"told after {told} parts"


def test_processes_give_the_same_bounds_of_each_datum():
    scene = block_model("one latent")
    X, z = simulate(scene.model, 3, seed=5)
    options = {"draws": 64, "particles": 0, "per_datum": True}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        found = evidence_bracket(scene.model, X, z, **options, executor=executor)
    assert found == evidence_bracket(scene.model, X, z, **options), "other bounds in a process"


def test_an_executor_that_is_none_is_refused():
    scene = block_model("one latent")
    X, z = simulate(scene.model, 3, seed=5)
    with pytest.raises(ValueError, match="executor: expected an object with a method"):
        evidence_bracket(scene.model, X, z, draws=64, particles=0, executor="dask")


def test_an_interrupted_bracket_cancels_what_has_not_begun(monkeypatch):
    monkeypatch.setattr("vaetheory._sampling.importance._NUMBERS", 64)

    class Slow:
        """An executor whose tasks are done when their results are asked for."""

        def __init__(self):
            self.futures = []

        def submit(self, function, task):
            future = Future()
            future.result = lambda: function(task)
            self.futures.append(future)
            return future

    def interrupt(share):
        raise KeyboardInterrupt

    scene, executor = block_model("one latent"), Slow()
    X, z = simulate(scene.model, 4, seed=5)
    with pytest.raises(KeyboardInterrupt):
        evidence_bracket(
            scene.model, X, z, draws=64, particles=0, executor=executor, progress=interrupt
        )
    assert [f.cancelled() for f in executor.futures] == [False, True, True, True], (
        "tasks that had not begun are not cancelled"
    )


def test_shapes_of_the_data_are_kept():
    scene = block_model("one latent")
    X, z = simulate(scene.model, 6, seed=5)
    found = evidence_bracket(
        scene.model, X.reshape(2, 3, -1), z.reshape(2, 3, -1), draws=64, particles=0, per_datum=True
    )
    assert found.value.shape == found.status.shape == (2, 3), found.value.shape
    assert found.diagnostics["missed"].shape == (2, 3), "diagnostics of another shape"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 100}, "draws: expected a power of two"),
        ({"draws": 8, "replicates": 16}, "replicates: expected at most 8"),
        ({"confidence": 0.2}, "confidence: expected a number in"),
        ({"points": "halton"}, "points: expected one of sobol, lattice, independent"),
        ({"per_datum": 1}, "per_datum: expected True or False"),
        ({"seed": -1}, "seed: expected an integer"),
        ({"particles": 8}, "particles: expected 0, or an integer of at least 16"),
        ({"z": np.zeros((3, 1))}, "X and z: expected the same leading axes"),
        ({"z": np.zeros((6, 2))}, "z: expected shape"),
        ({"X": np.zeros((6, 5))}, "X: expected shape"),
    ],
)
def test_bad_options_are_refused(options, message):
    scene = block_model("one latent")
    X, z = simulate(scene.model, 6, seed=5)
    arguments = {"X": X, "z": z, **options}
    with pytest.raises(ValueError, match=message):
        evidence_bracket(scene.model, **arguments)


@pytest.mark.parametrize("name", ["one latent", "learned scales"])
def test_latents_of_other_data_are_refused(name):
    scene = block_model(name)
    X, z = simulate(scene.model, 300, seed=5)
    with pytest.raises(ValueError, match="z: expected the latents from which the data were drawn"):
        evidence_bracket(scene.model, X, z[::-1].copy(), draws=64, particles=0)


def test_block_products_are_decoders():
    blocks = (network(2, 3, 0), network(1, 2, 1), decoders.Circle(1.0))
    check_decoder(BlockProduct(blocks, rotation(4, 1)), 4)
    check_decoder(BlockProduct((network(2, 4, 0), network(1, 2, 2)), rotation(3, 1), 2), 3)


def test_the_assertion_passes_fails_and_does_not_decide():
    scene = block_model("Bernoulli")
    X, z, truth = exact("Bernoulli", 60)
    mean, options = truth.value.mean(), {"draws": 64, "particles": 0}
    found = assert_evidence_between(scene.model, X, z, mean - 2, mean + 2, **options)
    assert found.contains(mean), f"{found} without {mean:.6g}"
    with pytest.raises(AssertionError, match=r"expected a mean log evidence .* but it is bracket"):
        assert_evidence_between(scene.model, X, z, mean + 2, mean + 3, **options)
    with pytest.raises(AssertionError, match="cannot decide: it is bracketed"):
        assert_evidence_between(scene.model, X, z, mean, mean + 3, **options)
    with pytest.raises(ValueError, match="high: expected a number in"):
        assert_evidence_between(scene.model, X, z, 1.0, 0.0, **options)


def through_torch(weights, biases):
    """The same network as a module of PyTorch, in a form that NumPy does not recognise."""
    torch = framework("torch")
    from vaetheory.torch import TorchDecoder

    (w, v), (b, c) = ([torch.tensor(a) for a in arrays] for arrays in (weights, biases))

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Parameter(w), torch.nn.Parameter(v)

        def forward(self, z):
            return torch.tanh(z @ self.first.T + b.to(z.dtype)) @ self.second.T + c.to(z.dtype)

    return TorchDecoder(Net())


def through_jax(weights, biases):
    """The same network as a function of JAX, likewise."""
    framework("jax")
    import jax.numpy as jnp

    from vaetheory.jax import JaxDecoder

    params = {"w": weights[0], "v": weights[1], "b": biases[0], "c": biases[1]}
    return JaxDecoder(
        lambda p, z: jnp.tanh(z @ p["w"].T + p["b"]) @ p["v"].T + 0 * z[:, :1] + p["c"], params
    )


@pytest.mark.parametrize("bridge", [through_torch, through_jax])
def test_decoders_of_other_frameworks_have_the_same_bracket(bridge):
    inner = network(5, 7, 0)
    decoder = bridge(list(inner.weights), list(inner.biases))
    own = LatentModel(inner, likelihoods.Gaussian(scale=0.3))
    theirs = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 5)
    X, z = simulate(own, 8, seed=1)
    for particles in (0, 16):
        options = {"draws": 64, "replicates": 4, "particles": particles}
        expected = evidence_bracket(own, X, z, **options)
        found = evidence_bracket(theirs, X, z, **options)
        off = [abs(float(getattr(found, k) - getattr(expected, k))) for k in ("lower", "upper")]
        # Rounding decides on the steps of a search, so that only what they end in is the same.
        assert max(off) < (1e-6 if particles == 0 else 0.3), f"bounds off by {off}"

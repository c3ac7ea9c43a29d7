"""Figures that estimates of evidences rest on, each computed by another road."""

import numpy as np
import pytest
from scipy import stats

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling import estimation, gates, importance, replicates, streams
from vaetheory._sampling.laplace_mixtures import laplace_mixture
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams
from vaetheory._sampling.target import Target
from vaetheory.bounds import (
    betting_lower_bound,
    estimated_evidence,
    evidence_bracket,
    evidence_estimate,
    simulate,
)


def bent(seed=0):
    """A small network of five latents with Gaussian noise."""
    r = np.random.default_rng(seed)
    weights = [r.normal(size=(4, 5)), r.normal(size=(6, 4))]
    network = decoders.TanhNetwork(weights, [np.zeros(4), np.zeros(6)])
    return LatentModel(network, likelihoods.Gaussian(scale=0.5))


def estimate(model, X, z):
    return evidence_estimate(model, X, particles=32)


def twins(model, X, z):
    return evidence_estimate(model, X[:1], particles=32, twins=1)


def bracket(model, X, z):
    return evidence_bracket(model, X, z, draws=64, particles=16)


def bounds(model, X, z):
    return evidence_bracket(model, X, z, draws=64, particles=0, per_datum=True)


@pytest.mark.parametrize("computed", [estimate, twins, bracket, bounds])
def test_no_random_number_is_used_twice(computed, monkeypatch):
    model = bent()
    X, z = simulate(model, 3, seed=4)
    asked, filled = [], Streams._filled

    def recorded(streams, purpose, *rest):
        asked.extend((streams.seed, purpose, i) for i in streams.indices.tolist())
        return filled(streams, purpose, *rest)

    monkeypatch.setattr(Streams, "_filled", recorded)
    computed(model, X, z)
    again = {key for key in asked if asked.count(key) > 1}
    assert not again, f"one stream for several uses: {sorted(again)[:3]}"
    assert len(asked) >= 12, "the streams were not recorded"


def test_the_interval_of_replicates_is_that_of_scipy():
    model = bent()
    X, _ = simulate(model, 4, seed=4)
    # Normal proposals have no control variates.
    prior = Mixture(np.ones((4, 1)), np.zeros((4, 1, 5)), np.tile(np.eye(5), (4, 1, 1, 1)), np.inf)
    found = replicates.replicated(Target.of(model, X, seed=0), prior, "trial", 8, 64)
    estimates = np.exp(found.log_means - found.value[:, None])
    spread = stats.sem(estimates, axis=1) / estimates.mean(axis=1)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-12, err_msg="another standard error")
    low, high = stats.t.interval(replicates.LEVEL, 7, scale=spread)
    # Beyond the greatest of n weights a Pareto law of shape k has 1 / (1 - k) of its share.
    weights = np.exp(found.log_weights - found.log_weights.max(axis=1, keepdims=True))
    law = stats.genpareto(np.clip(found.shape, 0.0, 0.9))
    beyond = weights.max(axis=1) / weights.sum(axis=1) * law.mean()
    np.testing.assert_allclose(
        found.error, (high - low) / 2 + beyond, rtol=1e-9, err_msg="another interval"
    )


def sums(changed=None):
    """Sums over three replicates of 50 points of two features, with weights; one may differ."""
    r, parts = np.random.default_rng(1), []
    for replicate in range(3):
        f, w = r.normal(1.0, 0.5, size=(1, 50, 2)), r.exponential(size=(1, 50))
        turned = np.swapaxes(f, -1, -2)
        products = turned @ f, (turned @ w[..., None])[..., 0]
        if replicate == changed:
            products = 3 * products[0] + np.eye(2), -products[1]
        parts.append((np.zeros(1), w.sum(axis=1), f.sum(axis=1), *products))
    return parts


@pytest.mark.parametrize("replicate", range(3))
def test_coefficients_of_a_replicate_are_those_of_the_others(replicate):
    # Otherwise the estimates are biased, and their spread too small.
    before = replicates._controlled(sums(), np.zeros(1), 50)[0]
    after = replicates._controlled(sums(changed=replicate), np.zeros(1), 50)[0]
    assert after[replicate] == pytest.approx(before[replicate], rel=1e-12), (
        "the coefficients of a replicate depend on its own products"
    )
    others = np.delete(np.arange(3), replicate)
    assert (after[others] != before[others]).all(), "the others do not depend on them"


@pytest.mark.parametrize(("deviations", "alarm"), [(0.0, False), (3.5, False), (4.5, True)])
@pytest.mark.parametrize("predicted", [0.1, 0.5])
def test_the_gate_of_coverage_stands_at_four_standard_deviations(predicted, deviations, alarm):
    # Draws of two weights, of which the greater one has the share `predicted` of their sum.
    count, size = 10_000, 4000
    great = np.arange(size) < size // 100
    weight = np.where(great, predicted / great.sum(), (1 - predicted) / (~great).sum())
    logs = np.log(weight)[None]
    more = deviations * np.sqrt(predicted / count) + (4 / count if alarm else 0.0)
    seen = np.arange(count) < round((predicted + more) * count)
    particles = np.where(seen, logs.max(), logs.min())[None]
    middle = 0.5 * (logs.max() + logs.min())
    look = gates.uncovered(particles, logs, logs, np.array([middle - np.log(10.0)]), 10.0)
    assert look.predicted == pytest.approx(predicted), f"predicted {look.predicted}"
    assert look.alarm[0] == alarm, f"{deviations} deviations: alarm {look.alarm[0]}"


def test_uniform_numbers_are_inside_the_open_interval():
    ends = streams._inside(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < ends[0] < 2.0**-53, f"the least is {ends[0]}"
    assert 1 - 2.0**-52 < ends[1] < 1, f"the greatest is {ends[1]}"


def test_bounds_of_the_mean_are_means_and_slack():
    model, confidence = bent(), 0.99
    X, z = simulate(model, 5, seed=4)
    found = evidence_bracket(
        model, X, z, confidence=confidence, draws=64, replicates=8, particles=0
    )
    lower, upper, off = (found.diagnostics[name] for name in ("lower", "upper", "rounding"))
    assert (off > 0).all(), f"nothing is rounded: {off}"
    level = np.log(2 / (1 - confidence))
    # What is left is the rounding of the sums over the data.
    below = (lower - off).mean() - level / (5 * 8) - found.lower
    above = found.upper - (upper + off).mean() - level / 5
    for name, left in (("lower", below), ("upper", above)):
        assert 0 < left < 1e-13 * (1 + abs(found.value)), f"{name}: {left} is left"
    assert found.width == found.upper - found.lower > 0, f"width {found.width}"
    # The rounding of the weights is that of the heaviest of them, and more than their own sums'.
    target = Target.of(model, X, seed=0)
    z = laplace_mixture(target).means
    least = target.rounding(z, target.log_joint(z)).max(axis=1)
    assert (off > 0.2 * least).all(), f"{off} for {least}"


def test_bounds_of_each_datum_have_half_of_the_level_each():
    model, confidence = bent(), 0.99
    X, z = simulate(model, 3, seed=4)
    found = evidence_bracket(
        model, X, z, confidence=confidence, draws=64, particles=0, per_datum=True
    )
    target = Target.of(model, X, seed=0)
    weights = importance.replicated(
        target, laplace_mixture(target), count=64, replicates=1, purpose="below",
        points=importance.INDEPENDENT,
    ).log_weights[:, 0]  # fmt: skip
    expected = betting_lower_bound(weights, confidence=0.995)
    np.testing.assert_allclose(
        found.diagnostics["lower"], expected, rtol=1e-6, err_msg="another level below"
    )
    above = found.upper - found.diagnostics["upper"] - found.diagnostics["rounding"]
    np.testing.assert_allclose(above, np.log(200.0), rtol=1e-9, err_msg="another level above")


def test_the_error_of_a_closed_form_has_two_sides():
    model = LatentModel(decoders.Affine(np.eye(6)[:, ::-1]), likelihoods.Gaussian(scale=0.5))
    found = evidence_estimate(model, np.ones((2, 6)))
    assert (found.lower < found.value).all(), f"{found.lower} is not below {found.value}"
    assert (found.upper > found.value).all(), f"{found.upper} is not above {found.value}"


def test_what_failed_has_no_value_and_what_is_too_wide_has():
    model, words = bent(), estimation.REASONS
    part = estimated_evidence.Part(model, np.zeros((0, 6)), np.arange(0), 0, 0.25, 0.999, 1, 32)
    arrays = {name: np.full(3, 0.1) for name in estimated_evidence._ARRAYS}
    arrays["reason"] = np.array([0, words.index("coverage"), 0])
    arrays["error"] = np.array([0.1, 0.1, 0.9])
    found = estimated_evidence._assembled([{**arrays, "calls": np.array(5)}], part)
    assert found.status.tolist() == ["estimated", "unresolved", "unresolved"], found.status
    assert found.diagnostics["reason"].tolist() == ["", "coverage", "tolerance"], "other reasons"
    assert np.isnan(found.value).tolist() == [False, True, False], f"values {found.value}"
    assert np.isinf(found.error).tolist() == [False, True, False], f"errors {found.error}"
    assert (found.lower == 0.1).all(), "the lower bound holds whatever failed"


def test_twins_have_seeds_of_their_own():
    seeds = range(100)
    others = {estimated_evidence._other(seed) for seed in seeds}
    assert len(others | set(seeds)) == 200, "twins share random numbers with data"

"""Figures that estimates of evidences rest on, each computed by another road."""

import numpy as np
import pytest
from scipy import stats

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling import gates, replicates
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams
from vaetheory._sampling.target import Target
from vaetheory.bounds import evidence_bracket, evidence_estimate, simulate


def bent(seed=0):
    """A small network of five latents with Gaussian noise."""
    r = np.random.default_rng(seed)
    weights = [r.normal(size=(4, 5)), r.normal(size=(6, 4))]
    network = decoders.TanhNetwork(weights, [np.zeros(4), np.zeros(6)])
    return LatentModel(network, likelihoods.Gaussian(scale=0.5))


def estimate(model, X, z):
    return evidence_estimate(model, X, particles=32)


def bracket(model, X, z):
    return evidence_bracket(model, X, z, draws=64, particles=16)


def bounds(model, X, z):
    return evidence_bracket(model, X, z, draws=64, particles=0, per_datum=True)


@pytest.mark.parametrize("computed", [estimate, bracket, bounds])
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
    weights = np.exp(found.log_weights - found.log_weights.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        found.error, (high - low) / 2 + weights.max(axis=1) / weights.sum(axis=1), rtol=1e-9,
        err_msg="another interval",
    )  # fmt: skip


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
    look = gates.uncovered(particles, logs, np.array([middle - np.log(10.0)]), 10.0)
    assert look.predicted == pytest.approx(predicted), f"predicted {look.predicted}"
    assert look.alarm[0] == alarm, f"{deviations} deviations: alarm {look.alarm[0]}"

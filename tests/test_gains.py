"""What changes of a VAE would gain: parts of a known gap, and what no change can gain."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, log_evidence
from vaetheory.bounds import gap_split, possible_gains

quarters = st.integers(-8, 8).map(lambda k: k / 4)


def curved(scale=0.3):
    return LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=scale))


def by_change(found):
    return {gain.change: gain for gain in found.gains}


@settings(max_examples=10)
@given(
    x=st.lists(st.tuples(quarters, quarters), min_size=1, max_size=3),
    m=quarters,
    s=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_the_first_gains_are_the_gap_and_draws_gain_a_part_of_it(x, m, s):
    model, q = curved(), Posterior(np.full((len(x), 1), m), scale=s)
    found = possible_gains(model, x, q, draws=[1, 4, 4096])
    evidence, own = log_evidence(model, x), elbo(model, x, q)
    gap = float((evidence.value - own.value).mean())
    gains = by_change(found)
    parts = [gains["a better encoder"], gains["another family of posteriors"]]
    off = abs(sum(g.nats for g in parts) - gap)
    error = sum(g.error for g in parts) + (evidence.error + own.error).mean()
    assert off <= error, f"the parts differ from the gap of {gap} by {off:.3g}, stated {error:.3g}"
    draws = [gains[f"{k:,} draws a datum"] for k in (1, 4, 4096)]
    assert abs(draws[0].nats) <= draws[0].error, "one draw is the ELBO"
    for less, more in pairwise(draws):
        assert less.nats - less.error <= more.nats + more.error, "more draws gain less"
    assert draws[-1].nats - draws[-1].error <= gap + error, "draws gain more than the gap"


@settings(max_examples=10)
@given(w=st.tuples(quarters, quarters), x=quarters, m=st.tuples(quarters, quarters))
def test_gains_of_a_linear_model_are_in_closed_form(w, x, m):
    model = LatentModel(decoders.Affine([w]), likelihoods.Gaussian(scale=0.5))
    found = by_change(possible_gains(model, [[x]], Posterior([m], scale=0.5), draws=[]))
    W, S = np.array([w]), np.full(2, 0.25)
    P = np.eye(2) + W.T @ W / 0.25
    away = np.array(m) - np.linalg.solve(P, W[0] * x / 0.25)
    diagonal = (np.log(np.diag(P)).sum() - np.linalg.slogdet(P)[1]) / 2
    ratios = np.diag(P) * S
    encoder = away @ P @ away / 2 + (ratios - 1 - np.log(ratios)).sum() / 2
    wanted = {"a better encoder": encoder, "full covariances": diagonal}
    for change, value in {**wanted, "another family of posteriors": 0.0}.items():
        off, error = abs(found[change].nats - value), found[change].error + 1e-12 * (1 + encoder)
        assert off <= error, f"{change}: off by {off:.3g}, stated {error:.3g}"


def test_any_model_can_gain_what_the_best_of_two_far_data_has():
    model = LatentModel(decoders.Affine([[0.0]]), likelihoods.Gaussian(scale=1.0))
    q = Posterior([[0.0], [0.0]], scale=1.0)
    most = by_change(possible_gains(model, [[-30.0], [30.0]], q, draws=[]))["any decoder and prior"]
    # Two atoms reach -log 2 - log(2 pi) / 2; this model has 450 nats less and no log 2.
    assert most.at_most, "it is a bound"
    assert abs(most.nats - (450 - np.log(2))) < 1e-9, f"{most.nats} nats"
    assert most.text == "at most 450", f"rounded down: {most.text}"
    few = possible_gains(model, [[-30.0], [30.0]], q, any_model=False)
    assert "any decoder and prior" not in by_change(few), "it was not asked for"


def test_landing_at_the_posterior_has_no_noise_and_away_from_it_may_have_more():
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    there = possible_gains(model, [[0.0]], Posterior([[0.0]], cov=[[[0.5]]]), draws=[])
    assert there.landing <= there.landing_error, f"noise of {there.landing:.3g} at the posterior"
    assert there.landing_text is None, "a ratio that is nothing within its error is not said"
    # With the divergence in closed form z enters by -z, without it by (1 / s^2 - 2) z, for both
    # parameters: the path estimator is the noisier one outside of 1/3 < s^2 < 1.
    for s2, more in ((0.2, True), (0.4, False), (0.9, False), (1.1, True)):
        found = possible_gains(model, [[0.0]], Posterior([[0.0]], cov=[[[s2]]]), draws=[])
        off = abs(found.landing - (1 / s2 - 2) ** 2)
        assert off <= found.landing_error + 1e-12, f"s^2 = {s2}: off by {off:.3g}"
        assert (found.landing > 1) == more, "the crossing is elsewhere"


def test_more_than_three_latents_have_the_gap_alone():
    model = LatentModel(decoders.Affine(np.eye(5)), likelihoods.Gaussian(scale=1.0))
    found = possible_gains(model, np.ones((2, 5)), Posterior(np.zeros((2, 5)), scale=1.0))
    assert [g.change for g in found.gains if "draws" in g.change] == [], "no integral has 5 latents"
    assert np.isnan(found.landing), "no integral has 5 latents"
    assert "sticking" not in str(found), "what is not known is not said"


def test_a_split_may_be_given():
    model, x, q = curved(), [[1.0, 0.2]], Posterior([[0.3]], scale=0.4)
    split = gap_split(model, x, q)
    assert possible_gains(model, x, q, split=split) == possible_gains(model, x, q), "another split"
    with pytest.raises(ValueError, match=r"split: expected that of 2 data, got shape \(1,\)"):
        possible_gains(model, [*x, *x], Posterior([[0.3], [0.3]], scale=0.4), split=split)


def test_bad_input_is_a_sentence():
    model, x, q = curved(), [[1.0, 0.2]], Posterior([[0.3]], scale=0.4)
    with pytest.raises(ValueError, match="draws: expected an integer"):
        possible_gains(model, x, q, draws=[0])
    with pytest.raises(ValueError, match=r"posterior: expected means \(N, d\), got shape \(1,\)"):
        possible_gains(model, x[0], Posterior([0.3], scale=0.4))

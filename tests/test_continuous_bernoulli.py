"""The continuous Bernoulli family, against values of mpmath and by its own laws."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import LatentModel, decoders, elbo, likelihoods, log_evidence, stationary_posterior
from vaetheory.likelihoods import ContinuousBernoulli, support_rule

FAMILY = ContinuousBernoulli()
#: Params near nought, where the series take over, and far out.
PARAMS = st.one_of(
    st.floats(-40, 40).map(lambda t: t if abs(t) > 1e-150 else 0.0),
    st.sampled_from([2.0, -2.0, 1.9999999, 1e-8, 1e-150, 700.0, -1e3, 1e6]),
)
#: Logits near nought cancel some 600 digits in the formulas of the books.
DIGITS = 700


def close(found, true, allowed, scale=None):
    with mp.workdps(DIGITS):
        off = float(abs(mpf(float(found)) - true))
        size = float(abs(true)) if scale is None else scale
    assert off <= allowed * size, f"{found} for {mp.nstr(true, 20)}, off by {off:.2g}"


def books(t):
    """Log partition, mean, 1 - mean, variance and its derivative, by the formulas of the books."""
    if t == 0:
        return mpf(0), mpf(1) / 2, mpf(1) / 2, mpf(1) / 12, mpf(0)
    half = t / 2
    return (
        mp.log(mp.expm1(t) / t),
        -1 / mp.expm1(-t) - 1 / t,
        -1 / mp.expm1(t) + 1 / t,
        1 / t**2 - 1 / (4 * mp.sinh(half) ** 2),
        -2 / t**3 + mp.cosh(half) / (4 * mp.sinh(half) ** 3),
    )


@given(PARAMS, st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e-12, 0.5])))
@example(0.0, 0.3)
@example(1e6, 1.0)
def test_all_digits_near_nought_and_far_out(t, x):
    params, data = np.array([t]), np.array([x])
    with mp.workdps(DIGITS):
        log_partition, mean, rest, variance, slope = books(mpf(t))
        density = x * mpf(t) - log_partition
        score = x - mean if t <= 0 else rest - (1 - mpf(x))
        log_slope = slope / variance
    close(FAMILY.log_partition(params), log_partition, 4e-16, max(abs(t), 1e-300))
    close(FAMILY.mean(params)[0], mean, 4e-16)
    close(FAMILY.fisher_diagonal(params)[0], variance, 1e-15)
    close(FAMILY.fisher_log_slope(params)[0], log_slope, 1e-14)
    # Its terms: how far it falls from the end where it is greatest, and how high it is there.
    near = 1 - x if t > 0 else x
    close(FAMILY.log_prob(data, params), density, 1e-15, abs(t) * near + np.log1p(abs(t)) + 1e-300)
    close(FAMILY.score(data, params)[0], score, 1e-15, near + 1 / (2 + abs(t)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
@example([0.0])
@example([1.0])
@example([1 - 2.0**-53])
@example([0.5, 0.5000000001])
def test_the_fit_has_the_mean_of_the_data(values):
    x = np.array(values)[:, None]
    params = FAMILY.fit(x, np.full(len(x), -np.log(len(x))))
    assert np.abs(params).max() <= 1e6, f"{params} is beyond the greatest params"
    if np.abs(params).max() < 1e6:
        assert np.allclose(FAMILY.mean(params), x.mean(axis=0), rtol=1e-14), params


@given(st.floats(0, 1), st.floats(-1e7, 1e7))
def test_no_params_make_a_datum_more_likely_than_the_greatest_density(x, t):
    data = np.array([x])
    most = float(FAMILY.greatest_log_prob(data))
    found = float(FAMILY.log_prob(data, np.array([t])))
    assert found <= most + 1e-14 * (1 + abs(most)), f"{found} above {most}"
    reached = float(FAMILY.log_prob(data, FAMILY.fit(data[None], np.zeros(1))))
    assert abs(reached - most) <= 1e-14 * (1 + abs(most)), f"{reached} where it is greatest, {most}"


@pytest.mark.parametrize("t", [0.0, 1e-3, 3.0, -20.0])
def test_the_density_integrates_to_one_and_has_its_moments(t):
    rule = support_rule(FAMILY, np.array([t]))
    log_prob = FAMILY.log_prob(rule.points, np.array([t]))
    values = np.concatenate([rule.points**0, rule.points], axis=-1)
    found, error = rule.expectation(log_prob, values)
    true = np.array([1.0, FAMILY.mean(np.array([t]))[0]])
    assert (np.abs(found - true) <= error + 1e-12).all(), f"{found} for {true}, error {error}"


@pytest.mark.parametrize("t", [0.0, 1e-9, 4.0, -300.0, 1e5])
def test_samples_have_the_moments_and_lie_within(t):
    params = np.full(20_000, t)
    x = FAMILY.sample(params, np.random.default_rng(0))
    assert ((x >= 0) & (x <= 1)).all(), f"from {x.min()} to {x.max()}"
    spread = np.sqrt(FAMILY.fisher_diagonal(params[:1])[0])
    off = abs(x.mean() - FAMILY.mean(params[:1])[0]) / spread * np.sqrt(len(x))
    assert off < 4.5, f"the mean is off by {off:.2g} standard errors"
    assert abs(x.std() / spread - 1) < 0.05, f"a deviation of {x.std()} for {spread}"


@pytest.mark.parametrize(("x", "came"), [(-1e-9, "-1e-09"), (1.5, "1.5")])
def test_data_outside_are_refused(x, came):
    message = rf"x: expected numbers in \[0, 1\] \(ContinuousBernoulli\), got {came}"
    with pytest.raises(ValueError, match=message):
        FAMILY.log_prob(np.array([x]), np.zeros(1))


def test_params_beyond_the_greatest_count_as_the_greatest():
    x = np.array([1.0, 0.0])
    assert FAMILY.log_prob(x, np.array([1e9, -1e9])) == FAMILY.log_prob(x, [1e6, -1e6])
    with pytest.raises(ValueError, match="ContinuousBernoulli has no limit at infinity"):
        FAMILY.log_prob(x, np.array([np.inf, -np.inf]))


def dense(model, X):
    """Log evidences on the line by a dense trapezoidal rule."""
    z = np.linspace(-9, 9, 9001)[:, None]
    joint = model.log_joint(np.asarray(X)[:, None], z[None])
    return np.logaddexp.reduce(joint, axis=-1) + np.log(z[1, 0] - z[0, 0])


def test_evidences_with_ends_among_the_data():
    rng = np.random.default_rng(0)
    decoder = decoders.Sine(rng.normal(size=8) * 6, rng.normal(size=(8, 1)), rng.normal(size=8))
    model = LatentModel(decoder, likelihoods.ContinuousBernoulli(), 1)
    X = FAMILY.sample(model.decode(rng.normal(size=(4, 1))), rng)
    X[X < 0.2], X[X > 0.8] = 0.0, 1.0
    result = log_evidence(model, X)
    off = np.abs(result.value - dense(model, X))
    assert result.reached.all(), f"status {result.status}"
    assert (off <= result.error + 1e-12).all(), f"off by {off}, stated {result.error}"
    best = stationary_posterior(model, X)
    bound = elbo(model, X, best)
    assert (bound.value < result.value).all(), "an ELBO above the evidence"
    assert (result.value - bound.value < 1.0).all(), "the best Gaussian is far off"

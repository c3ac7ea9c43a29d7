"""Which families induce a metric: Fisher's identities by sums over the support, claim 7e."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from vaetheory import LatentModel, decoders
from vaetheory.geometry import pullback_metric
from vaetheory.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    Exponential,
    Gamma,
    Gaussian,
    Laplace,
    LogNormal,
    NegativeBinomial,
    NoMetricError,
    Poisson,
    StudentT,
    Support,
    Uniform,
    VonMises,
    metric_identities,
    support_rule,
)
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood

COV = np.array([[1.0, 0.6], [0.6, 2.0]])

#: Families and parameters, with the share of the Fisher information that the errors may be.
MEMBERS = [
    (Gaussian(scale=0.3), [0.5], 1e-9),
    (Gaussian(scale=1e-4), [3.0], 1e-6),
    (Gaussian(scale=[0.5, 2.0]), [0.5, -1.0], 1e-5),
    (Gaussian(cov=COV), [0.5, -1.0], 1e-5),
    (Bernoulli(), [0.3, -2.0], 1e-9),
    (Categorical(), [0.3, -2.0, 1.0], 1e-9),
    (Poisson(), [0.4], 1e-9),
    (Poisson(), [8.0], 1e-8),
    (Poisson(), [1.0, 2.0], 1e-9),
    (NegativeBinomial(shape=0.01), [1.0], 1e-9),
    (NegativeBinomial(shape=2.0), [1.0], 1e-9),
    (NegativeBinomial(shape=1e8), [3.0], 1e-9),
    (Exponential(), [3.0], 1e-6),
    (Gamma(shape=0.5), [0.2], 1e-3),
    (Gamma(shape=1e6), [0.2], 1e-7),
    (Beta(concentration=2.0), [0.3], 1e-8),
    (Beta(concentration=8.0), [-2.0], 1e-8),
    (Beta(concentration=1e8), [0.3], 1e-7),
    (StudentT(dof=1.0, scale=1e-3), [2.0], 1e-8),
    (StudentT(dof=4.0, scale=2.0), [2.0, 1.0], 1e-8),
    (StudentT(dof=1e8, scale=2.0), [2.0], 1e-8),
    (VonMises(concentration=1e-3), [2.0], 1e-8),
    (VonMises(concentration=1.0), [2.0], 1e-8),
    (VonMises(concentration=1e8), [2.0], 1e-6),
    (LogNormal(scale=0.5), [1.0], 1e-9),
]


@pytest.mark.parametrize(("family", "params", "share"), MEMBERS, ids=str)
def test_both_forms_are_the_fisher_information(family, params, share):
    found = metric_identities(family, params)
    assert found.failures == (), f"a family with a metric is refused: {found.failures}"
    fisher = family.fisher_information(params)
    for form, error in (
        (found.score_form, found.score_form_error),
        (found.hessian_form, found.hessian_form_error),
    ):
        off = np.abs(form - fisher)
        assert (off <= 3 * error).all(), f"off by {off.max():.3g}, stated {error.max():.3g}"
        assert (error <= share * np.abs(fisher).max()).all(), f"error {error.max():.3g}: vague"


@pytest.mark.parametrize("params", [[0.0], [0.7], [-3.0], [20.0]])
def test_the_uniform_familys_score_has_no_mean_of_nought(params):
    found = metric_identities(Uniform(), params)
    # The density ends within a step of the sum, which the error says.
    assert abs(found.score[0] + 1) <= found.score_error[0], f"E[score] is {found.score}, not -1"
    assert found.failures[0].startswith("E[score] = 0 fails"), f"{found.failures}"


@pytest.mark.parametrize("scale", [1e-3, 0.5, 40.0])
@pytest.mark.parametrize("location", [0.0, 0.7])
def test_laplaces_two_forms_differ(scale, location):
    found = metric_identities(Laplace(scale=scale), [location])
    off = abs(found.score_form[0, 0] - scale**-2)
    assert off <= found.score_form_error[0, 0], f"the score form is off by {off:.3g}"
    off = abs(found.hessian_form[0, 0])
    assert off <= found.hessian_form_error[0, 0], f"the Hessian form is {off:.3g}, not 0"
    (failure,) = found.failures
    assert failure.startswith("E[score score^T] = -E[Hessian] fails"), failure


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (Uniform(), r"Uniform: E\[score\] = 0 fails: the support .* moves with the parameter"),
        (Laplace(scale=2.0), r"Laplace: E\[score score\^T\] = -E\[Hessian\] fails: the score form"),
    ],
    ids=["Uniform", "Laplace"],
)
def test_families_without_a_metric_are_refused(family, message):
    x, params = np.ones((2, 1)), np.full((2, 1), 0.5)
    with pytest.raises(NoMetricError, match=message):
        family.fisher_information(params)
    with pytest.raises(NoMetricError, match=message):
        family.observed_information(x, params, np.ones((2, 1, 1)))
    with pytest.raises(NoMetricError, match=message):
        pullback_metric(LatentModel(decoders.Affine([[1.0]]), family, 1), [0.0])
    assert issubclass(NoMetricError, ValueError), "a caller may catch a ValueError"


@pytest.mark.parametrize(
    ("family", "params", "oracle"),
    [
        (Uniform(), [0.7], stats.uniform(0, np.exp(0.7))),
        (Laplace(scale=0.5), [0.7], stats.laplace(0.7, 0.5)),
    ],
    ids=["Uniform", "Laplace"],
)
def test_their_densities_scores_and_samples_work(family, params, oracle):
    params, rng = np.array(params), np.random.default_rng(2)
    x = family.sample(np.tile(params, (40_000, 1)), rng)
    family.check_data(x)
    # Level 1e-9 for the seed that is fixed here.
    p = stats.kstest(x[:, 0], oracle.cdf).pvalue
    assert p > 1e-9, f"samples are not of this family: p = {p:.3g}"
    points = np.array([[0.3], [0.9], [1.9]])
    off = np.abs(family.log_prob(points, params) - oracle.logpdf(points[:, 0])).max()
    assert off <= 1e-14, f"log density off by {off:.3g}"
    step = 1e-6
    ends = [family.log_prob(points, params + s * step) for s in (1, -1)]
    off = np.abs((ends[0] - ends[1]) / (2 * step) - family.score(points, params)[:, 0]).max()
    assert off <= 1e-8, f"the score is off from the slope by {off:.3g}"
    best = family.greatest_log_prob(points)
    tried = np.stack([family.log_prob(points, [t]) for t in np.linspace(-4, 4, 20001)])
    assert (tried <= best + 1e-12).all(), "the supremum is exceeded"
    assert (tried.max(axis=0) >= best - 1e-3).all(), "the supremum is not approached"


@dataclass(frozen=True)
class Shifted(ElementwiseLikelihood):
    """Exponential data beyond a location: a reader's own family, whose support moves."""

    support = Support.REAL
    factor: float = 1.0

    def _log_prob(self, x, params):
        return np.where(x > params, params - x, -np.inf)

    def _score(self, x, params):
        return np.full(np.broadcast_shapes(x.shape, params.shape), self.factor)

    def _information(self, x, params):
        return np.zeros(np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params):
        return np.ones_like(params)

    def _greatest_log_prob(self, x):
        return np.zeros_like(x)

    def sample(self, params, rng):
        return np.asarray(params) + rng.exponential(size=np.shape(params))


def test_a_readers_own_family_without_a_metric_is_found_out():
    (first, *_) = metric_identities(Shifted(), [1.0]).failures
    assert first.startswith("E[score] = 0 fails"), first


class Halved(Gaussian):
    """A Gaussian with a wrong score."""

    def score(self, x, params):
        return 0.5 * super().score(x, params)


class Heavy(Gaussian):
    """A Gaussian with a wrong constant."""

    def log_prob(self, x, params):
        return super().log_prob(x, params) + 1e-6


@pytest.mark.parametrize(
    ("family", "words"),
    [(Halved(scale=0.5), "E[score score^T] = -E[Hessian]"), (Heavy(scale=0.5), "the integral")],
    ids=["score", "constant"],
)
def test_wrong_families_are_found_out(family, words):
    failures = metric_identities(family, [0.3]).failures
    assert any(f.startswith(words) for f in failures), f"not noticed: {failures}"


@pytest.mark.parametrize(
    ("family", "params", "oracle", "power"),
    [
        (Gaussian(scale=1e-3), [2.0], stats.norm(2, 1e-3), 2),
        (StudentT(dof=5.0, scale=0.5), [2.0], stats.t(5, 2, 0.5), 2),
        (Gamma(shape=3.0), [1.0], stats.gamma(3, scale=np.e / 3), 2),
        (Beta(concentration=3.0), [0.0], stats.beta(1.5, 1.5), 3),
        (Poisson(), [3.0], stats.poisson(np.exp(3.0)), 2),
        (NegativeBinomial(shape=1.5), [2.0], stats.nbinom(1.5, 1.5 / (1.5 + np.exp(2.0))), 2),
        (LogNormal(scale=0.25), [0.0], stats.lognorm(0.25), 2),
    ],
    ids=lambda v: type(v).__name__,
)
def test_sums_over_the_support_are_scipys_moments(family, params, oracle, power):
    rule = support_rule(family, params)
    log_prob = family.log_prob(rule.points, params)
    value, error = rule.expectation(log_prob, rule.points**power)
    exact = oracle.moment(power)
    off = abs(value[0] - exact)
    # scipy's own rounding: a few units of the moment.
    assert off <= error[0] + 1e-14 * exact, f"off by {off:.3g}, stated {error[0]:.3g}"
    assert error[0] <= 1e-5 * exact, f"an error of {error[0]:.3g} says little"


def test_a_circular_sum_is_a_bessel_function():
    family = VonMises(concentration=3.0)
    rule = support_rule(family, [0.5])
    log_prob = family.log_prob(rule.points, [0.5])
    value, error = rule.expectation(log_prob, np.cos(rule.points - 0.5))
    exact = family.mean(np.array([0.0]))[0]
    assert abs(value[0] - exact) <= error[0] <= 1e-10, f"{value[0]} +- {error[0]}, not {exact}"


@pytest.mark.parametrize(
    ("family", "params", "message"),
    [
        (Poisson(), [[0.0]], r"params: expected one vector \(D,\), got shape \(1, 1\)"),
        (Poisson(), 0.0, "params: expected at least 1 axis"),
        (Poisson(), [np.nan], "params: expected finite numbers"),
        (Poisson(), [20.0], "params: expected a sum of at most"),
        (StudentT(dof=1.0, scale=1.0), [0.0] * 4, "params: expected at most 3 dimensions, got 4"),
        (StudentT(dof=1.0, scale=1.0), [0.0] * 3, "params: expected a rule of at most"),
        (object(), [0.0], "likelihood: expected a family with its support"),
    ],
)
def test_bad_requests_are_refused(family, params, message):
    with pytest.raises(ValueError, match=message):
        support_rule(family, params)

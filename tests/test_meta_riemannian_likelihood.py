"""False claims about metrics of likelihoods fail: bugs put into the library one at a time."""

import numpy as np
import pytest
from hypothesis import find
from noticing import assert_noticed, bend_by_gauss_newton, count_prior, scale_result

from vaetheory.claims.riemannian_likelihood.families import FAMILIES, family_scenes
from vaetheory.decoders import FunctionDecoder
from vaetheory.geometry import PullbackMetric
from vaetheory.likelihoods import (
    Categorical,
    ContinuousBernoulli,
    ElementwiseLikelihood,
    Gaussian,
    Laplace,
    StudentT,
    Uniform,
)
from vaetheory.models import LatentModel


def owner(name):
    """The class of a family by its name in the checks."""
    return type(FAMILIES[name].build(*find(FAMILIES[name].constants, lambda constants: True)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fisher_information_off_by_one_part_in_a_thousand(monkeypatch, name):
    scale_result(monkeypatch, owner(name), "fisher_information", 1.001)
    assert_noticed("7a", bug=f"{name}: F off by 1e-3", instances=family_scenes((name,)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_score_off_by_one_part_in_a_thousand(monkeypatch, name):
    scale_result(monkeypatch, owner(name), "score", 1.001)
    assert_noticed("7a", bug=f"{name}: score off by 1e-3", instances=family_scenes((name,)))


@pytest.mark.parametrize("name", FAMILIES)
def test_an_observed_information_off_by_one_part_in_a_thousand(monkeypatch, name):
    scale_result(monkeypatch, owner(name), "observed_information", 1.001)
    assert_noticed("7a", bug=f"{name}: -Hessian off by 1e-3", instances=family_scenes((name,)))


def test_a_categorical_without_the_covariances(monkeypatch):
    monkeypatch.setattr(
        Categorical,
        "fisher_information",
        lambda self, params: self.mean(params)[..., None] * np.eye(params.shape[-1]),
    )
    assert_noticed(
        "7a", bug="diag(p) for diag(p) - p p^T", instances=family_scenes(("Categorical",))
    )


def test_a_covariance_for_its_inverse(monkeypatch):
    monkeypatch.setattr(
        Gaussian, "fisher_information", lambda self, params: self.covariance(params.shape[-1])
    )
    assert_noticed("7a", bug="Lambda for its inverse", instances=family_scenes(("Gaussian",)))


def test_a_jacobian_that_loses_a_column(monkeypatch):
    original, keep = LatentModel.pulled_back, np.array([1.0, 0.0])
    monkeypatch.setattr(
        LatentModel,
        "pulled_back",
        lambda self, params, jacobian, X=None: original(self, params, jacobian * keep, X),
    )
    assert_noticed("7b", bug="a column of the Jacobian is nought")


def test_a_jacobian_that_is_not_that_of_the_values_makes_no_model(monkeypatch):
    original, keep = FunctionDecoder.jacobian, np.array([1.0, 0.0])
    monkeypatch.setattr(FunctionDecoder, "jacobian", lambda self, z: original(self, z) * keep)
    with pytest.raises(ValueError, match="`jacobian` to be the derivative of its values"):
        LatentModel(lambda z: z**2, Gaussian(scale=1.0), 2)


def test_a_metric_without_the_fisher_information(monkeypatch):
    def without(self, params, jacobian):
        return np.swapaxes(jacobian, -1, -2) @ jacobian

    for family in (ElementwiseLikelihood, Gaussian, Categorical):
        monkeypatch.setattr(family, "expected_information", without)
    assert_noticed("7b", bug="J^T J for J^T F J")
    assert_noticed("7d", bug="J^T J for J^T F J")


def test_a_posterior_precision_without_the_residual(monkeypatch):
    bend_by_gauss_newton(monkeypatch)
    assert_noticed("7c", bug="no residual term in A")


def test_a_posterior_that_counts_the_prior_twice(monkeypatch):
    count_prior(monkeypatch, 2.0)
    assert_noticed("7c", bug="A = 2 I + ...")


def test_a_prior_counted_twice(monkeypatch):
    original = LatentModel.potential_derivatives

    def doubled(self, X, z):
        gradient, hessian, safe = original(self, X, z)
        unit = np.eye(self.latent_dim)
        return gradient, hessian + unit, safe + unit

    monkeypatch.setattr(LatentModel, "potential_derivatives", doubled)
    assert_noticed("7d-penalty", bug="A = 2 I + ...")


def test_a_hessian_with_the_residual_added(monkeypatch):
    original = LatentModel.likelihood_derivatives

    def added(self, X, z):
        gradient, hessian, safe = original(self, X, z)
        # A residual that the average cannot cancel: its size, not its sign.
        return gradient, safe + np.abs(hessian - safe), safe

    monkeypatch.setattr(LatentModel, "likelihood_derivatives", added)
    assert_noticed("7d", bug="|residual| for the residual")


@pytest.mark.parametrize("label", ["7d", "7d-decoder"])
def test_parameters_that_do_not_match_the_means(monkeypatch, label):
    for family in {owner(name) for name in FAMILIES if FAMILIES[name].full}:
        original = family.fit
        monkeypatch.setattr(family, "fit", lambda self, x, w, fit=original: fit(self, x, w) * 1.01)
    assert_noticed(label, bug="parameters off by a hundredth")


def test_a_density_without_its_normaliser(monkeypatch):
    for name in ("Gamma", "Categorical"):
        original = owner(name).log_prob
        monkeypatch.setattr(
            owner(name), "log_prob", lambda self, x, p, f=original: f(self, x, p) + 0.01
        )
    assert_noticed("7a", bug="not normalised", instances=family_scenes(("Gamma", "Categorical")))


def test_a_connection_off_by_one_part_in_a_thousand(monkeypatch):
    scale_result(monkeypatch, PullbackMetric, "christoffel", 1.001)
    assert_noticed("7b-geodesics", bug="Christoffel symbols off by 1e-3")


@pytest.mark.parametrize("method", ["fisher_information", "score", "observed_information"])
def test_a_continuous_bernoulli_that_is_off(monkeypatch, method):
    scale_result(monkeypatch, ContinuousBernoulli, method, 1.001)
    assert_noticed("7a-continuous", bug=f"{method} of the continuous Bernoulli off by 1e-3")


@pytest.mark.parametrize("family", [Uniform, Laplace])
def test_a_family_without_a_metric_that_is_given_one(monkeypatch, family):
    monkeypatch.setattr(family, "fisher_information", lambda self, params: np.eye(len(params)))
    assert_noticed("7e", bug=f"{family.__name__} has a Fisher information")


@pytest.mark.parametrize("family", [Uniform, Laplace])
def test_a_model_of_a_family_without_a_metric(monkeypatch, family):
    monkeypatch.setattr(family, "no_metric", None)
    assert_noticed("7e", bug=f"{family.__name__} is taken as a likelihood")


def test_a_refusal_by_the_wrong_name(monkeypatch):
    monkeypatch.setattr(Laplace, "no_metric", "Laplace: the variance is infinite")
    assert_noticed("7e", bug="another reason is given")


def test_a_student_t_that_takes_its_expected_for_its_observed_information(monkeypatch):
    monkeypatch.setattr(
        StudentT, "_information", lambda self, x, params: self._fisher(params + 0 * x)
    )
    assert_noticed("7d-curved", bug="expected for observed information")

"""False claims fail: bugs that real VAE code has had, put into the library one at a time.

Each test breaks one routine in the way its name says and demands that the registry notices. A
check that passes over a broken library is no check.
"""

import dataclasses
import sys

import numpy as np
import pytest
from noticing import assert_noticed, count_prior, scale_result

from vaetheory import _gaussians
from vaetheory.claims.optimal_decoder import exponential_families
from vaetheory.claims.stationary_evidence import gap_law, linear_gaussian
from vaetheory.encoders import AggregatePosterior
from vaetheory.likelihoods import Bernoulli, Categorical, Gamma, Gaussian, Poisson
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder

# The package's attribute `elbo` is the function, not its module.
ELBO = sys.modules["vaetheory.bounds.gaussian_elbo"]


def test_the_unweighted_mean_for_the_optimal_decoder(monkeypatch):
    monkeypatch.setattr(
        OptimalDecoder,
        "__call__",
        lambda self, z: np.broadcast_to(self.X.mean(axis=0), (*z.shape[:-1], self.X.shape[1])),
    )
    assert_noticed("1a", bug="unweighted mean")


def test_responsibilities_without_the_normaliser(monkeypatch):
    original = AggregatePosterior.component_log_prob
    monkeypatch.setattr(
        AggregatePosterior,
        "component_log_prob",
        lambda self, z: original(self, z) + 0.5 * _gaussians.log_det(self.cov),
    )
    assert_noticed("1a", bug="weights without det S")


def test_an_n_minus_one_covariance(monkeypatch):
    original = OptimalDecoder._covariance
    monkeypatch.setattr(
        OptimalDecoder,
        "_covariance",
        lambda self, z: original(self, z) * len(self.X) / (len(self.X) - 1),
    )
    assert_noticed("1b", bug="N - 1 covariance")


@pytest.mark.parametrize("family", [Bernoulli, Poisson, Gamma, Categorical, Gaussian])
def test_a_fit_that_is_slightly_off(monkeypatch, family):
    original = family.fit
    # Adding a constant to all logits of a categorical changes nothing, so tilt instead.
    monkeypatch.setattr(family, "fit", lambda self, x, w: original(self, x, w) * (1 + 1e-4))
    assert_noticed(
        "1c",
        bug=f"{family.__name__} parameters off by 1e-4",
        instances=exponential_families.family_scenes((family.__name__,)),
    )


def test_a_jacobian_of_the_wrong_sign(monkeypatch):
    scale_result(monkeypatch, OptimalDecoder, "_first", -1.0)
    assert_noticed("2a", bug="wrong sign")


@pytest.mark.parametrize("rule", ["_first", "_second", "_third"])
def test_a_derivative_off_by_a_millionth(monkeypatch, rule):
    scale_result(monkeypatch, OptimalDecoder, rule, 1 + 1e-6)
    assert_noticed("2b", bug=f"{rule} off by 1e-6")


def test_a_slope_twice_too_steep(monkeypatch):
    scale_result(monkeypatch, OptimalDecoder, "_first", 2.0)
    assert_noticed("2c", bug="factor 2")
    assert_noticed("2e", bug="factor 2")


def test_an_elbo_with_the_kl_of_the_wrong_sign(monkeypatch):
    scale_result(monkeypatch, _gaussians, "kl_divergence", -1.0)
    assert_noticed("3a", bug="KL of the wrong sign")


def test_an_elbo_without_log_det(monkeypatch):
    original = _gaussians.kl_divergence

    def without(loc, cov, other_loc, other_cov):
        return original(loc, cov, other_loc, other_cov) + 0.5 * _gaussians.log_det(cov)

    monkeypatch.setattr(_gaussians, "kl_divergence", without)
    assert_noticed("3a", bug="dropped log det")


def test_standard_deviations_passed_for_variances(monkeypatch):
    original = ELBO.flatten

    def rooted(model, X, posterior):
        data, loc, cov = original(model, X, posterior)
        values, vectors = np.linalg.eigh(cov)
        return data, loc, (vectors * np.sqrt(values)[:, None]) @ np.swapaxes(vectors, -1, -2)

    monkeypatch.setattr(ELBO, "flatten", rooted)
    assert_noticed("3a", bug="standard deviations for variances")


def test_a_gaussian_log_density_without_its_half(monkeypatch):
    original = Gaussian.log_prob

    def doubled(self, x, params):
        return 2 * original(self, x, params) - self.log_peak(x.shape[-1])

    monkeypatch.setattr(Gaussian, "log_prob", doubled)
    assert_noticed("3c", bug="no factor 1/2 in the exponent")


def test_a_gaussian_log_density_without_two_pi(monkeypatch):
    original = Gaussian.log_prob
    monkeypatch.setattr(
        Gaussian, "log_prob", lambda self, x, p: original(self, x, p) + 0.5 * _gaussians.LOG_2PI
    )
    assert_noticed("3c", bug="dropped 2 pi")


def test_a_hessian_without_its_residual_term(monkeypatch):
    original = LatentModel.potential_derivatives

    def gauss_newton_only(self, X, z):
        gradient, _, safe = original(self, X, z)
        return gradient, safe, safe

    monkeypatch.setattr(LatentModel, "potential_derivatives", gauss_newton_only)
    assert_noticed("3b", bug="Gauss-Newton part for the Hessian")


def test_a_posterior_that_forgets_the_prior(monkeypatch):
    count_prior(monkeypatch, 1e-3)
    assert_noticed("3c", bug="no prior in the potential")
    assert_noticed("3d", bug="no prior in the potential")


@pytest.mark.parametrize(("module", "label"), [(linear_gaussian, "3c"), (gap_law, "3f")])
def test_an_evidence_that_is_slightly_off(monkeypatch, module, label):
    original = module.log_evidence

    def shifted(*arguments, **options):
        result = original(*arguments, **options)
        return dataclasses.replace(result, value=result.value + 1e-4)

    monkeypatch.setattr(module, "log_evidence", shifted)
    assert_noticed(label, bug="evidence off by 1e-4 nats")


def test_a_laplace_evidence_with_the_wrong_sign_of_log_det(monkeypatch):
    original = _gaussians.log_det
    monkeypatch.setattr(_gaussians, "log_det", lambda cov: -original(cov))
    assert_noticed("3e", bug="log det of the wrong sign")
    assert_noticed("3h", bug="log det of the wrong sign")

"""False claims fail: bugs that claim 4 must notice, put into the library one at a time."""

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st
from noticing import assert_noticed, bend_by_gauss_newton, count_prior, scale_result

from vaetheory import decoders, hessian_estimators, likelihoods
from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.hessian_estimator import (
    averaged_residual,
    estimators,
    hutchinson,
    sampled,
    smooth_functions,
    stationary,
    stein_identities,
)
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder

PLANES = smooth_functions.smooth_functions(dims=(2,))
# One instance is enough where each takes long, and there is nothing to shrink.
WAVE = smooth_functions.SmoothFunction(
    ModelScene(
        decoders.TanhNetwork([[[1.0, 0.5], [0.5, -1.0]], np.eye(2)], np.zeros((2, 2))),
        likelihoods.Gaussian(scale=0.5),
        (0.5, -1.0),
        (0.5, 0.0),
        Covariance((0.5, 0.25), (30,)),
    ),
    smooth_functions.LOG_LIKELIHOOD,
)


def scale_estimate(monkeypatch, owner, name, *, value=1.0, error=1.0):
    """Multiply the value and the standard error of the estimate that `owner.name` returns."""
    original = getattr(owner, name)

    def scaled(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=value * found.value, error=error * found.error)

    monkeypatch.setattr(owner, name, scaled)


@pytest.mark.parametrize("label", ["4a", "4b"])
def test_a_hessian_without_its_residual_term(monkeypatch, label):
    original = LatentModel.potential_derivatives

    def gauss_newton_only(self, X, z):
        gradient, _, safe = original(self, X, z)
        return gradient, safe, safe

    monkeypatch.setattr(LatentModel, "potential_derivatives", gauss_newton_only)
    assert_noticed(label, bug="Gauss-Newton part for the Hessian")


def test_a_stationary_posterior_without_the_residual_term(monkeypatch):
    bend_by_gauss_newton(monkeypatch)
    assert_noticed("4e", bug="Gauss-Newton part for the Hessian")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (stein_identities, "stein_hessian"),
        (stein_identities, "price_hessian"),
        (estimators, "stein_hessian"),
    ],
)
def test_a_factor_of_two_in_an_estimator(monkeypatch, module, name):
    scale_estimate(monkeypatch, module, name, value=2.0)
    label = "4b" if module is stein_identities else "4b-sampled"
    assert_noticed(label, bug=f"factor 2 in {name}")


def test_stein_without_the_precision(monkeypatch):
    original = hessian_estimators._whitened

    def without(*arguments):
        eps, score, precision = original(*arguments)
        return eps, score, 0 * precision

    monkeypatch.setattr(hessian_estimators, "_whitened", without)
    assert_noticed("4b", bug="no term -S^-1")
    assert_noticed("4b-sampled", bug="no term -S^-1")


def test_noise_whitened_by_the_transposed_root(monkeypatch):
    original = hessian_estimators._whitened

    def transposed(noise, scale_tril):
        eps, _, precision = original(noise, scale_tril)
        return eps, eps @ np.linalg.inv(scale_tril).T, precision

    monkeypatch.setattr(hessian_estimators, "_whitened", transposed)
    assert_noticed("4b", bug="L^-1 eps for L^-T eps", instances=PLANES)


def test_a_standard_error_that_is_a_tenth_too_small(monkeypatch):
    scale_estimate(monkeypatch, estimators, "price_hessian", error=0.9)
    one = st.just(sampled.Sampled(WAVE, 0))
    assert_noticed("4b-sampled", bug="standard error off by a tenth", instances=one)


def test_a_deviation_bound_that_is_no_bound(monkeypatch):
    scale_result(monkeypatch, sampled, "mean_deviation", 0.02)
    assert_noticed("4b-sampled", bug="a fiftieth of the bound", examples=10)


def test_an_estimator_that_is_not_symmetrised(monkeypatch):
    def lopsided(gradients, noise, scale_tril):
        _, score, _ = hessian_estimators._whitened(noise, scale_tril)
        return hessian_estimators._mean(score[..., :, None] * gradients[..., None, :], axis=-3)

    monkeypatch.setattr(estimators, "price_hessian", lopsided)
    assert_noticed("4b-variances", bug="no symmetric part", instances=st.just(WAVE))


@pytest.mark.parametrize("kind", [decoders.TanhNetwork, decoders.Sine, decoders.Polynomial])
def test_second_derivatives_a_thousandth_off(monkeypatch, kind):
    scale_result(monkeypatch, kind, "hessian", 1.001)
    assert_noticed("4c", bug=f"{kind.__name__}.hessian off by 1e-3", examples=60)


def test_a_norm_that_is_not_squared(monkeypatch):
    original = hutchinson.jacobian_norm

    def rooted(*arguments):
        found = original(*arguments)
        return dataclasses.replace(found, value=np.sqrt(found.value))

    monkeypatch.setattr(hutchinson, "jacobian_norm", rooted)
    assert_noticed("4c", bug="no square")


def test_a_transposed_jacobian(monkeypatch):
    original = OptimalDecoder.jacobian

    def transposed(self, z):
        found = original(self, z)
        square = found.shape[-1] == found.shape[-2]
        return np.swapaxes(found, -1, -2) if square else found

    monkeypatch.setattr(OptimalDecoder, "jacobian", transposed)
    assert_noticed("4d", bug="transposed Jacobian", examples=60)


def test_a_jacobian_off_by_a_millionth(monkeypatch):
    scale_result(monkeypatch, OptimalDecoder, "_first", 1 + 1e-6)
    assert_noticed("4d", bug="Jacobian off by 1e-6")


def test_a_residual_with_the_wrong_sign(monkeypatch):
    scale_result(monkeypatch, OptimalDecoder, "_second", -1.0)
    assert_noticed("4d-elsewhere", bug="second derivatives of the wrong sign")


def test_unweighted_data(monkeypatch):
    monkeypatch.setattr(
        averaged_residual,
        "_weights",
        lambda scene, z, peak: np.full(len(scene.X), 1 / len(scene.X)) + 0.0 * z[..., :1],
    )
    assert_noticed("4d", bug="unweighted data")


def test_a_posterior_a_thousandth_too_wide(monkeypatch):
    original = stationary.stationary_posterior

    def wider(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, cov=found.cov * 1.001)

    monkeypatch.setattr(stationary, "stationary_posterior", wider)
    assert_noticed("4e", bug="covariance off by 1e-3")


def test_a_posterior_that_forgets_the_prior(monkeypatch):
    count_prior(monkeypatch, 0.99)
    assert_noticed("4e", bug="a hundredth of the prior forgotten")

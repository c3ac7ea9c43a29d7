"""False claims fail: bugs put into descent, curvature and growth, which claim 9 must notice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st
from noticing import assert_noticed, scale_result

from vaetheory import _gaussians
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.instability import (
    full_dimension,
    growth,
    joint_scenes,
    manifold_data,
    memorised_data,
    step_scenes,
)
from vaetheory.likelihoods import Gaussian

CODES = ((0.0,), (1.0,), (-1.5,), (0.5,))
# One instance each: a check of a run that descends is not cheap to shrink.
SCENES = {
    "9a": step_scenes.StepScene("quadratic", CODES, (1.0, 2.0, 0.5, 0.0, 1.0, -0.5), 2, 1 / 32),
    "9a-network": step_scenes.StepScene(
        "network", CODES, (1.0, 0.5, 1.0, -0.5, 0.0, 0.5), 2, 1 / 64
    ),
    "9b": joint_scenes.JointScene(((-2.0, 0.5), (1.0, 0.5), (1.0, -1.0)), 1 / 64),
    "9b-noise": joint_scenes.JointScene(((-2.0, 0.5), (1.0, 0.5), (1.0, -1.0)), 1 / 64),
    "9b-batch": joint_scenes.JointScene(((-2.0, 0.5), (1.0, 0.5), (1.0, -1.0)), 1 / 64),
    "9c": manifold_data.ManifoldScene(
        ((1.0, 0.5, 0.0), (0.5, -0.5, 1.0), (0.0, 0.5, 0.5)), ((-1.0,), (0.5,)), 1 / 64
    ),
    "9c-memorised": memorised_data.MemoryScene((1.0, 0.5), 2, 1 / 4),
    "9c-full": full_dimension.FullScene(
        Covariance((1.0, 0.5), (30,)), ((1.0, 0.0), (0.5, 1.0)), (0.5, 0.0), 1 / 16
    ),
}
SCENES["9a-preconditioned"] = SCENES["9a"]


def assert_caught(label, bug):
    scene = SCENES[label]
    # Anew, without what an earlier test has cached in it.
    fresh = dataclasses.replace(scene)
    assert_noticed(label, bug=bug, instances=st.just(fresh), examples=1)


@pytest.mark.parametrize("label", ["9a", "9a-network", "9a-preconditioned"])
@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_threshold_off_by_two_percent(monkeypatch, label, factor):
    original = step_scenes.largest_stable_step

    def off(gradient, optimum, **options):
        found = original(gradient, optimum, **options)
        return dataclasses.replace(found, lower=factor * found.lower, upper=factor * found.upper)

    monkeypatch.setattr(step_scenes, "largest_stable_step", off)
    assert_caught(label, f"thresholds times {factor}")


@pytest.mark.parametrize("label", ["9a", "9a-network"])
def test_gradients_that_are_too_long(monkeypatch, label):
    original = step_scenes.StepScene.gradient
    monkeypatch.setattr(
        step_scenes.StepScene, "gradient", lambda self, theta: 1.5 * original(self, theta)
    )
    assert_caught(label, "gradients half again too long")


@pytest.mark.parametrize("label", ["9a", "9a-network"])
def test_an_objective_without_its_half(monkeypatch, label):
    original = step_scenes.StepScene.objective
    monkeypatch.setattr(
        step_scenes.StepScene, "objective", lambda self, theta: 2 * original(self, theta)
    )
    assert_caught(label, "twice the ELBO")


@pytest.mark.parametrize("label", ["9a", "9b"])
def test_a_hessian_off_by_a_percent(monkeypatch, label):
    module = step_scenes if label == "9a" else joint_scenes
    scale_result(monkeypatch, module, "weighted_hessian", 1.01)
    assert_caught(label, "a Hessian off by a percent")


@pytest.mark.parametrize("label", ["9a", "9b", "9c", "9c-memorised", "9c-full"])
def test_a_gaussian_log_density_without_two_pi(monkeypatch, label):
    original = Gaussian.log_prob
    monkeypatch.setattr(
        Gaussian, "log_prob", lambda self, x, p: original(self, x, p) + 0.5 * _gaussians.LOG_2PI
    )
    assert_caught(label, "dropped 2 pi")


@pytest.mark.parametrize("label", ["9a", "9b", "9c", "9c-memorised", "9c-full"])
def test_an_elbo_without_the_divergence_from_the_prior(monkeypatch, label):
    scale_result(monkeypatch, _gaussians, "kl_divergence", 0.5)
    assert_caught(label, "half of the divergence")


def test_posterior_variances_without_the_prior(monkeypatch):
    # (J^T J)^-1 sigma^2: right in the limit, not the posterior at any sigma.
    original = joint_scenes.JointScene.optimum.func

    def flat(self):
        found = original(self)
        found[:, -len(self.X) :] += 0.01
        return found

    monkeypatch.setattr(joint_scenes.JointScene, "optimum", property(flat))
    assert_caught("9b", "posterior deviations a percent too large")
    assert_caught("9b-noise", "posterior deviations a percent too large")


def test_a_decoder_of_the_wrong_length(monkeypatch):
    original = joint_scenes.JointScene.optimum.func

    def long(self):
        found = original(self)
        found[:, : self.data.shape[1]] *= 1.001
        return found

    monkeypatch.setattr(joint_scenes.JointScene, "optimum", property(long))
    for label in ("9b", "9b-batch"):
        assert_caught(label, "a decoder a thousandth too long")


def test_a_rule_that_is_too_narrow(monkeypatch):
    original = joint_scenes.hermite_rule

    def narrow(order, dim):
        nodes, weights = original(order, dim)
        return 0.99 * nodes, weights

    monkeypatch.setattr(joint_scenes, "hermite_rule", narrow)
    assert_caught("9b-noise", "noise of variance 0.98")


@pytest.mark.parametrize("label", ["9c", "9c-memorised"])
def test_a_likelihood_that_is_not_bounded(monkeypatch, label):
    original = growth.baggins

    def unbounded_term(x, xhat, *, information, weights):
        return original(x, xhat, information=40.0, weights=weights)

    monkeypatch.setattr(growth, "baggins", unbounded_term)
    assert_caught(label, "forty nats presumed for two")


def test_a_metric_without_its_square_root(monkeypatch):
    scale_result(monkeypatch, _gaussians, "log_det", 0.5)
    assert_caught("9c", "g without its square root")
    assert np.isfinite(memorised_data.memory_limit(SCENES["9c-memorised"])), "another route"

"""False claims fail: bugs in the penalty and its posteriors that claim 5 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed, scale_result

from vaetheory import Posterior, constant_variance, decoders, elbo
from vaetheory.claims.constant_variance import (
    coordinates,
    flat_coordinates,
    greatest_penalty,
    ladders,
    second_order,
    small_variations,
    spherical_cap,
)
from vaetheory.models import LatentModel

ROOMS = {"5a": second_order, "5b": small_variations, "5c": greatest_penalty}


def replace_penalty(monkeypatch, module, change):
    """Let `change(penalty, A, weights)` replace fields of what the library returns."""
    original = constant_variance.constant_variance_penalty

    def changed(A, weights=None):
        found = original(A, weights)
        return dataclasses.replace(found, **change(found, np.asarray(A), weights))

    monkeypatch.setattr(module, "constant_variance_penalty", changed)


def test_log_e_in_place_of_e_log(monkeypatch):
    def change(found, A, weights):
        dets = np.average(np.linalg.det(A), axis=-1, weights=weights)
        return {"value": -0.5 * (np.linalg.slogdet(found.cov)[1] + np.log(dets))}

    for label, room in ROOMS.items():
        replace_penalty(monkeypatch, room, change)
        assert_noticed(label, bug="log E in place of E log")


def test_the_mean_covariance_as_the_best(monkeypatch):
    def change(found, A, weights):
        return {"cov": np.average(np.linalg.inv(A), axis=0, weights=weights)}

    replace_penalty(monkeypatch, second_order, change)
    assert_noticed("5a", bug="E[A^-1] for E[A]^-1")


@pytest.mark.parametrize("label", ROOMS)
def test_a_penalty_that_is_slightly_off(monkeypatch, label):
    replace_penalty(monkeypatch, ROOMS[label], lambda f, A, w: {"value": f.value * (1 + 1e-5)})
    assert_noticed(label, bug="penalty off by 1e-5")


def test_a_logarithm_that_lost_its_digits(monkeypatch):
    monkeypatch.setattr(constant_variance, "log1pmx", lambda x: np.log(1 + np.asarray(x)) - x)
    assert_noticed("5b", bug="log(1 + x) - x as it stands")


def test_specht_without_its_e(monkeypatch):
    original = greatest_penalty.log_specht_ratio
    monkeypatch.setattr(greatest_penalty, "log_specht_ratio", lambda h: original(h) + 1)
    assert_noticed("5c", bug="Specht's ratio without e")


def test_specht_that_is_slightly_off(monkeypatch):
    scale_result(monkeypatch, greatest_penalty, "log_specht_ratio", 1 - 1e-6)
    assert_noticed("5c", bug="Specht off by 1e-6")


def test_a_shared_covariance_that_is_not_the_best(monkeypatch):
    original = constant_variance.stationary_posterior

    def averaged(model, X, *, structure="full", **options):
        free = original(model, X, **options)
        if structure == "full":
            return free
        cov = np.broadcast_to(free.cov.mean(axis=0), free.cov.shape)
        return dataclasses.replace(free, value=elbo(model, X, Posterior(free.loc, cov=cov)).value)

    monkeypatch.setattr(constant_variance, "stationary_posterior", averaged)
    assert_noticed("5d", bug="the mean of the free covariances as the shared one")


def test_a_hessian_without_its_residual_term(monkeypatch):
    original = LatentModel.potential_derivatives

    def gauss_newton_only(self, X, z):
        gradient, _, safe = original(self, X, z)
        return gradient, safe, safe

    monkeypatch.setattr(LatentModel, "potential_derivatives", gauss_newton_only)
    assert_noticed("5d", bug="Gauss-Newton part for the Hessian")


def test_an_exact_penalty_without_its_half(monkeypatch):
    original = ladders.exact_penalty

    def doubled(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=2 * found.value)

    monkeypatch.setattr(ladders, "exact_penalty", doubled)
    assert_noticed("5d", bug="twice the exact penalty")
    assert_noticed("5e-curvature", bug="twice the exact penalty")


def test_a_metric_transformed_the_wrong_way(monkeypatch):
    monkeypatch.setattr(coordinates, "reparametrised", flat_coordinates.pulled_twice)
    assert_noticed("5f", bug="the Jacobian for its inverse")


def test_a_penalty_that_is_slightly_too_large(monkeypatch):
    original = coordinates.constant_variance_penalty

    def larger(*arguments, **keywords):
        found = original(*arguments, **keywords)
        return dataclasses.replace(found, value=1.0001 * found.value)

    monkeypatch.setattr(coordinates, "constant_variance_penalty", larger)
    # Its margin is next to 1, yet both sides are computed by routes of their own.
    assert_noticed("5f", bug="a penalty off by 1e-4")


def test_a_sphere_that_is_a_little_flatter(monkeypatch):
    original = decoders.SpherePatch.jacobian

    def flatter(self, z):
        J = original(self, z)
        J[..., 2, :] *= 0.99
        return J

    monkeypatch.setattr(decoders.SpherePatch, "jacobian", flatter)
    assert_noticed("5f-sphere", bug="a sphere squeezed by one percent")


def test_a_bound_that_is_slightly_off(monkeypatch):
    original = spherical_cap.dual_bound

    def higher(angle, stretch):
        value, error = original(angle, stretch)
        return value * (1 + 1e-3), error

    monkeypatch.setattr(spherical_cap, "dual_bound", higher)
    assert_noticed("5f-sphere", bug="the bound of the cap off by 1e-3")


@pytest.fixture
def fresh_caps():
    """No bound remembered from before, none kept for later."""
    for remembered in (spherical_cap.radial_map, spherical_cap.dual_bound):
        remembered.cache_clear()
    yield
    for remembered in (spherical_cap.radial_map, spherical_cap.dual_bound):
        remembered.cache_clear()


def test_a_cost_of_stretch_that_is_off_by_a_tenth(monkeypatch, fresh_caps):
    scale_result(monkeypatch, spherical_cap, "_q", 1.1)
    assert_noticed("5f-rate", bug="stretch costs a tenth more", examples=1)

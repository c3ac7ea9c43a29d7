"""False claims fail: bugs put into the scores one at a time, which claim 19 must notice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st
from noticing import assert_noticed

from vaetheory.claims.score_identities import (
    denoising,
    em,
    natural_gradient,
    parameters,
    pca_em,
    van_trees,
    wide_parameters,
)
from vaetheory.claims.score_identities.scenes import FamilyScene
from vaetheory.scores import denoising as library
from vaetheory.scores import natural_gradient as steps
from vaetheory.scores import van_trees as bounds
from vaetheory.scores.parametric import ParametricModel


def patch(monkeypatch, module, name, **changes):
    """Pass fields of what `module.name` returns through the functions of `changes`."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        new = {field: change(getattr(found, field)) for field, change in changes.items()}
        return dataclasses.replace(found, **new)

    monkeypatch.setattr(module, name, broken)


def off(value):
    """The value, off by a millionth."""
    return np.asarray(value) * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize(
    ("label", "module", "name", "field"),
    [
        ("19a", parameters, "evidence_score", "value"),
        ("19a", parameters, "elbo_score", "value"),
        ("19b", parameters, "evidence_information", "complete"),
        ("19b", parameters, "evidence_information", "missing"),
        ("19b-linear", wide_parameters, "evidence_information", "missing"),
        ("19c", denoising, "denoise", "value"),
        ("19c", denoising, "data_score", "value"),
        ("19c", denoising, "data_curvature", "value"),
        ("19c-linear", denoising, "denoise", "value"),
        ("19c-counts", denoising, "denoise", "value"),
        ("19c-counts", denoising, "robbins", "value"),
        ("19d", van_trees, "van_trees_bound", "value"),
        ("19d-linear", van_trees, "van_trees_bound", "value"),
        ("19d-linear", van_trees, "linear_estimation_error", "value"),
        ("19e", natural_gradient, "natural_gradient_step", "loc"),
        ("19e-linear", natural_gradient, "natural_gradient_step", "loc"),
        ("19f", em, "em_rates", "value"),
        ("19f-collapse", pca_em, "em_rates", "value"),
    ],
)
def test_a_number_off_by_a_millionth(monkeypatch, label, module, name, field):
    patch(monkeypatch, module, name, **{field: off})
    assert_noticed(label, bug=f"{field} of {name} off by 1e-6", examples=1)


def test_rates_off_by_a_billionth(monkeypatch):
    original = pca_em.ppca_em_rates
    monkeypatch.setattr(pca_em, "ppca_em_rates", lambda *a, **k: original(*a, **k) * (1 - 1e-9))
    assert_noticed("19f-spectrum", bug="rates off by 1e-9")


def test_a_linear_error_below_the_true_one(monkeypatch):
    patch(monkeypatch, van_trees, "linear_estimation_error", value=lambda v: v - 1e-6)
    assert_noticed("19d", bug="the linear estimator's error, attained by lines, is too small")


def test_the_decoder_bends_in_its_parameters(monkeypatch):
    # As if all decoders were linear in their parameters.
    original = ParametricModel.joint_derivatives

    def flat(self, X, z):
        gradient, _ = original(self, X, z)
        params, jacobian = self.outputs(z)
        information = self.likelihood.observed_information(
            X, params[..., None, :], jacobian[..., None, :, :]
        )
        return gradient, -information

    monkeypatch.setattr(ParametricModel, "joint_derivatives", flat)
    scene = FamilyScene("saturating", (1.0, 0.5, 0.0), (1.0, 0.5), (0.0,), 0.5)
    assert_noticed(
        "19b", bug="the Hessian lacks the outputs' own", instances=st.just(scene), examples=1
    )


def test_moments_of_the_wrong_frame(monkeypatch):
    # The mean gradient in whitened coordinates, taken for that of the latents.
    original = steps._expectations

    def whitened(model, data, loc, cov, rtol):
        slope, *rest = original(model, data, loc, cov, rtol)
        root = np.linalg.cholesky(cov)
        return (np.einsum("nji,nj->ni", root, slope), *rest)

    monkeypatch.setattr(steps, "_expectations", whitened)
    assert_noticed("19e", bug="a gradient of the wrong frame", examples=4)
    assert_noticed("19e-linear", bug="a gradient of the wrong frame", examples=8)


def test_noise_left_out_of_the_data(monkeypatch):
    monkeypatch.setattr(
        bounds, "_noise", lambda model, z: 1e-3 * np.eye(model.data_dim) + 0 * z[..., :1, None]
    )
    assert_noticed("19d", bug="the data's covariance lacks the noise")


def test_a_covariance_of_the_residuals_squares(monkeypatch):
    # Without the centre the second moment takes the covariance's place.
    original = library.data_score

    def forgotten(model, X, **options):
        found = original(model, X, **options)
        return dataclasses.replace(found, value=0 * found.value)

    monkeypatch.setattr(library, "data_score", forgotten)
    assert_noticed("19c", bug="the curvature's centre is forgotten", examples=3)

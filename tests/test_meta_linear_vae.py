"""False claims fail: bugs put into the linear VAE one at a time, which claim 12 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory.bounds import linear_autoencoder
from vaetheory.claims.linear_vae import ascent, critical_points, latent_scale


def patch_result(monkeypatch, change):
    """Pass every linear VAE through `change(vae, data)`, which returns the changed fields."""
    original = linear_autoencoder._best_encoder

    def broken(data, w, noise):
        vae = original(data, w, noise)
        return dataclasses.replace(vae, **change(vae, data))

    monkeypatch.setattr(linear_autoencoder, "_best_encoder", broken)


@pytest.mark.parametrize("label", ["12a", "12b", "12c", "12d", "12e"])
def test_a_value_off_by_a_millionth(monkeypatch, label):
    patch_result(monkeypatch, lambda vae, _: {"value": vae.value * (1 + 1e-6)})
    assert_noticed(label, bug="a value off by 1e-6")


@pytest.mark.parametrize("label", ["12a"])
def test_a_gap_off_by_a_millionth(monkeypatch, label):
    patch_result(monkeypatch, lambda vae, _: {"gap": vae.gap * (1 + 1e-6)})
    assert_noticed(label, bug="a gap off by 1e-6")


@pytest.mark.parametrize("label", ["12a", "12d", "12g"])
def test_the_marginal_variances(monkeypatch, label):
    def marginal(vae, _):
        W, d = vae.weight, vae.weight.shape[-1]
        M = np.swapaxes(W, -1, -2) @ W + vae.variance[..., None, None] * np.eye(d)
        inverse = np.diagonal(np.linalg.inv(M), axis1=-2, axis2=-1)
        return {"posterior_variances": 1.0001 * vae.variance[..., None] * inverse}

    patch_result(monkeypatch, marginal)
    assert_noticed(label, bug="the marginal variances")


@pytest.mark.parametrize("label", ["12b", "12d", "12g"])
def test_the_spectrum_of_n_minus_one(monkeypatch, label):
    original = np.linalg.svd

    def unbiased(a, **options):
        left, s, right = original(a, **options)
        # The data are taller than the weights of claim 12, which have at most four rows.
        factor = np.sqrt(a.shape[-2] / (a.shape[-2] - 1)) if a.shape[-2] > 4 else 1.0
        return left, factor * s, right

    monkeypatch.setattr(np.linalg, "svd", unbiased)
    assert_noticed(label, bug="N - 1")


@pytest.mark.parametrize("label", ["12b", "12g"])
def test_columns_that_are_too_long(monkeypatch, label):
    original = linear_autoencoder._best_encoder

    def longer(data, w, noise):
        return original(data, w * (1 + 1e-5), noise)

    monkeypatch.setattr(linear_autoencoder, "_best_encoder", longer)
    assert_noticed(label, bug="columns too long by 1e-5")


@pytest.mark.parametrize("label", ["12e", "12g"])
def test_divergences_of_units_that_have_collapsed(monkeypatch, label):
    patch_result(monkeypatch, lambda vae, _: {"divergences": vae.divergences + 1e-9})
    assert_noticed(label, bug="collapsed units that say something")


def test_the_gradient_of_ppca(monkeypatch):
    original = ascent.gradient

    def bent(cov, W, noise):
        return original(cov, W, noise) * (1 + 1e-7)

    monkeypatch.setattr(critical_points, "gradient", bent)
    assert_noticed("12c-gradient", bug="a gradient off by 1e-7")


def test_an_encoder_that_is_a_little_off(monkeypatch):
    patch_result(monkeypatch, lambda vae, _: {"encoder": vae.encoder * (1 + 1e-5)})
    assert_noticed("12a", bug="an encoder off by 1e-5")
    assert_noticed("12g-prior", bug="an encoder off by 1e-5")
    assert_noticed("12d", bug="an encoder off by 1e-5")


def test_a_bound_that_knows_no_gauge(monkeypatch):
    original = latent_scale.elbo

    def without_variances(model, X, q, **options):
        found = original(model, X, q, **options)
        spread = np.trace(q.cov, axis1=-2, axis2=-1)
        return dataclasses.replace(found, value=found.value + 1e-6 * spread)

    monkeypatch.setattr(latent_scale, "elbo", without_variances)
    assert_noticed("12f", bug="a divergence with a little less variance")

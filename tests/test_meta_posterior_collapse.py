"""False claims fail: bugs put into the thresholds one at a time, which claim 13 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed, scale_result

from vaetheory.bounds import collapse, linear_autoencoder
from vaetheory.claims.posterior_collapse import (
    closed_forms,
    first_order,
    global_threshold,
    identifiability,
)
from vaetheory.optimal_decoder import OptimalDecoder


def patch_proxy(monkeypatch, change):
    """Pass every proxy through `change(proxy)`, which returns the changed fields."""
    original = collapse.sub_gaussian_proxy

    def broken(X, **options):
        found = original(X, **options)
        return dataclasses.replace(found, **change(found))

    for module in (collapse, global_threshold, closed_forms):
        monkeypatch.setattr(module, "sub_gaussian_proxy", broken)


@pytest.mark.parametrize("label", ["13d", "13d-closed"])
@pytest.mark.parametrize("factor", [1 + 1e-5, 1 - 1e-5])
def test_a_proxy_off_by_1e_5(monkeypatch, label, factor):
    patch_proxy(monkeypatch, lambda f: {"value": f.value * factor, "upper": f.upper * factor})
    assert_noticed(label, bug="a proxy off by 1e-5")


@pytest.mark.parametrize("label", ["13c", "13d", "13d-closed"])
def test_the_variance_for_the_proxy(monkeypatch, label):
    patch_proxy(monkeypatch, lambda f: {"value": f.variance, "upper": f.variance})
    assert_noticed(label, bug="the variance for the proxy")


def test_a_local_threshold_off_by_a_millionth(monkeypatch):
    patch_proxy(monkeypatch, lambda f: {"variance": f.variance * (1 + 1e-6)})
    assert_noticed("13a", bug="an eigenvalue off by 1e-6")


def test_a_beta_that_is_forgotten(monkeypatch):
    monkeypatch.setattr(collapse, "positive", lambda name, value: np.float64(1.0))
    assert_noticed("13a", bug="beta forgotten")


def test_a_tilt_on_one_side_only(monkeypatch):
    original = collapse._one_side

    def one_sided(y, p, best, tilt, upper, rtol, sign):
        found = original(y, p, best, tilt, upper, rtol, sign)
        return found if sign > 0 else (best, tilt, upper)

    monkeypatch.setattr(collapse, "_one_side", one_sided)
    assert_noticed("13d-closed", bug="negative tilts are left out")


def test_a_cumulant_off_by_a_millionth(monkeypatch):
    scale_result(monkeypatch, collapse, "_cumulant", 1 + 1e-5)
    assert_noticed("13d-closed", bug="a cumulant off by 1e-5")


def test_a_decoder_that_is_not_the_best(monkeypatch):
    original = OptimalDecoder.__call__
    monkeypatch.setattr(OptimalDecoder, "__call__", lambda self, z: 1.001 * original(self, z))
    assert_noticed("13c", bug="a decoder off by a thousandth")


def test_units_that_do_not_collapse(monkeypatch):
    original = linear_autoencoder._best_encoder

    def awake(data, w, noise):
        vae = original(data, w, noise)
        return dataclasses.replace(vae, divergences=vae.divergences + 1e-8)

    monkeypatch.setattr(linear_autoencoder, "_best_encoder", awake)
    assert_noticed("13b", bug="a KL that stays above zero")


@pytest.mark.parametrize("name", ["log_evidence", "elbo", "posterior_expectation"])
def test_a_term_of_jensens_gap_that_is_off(monkeypatch, name):
    original = getattr(identifiability, name)

    def shifted(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=found.value + 1e-6)

    monkeypatch.setattr(identifiability, name, shifted)
    assert_noticed("13e", bug=f"{name} off by 1e-6")


def test_codes_that_say_too_much(monkeypatch):
    original = first_order.said

    def louder(*arguments):
        found = original(*arguments)
        return dataclasses.replace(found, explained=0.97 * found.explained)

    monkeypatch.setattr(first_order, "said", louder)
    assert_noticed("13d-jump", bug="three per cent of what codes explain is lost")

"""False claims fail: bugs put into the certificates one at a time, which claim 18 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory.bounds import any_vae
from vaetheory.claims.bounded_likelihood import certificates, collapsed, floor, mixtures, scenes


def patch(monkeypatch, module, name, change):
    """Pass what `module.name` returns through `change(found)`, which returns the changed fields."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, **change(found))

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize("module", [scenes, mixtures])
def test_a_value_that_is_off(monkeypatch, module):
    patch(monkeypatch, module, "npmle", lambda f: {"value": f.value + 1e-5})
    label = "18b" if module is scenes else "18b-two"
    assert_noticed(label, bug="a value off by 1e-5")


def test_a_ceiling_below_what_is_reached(monkeypatch):
    patch(monkeypatch, scenes, "npmle", lambda f: {"ceiling": f.value - 1e-5})
    assert_noticed("18b", bug="a ceiling too low by 1e-5")


def test_a_maximum_that_is_too_small(monkeypatch):
    patch(monkeypatch, certificates, "likelihood_certificate", lambda f: {"upper": f.upper - 1e-5})
    assert_noticed("18c", bug="a maximum too small by 1e-5")


def test_a_maximum_over_the_data(monkeypatch):
    original = any_vae.greatest_sum

    def coarse(likelihood, X, logs, **options):
        found = original(likelihood, X, logs, **options)
        white = likelihood.log_prob(X, X[:, None])
        most = float(np.log(np.exp(logs + white).sum(axis=-1)).max())
        return dataclasses.replace(found, lower=most, upper=most)

    monkeypatch.setattr(any_vae, "greatest_sum", coarse)
    assert_noticed("18c", bug="the maximum over the data")


def test_entropy_of_n_minus_one(monkeypatch):
    patch(monkeypatch, certificates, "likelihood_certificate",
          lambda f: {"ceiling": f.ceiling - 1e-6})  # fmt: skip
    assert_noticed("18c-counted", bug="a ceiling off by 1e-6")


def test_a_floor_without_the_dimensions(monkeypatch):
    patch(monkeypatch, floor, "likelihood_certificate", lambda f: {"floor": f.floor + 1e-5})
    assert_noticed("18a", bug="a floor off by 1e-5")


def test_a_proxy_that_is_off(monkeypatch):
    patch(monkeypatch, collapsed, "sub_gaussian_proxy", lambda f: {"value": f.value * (1 + 1e-5)})
    assert_noticed("18d", bug="a proxy off by 1e-5")

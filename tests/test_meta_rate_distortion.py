"""False claims fail: bugs put into the terms one at a time, which claim 16 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory.bounds import information_terms
from vaetheory.claims.rate_distortion import linear_curve, plane, surgery


def patch(monkeypatch, module, name, change):
    """Pass what `module.name` returns through `change(found)`, which returns the changed fields."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, **change(found))

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize("label", ["16a", "16b"])
def test_an_information_off_by_a_millionth(monkeypatch, label):
    patch(monkeypatch, surgery, "elbo_surgery",
          lambda f: {"information": f.information * (1 + 1e-6)})  # fmt: skip
    assert_noticed(label, bug="an information off by 1e-6")


def test_a_rate_without_its_entropy(monkeypatch):
    patch(monkeypatch, surgery, "elbo_surgery", lambda f: {"rate": f.rate + 1e-6})
    assert_noticed("16a", bug="a rate off by 1e-6")


@pytest.mark.parametrize("label", ["16a", "16b", "16c"])
def test_log_n_of_n_minus_one(monkeypatch, label):
    original = information_terms.gaussian_expectation

    def shifted(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=found.value - 1e-6)

    monkeypatch.setattr(information_terms, "gaussian_expectation", shifted)
    assert_noticed(label, bug="an expectation off by 1e-6")


@pytest.mark.parametrize("field", ["distortion", "entropy"])
def test_a_term_of_the_plane_that_is_off(monkeypatch, field):
    patch(monkeypatch, plane, "rate_distortion", lambda f: {field: getattr(f, field) + 1e-6})
    assert_noticed("16c", bug=f"{field} off by 1e-6")


@pytest.mark.parametrize(
    ("label", "field"),
    [("16d", "rate"), ("16d", "distortion"), ("16d", "value"), ("16e", "value")],
)
def test_an_optimum_that_is_off(monkeypatch, label, field):
    patch(monkeypatch, linear_curve, "linear_beta_vae",
          lambda f: {field: getattr(f, field) * (1 + 1e-6)})  # fmt: skip
    assert_noticed(label, bug=f"{field} off by 1e-6")


def test_a_water_level_that_is_off(monkeypatch):
    original = information_terms.reverse_water_filling
    monkeypatch.setattr(
        linear_curve,
        "reverse_water_filling",
        lambda spectrum, level, **o: original(spectrum, level * (1 + 1e-6), **o),
    )
    assert_noticed("16d", bug="a level off by 1e-6")


def test_a_learned_noise_that_forgets_beta(monkeypatch):
    original = information_terms._learned_noise
    monkeypatch.setattr(
        information_terms, "_learned_noise", lambda data, d, beta: original(data, d, 1.0)
    )
    assert_noticed("16e", bug="beta forgotten in the noise")


def test_a_noise_off_by_a_millionth(monkeypatch):
    original = information_terms._learned_noise
    monkeypatch.setattr(
        information_terms,
        "_learned_noise",
        lambda data, d, beta: np.float64(original(data, d, beta) * (1 + 1e-6)),
    )
    assert_noticed("16e", bug="a learned noise off by 1e-6")

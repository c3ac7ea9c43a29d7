"""False claims fail: bugs put into BILBO one at a time, which claim 6 must notice."""

import dataclasses
import sys

import numpy as np
import pytest
from noticing import assert_noticed, scale_result

from vaetheory import decoders
from vaetheory.claims.bilbo import batch_size, floating_prior, information
from vaetheory.encoders import AggregatePosterior

# The attribute `bilbo` of its package is the function, not its module.
objectives = sys.modules["vaetheory.bounds.batch_information"]
CLAIM = (information, batch_size, floating_prior)


def patch_bound(monkeypatch, change):
    """Pass every BatchBound that the claim gets through `change(bound, scale)`."""
    original = objectives.bilbo

    def broken(log_likelihood, loc, scale, form="diagonal"):
        return change(original(log_likelihood, loc, scale, form), scale)

    for module in CLAIM:
        monkeypatch.setattr(module, "bilbo", broken)


@pytest.mark.parametrize("label", ["6a", "6b", "6c", "6e", "6e-gaussian"])
def test_a_prior_without_the_posterior_variance(monkeypatch, label):
    patch_bound(
        monkeypatch,
        lambda b, s: dataclasses.replace(b, prior_cov=b.prior_cov - 0.5 * np.diag(s**2)),
    )
    assert_noticed(label, bug="half of s^2 missing from the prior")


@pytest.mark.parametrize("label", ["6a", "6d", "6e", "6e-gaussian", "6f"])
def test_deviations_taken_for_variances(monkeypatch, label):
    original = objectives._checked

    def rooted(*arguments):
        terms, means, deviations = original(*arguments)
        return terms, means, np.sqrt(deviations)

    monkeypatch.setattr(objectives, "_checked", rooted)
    assert_noticed(label, bug="s for s^2")


@pytest.mark.parametrize("label", ["6a", "6b", "6d", "6e", "6f"])
@pytest.mark.parametrize("rule", ["_half_log1p_mean_square", "_half_log_det"])
def test_an_information_off_by_a_millionth(monkeypatch, rule, label):
    scale_result(monkeypatch, objectives, rule, 1 + 1e-6)
    assert_noticed(label, bug=f"{rule} off by 1e-6")


@pytest.mark.parametrize("rule", ["_diagonal_optimism", "_full_optimism"])
def test_a_correction_off_by_a_millionth(monkeypatch, rule):
    scale_result(monkeypatch, objectives, rule, 1 + 1e-6)
    assert_noticed("6f", bug=f"{rule} off by 1e-6")
    assert_noticed("6f-corrected", bug=f"{rule} off by 1e-6")


def test_an_n_minus_one_variance(monkeypatch):
    original = objectives._half_log1p_mean_square

    def unbiased(ratio):
        return original(ratio * np.sqrt(len(ratio) / max(len(ratio) - 1, 1)))

    monkeypatch.setattr(objectives, "_half_log1p_mean_square", unbiased)
    assert_noticed("6d", bug="variance over B - 1")
    assert_noticed("6f", bug="variance over B - 1")


def test_a_value_with_the_information_added(monkeypatch):
    patch_bound(monkeypatch, lambda b, s: dataclasses.replace(b, value=b.value + 2 * b.information))
    assert_noticed("6b", bug="information added")
    assert_noticed("6d", bug="information added")


def test_a_change_of_latents_that_forgets_its_bias(monkeypatch):
    original = decoders.Affine.__call__
    monkeypatch.setattr(
        decoders.Reparametrised,
        "__call__",
        lambda self, z: self.inner(original(self.change, z) - self.change.bias),
    )
    assert_noticed("6b", bug="no bias in the change of latents")
    assert_noticed("6c", bug="no bias in the change of latents")


def test_an_aggregate_posterior_without_its_average(monkeypatch):
    original = AggregatePosterior.log_responsibilities
    monkeypatch.setattr(
        AggregatePosterior, "log_responsibilities", lambda self, z: original(self, z) + 0.01
    )
    assert_noticed("6e", bug="responsibilities that do not sum to one")

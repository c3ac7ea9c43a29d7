"""False claims fail: bugs put into the bounds one at a time, which claim 15 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory.bounds import _growth, _linear_weights, renyi
from vaetheory.claims.evidence_sandwich import chain, harmonic, infinite, sandwich
from vaetheory.claims.evidence_sandwich import renyi as room


def patch(monkeypatch, module, name, change):
    """Pass the value that `module.name` returns through `change`."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=change(found.value))

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize(
    ("label", "module", "name"),
    [
        ("15a", room, "renyi_bound"),
        ("15a-curved", room, "renyi_bound"),
        ("15a-infinite", infinite, "cubo"),
        ("15a-bounded", infinite, "cubo"),
        ("15b", harmonic, "eubo"),
        ("15b", harmonic, "harmonic_mean"),
        ("15c", sandwich, "importance_weighted_bound"),
        ("15c", sandwich, "importance_weighted_upper_bound"),
        ("15d", chain, "eubo"),
        ("15d", chain, "renyi_bound"),
        ("15d", chain, "harmonic_mean_variance"),
        ("15d", chain, "harmonic_mean"),
    ],
)
def test_a_bound_off_by_a_millionth(monkeypatch, label, module, name):
    patch(monkeypatch, module, name, lambda value: value + 1e-6)
    assert_noticed(label, bug=f"{name} off by 1e-6")


def test_a_mid_point_off_by_a_billionth(monkeypatch):
    patch(monkeypatch, sandwich, "importance_weighted_upper_bound", lambda value: value + 1e-7)
    assert_noticed("15c-midpoint", bug="an upper bound off by 1e-7")


@pytest.mark.parametrize("label", ["15a", "15a-infinite", "15a-bounded", "15d", "15d-quartic"])
def test_a_large_number_for_an_infinite_one(monkeypatch, label):
    original = renyi._infinite_where

    def finite(where, power, found):
        right = original(where, power, found)
        value = np.where(np.isinf(right.value), np.copysign(300.0, power), right.value)
        return dataclasses.replace(right, value=value)

    monkeypatch.setattr(renyi, "_infinite_where", finite)
    assert_noticed(label, bug="300 nats for an infinite bound")


def test_a_posterior_of_its_own_tails(monkeypatch):
    # As if the likelihood's curvature at the mode held far out: most bounds would be finite.
    monkeypatch.setattr(
        renyi, "finite_power", lambda fall, variances, power: np.ones(len(variances), dtype=int)
    )
    assert_noticed("15a-bounded", bug="everything is finite")


def test_quartic_tails_taken_for_gaussian_ones(monkeypatch):
    monkeypatch.setattr(renyi, "fall_of", lambda model: _growth.Fall.BOUNDED)
    assert_noticed("15d-quartic", bug="a quartic potential is taken for a bounded one")


def test_a_threshold_of_the_wrong_gaussian(monkeypatch):
    original = _linear_weights.LinearWeights.finite_power
    monkeypatch.setattr(
        _linear_weights.LinearWeights, "finite_power", lambda self, power: original(self, 1 - power)
    )
    assert_noticed("15a", bug="P and Q exchanged at the threshold")

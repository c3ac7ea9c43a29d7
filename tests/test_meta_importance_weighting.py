"""False claims fail: bugs put into the terms one at a time, which claim 14 must notice."""

import dataclasses

import pytest
from noticing import assert_noticed

from vaetheory._quadrature import weight_law
from vaetheory.bounds import weight_moments
from vaetheory.claims.importance_weighting import (
    closing_bound,
    diagonal_encoders,
    expansion,
    scenes,
)


def shift_values(monkeypatch, module, name, by):
    """Let what `module.name` returns be off by so many nats."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, value=found.value + by)

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize(
    ("label", "module"), [("14a", closing_bound), ("14b", scenes), ("14c", scenes), ("14f", scenes)]
)
def test_a_bound_off_by_a_millionth(monkeypatch, label, module):
    shift_values(monkeypatch, module, "importance_weighted_bound", 1e-6)
    assert_noticed(label, bug="a bound off by 1e-6")


@pytest.mark.parametrize("label", ["14b", "14f"])
def test_a_variance_off_by_a_millionth(monkeypatch, label):
    original = weight_moments._central
    monkeypatch.setattr(
        weight_moments, "_central", lambda *a: (original(*a)[0] * (1 + 1e-6), original(*a)[1])
    )
    assert_noticed(label, bug="central moments off by 1e-6")


def test_a_moment_without_its_power(monkeypatch):
    original = diagonal_encoders.gaussian_weight_moment
    monkeypatch.setattr(
        diagonal_encoders, "gaussian_weight_moment", lambda p, q, power: original(p, q, 1.5)
    )
    assert_noticed("14d", bug="a moment of another order")


def test_a_transform_of_another_number_of_samples(monkeypatch):
    original = weight_law.Transform.log_mean
    monkeypatch.setattr(
        weight_law.Transform,
        "log_mean",
        lambda self, count, first=None: original(self, count + (count > 1), first),
    )
    assert_noticed("14a", bug="one sample more")


def test_a_lattice_of_another_law(monkeypatch):
    original = expansion.importance_weighted_expansion
    monkeypatch.setattr(
        expansion,
        "importance_weighted_expansion",
        lambda m, x, q: dataclasses.replace(original(m, x, q), third=original(m, x, q).variance),
    )
    assert_noticed("14b", bug="a third moment that is the variance")

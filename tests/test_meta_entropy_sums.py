"""False claims fail: bugs put into the entropy sums one at a time, which claim 23 must notice."""

import dataclasses

import pytest
from noticing import assert_noticed

from vaetheory.bounds import entropy_sums
from vaetheory.claims.entropy_sums import counts, scenes


def patch(monkeypatch, **changes):
    """Pass fields of what `entropy_sum` returns through a function each."""
    original = scenes.entropy_sum

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, **{k: f(getattr(found, k)) for k, f in changes.items()})

    monkeypatch.setattr(scenes, "entropy_sum", broken)


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("23a", "pseudo_entropy"),
        ("23b", "log_base"),
        ("23a-layer", "remainder"),
        ("23-elbo", "latent_remainders"),
        ("23-elbo", "elbo"),
        ("23c", "remainder"),
        ("23c-chart", "remainder"),
    ],
)
def test_a_field_that_is_off(monkeypatch, label, field):
    patch(monkeypatch, **{field: lambda value: value + 1e-5})
    assert_noticed(label, bug=f"{field} off by 1e-5")


def test_the_remainder_without_the_laws_mean(monkeypatch):
    original = entropy_sums._of_a_family

    def broken(family, x, params):
        pseudo, _, size = original(family, x, params)
        T, phi = family.statistics(x), family.natural_parameters(params)
        return pseudo, (phi * (T + 0 * phi)).sum(axis=-1), size

    monkeypatch.setattr(entropy_sums, "_of_a_family", broken)
    assert_noticed("23b", bug="a remainder that is not centred")


def test_a_pseudo_entropy_of_the_other_sign(monkeypatch):
    original = counts.pseudo_entropy
    monkeypatch.setattr(counts, "pseudo_entropy", lambda *a: -original(*a))
    assert_noticed("23b-true", bug="minus the pseudo-entropy")

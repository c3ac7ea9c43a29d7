"""Every family, decoder and flow of the library keeps the laws that users' own are judged by."""

import pytest
from hypothesis import find
from instances import DECODERS, EMBEDDINGS, FLOWS, LIKELIHOODS
from likelihood_cases import DRAWN, SCIPY_LAWS

from vaetheory import decoders, flows, likelihoods
from vaetheory.claims.riemannian_likelihood.families import (
    FAMILIES,
    LATER,
    OF_TWO_PARAMETERS,
)
from vaetheory.testing import parametrize_with_checks


@parametrize_with_checks(LIKELIHOODS)
def test_likelihoods(instance, check):
    check(instance)


@parametrize_with_checks({name: (f, {"latent_dim": d}) for name, (f, d, _) in DECODERS.items()})
def test_decoders(instance, check):
    check(instance)


@parametrize_with_checks(FLOWS | EMBEDDINGS)
def test_flows(instance, check):
    check(instance)


def concrete(package, base):
    """The classes of a package that can be instantiated, as its `__all__` lists them."""
    listed = (getattr(package, name) for name in package.__all__)
    return {
        c
        for c in listed
        if isinstance(c, type) and issubclass(c, base) and not c.__abstractmethods__
    }


def plain(instances):
    """The types of instances, some of which stand in a tuple with their options."""
    return {type(i[0] if isinstance(i, tuple) else i) for i in instances.values()}


@pytest.mark.parametrize(
    ("package", "base", "instances"),
    [
        (likelihoods, likelihoods.Likelihood, LIKELIHOODS),
        (decoders, decoders.Decoder, DECODERS),
        (flows, flows.Embedding, FLOWS | EMBEDDINGS),
    ],
    ids=["likelihoods", "decoders", "flows"],
)
def test_every_class_of_a_package_has_an_instance(package, base, instances):
    missing = {c.__name__ for c in concrete(package, base) - plain(instances)}
    assert not missing, f"tests/instances.py has no instance of {missing}"


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("DRAWN of tests/likelihood_cases.py", set(DRAWN) | {likelihoods.Categorical}),
        ("SCIPY_LAWS of tests/likelihood_cases.py", set(SCIPY_LAWS) | {likelihoods.Categorical}),
        (
            "FAMILIES of claim 7",
            {
                type(f.build(*find(f.constants, lambda _: True)))
                for f in (FAMILIES | LATER | OF_TWO_PARAMETERS).values()
            },
        ),
    ],
    ids=["drawn", "scipy", "claim 7"],
)
def test_every_family_with_a_metric_is_compared_independently(place, known):
    families = concrete(likelihoods, likelihoods.Likelihood)
    missing = {f.__name__ for f in families if not f.no_metric} - {f.__name__ for f in known}
    assert not missing, f"{place} has no {missing}"

"""Every family, decoder and flow of the library keeps the laws that users' own are judged by."""

from instances import DECODERS, EMBEDDINGS, FLOWS, LIKELIHOODS

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

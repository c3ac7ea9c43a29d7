"""Claim 18: how likely data can be under any VAE."""

from vaetheory.checking import Claim
from vaetheory.claims.bounded_likelihood import certificates, collapsed, digits, floor, mixtures

CLAIM = Claim(
    number=18,
    label="bounded-likelihood",
    title="Bounded likelihood: how likely data can be under any VAE",
    source="arXiv:1802.04826; Lindsay 1983; our derivations",
    says=(
        "No VAE with a given likelihood can explain given data better than a number that any one "
        "model certifies, whatever its decoder and prior."
    ),
    propositions=(
        floor.FLOOR,
        mixtures.BEST_MIXTURE,
        mixtures.TWO_DATA,
        mixtures.FAR_FROM_THE_FLOOR,
        certificates.CERTIFICATE,
        certificates.COUNTED,
        collapsed.COLLAPSED,
        digits.DIGITS,
    ),
)

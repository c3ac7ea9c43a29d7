"""Claim 1: the ELBO-optimal decoder has a closed form."""

from vaetheory.checking import Claim
from vaetheory.claims.optimal_decoder import (
    exponential_families,
    free_covariance,
    means_and_scales,
    pythagoras,
)

CLAIM = Claim(
    number=1,
    label="optimal-decoder",
    title="The ELBO-optimal decoder has a closed form",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "For given codes the best decoder is a weighted mean of the data, and every other one "
        "loses a known number of nats."
    ),
    propositions=(
        pythagoras.PYTHAGORAS,
        free_covariance.COVARIANCE_IS_CONDITIONAL,
        means_and_scales.MEANS_AND_SCALES,
        exponential_families.MEANS_MATCH,
    ),
)

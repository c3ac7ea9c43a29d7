"""Claim 6: the Batch Information Lower Bound."""

from vaetheory.checking import Claim
from vaetheory.claims.bilbo import (
    batch_size,
    digits,
    floating_prior,
    gradients,
    information,
    many_latents,
)

CLAIM = Claim(
    number=6,
    label="bilbo",
    title="The Batch Information Lower Bound",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "A batch itself can say what prior its codes should have; the bound that results is "
        "optimistic for small batches, by a known amount."
    ),
    propositions=(
        floating_prior.BEST_PRIOR,
        gradients.GRADIENTS,
        floating_prior.RESCALED_MODEL,
        floating_prior.EVIDENCE_BOUND,
        many_latents.WIDE_EVIDENCE_BOUND,
        information.FORMS_IN_ORDER,
        information.MIXTURE_INFORMATION,
        information.GAUSSIAN_INFORMATION,
        batch_size.OPTIMISM,
        batch_size.CORRECTED_OPTIMISM,
        batch_size.DRAWN_BATCHES,
        digits.FORMS_ON_DIGITS,
    ),
)

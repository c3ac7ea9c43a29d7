"""Claim 13: when the best VAE ignores its latents."""

from vaetheory.checking import Claim
from vaetheory.claims.posterior_collapse import (
    closed_forms,
    digits,
    first_order,
    global_threshold,
    identifiability,
    linear_threshold,
    local_threshold,
)

CLAIM = Claim(
    number=13,
    label="posterior-collapse",
    title="Posterior collapse: when the best VAE ignores its latents",
    source="arXiv:2510.01621, arXiv:1911.02469, arXiv:2301.00537, abstracts; our derivations",
    says=(
        "There are two thresholds of the noise: above one collapse is stable, above the other "
        "nothing is better than collapse."
    ),
    propositions=(
        local_threshold.LOCAL_THRESHOLD,
        linear_threshold.LINEAR_THRESHOLD,
        global_threshold.GLOBAL_BOUND,
        global_threshold.SHARP_THRESHOLD,
        closed_forms.CLOSED_FORMS,
        first_order.RATE_JUMPS,
        identifiability.JENSEN_GAPS,
        identifiability.PRIOR_IS_BEST,
        digits.DIGITS,
    ),
)

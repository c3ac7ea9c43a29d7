"""Claim 14: more samples, tighter bounds."""

from vaetheory.checking import Claim
from vaetheory.claims.importance_weighting import (
    bounded_decoders,
    closing_bound,
    diagonal_encoders,
    digits,
    expansion,
    implied_posterior,
    variances,
    without_variance,
)

CLAIM = Claim(
    number=14,
    label="importance-weighting",
    title="Importance weighting: more samples, tighter bounds",
    source="arXiv:1509.00519, 1808.09034, 1704.02916, 2201.10989; our derivations",
    says=(
        "Many samples tighten the ELBO by an exact amount, as 1/K if the weights have a "
        "variance, which those of a diagonal encoder often lack."
    ),
    propositions=(
        closing_bound.CLOSING_BOUND,
        expansion.EXPANSION,
        without_variance.WITHOUT_VARIANCE,
        diagonal_encoders.DIAGONAL_ENCODERS,
        bounded_decoders.BOUNDED_DECODERS,
        implied_posterior.IMPLIED_POSTERIOR,
        variances.VARIANCES,
        digits.DIGITS,
    ),
)

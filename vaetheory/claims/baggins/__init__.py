"""Claim 10: BAGGINS, a bounded Gaussian likelihood, invariant to the scale of the data."""

from vaetheory.checking import Claim
from vaetheory.claims.baggins import (
    bounded,
    change_of_units,
    constant_dimension,
    curvature,
    noisy_evidence,
    presumed_noise,
    relative_variances,
    sampled_reconstructions,
    stable_step,
    weights,
)

CLAIM = Claim(
    number=10,
    label="baggins",
    title="BAGGINS: a bounded likelihood, invariant to the scale of the data",
    source="arXiv:1912.10309, abstract; our construction",
    says=(
        "A Gaussian likelihood that is bounded and does not depend on the scale of the data, "
        "so that memorised data cannot win."
    ),
    propositions=(
        presumed_noise.PRESUMED_NOISE,
        weights.WEIGHTS_ARE_COUNTS,
        noisy_evidence.EVIDENCE_BOUND,
        sampled_reconstructions.SAMPLED_OPTIMISM,
        bounded.BOUNDED,
        change_of_units.CHANGE_OF_UNITS,
        bounded.PROFILE_LIMIT,
        curvature.BOUNDED_CURVATURE,
        stable_step.STABLE_STEP,
        constant_dimension.CONSTANT_DIMENSION,
        relative_variances.VARYING,
        relative_variances.ABSOLUTE,
    ),
)

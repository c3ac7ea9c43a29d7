"""Claim 9: ordinary optimisation is unstable in the zero-variance limit."""

from vaetheory.checking import Claim
from vaetheory.claims.instability import (
    condition_number,
    descent,
    full_dimension,
    gradient_noise,
    manifold_data,
    memorised_data,
)

CLAIM = Claim(
    number=9,
    label="instability",
    title="Ordinary optimisation is unstable in the zero-variance limit",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "In the same limit gradient descent becomes unstable: curvature, conditioning and "
        "gradient noise grow with known exponents."
    ),
    propositions=(
        descent.STABLE_STEP,
        descent.NETWORK_STEP,
        descent.PRECONDITIONED_STEP,
        condition_number.CONDITION_NUMBER,
        gradient_noise.SAMPLING_NOISE,
        gradient_noise.BATCH_NOISE,
        manifold_data.MANIFOLD_DATA,
        memorised_data.MEMORISED_DATA,
        full_dimension.FULL_DIMENSION,
    ),
)

"""Claim 20: which noise the training sees."""

from vaetheory.checking import Claim
from vaetheory.claims.gradient_estimators import (
    bias,
    crossing,
    curvature,
    many_samples,
    path,
    ratios,
)

CLAIM = Claim(
    number=20,
    label="gradient-estimators",
    title="Gradient estimators: which noise the training sees",
    source="arXiv:1703.09194, 1810.04152, 1802.04537; our derivations",
    says=(
        "Which stochastic gradient is quieter is decided by the curvature of the posterior; with "
        "many samples only the doubly reparametrised one keeps the encoder's signal, if weights "
        "have four moments."
    ),
    propositions=(
        path.PATH,
        crossing.CROSSING,
        crossing.DIRECTIONS,
        curvature.CURVATURE,
        bias.BIASED,
        ratios.EXACT,
        many_samples.MANY_SAMPLES,
        many_samples.MOMENTS,
    ),
)

"""Claim 16: what the two terms of the ELBO are."""

from vaetheory.checking import Claim
from vaetheory.claims.rate_distortion import digits, linear_curve, plane, surgery

CLAIM = Claim(
    number=16,
    label="rate-distortion",
    title="Rate and distortion: what the two terms of the ELBO are",
    source="Hoffman and Johnson 2016; arXiv:1711.00464, arXiv:1705.07120; our derivations",
    says=(
        "The information of the codes lies between entropy minus distortion and the rate; "
        "beta is a noise, until the noise is learned too."
    ),
    propositions=(
        surgery.SURGERY,
        surgery.BEST_PRIOR,
        plane.BETWEEN,
        plane.DENSITIES,
        linear_curve.BETA_IS_NOISE,
        linear_curve.LEARNED_WITH_BETA,
        digits.DIGITS,
    ),
)

"""Claim 2: the optimal decoder is always smooth."""

from vaetheory.checking import Claim
from vaetheory.claims.smooth_decoder import (
    analytic_radius,
    cumulants,
    digits,
    jacobian,
    sharpening,
    slope_bound,
    varying_covariances,
)

CLAIM = Claim(
    number=2,
    label="smooth-decoder",
    title="The optimal decoder is always smooth",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "That decoder is analytic; its derivatives are cumulants of the data that share a "
        "code, and its slope has a sharp bound."
    ),
    propositions=(
        jacobian.JACOBIAN_IS_COVARIANCE,
        cumulants.DERIVATIVES_ARE_CUMULANTS,
        varying_covariances.HESSIAN_HAS_THE_PRECISION,
        slope_bound.SLOPE_IS_BOUNDED,
        analytic_radius.RADIUS_IS_NEAREST_ZERO,
        sharpening.DECODER_SHARPENS,
        digits.SLOPE_BOUND_OF_DIGITS,
    ),
)

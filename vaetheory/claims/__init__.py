"""The registry: every claim, in the order of the theory, and last what it is measured with."""

from vaetheory.checking.claim import Claim
from vaetheory.claims import (
    baggins,
    bilbo,
    bounded_likelihood,
    constant_variance,
    evidence_sandwich,
    flow_limit,
    half_network,
    hessian_estimator,
    high_dimensional_evidence,
    implicit_regulariser,
    importance_weighting,
    instability,
    instrument,
    linear_vae,
    optimal_decoder,
    posterior_collapse,
    rate_distortion,
    riemannian_likelihood,
    smooth_decoder,
    stationary_evidence,
)

#: All claims, in order.
CLAIMS: tuple[Claim, ...] = (
    optimal_decoder.CLAIM,
    smooth_decoder.CLAIM,
    stationary_evidence.CLAIM,
    hessian_estimator.CLAIM,
    constant_variance.CLAIM,
    bilbo.CLAIM,
    riemannian_likelihood.CLAIM,
    flow_limit.CLAIM,
    instability.CLAIM,
    baggins.CLAIM,
    half_network.CLAIM,
    linear_vae.CLAIM,
    posterior_collapse.CLAIM,
    importance_weighting.CLAIM,
    evidence_sandwich.CLAIM,
    rate_distortion.CLAIM,
    implicit_regulariser.CLAIM,
    bounded_likelihood.CLAIM,
    high_dimensional_evidence.CLAIM,
    instrument.CLAIM,
)

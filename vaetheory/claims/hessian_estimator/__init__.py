"""Claim 4: the posterior variance is part of a stochastic estimator of the decoder Hessian."""

from vaetheory.checking import Claim
from vaetheory.claims.hessian_estimator import (
    averaged_residual,
    covariance_derivative,
    hutchinson,
    sampled,
    stationary,
    stein_identities,
    variances,
)

CLAIM = Claim(
    number=4,
    label="hessian-estimator",
    title="The posterior variance is part of a stochastic estimator of the decoder Hessian",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "The noise of the encoder turns gradients into unbiased estimates of the decoder's "
        "Hessian, with known variances."
    ),
    propositions=(
        covariance_derivative.DERIVATIVE_IN_COVARIANCE,
        stein_identities.STEIN_IDENTITIES,
        sampled.SAMPLED_ESTIMATORS,
        variances.VARIANCES_SCALE,
        hutchinson.HUTCHINSON_RATE,
        averaged_residual.RESIDUAL_AVERAGES_OUT,
        averaged_residual.RESIDUAL_REMAINS,
        stationary.VARIANCE_CARRIES_HESSIAN,
    ),
)

"""Claim 8: the zero-variance limit is the change-of-variables formula."""

from vaetheory.checking import Claim
from vaetheory.claims.flow_limit import (
    change_of_variables,
    closed_curves,
    couplings,
    diagonal_posteriors,
    divergence,
    manifolds,
    posterior_covariance,
    rough_densities,
    stationary_elbo,
    wide_flows,
)

CLAIM = Claim(
    number=8,
    label="flow-limit",
    title="The zero-variance limit is the change-of-variables formula",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "As the noise vanishes the ELBO of a full covariance becomes the change-of-variables "
        "formula of a flow; a diagonal one stays behind."
    ),
    propositions=(
        change_of_variables.CHANGE_OF_VARIABLES,
        rough_densities.JUMP,
        stationary_elbo.STATIONARY_ELBO,
        manifolds.MANIFOLDS,
        closed_curves.CLOSED_CURVE,
        posterior_covariance.POSTERIOR_COVARIANCE,
        divergence.DIVERGENCE,
        divergence.MEAN_ELBO,
        rough_densities.ROUGH_DENSITY,
        rough_densities.IMAGE_WITH_AN_EDGE,
        diagonal_posteriors.DIAGONAL_POSTERIOR,
        wide_flows.WIDE_DIAGONAL_POSTERIOR,
        diagonal_posteriors.ORTHOGONAL_COLUMNS,
        couplings.COUPLING_LAYERS,
    ),
)

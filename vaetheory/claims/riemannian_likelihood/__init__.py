"""Claim 7: the analysis holds for any likelihood that induces a Riemannian metric."""

from vaetheory.checking import Claim
from vaetheory.claims.riemannian_likelihood import (
    averaged_hessian,
    bent_surfaces,
    continuous_bernoulli,
    curved_families,
    divergence,
    evidence,
    fisher_identities,
    great_circles,
    mean_matching,
    means_and_scales,
    no_metric,
    penalty,
    repeated_data,
    tensor,
)

CLAIM = Claim(
    number=7,
    label="riemannian-likelihood",
    title="The analysis holds for any likelihood that induces a Riemannian metric",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "All of this holds for any likelihood with a Fisher metric, family by family, and not "
        "for those without one."
    ),
    propositions=(
        fisher_identities.FISHER_IDENTITIES,
        continuous_bernoulli.CONTINUOUS_BERNOULLI,
        divergence.DIVERGENCE_IS_MEAN_RATIO,
        means_and_scales.MEANS_AND_SCALES,
        tensor.METRIC_IS_A_TENSOR,
        bent_surfaces.CURVATURE_IS_INTRINSIC,
        great_circles.GREAT_CIRCLES,
        repeated_data.REPEATED_OBSERVATIONS,
        averaged_hessian.AVERAGED_HESSIAN,
        curved_families.CURVED_AVERAGE,
        mean_matching.MATCHED_MEANS,
        evidence.EVIDENCE_DECOMPOSITION,
        penalty.CONSTANT_VARIANCE,
        no_metric.METRIC_IS_REFUSED,
    ),
)

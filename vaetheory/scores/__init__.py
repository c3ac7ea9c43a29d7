"""What the exact posterior knows: scores, informations, denoisers and natural gradients."""

from vaetheory.scores.denoising import data_curvature, data_score, denoise, robbins
from vaetheory.scores.information import (
    EMRates,
    EvidenceInformation,
    em_rates,
    evidence_information,
)
from vaetheory.scores.natural_gradient import NaturalStep, natural_gradient_step
from vaetheory.scores.parameters import elbo_score, evidence_score
from vaetheory.scores.parametric import ParametricModel
from vaetheory.scores.probabilistic_pca import ppca_em_rates
from vaetheory.scores.van_trees import MatrixBound, linear_estimation_error, van_trees_bound

__all__ = [
    "EMRates",
    "EvidenceInformation",
    "MatrixBound",
    "NaturalStep",
    "ParametricModel",
    "data_curvature",
    "data_score",
    "denoise",
    "elbo_score",
    "em_rates",
    "evidence_information",
    "evidence_score",
    "linear_estimation_error",
    "natural_gradient_step",
    "ppca_em_rates",
    "robbins",
    "van_trees_bound",
]

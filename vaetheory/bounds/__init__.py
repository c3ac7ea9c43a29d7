"""Bounds of the log evidence, and training objectives that are computed from a batch.

Quadrature gives the ELBO of any Gaussian posterior, the posteriors at which it is stationary, and
bounds from above: Renyi's, CUBO and EUBO.
BILBO, BAGGINS and the profile likelihood take NumPy arrays, those that `autograd` traces, PyTorch
tensors and JAX arrays, so that models can be trained with them. Values are checked for the first
two; what the others compile may not depend on values. `evaluation_model` fixes what they compute
from each batch, from the training set.
"""

from vaetheory.bounds.after_training import EvaluationModel, evaluation_model
from vaetheory.bounds.any_vae import LikelihoodCertificate, likelihood_certificate
from vaetheory.bounds.batch_information import FORMS, BatchBound, TensorBatchBound, bilbo
from vaetheory.bounds.best_mixture import MixtureMaximum, npmle
from vaetheory.bounds.betting import betting_lower_bound
from vaetheory.bounds.bounded_likelihood import (
    BoundedLikelihood,
    ProfileLikelihood,
    TensorLikelihood,
    baggins,
    profile_likelihood,
)
from vaetheory.bounds.bracket import Bracket
from vaetheory.bounds.collapse import (
    CollapseThresholds,
    SubGaussianProxy,
    collapse_thresholds,
    sub_gaussian_proxy,
)
from vaetheory.bounds.dequantisation import bits_per_dim, cell_model, dequantised_bound
from vaetheory.bounds.entropy_sums import EntropySum, entropy_sum, pseudo_entropy
from vaetheory.bounds.estimated_evidence import evidence_estimate
from vaetheory.bounds.from_the_posterior import eubo, harmonic_mean, harmonic_mean_variance
from vaetheory.bounds.gains import PossibleGain, PossibleGains, possible_gains
from vaetheory.bounds.gap import GapSplit, block_gap, gap_split
from vaetheory.bounds.gaussian_elbo import elbo, second_order_elbo
from vaetheory.bounds.gradient_limits import GradientLimits, gradient_noise_limits
from vaetheory.bounds.gradient_moments import GradientNoise, gradient_noise
from vaetheory.bounds.importance_weighting import (
    importance_weighted_bound,
    importance_weighted_upper_bound,
)
from vaetheory.bounds.information_terms import (
    LinearBetaVAE,
    RateDistortion,
    Surgery,
    elbo_surgery,
    linear_beta_vae,
    rate_distortion,
    reverse_water_filling,
)
from vaetheory.bounds.linear_autoencoder import LinearVAE, linear_vae, linear_vae_optimum
from vaetheory.bounds.missing_data import (
    imputation_bound,
    observed_log_evidence,
    observed_model,
)
from vaetheory.bounds.regulariser import implicit_regulariser
from vaetheory.bounds.relative_variances import with_relative_variances
from vaetheory.bounds.renyi import cubo, renyi_bound
from vaetheory.bounds.sampled_gradients import SampledGradientNoise, sampled_gradient_noise
from vaetheory.bounds.simulated_evidence import Simulated, evidence_bracket, simulate
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.bounds.weight_moments import (
    WeightExpansion,
    gaussian_weight_moment,
    importance_weighted_expansion,
)

__all__ = [
    "FORMS",
    "BatchBound",
    "BoundedLikelihood",
    "Bracket",
    "CollapseThresholds",
    "EntropySum",
    "EvaluationModel",
    "GapSplit",
    "GradientLimits",
    "GradientNoise",
    "LikelihoodCertificate",
    "LinearBetaVAE",
    "LinearVAE",
    "MixtureMaximum",
    "PossibleGain",
    "PossibleGains",
    "ProfileLikelihood",
    "RateDistortion",
    "SampledGradientNoise",
    "Simulated",
    "StationaryPosterior",
    "SubGaussianProxy",
    "Surgery",
    "TensorBatchBound",
    "TensorLikelihood",
    "WeightExpansion",
    "baggins",
    "betting_lower_bound",
    "bilbo",
    "bits_per_dim",
    "block_gap",
    "cell_model",
    "collapse_thresholds",
    "cubo",
    "dequantised_bound",
    "elbo",
    "elbo_surgery",
    "entropy_sum",
    "eubo",
    "evaluation_model",
    "evidence_bracket",
    "evidence_estimate",
    "gap_split",
    "gaussian_weight_moment",
    "gradient_noise",
    "gradient_noise_limits",
    "harmonic_mean",
    "harmonic_mean_variance",
    "implicit_regulariser",
    "importance_weighted_bound",
    "importance_weighted_expansion",
    "importance_weighted_upper_bound",
    "imputation_bound",
    "likelihood_certificate",
    "linear_beta_vae",
    "linear_vae",
    "linear_vae_optimum",
    "npmle",
    "observed_log_evidence",
    "observed_model",
    "possible_gains",
    "profile_likelihood",
    "pseudo_entropy",
    "rate_distortion",
    "renyi_bound",
    "reverse_water_filling",
    "sampled_gradient_noise",
    "second_order_elbo",
    "simulate",
    "stationary_posterior",
    "sub_gaussian_proxy",
    "with_relative_variances",
]

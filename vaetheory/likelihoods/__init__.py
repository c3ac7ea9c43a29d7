"""Likelihoods p(x given params), one family per file; the decoder outputs the parameters.

A new family is a subclass of `ElementwiseExponentialFamily` or `ElementwiseLikelihood` that defines
functions of one number and their derivatives. The docstrings of these classes list the steps.
"""

from vaetheory.likelihoods.base import ExponentialFamily, Likelihood, NoMetricError
from vaetheory.likelihoods.bernoulli import Bernoulli
from vaetheory.likelihoods.beta import Beta
from vaetheory.likelihoods.categorical import Categorical
from vaetheory.likelihoods.continuous_bernoulli import ContinuousBernoulli
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.exponential import Exponential
from vaetheory.likelihoods.gamma import Gamma
from vaetheory.likelihoods.gaussian import Gaussian
from vaetheory.likelihoods.gaussian_mean_scale import GaussianMeanScale
from vaetheory.likelihoods.identities import MetricIdentities, metric_identities
from vaetheory.likelihoods.log_normal import LogNormal
from vaetheory.likelihoods.negative_binomial import NegativeBinomial
from vaetheory.likelihoods.no_metric import Laplace, Uniform
from vaetheory.likelihoods.poisson import Poisson
from vaetheory.likelihoods.special import stirling_remainder
from vaetheory.likelihoods.student_t import StudentT
from vaetheory.likelihoods.summation import SupportRule, support_rule
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.von_mises import VonMises

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "ContinuousBernoulli",
    "ElementwiseExponentialFamily",
    "ElementwiseLikelihood",
    "Exponential",
    "ExponentialFamily",
    "Gamma",
    "Gaussian",
    "GaussianMeanScale",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "MetricIdentities",
    "NegativeBinomial",
    "NoMetricError",
    "Poisson",
    "StudentT",
    "Support",
    "SupportRule",
    "Uniform",
    "VonMises",
    "metric_identities",
    "stirling_remainder",
    "support_rule",
]

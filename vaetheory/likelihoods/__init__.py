"""Likelihoods p(x given params): one family a file; the decoder gives the parameters.

A new family is a subclass of `ElementwiseExponentialFamily` or `ElementwiseLikelihood` with
functions of one number and their derivatives; `Likelihood` says what every family has.
"""

from vaetheory.likelihoods.base import ExponentialFamily, Likelihood, NoMetricError
from vaetheory.likelihoods.bernoulli import Bernoulli
from vaetheory.likelihoods.beta import Beta
from vaetheory.likelihoods.categorical import Categorical
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.exponential import Exponential
from vaetheory.likelihoods.gamma import Gamma
from vaetheory.likelihoods.gaussian import Gaussian
from vaetheory.likelihoods.log_normal import LogNormal
from vaetheory.likelihoods.negative_binomial import NegativeBinomial
from vaetheory.likelihoods.no_metric import Laplace, Uniform
from vaetheory.likelihoods.poisson import Poisson
from vaetheory.likelihoods.special import stirling_remainder
from vaetheory.likelihoods.student_t import StudentT
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.von_mises import VonMises

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "ElementwiseExponentialFamily",
    "ElementwiseLikelihood",
    "Exponential",
    "ExponentialFamily",
    "Gamma",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "NoMetricError",
    "Poisson",
    "StudentT",
    "Support",
    "Uniform",
    "VonMises",
    "stirling_remainder",
]

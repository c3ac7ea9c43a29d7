"""The theorems about variational auto-encoders, as a library that runs."""

from vaetheory import decoders, likelihoods
from vaetheory.claims import CLAIMS
from vaetheory.claims.runner import verify
from vaetheory.elbo import elbo
from vaetheory.encoders import Encoder, Posterior
from vaetheory.evidence import log_evidence, posterior_expectation, posterior_kl
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.stationary import stationary_posterior

__all__ = [
    "CLAIMS",
    "Encoder",
    "LatentModel",
    "OptimalDecoder",
    "Posterior",
    "decoders",
    "elbo",
    "likelihoods",
    "log_evidence",
    "posterior_expectation",
    "posterior_kl",
    "stationary_posterior",
    "verify",
]

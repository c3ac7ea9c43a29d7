"""The theorems about variational auto-encoders, as a library that runs."""

from vaetheory import decoders, likelihoods
from vaetheory.elbo import elbo, stationary_posterior
from vaetheory.encoders import Encoder, Posterior
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder

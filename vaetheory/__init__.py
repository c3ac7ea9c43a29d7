"""The theorems about variational auto-encoders, as a library that runs."""

from vaetheory import decoders, likelihoods
from vaetheory.models import LatentModel

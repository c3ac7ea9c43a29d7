"""What the densities of data say about the latents and the decoder, with errors."""

from vaetheory.identifiability.environments import RecoveredLatents, latents_from_environments
from vaetheory.identifiability.monotone import RecoveredDecoder, monotone_decoder

__all__ = [
    "RecoveredDecoder",
    "RecoveredLatents",
    "latents_from_environments",
    "monotone_decoder",
]

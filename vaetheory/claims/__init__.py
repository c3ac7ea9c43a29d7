"""The registry: every claim, in the order of the theory."""

from vaetheory.claims import bilbo, optimal_decoder, smooth_decoder, stationary_evidence
from vaetheory.claims.claim import Claim

#: All claims, in order.
CLAIMS: tuple[Claim, ...] = (
    optimal_decoder.CLAIM,
    smooth_decoder.CLAIM,
    stationary_evidence.CLAIM,
    bilbo.CLAIM,
)

"""Claim 17: a VAE is a deterministic auto-encoder with a log determinant."""

from vaetheory.checking import Claim
from vaetheory.claims.implicit_regulariser import penalties, rotations

CLAIM = Claim(
    number=17,
    label="implicit-regulariser",
    title="The implicit regulariser: a VAE is an auto-encoder with a log determinant",
    source="arXiv:2002.00041, arXiv:1812.06775, abstracts; our derivations",
    says=(
        "To second order in the code's noise a VAE is a deterministic auto-encoder with a log "
        "determinant as penalty."
    ),
    propositions=(
        penalties.STATIONARY_VARIANCE,
        penalties.LOG_DET_PENALTY,
        penalties.DIAGONAL_PENALTY,
        rotations.ROTATIONS,
        rotations.TURNED,
    ),
)

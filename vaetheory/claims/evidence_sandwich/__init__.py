"""Claim 15: bounds of the evidence from above."""

from vaetheory.checking import Claim
from vaetheory.claims.evidence_sandwich import chain, harmonic, infinite, renyi, sandwich

CLAIM = Claim(
    number=15,
    label="evidence-sandwich",
    title="The evidence between bounds: Renyi, CUBO, EUBO and the harmonic mean",
    source=(
        "arXiv:1611.00328, arXiv:1602.02311, arXiv:1511.02543, arXiv:1905.03290, "
        "arXiv:2206.09453; our derivations"
    ),
    says=(
        "Bounds from above, exactly: how far CUBO, EUBO and the importance weighted sandwich "
        "are from the evidence, and when they are infinite."
    ),
    propositions=(
        renyi.RENYI,
        renyi.CURVED,
        infinite.CORRELATED,
        infinite.BOUNDED,
        harmonic.HARMONIC,
        harmonic.HALF_LINE,
        sandwich.CLOSING_IN,
        sandwich.MID_POINT,
        chain.CHAIN,
        chain.QUARTIC,
    ),
)

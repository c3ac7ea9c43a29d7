"""Propositions of claim 3: evidences, stationary points, and the gap between them."""

from vaetheory.certify.propositions.stationary_evidence.evidences import EVIDENCE, SPLIT
from vaetheory.certify.propositions.stationary_evidence.gap_range import GAP_RANGE
from vaetheory.certify.propositions.stationary_evidence.gaps import FOLD, POSITIVE_GAP
from vaetheory.certify.propositions.stationary_evidence.linear import DIAGONAL_GAP, NO_GAP
from vaetheory.certify.propositions.stationary_evidence.stationary_points import STATIONARY

__all__ = [
    "DIAGONAL_GAP",
    "EVIDENCE",
    "FOLD",
    "GAP_RANGE",
    "NO_GAP",
    "POSITIVE_GAP",
    "SPLIT",
    "STATIONARY",
]

"""Claim 3: the ELBO at its stationary points and the exact log evidence."""

from vaetheory.checking import Claim
from vaetheory.claims.stationary_evidence import (
    decomposition,
    digits,
    entropies,
    fold,
    gap_law,
    laplace,
    linear_gaussian,
    stationary_points,
    wide_linear,
)

CLAIM = Claim(
    number=3,
    label="stationary-evidence",
    title="The ELBO at its stationary points and the exact log evidence",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "Where the ELBO is stationary it is the sum of entropies; it is the evidence itself "
        "only if the posterior is Gaussian, and the gap has a law."
    ),
    propositions=(
        decomposition.DECOMPOSITION,
        stationary_points.GRADIENTS_ARE_EXPECTATIONS,
        linear_gaussian.STATIONARY_IS_EXACT,
        wide_linear.CONSTANT_WEIGHTS,
        linear_gaussian.DIAGONAL_GAP,
        wide_linear.WIDE_DIAGONAL_GAP,
        laplace.LAPLACE_IS_SECOND_ORDER,
        gap_law.GAP_LAW,
        gap_law.ISOMETRIC_GAP,
        fold.FOLD_GAP,
        entropies.SUM_OF_ENTROPIES,
        digits.EVIDENCE_OF_DIGITS,
    ),
)

"""Claim 22: bounds with structure."""

from vaetheory.checking import Claim
from vaetheory.claims.structured_bounds import (
    amortisation,
    cells,
    hierarchy,
    ignorability,
    missing,
)

CLAIM = Claim(
    number=22,
    label="structured-bounds",
    title="Bounds with structure: amortised, hierarchical, missing and discrete data",
    source=(
        "arXiv:1801.03558, arXiv:1812.02633, Rubin 1976, arXiv:1511.01844, arXiv:2001.11235; "
        "our derivations"
    ),
    says=(
        "What the ELBO lacks, exactly, when posteriors come from an encoder and have layers or "
        "blocks, and when data are incomplete or rounded."
    ),
    propositions=(
        amortisation.SPLIT,
        amortisation.NOT_A_DIVERGENCE,
        amortisation.CURVED,
        hierarchy.CHAIN,
        hierarchy.CURVED_CHAIN,
        hierarchy.BLOCKS,
        hierarchy.THREE_BLOCKS,
        missing.IMPUTATION,
        missing.ENCODED,
        missing.CURVED,
        missing.ZEROS,
        ignorability.IGNORABLE,
        ignorability.COMPLETE,
        ignorability.NOT_AT_RANDOM,
        cells.UNIFORM,
        cells.VARIATIONAL,
        cells.UNITS,
    ),
)

"""The certified propositions by label; checking them does not import FLINT."""

from vaetheory.certify.propositions.base import Certified
from vaetheory.certify.propositions.evidences import EVIDENCE, SPLIT
from vaetheory.certify.propositions.exactly import (
    BOUNDED,
    CONSTANT_VARIANCE,
    FLOATING_PRIOR,
    SHARP_SLOPE,
    SPECHT,
)
from vaetheory.certify.propositions.flow_remainder import REMAINDER
from vaetheory.certify.propositions.gap_range import GAP_RANGE
from vaetheory.certify.propositions.gaps import FOLD, POSITIVE_GAP
from vaetheory.certify.propositions.linear import DIAGONAL_GAP, NO_GAP
from vaetheory.certify.propositions.pythagoras import PYTHAGORAS
from vaetheory.certify.propositions.stationary_points import STATIONARY

#: By label, in the order of the claims.
PROPOSITIONS: dict[str, Certified] = {
    p.label: p
    for p in (
        PYTHAGORAS,
        SHARP_SLOPE,
        EVIDENCE,
        SPLIT,
        STATIONARY,
        NO_GAP,
        POSITIVE_GAP,
        DIAGONAL_GAP,
        GAP_RANGE,
        FOLD,
        CONSTANT_VARIANCE,
        SPECHT,
        FLOATING_PRIOR,
        REMAINDER,
        BOUNDED,
    )
}

"""The certified propositions by label; checking them does not import FLINT."""

from vaetheory.certify.propositions.baggins import BOUNDED
from vaetheory.certify.propositions.base import Certified
from vaetheory.certify.propositions.bilbo import FLOATING_PRIOR
from vaetheory.certify.propositions.bounded_likelihood import CEILING
from vaetheory.certify.propositions.constant_variance import CONSTANT_VARIANCE, SPECHT
from vaetheory.certify.propositions.entropy_sums import COUNTS
from vaetheory.certify.propositions.evidence_sandwich import CUBO
from vaetheory.certify.propositions.flow_limit import REMAINDER
from vaetheory.certify.propositions.gradient_estimators import CROSSING
from vaetheory.certify.propositions.high_dimensional_evidence import WEALTH
from vaetheory.certify.propositions.identifiability import ENVIRONMENTS, TURNED
from vaetheory.certify.propositions.implicit_regulariser import STATIONARY_TURN
from vaetheory.certify.propositions.importance_weighting import DIAGONAL_ENCODERS, VARIANCES
from vaetheory.certify.propositions.linear_vae import BEST_ENCODER
from vaetheory.certify.propositions.optimal_decoder import PYTHAGORAS
from vaetheory.certify.propositions.posterior_collapse import THRESHOLDS
from vaetheory.certify.propositions.rate_distortion import WATER
from vaetheory.certify.propositions.score_averages import AVERAGED
from vaetheory.certify.propositions.score_identities import ATTAINED, MIXED, SPECTRUM
from vaetheory.certify.propositions.smooth_decoder import SHARP_SLOPE
from vaetheory.certify.propositions.stationary_evidence import (
    DIAGONAL_GAP,
    EVIDENCE,
    FOLD,
    GAP_RANGE,
    NO_GAP,
    POSITIVE_GAP,
    SPLIT,
    STATIONARY,
)
from vaetheory.certify.propositions.structured_bounds import MASKS
from vaetheory.certify.propositions.structured_bounds import SPLIT as PARTS_OF_THE_GAP

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
        BEST_ENCODER,
        THRESHOLDS,
        DIAGONAL_ENCODERS,
        VARIANCES,
        CUBO,
        WATER,
        STATIONARY_TURN,
        CEILING,
        ATTAINED,
        AVERAGED,
        MIXED,
        SPECTRUM,
        CROSSING,
        PARTS_OF_THE_GAP,
        MASKS,
        TURNED,
        ENVIRONMENTS,
        COUNTS,
        WEALTH,
    )
}

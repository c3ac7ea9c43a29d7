"""Claim 11: VAEs with half the outputs. These are checks of the experiment's machinery.

The results of the experiment are in docs/half-network.md; its quick version is 11-digits.
"""

from vaetheory.checking import Claim
from vaetheory.claims.half_network import (
    adam,
    gradient,
    held_out_bounds,
    held_out_density,
    intervals,
    outputs,
    quick_experiment,
    resumed_runs,
    scale,
)

CLAIM = Claim(
    number=11,
    label="half-network",
    title="VAEs with half the outputs, on real data",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "On real data a network with half the outputs, trained with BILBO and BAGGINS, is "
        "compared with five other VAEs."
    ),
    propositions=(
        outputs.HALF_THE_OUTPUTS,
        gradient.GRADIENT,
        adam.ADAM_STEPS,
        scale.SCALE_EQUIVARIANCE,
        scale.SCALED_GRADIENT,
        held_out_bounds.BOUNDS_IN_ORDER,
        held_out_density.HELD_OUT_DENSITY,
        resumed_runs.RESUMED_RUN,
        intervals.PAIRED_COVERAGE,
        quick_experiment.HALF_BEATS_ONE_SIGMA,
    ),
)

"""Claim 0: the errors that this package states for its numbers cover the true errors.

The checks of the other claims rest on numbers that this package computes, and on the errors that it
states for them. Here these errors are checked, on instances with closed forms that are chosen to be
hard for estimates of errors.
"""

from vaetheory.checking import Claim
from vaetheory.claims.instrument import (
    curvature_ranges,
    evidence,
    expectations,
    far_elbos,
    far_lines,
    kinked,
    lattices,
    penalty,
    posterior_expectations,
    sine_elbos,
    smoothing,
    standard_errors,
    stationary,
)

CLAIM = Claim(
    number=0,
    label="instrument",
    title="The instrument: stated errors cover the true ones",
    source="our construction",
    says=(
        "The errors that this library states cover the true ones, on problems whose answers "
        "are known otherwise."
    ),
    propositions=(
        evidence.COVERED_ON_A_LINE,
        far_lines.ROUNDING_IS_COVERED,
        kinked.KINKS_ARE_COVERED,
        evidence.COVERED_ON_THE_PLANE,
        evidence.COVERED_IN_SPACE,
        lattices.DISAGREEMENT_COVERS,
        expectations.EXPECTATION_IS_COVERED,
        sine_elbos.ELBO_IS_COVERED,
        far_elbos.ROUNDING_IS_COVERED,
        posterior_expectations.POSTERIOR_EXPECTATION_IS_COVERED,
        stationary.DEFICIT_IS_COVERED,
        penalty.PENALTY_IS_COVERED,
        curvature_ranges.BENDS_ARE_BOUNDED,
        standard_errors.ERRORS_ARE_UNBIASED,
        smoothing.SMOOTHING_IS_COVERED,
    ),
)

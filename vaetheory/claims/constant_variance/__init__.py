"""Claim 5: constant posterior variances lose little."""

from vaetheory.checking import Claim
from vaetheory.claims.constant_variance import (
    arc_length,
    constant_metric,
    digits,
    exact_correction,
    flat_coordinates,
    greatest_penalty,
    linear_decoder,
    many_latents,
    second_order,
    small_variations,
    spherical_cap,
    tears,
    varying_hessians,
    varying_speed,
)

CLAIM = Claim(
    number=5,
    label="constant-variance",
    title="Constant posterior variances lose little",
    source="arXiv:1912.10309, abstract; our derivation",
    says=(
        "One posterior variance for all data costs an exact number of nats, which is small if "
        "the curvatures of the data vary little."
    ),
    propositions=(
        second_order.SECOND_ORDER_PENALTY,
        many_latents.WIDE_PENALTY,
        small_variations.SMALL_VARIATIONS,
        small_variations.WIDE_VARIATIONS,
        greatest_penalty.GREATEST_PENALTY,
        greatest_penalty.WIDE_GREATEST_PENALTY,
        exact_correction.EXACT_CORRECTION,
        linear_decoder.LINEAR_IS_FREE,
        varying_speed.VARYING_SPEED,
        constant_metric.ISOMETRIC_PENALTY,
        constant_metric.CURVATURE_PENALTY,
        flat_coordinates.FLAT_COORDINATES,
        arc_length.ARC_LENGTH,
        spherical_cap.SPHERICAL_CAP,
        spherical_cap.SMALL_CAPS,
        tears.TORN_CAP,
        varying_hessians.PENALTY_GRADIENT,
        varying_hessians.FITTED_DECODER,
        digits.PENALTY_ON_DIGITS,
    ),
)

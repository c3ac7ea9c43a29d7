"""Checks of 3f: how the gap between log evidence and stationary ELBO shrinks with sigma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.checking.varying_metric import (
    Graph,
    gap_coefficient,
    graphs,
    metric_slope,
    natural_scale,
)
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

LADDER = 1 / 2.0 ** np.arange(5)


def half_coefficient(decoder: Decoder, z: Array) -> float:
    """The coefficient with a factor 1/24."""
    return float(gap_coefficient(decoder, z)) / 2


def lowered_norm(decoder: Decoder, z: Array) -> float:
    """The Euclidean norm of T, not raised with the inverse metric."""
    _, slope = metric_slope(decoder, z)
    return float((slope**2).sum()) / 12


def normal_part(decoder: Decoder, z: Array) -> float:
    """The squared normal curvature in place of the metric's slope."""
    jacobian, hessian = decoder.jacobian(z), decoder.hessian(z)
    metric = jacobian.T @ jacobian
    tangent = np.linalg.solve(
        metric, np.einsum("ai,ajk->ijk", jacobian, hessian).reshape(len(metric), -1)
    )
    normal = hessian - np.einsum("ai,ijk->ajk", jacobian, tangent.reshape(-1, *hessian.shape[1:]))
    inverse = np.linalg.inv(metric)
    return float(np.einsum("aij,akl,ik,jl->", normal, normal, inverse, inverse)) / 12


@once
def measured_gaps(decoder: Decoder, z: Array, scales: Array) -> tuple[Array, Array]:
    """Log evidence minus stationary ELBO of x = f(z) for each sigma, and the errors."""
    x = decoder(z)
    gaps, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), len(z))
        evidence = log_evidence(model, x, rtol=1e-13)
        # The law is about the branch of stationary points that starts at z.
        metric = decoder.jacobian(z).T @ decoder.jacobian(z)
        width = np.linalg.inv(metric / scale**2 + np.eye(len(z)))
        best = stationary_posterior(model, x, start=Posterior(z, cov=width))
        gaps.append(float(evidence.value) - float(best.value))
        errors.append(float(evidence.error) + float(best.error))
    return np.array(gaps), np.array(errors)


def gap_law(
    scene: Graph,
    *,
    coefficient: Callable[[Decoder, Array], Array | float] = gap_coefficient,
    exponent: float = 2.0,
) -> Comparison:
    """Compare exponent and coefficient of the gap on a ladder of sigma with the law."""
    decoder, z = scene.decoder, np.array(scene.z)
    scales = natural_scale(decoder, z) / 16 * LADDER
    gaps, errors = measured_gaps(decoder, z, scales)
    value = float(coefficient(decoder, z))
    metric, _ = metric_slope(decoder, z)
    rounding = gamma(200) * float(np.linalg.cond(metric)) ** 3 * abs(value)
    law = power_law(gaps, errors, scales, exponent=exponent, coefficient=value, rounding=rounding)
    parts = [law, _slope_by_differences(decoder, z)]
    if len(z) == 1:
        first, second = decoder.jacobian(z)[:, 0], decoder.hessian(z)[:, 0, 0]
        curve = 0.75 * (first @ second) ** 2 / (first @ first) ** 3
        parts.append(
            Comparison.identity(
                curve,
                gap_coefficient(decoder, z),
                scale=1.0,
                rounding=gamma(200) * (abs(curve) + 1),
            )
        )
    return Comparison.all_of(*parts)


GAP_LAW = Proposition(
    label="3f",
    title="The gap law: sigma^2 / 12 times the squared slope of the decoder's metric",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \frac{\sigma^2}{12}\|T\|_g^2 + O(\sigma^4),\quad "
        r"T_{ijk} = \tfrac12(\partial_i g_{jk} + \partial_j g_{ik} + \partial_k g_{ij}),"
        r"\ g = J^\top J"
    ),
    hypotheses=(
        ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
        (
            "an embedding at x",
            r"g \succ 0,\ x = f(z_0),\ \inf_{|z - z_0| > r}\|f(z) - x\| > 0"
            r"\text{ for all } r > 0",
        ),
    ),
    kind="rate",
    instances=graphs(),
    check=gap_law,
    controls=wrong(
        gap_law,
        {
            "a factor 1/24": {"coefficient": half_coefficient},
            "T not raised with the inverse metric": {"coefficient": lowered_norm},
            "normal curvature for the metric's slope": {"coefficient": normal_part},
            "order sigma": {"exponent": 1.0},
        },
    ),
    uses=("3a", "3e"),
    figure="stationary-evidence",
    resolution=5e-2,
    examples=6,
)


def _slope_by_differences(decoder: Decoder, z: Array) -> Comparison:
    """Compare T with half the symmetrised derivative of the metric, by differences."""

    def metric(point: Array) -> Array:
        jacobian = decoder.jacobian(point)
        return np.asarray(jacobian.T @ jacobian)

    _, slope = metric_slope(decoder, z)
    step = 2.0**-6
    estimates = [
        np.stack([(metric(z + h * e) - metric(z - h * e)) / (2 * h) for e in np.eye(len(z))])
        for h in (step, 2 * step)
    ]
    # The metric of a cubic has degree four, so that this extrapolation is exact.
    derivative = (4 * estimates[0] - estimates[1]) / 3
    half = 0.5 * (derivative + derivative.transpose(1, 0, 2) + derivative.transpose(1, 2, 0))
    size = 1 + float(np.abs(metric(z)).max()) + float(np.abs(slope).max())
    return Comparison.identity(half, slope, scale=size, rounding=gamma(100) * size / step)


@dataclass(frozen=True)
class UnitSpeed:
    """A helix at unit speed, and a point of it."""

    radius: float
    pitch: float
    z: float


def unit_speed_curves() -> st.SearchStrategy[UnitSpeed]:
    """Helices of curvature 1/4 to 1/2."""
    return st.builds(
        UnitSpeed,
        st.sampled_from((1.0, 0.5, 2.0)),
        st.sampled_from((1.0, 1.5)),
        strategies.fractions(-2, 2, 2),
    )


def isometric_gap(
    scene: UnitSpeed, *, exponent: float = 4.0, factor: float = 1 / 48, power: int = 4
) -> Comparison:
    """At constant speed the gap is sigma^4 k^4 / 48, k the curvature."""
    decoder, z = decoders.Helix(scene.radius, scene.pitch), np.array([scene.z])
    scales = 0.3 * LADDER[:4]
    gaps, errors = measured_gaps(decoder, z, scales)
    value = factor * decoder.curvature**power
    return power_law(gaps, errors, scales, exponent=exponent, coefficient=value, rounding=0.0)


ISOMETRIC_GAP = Proposition(
    label="3f-isometric",
    title="At constant metric the gap is of order sigma^4: k^4 / 48 on a unit-speed curve",
    statement=r"\log p(x) - \mathrm{ELBO} = \frac{\sigma^4\kappa^4}{48} + O(\sigma^6)",
    hypotheses=(
        ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
        ("unit speed", r"d = 1,\ \|f'\| = 1"),
        (
            "an embedding at x",
            r"\inf_{|z - z_0| > r}\|f(z) - x\| > 0 \text{ for all } r > 0",
        ),
    ),
    kind="rate",
    instances=unit_speed_curves(),
    check=isometric_gap,
    controls=wrong(
        isometric_gap,
        {
            "order sigma^2": {"exponent": 2.0},
            "a factor 1/24": {"factor": 1 / 24},
            "k^2 for k^4": {"power": 2},
        },
    ),
    uses=("3f",),
    figure="stationary-evidence",
    resolution=5e-2,
    examples=4,
)

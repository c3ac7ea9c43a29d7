"""Check of 5d: what the exact cost adds to the second-order one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, varying_metric, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.constant_variance.ladders import exact_penalties, second_order_penalties
from vaetheory.claims.constant_variance.scenes import (
    ISOTROPIC,
    NEAR,
    ON_THE_IMAGE,
    GraphData,
    graph_data,
    pulled_back_metrics,
)
from vaetheory.decoders import Decoder
from vaetheory.rounding import gamma


def _quartic(decoder: Decoder, z: Array) -> tuple[Array, Array]:
    """Third and fourth derivatives of |f - f(z)|^2 / 2 at z, for a decoder of degree three."""
    J, H = decoder.jacobian(z), decoder.hessian(z)
    # The second derivatives are linear: this difference is exact.
    third = [(decoder.hessian(z + e) - decoder.hessian(z - e)) / 2 for e in np.eye(len(z))]
    bend = np.einsum("aij,akl->ijkl", H, H)
    slope = np.einsum("ai,lajk->ijkl", J, np.array(third))
    fourth = bend + bend.transpose(0, 2, 1, 3) + bend.transpose(0, 3, 2, 1)
    fourth = fourth + slope + slope.transpose(1, 0, 2, 3)
    fourth = fourth + slope.transpose(2, 1, 0, 3) + slope.transpose(3, 1, 2, 0)
    return varying_metric.metric_slope(decoder, z)[1], fourth


def _correction(
    decoder: Decoder, z: Array, cov: Array, *, quartic: float = -1 / 8, cubic: float = 1 / 8
) -> float:
    """Coefficient of sigma^2 in ELBO minus second-order ELBO, at covariance sigma^2 cov."""
    third, fourth = _quartic(decoder, z)
    v = np.einsum("ijk,jk->i", third, cov)
    metric = varying_metric.metric_slope(decoder, z)[0]
    curved = quartic * np.einsum("ijkl,ij,kl->", fourth, cov, cov)
    return float(curved + cubic * v @ np.linalg.solve(metric, v))


def exact_coefficient(
    decoder: Decoder, Z: Array, *, quartic: float = -1 / 8, cubic: float = 1 / 8
) -> tuple[float, float]:
    """Coefficient of sigma^2 in exact minus second-order penalty, and the size of its terms."""
    metrics = pulled_back_metrics(decoder, Z)
    shared = np.linalg.inv(metrics.mean(axis=0))
    options = {"quartic": quartic, "cubic": cubic}
    own = [
        _correction(decoder, z, np.linalg.inv(g), **options)
        for z, g in zip(Z, metrics, strict=True)
    ]
    common = [_correction(decoder, z, shared, **options) for z in Z]
    return float(np.mean(own) - np.mean(common)), float(np.abs(own + common).max())


def gain_of_free_variances(decoder: Decoder, Z: Array) -> tuple[float, float]:
    """The gain of the free covariances alone, without the gain of the shared one."""
    metrics = pulled_back_metrics(decoder, Z)
    own = [_correction(decoder, z, np.linalg.inv(g)) for z, g in zip(Z, metrics, strict=True)]
    return float(np.mean(own)), float(np.abs(own).max())


def has_coefficient(scene: GraphData) -> bool:
    """Whether the terms of the coefficient of sigma^2 leave more than 2 % of their size."""
    value, size = exact_coefficient(scene.graph.decoder, scene.latents)
    return abs(value) > 0.02 * size


def exact_less_second_order(
    scene: GraphData,
    *,
    coefficient: Callable[[Decoder, Array], tuple[float, float]] = exact_coefficient,
    exponent: float = 2.0,
) -> Comparison:
    """Check exponent and coefficient of exact minus second-order penalty on a ladder of sigma."""
    decoder, Z, scales = scene.graph.decoder, scene.latents, scene.scales
    exact, errors = exact_penalties(decoder, Z, scales)
    second, more = second_order_penalties(decoder, Z, scales)
    value, size = coefficient(decoder, Z)
    condition = float(np.linalg.cond(pulled_back_metrics(decoder, Z)).max())
    return power_law(
        exact - second,
        errors + more,
        scales,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(500) * condition**3 * size,
    )


EXACT_CORRECTION = Proposition(
    label="5d",
    title="In the exact ELBO the cost is the same up to a known multiple of sigma^2",
    statement=(
        r"P_{\mathrm{exact}} - P_2 = \sigma^2\,\mathbb E[c_n(g_n^{-1}) - c_n(\bar g^{-1})]"
        r" + O(\sigma^4),\quad c(S) = -\tfrac18\,\partial^4_{ijkl}\tfrac{\|f - x\|^2}2"
        r"S_{ij}S_{kl} + \tfrac18 v^\top g^{-1} v,\quad v_i = T_{ijk}S_{jk}"
    ),
    hypotheses=(ISOTROPIC, ON_THE_IMAGE, NEAR),
    kind="rate",
    instances=graph_data().filter(has_coefficient),
    check=exact_less_second_order,
    controls=wrong(
        exact_less_second_order,
        {
            "order sigma": {"exponent": 1},
            "no third derivatives": {"coefficient": partial(exact_coefficient, cubic=0.0)},
            "a quarter of the fourth derivatives": {
                "coefficient": partial(exact_coefficient, quartic=-1 / 4)
            },
            "what the shared covariance gains left out": {"coefficient": gain_of_free_variances},
        },
    ),
    uses=("3f", "5a"),
    figure="constant-variance",
    resolution=5e-2,
    examples=6,
)

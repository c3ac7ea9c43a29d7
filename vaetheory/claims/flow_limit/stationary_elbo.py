"""Check of 8b: the stationary ELBO as sigma tends to 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, varying_metric, wrong
from vaetheory.checking.rates import leading_coefficient
from vaetheory.claims.flow_limit.change_of_variables import half_laplacian
from vaetheory.claims.flow_limit.excess import Limit, half_scale, true_limit, wrong_limit
from vaetheory.claims.flow_limit.manifolds import manifold_coefficient
from vaetheory.claims.flow_limit.posteriors import any_scenes, best_posterior, size_of
from vaetheory.claims.flow_limit.scenes import (
    EMBEDDING,
    FULL,
    GAUSSIAN,
    Scene,
    condition_at,
    scales,
    tame,
)
from vaetheory.flows import Embedding, Flow
from vaetheory.rounding import gamma


@once
def smoothing_coefficient(flow: Embedding, z: Array) -> float:
    """The coefficient of sigma^2 in log p_sigma: 8a's where D = d, else 8c's."""
    return half_laplacian(flow, z) if isinstance(flow, Flow) else manifold_coefficient(flow, z)


def elbo_coefficient(
    flow: Embedding, z: Array, *, smoothing: float = 1.0, gap: float = 1.0
) -> float:
    """Coefficient of sigma^2 in the stationary ELBO: that of log p_sigma minus the gap's."""
    lost = float(varying_metric.gap_coefficient(flow, z))
    return smoothing * smoothing_coefficient(flow, z) - gap * lost


def elbo_law(
    scene: Scene,
    *,
    coefficient: Callable[[Embedding, Array], float] = elbo_coefficient,
    limit: Limit = true_limit,
    exponent: float = 2.0,
) -> Comparison:
    """Check exponent and coefficient of the stationary ELBO minus the flow's log density."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    best = [best_posterior(flow, z, float(s)) for s in sigma]
    values = np.array([float(q.value) for q in best]) - limit(flow, z, sigma)
    blurred = gamma(64) * condition_at(flow, z) * size_of(float(best[0].value))
    errors = np.array([float(q.error) for q in best]) + blurred
    value = coefficient(flow, z)
    return leading_coefficient(
        values,
        errors,
        sigma,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(800) * condition_at(flow, z) ** 3 * half_scale(scene),
    )


STATIONARY_ELBO = Proposition(
    label="8b",
    title="The stationary ELBO tends to the flow's log density, minus the gap of 3f",
    statement=(
        r"\mathrm{ELBO} = \log p_{\mathrm{flow}}(x) - \tfrac{D-d}2\log 2\pi\sigma^2"
        r" + \sigma^2\Big(c_1 - \frac{\|T\|_g^2}{12}\Big) + O(\sigma^4),"
        r"\quad c_1 \text{ that of 8a, 8c}"
    ),
    hypotheses=(GAUSSIAN, EMBEDDING, FULL),
    kind="rate",
    instances=any_scenes().map(tame),
    check=elbo_law,
    controls=wrong(
        elbo_law,
        {
            "the log determinant of the wrong sign": {"limit": partial(wrong_limit, volume=-1.0)},
            "no gap": {"coefficient": partial(elbo_coefficient, gap=0)},
            "the gap of the wrong sign": {"coefficient": partial(elbo_coefficient, gap=-1.0)},
            "the gap alone": {"coefficient": partial(elbo_coefficient, smoothing=0.0)},
        },
    ),
    uses=("3a", "3f", "8a"),
    figure="flow-limit",
    resolution=5e-2,
    examples=6,
)

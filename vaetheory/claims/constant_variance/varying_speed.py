"""Check of 5e-speed: the cost on a decoder of varying metric as sigma tends to 0."""

from __future__ import annotations

import numpy as np

from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.constant_variance.ladders import second_order_penalties
from vaetheory.claims.constant_variance.scenes import (
    ISOTROPIC,
    ON_THE_IMAGE,
    GraphData,
    graph_data,
    pulled_back_metrics,
)
from vaetheory.rounding import gamma


def varying_speed(scene: GraphData, *, factor: float = 1.0) -> Comparison:
    """Check that the penalty tends to that of the metrics themselves, which is positive."""
    decoder, Z = scene.graph.decoder, scene.latents
    measured, left, noise = extrapolate(*second_order_penalties(decoder, Z, scene.scales))
    g = pulled_back_metrics(decoder, Z)
    limit = 0.5 * float(np.linalg.slogdet(g.mean(axis=0))[1] - np.linalg.slogdet(g)[1].mean())
    rounding = gamma(200) * float(np.linalg.cond(g).max()) * (1 + float(np.abs(np.log(g.max()))))
    return Comparison.all_of(
        Comparison.identity(
            measured, factor * limit, scale=limit, expansion=left, numerics=noise, rounding=rounding
        ),
        Comparison.at_most(left + noise, measured, scale=limit, rounding=rounding),
    )


VARYING_SPEED = Proposition(
    label="5e-speed",
    title="On a decoder of varying metric the cost tends to a positive constant",
    statement=(
        r"P_2 \to \tfrac12(\log\det\mathbb E[g] - \mathbb E\log\det g) > 0"
        r" \text{ as } \sigma \to 0"
    ),
    hypotheses=(ISOTROPIC, ON_THE_IMAGE, ("a metric that varies", r"g_n \ne g_m")),
    kind="identity",
    instances=graph_data(),
    check=varying_speed,
    controls=wrong(
        varying_speed,
        {
            "it vanishes": {"factor": 0.0},
            "twice the constant": {"factor": 2.0},
        },
    ),
    uses=("5a",),
    figure="constant-variance",
    resolution=1e-2,
)

"""Check of 8d: the covariance of the stationary posterior as sigma tends to 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, varying_metric, wrong
from vaetheory.checking.rates import extrapolate, leading_coefficient
from vaetheory.claims.flow_limit.excess import half_scale
from vaetheory.claims.flow_limit.posteriors import (
    any_scenes,
    best_posterior,
    inverse_metric,
    size_of,
)
from vaetheory.claims.flow_limit.scenes import (
    EMBEDDING,
    FULL,
    GAUSSIAN,
    Scene,
    condition_at,
    scales,
    tame,
)
from vaetheory.flows import Embedding
from vaetheory.jets import taylor
from vaetheory.rounding import gamma


def log_det_coefficient(
    flow: Embedding, z: Array, *, prior: float = 1.0, shift: float = 1.0, quartic: float = 0.5
) -> float:
    """Coefficient of sigma^2 in 1/2 log det(S / sigma^2): -1/2 tr(g^-1 M).

    M = I + T . mu + 1/2 phi_4 : g^-1, mu = -g^-1 (z + 1/2 T : g^-1) the shift of the mean over
    sigma^2, T and phi_4 the third and fourth derivatives of |f - x|^2 / 2.
    """
    metric, slope = varying_metric.metric_slope(flow, z)
    inverse = np.linalg.inv(metric)
    traced = np.einsum("ijk,jk->i", slope, inverse)
    mean = -inverse @ (z + 0.5 * traced)
    # phi_4 : g^-1 : g^-1 is a third of the mean of phi_4(w, w, w, w) over w ~ N(0, g^-1).
    nodes, weights = hermite_rule(4, len(z))
    c = taylor(flow.forward, z, nodes @ np.linalg.cholesky(inverse).T, 3)
    fourth = 24 * (0.5 * (c[2] ** 2).sum(axis=-1) + (c[1] * c[3]).sum(axis=-1))
    curved = float(weights @ fourth) / 3
    return -0.5 * (prior * np.trace(inverse) + shift * traced @ mean + quartic * curved)


def metric(flow: Embedding, z: Array) -> Array:
    """The metric g at z."""
    J = flow.jacobian(z)
    return np.asarray(J.T @ J)


def posterior_covariance(
    scene: Scene,
    *,
    power: float = 2.0,
    volume: float = 1.0,
    coefficient: Callable[[Embedding, Array], float] = log_det_coefficient,
    limit: Callable[[Embedding, Array], Array] = inverse_metric,
    diagonal: bool = False,
) -> Comparison:
    """Check the limits of S / sigma^2 and its 1/2 log det, and the next term of the latter."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    best = [best_posterior(flow, z, float(s), diagonal=diagonal) for s in sigma]
    covs = np.array([q.cov for q in best]) / (sigma**power)[:, None, None]
    # The deficit is a quarter of the squared mismatch of S^-1, relative to S^-1.
    mismatch = 2 * np.sqrt(np.array([float(q.deficit) for q in best]))
    condition = condition_at(flow, z)
    relative = mismatch + gamma(200) * condition**2
    size = np.abs(covs).max(axis=(-2, -1))
    parts = []
    wanted = limit(flow, z)
    for i, j in np.ndindex(*wanted.shape):
        measured, left, noise = extrapolate(covs[:, i, j], relative * size)
        parts.append(
            Comparison.identity(
                measured,
                wanted[i, j],
                scale=float(size.max()),
                expansion=left,
                numerics=noise,
                rounding=gamma(200) * condition**2 * np.abs(wanted).max(),
            )
        )
    half = 0.5 * np.linalg.slogdet(covs)[1] + volume * float(flow.log_volume(z))
    next_term = leading_coefficient(
        half,
        0.5 * len(z) * relative + gamma(32) * size_of(*half),
        sigma,
        exponent=2.0,
        coefficient=coefficient(flow, z),
        rounding=gamma(800) * condition**3 * half_scale(scene),
    )
    return Comparison.all_of(*parts, next_term)


POSTERIOR_COVARIANCE = Proposition(
    label="8d",
    title="The encoder's variance is the flow's Jacobian: S / sigma^2 tends to g^-1",
    statement=(
        r"S/\sigma^2 \to g^{-1},\quad \tfrac12\log\det(S/\sigma^2) = -\tfrac12\log\det g"
        r" - \tfrac{\sigma^2}2\mathrm{tr}(g^{-1}M) + O(\sigma^4),\quad "
        r"M = I + T\mu + \tfrac12\varphi_4{:}g^{-1},\ "
        r"\mu = -g^{-1}(z_0 + \tfrac12 T{:}g^{-1})"
    ),
    hypotheses=(GAUSSIAN, EMBEDDING, FULL),
    kind="rate",
    instances=any_scenes().map(tame),
    check=posterior_covariance,
    controls=wrong(
        posterior_covariance,
        {
            "sigma for sigma^2": {"power": 1.0},
            "g without its square root": {"volume": 2.0},
            "g for its inverse": {"limit": metric},
            "the mean does not move": {"coefficient": partial(log_det_coefficient, shift=0.0)},
            "the diagonal posterior for the full one": {"diagonal": True},
        },
    ),
    uses=("3b", "8b"),
    figure="flow-limit",
    resolution=5e-2,
    examples=6,
)

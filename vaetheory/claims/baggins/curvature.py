"""Check of 10e: the term's curvature and gradient in the reconstructions are bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from autograd import grad, hessian

from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes
from vaetheory.rounding import gamma


def bounded_hessian(
    scene: FitScene, *, power: float = 2.0, share: float = 1.0, concave: bool = False
) -> Comparison:
    """Compare the Hessian by autograd with its closed form, and norms with their bounds."""
    x, xhat = scene.data, scene.fits
    count, dim = x.shape

    def value(fits: Any) -> Any:
        return baggins(x, fits, **scene.options).value

    residual, spread = scene.moments()
    noise = spread * np.exp(-2 * scene.presumed)
    claimed = spread * np.exp(-power * scene.presumed) / share
    variance, away = residual + noise, x - xhat
    second = hessian(value)(xhat)
    slope = grad(value)(xhat)
    # Entries that share a variance: a column, or all of them.
    groups = (
        [np.ones_like(x, bool)]
        if scene.pooled
        else [np.broadcast_to(np.arange(dim) == i, x.shape) for i in range(dim)]
    )
    expected, parts = np.zeros((count * dim, count * dim)), []
    flat = second.reshape(count * dim, count * dim)
    for number, group in enumerate(groups):
        rows = np.flatnonzero(group)
        error, shared = away.ravel()[rows], len(rows) // count
        v, nu = variance[number], noise[number]
        outer = 2 * np.outer(error, error) / (count * shared * v)
        block = -(np.eye(len(rows)) - outer) / (count * v)
        expected[np.ix_(rows, rows)] = block
        values = np.linalg.eigvalsh(flat[np.ix_(rows, rows)])
        size = 1 / (count * v)
        rounding = gamma(1000) * size
        along = (residual[number] - nu) / (residual[number] + nu) * size
        norm, steepest = np.abs(values).max(), np.linalg.norm(slope.ravel()[rows])
        most = 1 / (count * claimed[number])
        parts += [
            Comparison.identity(norm, size, scale=size, rounding=rounding),
            Comparison.at_most(norm, most, scale=size, rounding=rounding),
            # The term is convex along the residual where the fit is worse than the noise.
            Comparison.at_most(
                values[-1], 0.0 if concave else max(along, -size), scale=size, rounding=rounding
            ),
            Comparison.at_most(
                steepest,
                0.5 * np.sqrt(shared * most),
                scale=steepest + np.sqrt(size),
                rounding=gamma(1000) * (steepest + np.sqrt(size)),
            ),
        ]
    sizes = np.sqrt(np.tile(1 / (count * variance), count))
    each = np.outer(sizes, sizes)
    return Comparison.all_of(
        Comparison.identity(flat, expected, scale=each, rounding=gamma(1000) * each), *parts
    )


BOUNDED_CURVATURE = Proposition(
    label="10e",
    title="The term's curvature and gradient in the reconstructions are bounded",
    statement=(
        r"\nabla^2_{\hat x_i} T = -\frac{1}{B\sigma_i^2}\Big(I"
        r" - \frac{2\,e_i e_i^\top}{B\sigma_i^2}\Big),\quad "
        r"\|\nabla^2_{\hat x_i} T\| = \frac{1}{B\sigma_i^2}"
        r" \le \frac{1}{B\,v_i e^{-2h_i}},\quad "
        r"\|\nabla_{\hat x_i} T\| \le \frac{1}{2\sqrt{B\,v_i e^{-2h_i}}},"
        r"\quad e_i = x_i - \hat x_i \in \mathbb R^B"
    ),
    hypotheses=(MOMENTS, TERM),
    kind="inequality",
    instances=fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)),
    check=bounded_hessian,
    controls=wrong(
        bounded_hessian,
        {
            "half of the bound": {"share": 0.5},
            "v for v exp(-2 h)": {"power": 0.0},
            "exp(-h) for exp(-2 h)": {"power": 1.0},
            "a concave term": {"concave": True},
        },
    ),
    uses=("10b",),
    figure="baggins",
)

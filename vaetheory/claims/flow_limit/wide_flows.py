"""Check of 8f-wide: what a diagonal posterior loses with up to 32 latents.

The flows bend each coordinate of a linear map, f(z) = R c(W z + b) with R orthogonal and
c(a) = a + a^3 / 3. Each term of the ELBO then depends on one normal number a_i, and is a polynomial
of degree 6 of it, whose mean a rule of four nodes gives without error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import flows
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.claims.flow_limit.diagonal_posteriors import (
    DIAGONAL_POSTERIOR,
    column_variances,
    contrast,
    marginal_variances,
    no_loss,
    twice,
)
from vaetheory.claims.flow_limit.scenes import Linear, condition_at
from vaetheory.flows import Embedding, Flow
from vaetheory.rounding import EPS, gamma


@dataclass(frozen=True)
class WideFlow:
    """z -> R c(W z + b), by W, b, the angles of R, and a latent."""

    inner: Linear
    angles: tuple[int, ...]
    z: Vector

    @property
    def latent(self) -> Array:
        """The latent, `(d,)`."""
        return np.array(self.z)

    @cached_property
    def weight(self) -> Array:
        """W, `(d, d)`."""
        return self.inner.build().jacobian(self.latent)

    @cached_property
    def flow(self) -> Flow:
        """The flow."""
        turn = flows.Rotation(np.radians(self.angles))
        return flows.Composition(self.inner.build(), flows.Cubic(len(self.z)), turn)


@st.composite
def wide_flows(draw: DrawFn) -> WideFlow:
    """Five to 32 latents; columns of the Jacobian are not orthogonal."""
    dim = draw(strategies.wide_dims())
    some = strategies.fractions(-2, 2, 4)
    turns = strategies.repeated(strategies.ANGLES, dim - 1)
    scene = WideFlow(
        Linear(
            draw(strategies.repeated(st.sampled_from((1.0, 1.5, 0.75)), dim)),
            draw(strategies.repeated(some, dim)),
            draw(turns),
            draw(turns),
        ),
        draw(turns),
        draw(strategies.repeated(some, dim)),
    )
    assume(float(flows.ima_contrast(scene.flow, scene.latent)) > 1e-2)
    return scene


class Best(NamedTuple):
    """What the best posteriors lose at each scale `(L,)`, and their covariances over sigma^2.

    `change` is the last change of the covariances in the iteration, relative to them.
    """

    lost: Array
    cov: Array
    change: Array


@once
def best_posteriors(scene: WideFlow, sigma: Array, *, diagonal: bool) -> Best:
    """The limit minus the ELBO of the stationary posteriors, by iteration, for all scales at once.

    With z = z_0 + sigma v and a = a_0 + sigma u the residual over sigma is the polynomial
    u (1 + a_0^2 + a_0 sigma u + sigma^2 u^2 / 3), and nothing cancels at small sigma.
    """
    W, z = scene.weight, scene.latent
    d, s = len(z), sigma[:, None]
    at = np.asarray(scene.inner.build().forward(z))
    nodes, weights = hermite_rule(4, 1)
    x = nodes[:, 0]

    def moments(mean: Array, cov: Array) -> tuple[Array, Array, Array]:
        """Means of r^2 / 2, and of its two derivatives, for each output, `(L, d)`."""
        spread = np.sqrt(((W @ cov) * W).sum(axis=-1))
        u = (mean @ W.T)[..., None] + spread[..., None] * x
        a, step = at[:, None], s[..., None]
        r = u * (1 + a**2 + a * step * u + step**2 * u**2 / 3)
        slope = 1 + (a + step * u) ** 2
        bend = 2 * step * (a + step * u)
        terms = r**2 / 2, r * slope, slope**2 + r * bend
        first, second, third = (term @ weights for term in terms)
        return first, second, third

    mean = np.zeros((len(sigma), d))
    J = scene.flow.jacobian(z)
    cov = np.broadcast_to(_inverse(J.T @ J, diagonal), (len(sigma), d, d))
    change = np.full(len(sigma), np.inf)
    for _ in range(40):
        _, slopes, bends = moments(mean, cov)
        precision = (W.T * bends[:, None]) @ W
        precision = precision + s[..., None] ** 2 * np.eye(d)
        slope = slopes @ W + s * z + s**2 * mean
        mean = mean - np.linalg.solve(precision, slope[..., None])[..., 0]
        new = _inverse(precision, diagonal)
        change = np.abs(new - cov).max(axis=(-2, -1)) / np.abs(new).max(axis=(-2, -1))
        cov = new
        if change.max() < 4 * EPS:
            break
    heights, _, _ = moments(mean, cov)
    spread = np.einsum("lkk->l", cov)
    prior = 0.5 * ((z + s * mean) ** 2).sum(axis=-1) + 0.5 * sigma**2 * spread - 0.5 * z @ z
    log_det = np.linalg.slogdet(cov)[1]
    lost = heights.sum(axis=-1) + prior - 0.5 * log_det - 0.5 * d
    return Best(lost - float(scene.flow.log_det(z)), cov, change)


def _inverse(precision: Array, diagonal: bool) -> Array:
    """Covariances `(..., d, d)` of precisions, or those of the best diagonal posteriors."""
    if not diagonal:
        return np.linalg.inv(precision)
    entries = np.einsum("...kk->...k", precision)
    return np.asarray(np.eye(precision.shape[-1]) / entries[..., None])


def wide_diagonal_loss(
    scene: WideFlow,
    *,
    loss: Callable[[Embedding, Array], float] = contrast,
    variances: Callable[[Embedding, Array], Array] = column_variances,
    diagonal: bool = True,
    power: float = 2.0,
) -> Comparison:
    """Check the limits c_IMA of log p_flow minus ELBO and 1 / |d_k f|^2 of s_k^2 / sigma^2."""
    flow, z = scene.flow, scene.latent
    dim, condition = len(z), condition_at(flow, z)
    sigma = 1 / 64 / np.sqrt(dim) / 2.0 ** np.arange(4)
    best = best_posteriors(scene, sigma, diagonal=diagonal)
    rounding = gamma(200 * dim) * condition**2
    # Where the iteration has stopped the value is flat: its error is of second order.
    size = dim + np.abs(best.lost)
    measured, left, noise = extrapolate(best.lost, rounding * size + dim * best.change)
    parts = [
        Comparison.identity(
            measured,
            loss(flow, z),
            scale=contrast(flow, z),
            expansion=left,
            numerics=noise,
            rounding=rounding * dim,
        ),
        Comparison.identity(
            contrast(flow, z),
            float(flows.ima_contrast(flow, z)),
            scale=contrast(flow, z),
            rounding=rounding * dim,
        ),
    ]
    for k, wanted in enumerate(variances(flow, z)):
        s = best.cov[:, k, k] * sigma ** (2 - power)
        measured, left, noise = extrapolate(s, (rounding + best.change) * s)
        parts.append(
            Comparison.identity(
                measured,
                wanted,
                scale=float(s.max()),
                expansion=left,
                numerics=noise,
                rounding=rounding * wanted,
            )
        )
    return Comparison.all_of(*parts)


WIDE_DIAGONAL_POSTERIOR = Proposition(
    label="8f-wide",
    title="In many dimensions as well a diagonal posterior loses c_IMA in the limit",
    statement=DIAGONAL_POSTERIOR.statement,
    hypotheses=(
        *DIAGONAL_POSTERIOR.hypotheses,
        ("many latents", r"f(z) = R\,c(Wz + b),\ c(a) = a + a^3/3,\ 5 \le d \le 32"),
    ),
    kind="rate",
    instances=wide_flows(),
    check=wide_diagonal_loss,
    controls=wrong(
        wide_diagonal_loss,
        {
            "the diagonal posterior taken for the full one": {"loss": no_loss},
            "the full posterior": {"diagonal": False},
            "c without its half": {"loss": twice},
            "the variances of the full posterior": {"variances": marginal_variances},
            "sigma for sigma^2": {"power": 1.0},
        },
    ),
    uses=("8f",),
    resolution=5e-2,
    examples=4,
)

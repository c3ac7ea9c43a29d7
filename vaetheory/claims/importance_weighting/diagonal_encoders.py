"""Check of 14d: when the best diagonal encoder has weights without variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.weight_moments import (
    gaussian_weight_moment,
    importance_weighted_expansion,
)
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.importance_weighting.scenes import WEIGHTS
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Truncated moments are over boxes of these half-widths, in standard deviations of q.
_BOXES = (150.0, 300.0)


@dataclass(frozen=True)
class Precision:
    """The posterior's precision P with P_ij / sqrt(P_ii P_jj) = percent / 100 for all i, j."""

    dim: int
    percent: int
    scales: tuple[int, ...]
    power: int

    @property
    def correlation(self) -> Array:
        """R, the precision in units of its diagonal."""
        r = self.percent / 100
        return np.asarray((1 - r) * np.eye(self.dim) + r * np.ones((self.dim, self.dim)))

    @cached_property
    def matrix(self) -> Array:
        """P, above the identity: the precision of a linear model's posterior."""
        root = np.array(self.scales[: self.dim], dtype=float)
        P = root[:, None] * self.correlation * root
        return np.asarray(P * 2 / np.linalg.eigvalsh(P)[0])

    @property
    def threshold(self) -> float:
        """The least R_ij for which there is a moment if negative, or else the greatest."""
        # Of n R - (n - 1) I the eigenvalues are 1 - n r and 1 + n (d - 1) r.
        return 1 / self.power if self.percent > 0 else 1 / (self.power * (self.dim - 1))

    @property
    def both(self) -> tuple[Posterior, Posterior]:
        """The posterior, and the diagonal Gaussian of the greatest ELBO."""
        zero = np.zeros(self.dim)
        exact = Posterior(zero, cov=np.linalg.inv(self.matrix))
        return exact, Posterior(zero, scale=np.diag(self.matrix) ** -0.5)

    @cached_property
    def model(self) -> LatentModel:
        """A linear model whose posterior at x = 0 has this precision."""
        weight = np.linalg.cholesky(self.matrix - np.eye(self.dim)).T
        return LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=1.0), self.dim)


@st.composite
def precisions(draw: DrawFn) -> Precision:
    """Two to eight latents; correlations on both sides of the threshold, and on it."""
    dim = draw(st.sampled_from((2, 3, 5, 8)))
    positive = draw(st.booleans())
    percent = (45, 50, 20, 70, 49, 51, 25) if positive else (-10, -2, -5, -7)
    return Precision(
        dim, draw(st.sampled_from(percent)),
        draw(st.tuples(*[st.sampled_from((1, 2, 3))] * 8)), draw(st.sampled_from((2, 2, 3))),
    )  # fmt: skip


@once
def truncated(scenes: tuple[Precision, ...]) -> Array:
    """Logs of E_q[wbar^n; box] over boxes of two sizes in the axes of R, `(I, 2)`.

    By trapezoid sums along each axis of the exponent, which is written with a hyperbolic sine: they
    are as dense as needed in the middle, and nothing is assumed of the exponent's sign.
    """
    found = np.empty((len(scenes), len(_BOXES)))
    for i, scene in enumerate(scenes):
        R, n = scene.correlation, scene.power
        values = np.linalg.eigvalsh(R)
        front = 0.5 * n * np.log(values).sum() - 0.5 * len(R) * np.log(2 * np.pi)
        for j, reach in enumerate(_BOXES):
            t = np.linspace(-np.arcsinh(reach), np.arcsinh(reach), 801)
            y, weights = np.sinh(t), np.cosh(t) * (t[1] - t[0])
            weights[[0, -1]] /= 2
            exponent = -0.5 * (n * values - (n - 1))[:, None] * y**2
            top = exponent.max(axis=-1)
            sums = np.exp(exponent - top[:, None]) @ weights
            found[i, j] = front + (np.log(sums) + top).sum()
    return found


@once
def on_the_plane(scenes: tuple[Precision, ...]) -> tuple[Array, Array]:
    """E_q wbar^n of pairs of latents by a lattice in the plain axes: values, differences; or 1."""
    value, spread = np.ones(len(scenes)), np.zeros(len(scenes))
    for i, scene in enumerate(scenes):
        R, n = scene.correlation, scene.power
        if scene.dim > 2 or np.linalg.eigvalsh(n * R - (n - 1) * np.eye(2))[0] < 0.08:
            continue
        sums = []
        for offset in (0.0, 0.5):
            y = 0.25 * (np.arange(-120, 121) + offset)
            a, b = y[:, None], y
            log_p = -0.5 * (a**2 + b**2 + 2 * R[0, 1] * a * b) + 0.5 * np.linalg.slogdet(R)[1]
            log_q = -0.5 * (a**2 + b**2)
            sums.append(np.exp(n * log_p - (n - 1) * log_q).sum() * 0.25**2 / (2 * np.pi))
        value[i], spread[i] = (sums[0] + sums[1]) / 2, abs(sums[0] - sums[1])
    return value, spread


@together
def diagonal_encoders(
    scenes: Sequence[Precision],
    *,
    definite: bool = False,
    swapped: bool = False,
    sign: float = 1.0,
    front: float = 0.5,
) -> list[Comparison]:
    """Compare closed forms, sums over boxes and the plane; and where there is a moment."""
    key = tuple(scenes)
    found, closed, exists, at_two = np.empty((4, len(scenes)))
    error = np.zeros(len(scenes))
    for i, scene in enumerate(scenes):
        P, n = scene.matrix, scene.power
        diagonal = np.diag(np.diag(P))
        inner = n * diagonal - (n - 1) * P if swapped else n * P - (n - 1) * diagonal
        found[i] = gaussian_weight_moment(*scene.both, n)
        spectrum = np.linalg.eigvalsh(inner / np.sqrt(np.outer(np.diag(P), np.diag(P))))
        # On the threshold an eigenvalue is zero but for rounding.
        sure = spectrum[0] > 1e-12
        half = n * front * np.linalg.slogdet(P)[1] - 0.5 * (n - 1) * np.log(np.diag(P)).sum()
        det = np.linalg.slogdet(inner)[1] if sure else -np.inf
        closed[i] = half - 0.5 * det
        limit = scene.threshold
        exists[i] = definite or (sign * scene.percent / 100 < limit if scene.percent > 0 else
                                 sign * scene.percent / 100 > -limit)  # fmt: skip
        own = importance_weighted_expansion(scene.model, np.zeros((1, scene.dim)), Posterior(
            np.zeros((1, scene.dim)), scale=np.diag(P) ** -0.5))  # fmt: skip
        at_two[i] = np.log1p(own.variance[0]) if n == 2 else found[i]
        error[i] = gamma(400) * np.linalg.cond(P) / max(spectrum[0], 1e-3)
    known = np.isfinite(found)
    safe = np.where(known, found, 0.0)
    boxes = truncated(key)
    plane, spread = on_the_plane(key)
    inside = np.array([s.dim == 2 for s in scenes]) & (plane != 1) & known
    grows = boxes[:, 1] - boxes[:, 0]
    size = 1 + np.abs(safe)
    each = [
        # Finite exactly below the threshold, by the library and by the boxes, over which a moment
        # that does not exist at least doubles.
        Comparison.identities(known.astype(float), exists, scale=1.0, exact=0.0),
        Comparison.each_at_most(
            np.where(known, 0.0, 0.95 * np.log(2)), grows, scale=1.0, rounding=gamma(4000)
        ),
        Comparison.identities(
            np.where(known, closed, 0.0), safe, scale=size, rounding=error * size
        ),
        Comparison.identities(
            np.where(known, at_two, 0.0), safe, scale=size, rounding=error * size
        ),
        Comparison.identities(
            np.where(known, boxes[:, 1], 0.0), safe, scale=size, lattices=np.where(known, grows, 0),
            rounding=error * size + gamma(4000) * size,
        ),
        Comparison.identities(
            np.where(inside, plane, 1.0), np.where(inside, np.exp(safe), 1.0), scale=size,
            lattices=spread, rounding=(error + gamma(4000)) * size * plane,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


DIAGONAL_ENCODERS = Proposition(
    label="14d",
    title="The best diagonal encoder has weights without variance once latents are correlated",
    statement=(
        r"Q = \operatorname{diag}P,\ R = Q^{-1/2}PQ^{-1/2}:\quad \mathbb E_q\bar w^n = "
        r"\frac{\det R^{n/2}}{\sqrt{\det(nR - (n-1)I)}}\text{ if }\lambda_{\min}(R) > 1 - \tfrac1n,"
        r"\ \infty\text{ else};\quad R_{ij} = r > 0:\ \operatorname{Var}_q\bar w < \infty \iff "
        r"r < \tfrac12,\quad r < 0:\ \iff r > -\frac1{2(d-1)}"
    ),
    hypotheses=(
        WEIGHTS,
        ("Gaussian posterior", r"p(z|x) = \mathcal N(\mu, P^{-1}),\ d \ge 2"),
        ("best diagonal q", r"q = \mathcal N(\mu, (\operatorname{diag}P)^{-1}) \text{ (3d)}"),
    ),
    kind="identity",
    instances=precisions(),
    check=diagonal_encoders,
    controls=wrong(
        diagonal_encoders,
        {
            "a definite P suffices": {"definite": True},
            "2 diag P - P": {"swapped": True},
            "r is the partial correlation": {"sign": -1.0},
            "without the root of det P": {"front": 1.0},
        },
    ),
    uses=("3d", "14b"),
    figure="importance-weighting",
    examples=10,
)

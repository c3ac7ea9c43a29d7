"""Instances of claim 15: linear models with a Gaussian q, so that every divergence is closed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class WeightScene:
    """A linear model, a datum, and q by its shift and covariance in the posterior's coordinates.

    The posterior is N(mu, L L^T), and q = N(mu + L shift, L C L^T) with C = `relative`.
    """

    singular_values: Vector
    angles: tuple[int, ...]
    noise: float
    x: Vector
    shift: Vector
    relative: Covariance

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.shift)

    @property
    def weight(self) -> Array:
        """W, with orthogonal columns up to a rotation of the latents, `(D, d)`."""
        turn = strategies.rotation(self.angles, self.dim)
        top = np.diag(self.singular_values) @ turn.T
        return np.concatenate([top, np.zeros((len(self.x) - self.dim, self.dim))])

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(decoders.Affine(self.weight), likelihoods.Gaussian(scale=self.noise))

    @cached_property
    def exact(self) -> tuple[Array, Array]:
        """Mean and covariance of the posterior."""
        scaled = self.weight / self.noise
        cov = np.linalg.inv(np.eye(self.dim) + scaled.T @ scaled)
        return cov @ scaled.T @ (np.array(self.x) / self.noise), (cov + cov.T) / 2

    @cached_property
    def q(self) -> Posterior:
        """The Gaussian of the importance weights."""
        mean, cov = self.exact
        root = np.linalg.cholesky(cov)
        own = root @ self.relative.matrix @ root.T
        return Posterior(mean + root @ np.array(self.shift), cov=(own + own.T) / 2)

    def finite(self, power: float) -> bool:
        """Whether E_q[w^s] is finite: s I + (1 - s) C^-1 is positive definite."""
        return all(power * v + 1 - power > 0 for v in self.relative.variances)

    @property
    def condition(self) -> float:
        """How much matrices of the instance multiply rounding errors."""
        spread = np.array(self.relative.variances)
        lam = 1 + (np.array(self.singular_values) / self.noise) ** 2
        return float(lam.max() / lam.min() * spread.max() / spread.min())


@st.composite
def weight_scenes(draw: DrawFn, dims: tuple[int, ...] = (1, 2, 2, 3, 4, 8)) -> WeightScene:
    """Linear models of up to eight latents; the variances of q keep away from every threshold."""
    dim = draw(st.sampled_from(dims))
    return WeightScene(
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0, 0.25))] * dim)),
        draw(strategies.angles(dim)),
        draw(st.sampled_from((1.0, 0.5))),
        draw(strategies.vectors(dim + 1)),
        draw(strategies.vectors(dim, -2, 2, 4)),
        draw(strategies.covariances(dim, (1.0, 0.75, 1.25, 0.625, 1.75, 0.375, 2.5))),
    )


class Moments(NamedTuple):
    """Posteriors `(I, d)`, `(I, d, d)` and Gaussians q of several instances of one dimension."""

    mean: Array
    cov: Array
    loc: Array
    own: Array

    def renyi(self, order: float, *, reverse: bool = False) -> tuple[Array, Array]:
        """D_a(p(z|x) || q) from the covariances, NaN where infinite, and the size of its terms."""
        first, second = (self.own, self.cov) if reverse else (self.cov, self.own)
        mixed = order * second + (1 - order) * first
        away = self.mean - self.loc
        with np.errstate(all="ignore"):
            square = np.einsum("ni,ni->n", away, np.linalg.solve(mixed, away[..., None])[..., 0])
            dets = [np.linalg.slogdet(m) for m in (mixed, first, second)]
            logs = [d[1] for d in dets]
            bend = logs[0] - (1 - order) * logs[1] - order * logs[2]
            value = 0.5 * order * square - 0.5 * bend / (order - 1)
        definite = np.linalg.eigvalsh(mixed)[:, 0] > 0
        size = 1 + np.abs(order * square) + sum(np.abs(log) for log in logs) / abs(order - 1)
        return np.where(definite, value, np.nan), size


def moments_of(scenes: tuple[WeightScene, ...]) -> Moments:
    """The Gaussians of several instances."""
    exact = [s.exact for s in scenes]
    return Moments(
        np.array([e[0] for e in exact]),
        np.array([e[1] for e in exact]),
        np.array([s.q.loc for s in scenes]),
        np.array([s.q.cov for s in scenes]),
    )

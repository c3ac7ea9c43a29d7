"""The joint problem of claim 9: decoder and encoder of a linear model with one latent.

The data are centred, with D outputs. The decoder w, the posterior means m_n and the log deviations
rho_n are the parameters. Their optimum at every sigma is known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.derivatives import weighted_hessian


@dataclass(frozen=True)
class JointScene:
    """Data `(N, D)` before centring, and the coarsest sigma as a share of their deviation."""

    X: tuple[Vector, ...]
    coarsest: float

    @cached_property
    def data(self) -> Array:
        """The centred data `(N, D)`."""
        X = np.array(self.X)
        return np.asarray(X - X.mean(axis=0))

    @cached_property
    def principal(self) -> tuple[Array, Array]:
        """Eigenvalues of the data's covariance, falling, `(D,)`, and its eigenvectors."""
        values, vectors = np.linalg.eigh(self.data.T @ self.data / len(self.data))
        return values[::-1], vectors[:, ::-1]

    @cached_property
    def scales(self) -> Array:
        """Sigma, halving, `(L,)`."""
        return self.coarsest * np.sqrt(self.principal[0][0]) / 2.0 ** np.arange(4)

    @cached_property
    def optimum(self) -> Array:
        """(w, m, rho) at each sigma, `(L, D + 2 N)`: probabilistic principal components."""
        values, vectors = self.principal
        top, square = values[0], self.scales[:, None] ** 2
        w = np.sqrt(top - square) * vectors[:, 0]
        # w^2 + sigma^2 is the greatest variance.
        m = w @ self.data.T / top
        rho = 0.5 * np.log(square / top) * np.ones_like(m)
        return np.concatenate([w, m, rho], axis=-1)

    def split(self, parameters: Any) -> tuple[Any, Any, Any]:
        """The parts w `(..., D)`, m and rho `(..., N)`."""
        count, dim = self.data.shape
        return (
            parameters[..., :dim],
            parameters[..., dim : dim + count],
            parameters[..., dim + count :],
        )

    def objective(self, parameters: Any) -> Any:
        """Negative ELBO, mean over the data in nats, `(L, P) -> (L, 1)`."""
        w, m, rho = self.split(parameters)
        away = self.data - m[..., None] * w[..., None, :]
        square = anp.sum(away**2, axis=-1)
        square = square + anp.sum(w**2, axis=-1)[..., None] * anp.exp(2 * rho)
        variance = self.scales[:, None] ** 2
        kl = 0.5 * (m**2 + anp.exp(2 * rho) - 1) - rho
        peak = 0.5 * self.data.shape[1] * (LOG_2PI + np.log(variance))
        return anp.mean(square / (2 * variance) + kl, axis=-1)[..., None] + peak

    @cached_property
    def hessian(self) -> Array:
        """Hessian of the objective at the optimum, by autograd, `(L, P, P)`."""
        ones = np.ones((len(self.scales), 1))
        return np.asarray(weighted_hessian(self.objective, self.optimum, ones))

    def blocks(self) -> Array:
        """The same Hessian block by block, in closed form."""
        count, dim = self.data.shape
        w, m, rho = self.split(self.optimum)
        square, s2 = self.scales**2, np.exp(2 * rho)
        hessian = np.zeros((len(w), dim + 2 * count, dim + 2 * count))
        of_m, of_rho = np.arange(dim, dim + count), np.arange(dim + count, dim + 2 * count)
        hessian[:, :dim, :dim] = ((m**2 + s2).mean(axis=-1) / square)[:, None, None] * np.eye(dim)
        length = (w**2).sum(axis=-1) / square
        hessian[:, of_m, of_m] = (1 + length[:, None]) / count
        hessian[:, of_rho, of_rho] = 2 * s2 * (1 + length[:, None]) / count
        cross = (2 * w[:, None] * m[..., None] - self.data) / (count * square[:, None, None])
        hessian[:, of_m, :dim], hessian[:, :dim, of_m] = cross, np.swapaxes(cross, 1, 2)
        cross = 2 * w[:, None] * s2[..., None] / (count * square[:, None, None])
        hessian[:, of_rho, :dim], hessian[:, :dim, of_rho] = cross, np.swapaxes(cross, 1, 2)
        return hessian

    def sampled_gradients(self) -> tuple[tuple[Array, Array, Array], Array]:
        """Gradients in w `(L, N, K, D)`, m_n and rho_n `(L, N, K, 1)` of one datum and one noise.

        By autograd of -log p(x|m + s eps) + KL at the nodes of a rule in eps, whose weights `(K,)`
        are returned too. The rule is exact, since the squares are polynomials of degree four.
        """
        nodes, weights = hermite_rule(5, 1)
        noise = nodes[:, 0]
        w, m, rho = self.split(self.optimum)
        dim = self.data.shape[1]
        shape = (*m.shape, len(noise))
        lanes = self.scales[:, None, None]

        def sampled(own: Any) -> Any:
            z = own[..., dim] + anp.exp(own[..., dim + 1]) * noise
            square = anp.sum((self.data[:, None] - z[..., None] * own[..., :dim]) ** 2, axis=-1)
            kl = 0.5 * (own[..., dim] ** 2 + anp.exp(2 * own[..., dim + 1])) - own[..., dim + 1]
            return square / (2 * lanes**2) + kl

        parts = [np.broadcast_to(w[:, None, None], (*shape, dim))]
        parts += [np.broadcast_to(p[..., None, None], (*shape, 1)) for p in (m, rho)]
        slope = elementwise_grad(sampled)(np.concatenate(parts, axis=-1))
        return (slope[..., :dim], slope[..., dim : dim + 1], slope[..., dim + 1 :]), weights


@st.composite
def joint_scenes(draw: DrawFn, *, on_a_line: bool | None = None) -> JointScene:
    """Two to four data in one to three dimensions with one leading direction, or on a line."""
    line = draw(st.booleans()) if on_a_line is None else on_a_line
    dim = draw(st.sampled_from((1, 2, 3) if line else (2, 3)))
    count = draw(st.sampled_from((2, 3, 4) if line else (3, 4)))
    if line:
        direction = draw(strategies.vectors(dim, -2, 2, 1))
        steps = draw(st.tuples(*[strategies.fractions(-6, 6, 2)] * count))
        X = tuple(tuple(a * u for u in direction) for a in steps)
    else:
        X = draw(st.tuples(*[strategies.vectors(dim)] * count))
    scene = JointScene(X, draw(st.sampled_from((1 / 16, 1 / 64, 1 / 1024))))
    values = scene.principal[0]
    assume(values[0] > 0.1)
    if len(values) > 1:
        assume(values[1] < 0.7 * values[0])
        assume(line or values[1] > 0.05 * values[0])
    return scene

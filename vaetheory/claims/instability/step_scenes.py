"""Decoders that descent fits to the data which they generate, and their largest stable step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.derivatives import weighted_hessian
from vaetheory.stability import StableStep, largest_stable_step


@dataclass(frozen=True)
class StepScene:
    """A decoder whose parameters are fitted to the data that it generates, with a fixed encoder.

    The decoder is linear or quadratic in one latent, linear in two ("linear" with codes of two
    entries), or v tanh(w z + c) + b with parameters (w, c, v, b).
    """

    kind: str
    codes: tuple[Vector, ...]
    parameters: Vector
    data_dim: int
    finest: float

    @cached_property
    def decoder(self) -> Decoder:
        """The decoder that generates the data."""
        return self.with_parameters(np.array(self.parameters))

    @property
    def latent_dim(self) -> int:
        """Latent dimension d."""
        return len(self.codes[0])

    def with_parameters(self, theta: Array) -> Decoder:
        """The library's decoder with parameters `(P,)`."""
        if self.kind == "network":
            w, c, v, b = np.split(theta, [1, 2, 2 + self.data_dim])
            return decoders.TanhNetwork([w[:, None], v[:, None]], [c, b])
        return decoders.Polynomial(self._powers, theta.reshape(self.data_dim, -1).T)

    @cached_property
    def _powers(self) -> Array:
        if self.kind == "quadratic":
            return np.arange(3.0)[:, None]
        return np.concatenate([np.zeros((1, self.latent_dim)), np.eye(self.latent_dim)])

    @cached_property
    def scales(self) -> Array:
        """Sigma, halving from a size at which the posterior is narrow, `(L,)`."""
        slopes = self.decoder.jacobian(np.array(self.codes))
        least = float(np.linalg.svd(slopes, compute_uv=False).min())
        ladder = 1 / 2.0 ** np.arange(3 if self.kind == "network" else 4)
        return self.finest * min(least, 1.0) / 16 * ladder

    @cached_property
    def covs(self) -> Array:
        """Posterior covariances (I + J^T J / sigma^2)^-1 of the codes, `(L, N, d, d)`."""
        slopes = self.decoder.jacobian(np.array(self.codes))
        metric = np.swapaxes(slopes, -1, -2) @ slopes
        unit, square = np.eye(self.latent_dim), self.scales[:, None, None, None] ** 2
        return square * np.linalg.inv(metric + square * unit)

    @cached_property
    def _nodes(self) -> tuple[Array, Array]:
        """Nodes of the posteriors `(L, N, K, d)` and their weights `(K,)`."""
        nodes, weights = hermite_rule(_ORDERS[self.kind], self.latent_dim)
        roots = np.linalg.cholesky(self.covs)
        return np.array(self.codes)[:, None] + nodes @ np.swapaxes(roots, -1, -2), weights

    @cached_property
    def data(self) -> Array:
        """The data `(N, D)`: the images of the codes."""
        return np.asarray(self.decoder(np.array(self.codes)))

    def decode(self, theta: Any) -> Any:
        """All nodes decoded by parameters `(L, G, P)`, to `(L, G, N, K, D)`."""
        z = self._nodes[0]
        if self.kind == "network":
            w, c = theta[..., 0], theta[..., 1]
            hidden = anp.tanh(w[..., None, None] * z[:, None, ..., 0] + c[..., None, None])
            v, b = theta[..., 2 : 2 + self.data_dim], theta[..., 2 + self.data_dim :]
            return hidden[..., None] * v[..., None, None, :] + b[..., None, None, :]
        rows = anp.reshape(theta, (*np.shape(theta)[:2], self.data_dim, -1))
        return anp.einsum("lgdf,lnkf->lgnkd", rows, self._features)

    @cached_property
    def _features(self) -> Array:
        """The powers of the nodes that the decoder is linear in, `(L, N, K, F)`."""
        return np.prod(self._nodes[0][..., None, :] ** self._powers, axis=-1)

    def objective(self, theta: Any) -> Any:
        """Negative ELBO, mean over the data in nats, of parameters `(L, G, P)`, to `(L, G)`."""
        square = anp.sum((self.data[:, None] - self.decode(theta)) ** 2, axis=-1)
        mean = anp.mean(anp.dot(square, self._nodes[1]), axis=-1)
        return mean / (2 * self.scales**2)[:, None] + self._constant[:, None]

    @cached_property
    def _constant(self) -> Array:
        """The part of the negative ELBO that does not depend on the parameters, `(L,)`."""
        codes, d = np.array(self.codes), self.latent_dim
        trace = np.trace(self.covs, axis1=-2, axis2=-1)
        log_det = np.linalg.slogdet(self.covs)[1]
        kl = 0.5 * (trace + (codes**2).sum(axis=-1) - d - log_det).mean(axis=-1)
        variance = self.scales**2
        peak = 0.5 * self.data_dim * (LOG_2PI + np.log(variance))
        return peak + kl

    def gradient(self, theta: Array) -> Array:
        """Gradients of the objective, `(L, G, P) -> (L, G, P)`, by the chain rule."""
        z, weights = self._nodes
        slopes = (self.decode(theta) - self.data[:, None]) * weights[:, None]
        slopes /= (len(self.codes) * self.scales**2)[:, None, None, None, None]
        # The nodes of all codes in one axis, `(L, G, N K, D)`.
        slopes = slopes.reshape(*theta.shape[:2], -1, self.data_dim)
        if self.kind != "network":
            features = self._features.reshape(len(z), 1, slopes.shape[2], -1)
            return (np.swapaxes(slopes, -1, -2) @ features).reshape(theta.shape)
        w, c, v = theta[..., :1], theta[..., 1:2], theta[..., 2 : 2 + self.data_dim]
        latents = z.reshape(len(z), 1, -1)
        hidden = np.tanh(w * latents + c)
        inner = (slopes @ v[..., None])[..., 0] * (1 - hidden**2)
        parts = (inner * latents).sum(-1), inner.sum(-1), (hidden[..., None] * slopes).sum(-2)
        return np.concatenate(
            [parts[0][..., None], parts[1][..., None], parts[2], slopes.sum(-2)], -1
        )

    def hessian(self, theta: Array) -> Array:
        """Hessians at parameters `(L, P)`, `(L, P, P)`, by autograd."""

        def column(at: Any) -> Any:
            return self.objective(at[:, None])

        return np.asarray(weighted_hessian(column, theta, np.ones((len(theta), 1))))

    @cached_property
    def optimum(self) -> Array:
        """The best parameters for each sigma, `(L, P)`, by Newton's method."""
        theta = np.array(self.parameters) * np.ones((len(self.scales), 1))
        for _ in range(2):
            inverse = np.linalg.inv(self.hessian(theta))
            theta = theta - self._newton_step(theta, inverse)
        # With the last Hessian the remaining steps still converge fast.
        for _ in range(6):
            theta = theta - self._newton_step(theta, inverse)
        return theta

    def _newton_step(self, theta: Array, inverse: Array) -> Array:
        return np.einsum("lij,lj->li", inverse, self.gradient(theta[:, None])[:, 0])

    @cached_property
    def curvature(self) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors of the Hessian at the optimum, by autograd."""
        return np.linalg.eigh(self.hessian(self.optimum))

    @cached_property
    def measured(self) -> StableStep:
        """The largest stable step for each sigma, by running descent."""
        return self.preconditioned(None)

    @cached_property
    def measured_in_its_metric(self) -> StableStep:
        """The same, preconditioned by the inverse Hessian, as in natural gradient descent."""
        return self.preconditioned(np.linalg.inv(self.hessian(self.optimum)))

    def preconditioned(self, precondition: Array | None) -> StableStep:
        """The same with gradients multiplied by matrices `(L, P, P)`."""

        def gradient(theta: Array) -> Array:
            slope = self.gradient(theta)
            return slope if precondition is None else slope @ precondition

        # A threshold of 2 lies on the grid of powers of two: the unit moves it off the grid.
        units = 1.5 if precondition is not None else self.scales**2
        return largest_stable_step(
            gradient, self.optimum, unit=units, reach=REACH if self.kind == "network" else 1.0
        )

    def limit_moment(self) -> Array:
        """E_n[J^T J] in the parameters at the codes, the limit of sigma^2 times the Hessian."""
        codes = np.array(self.codes)
        if self.kind == "network":
            w, c, v, _ = np.split(np.array(self.parameters), [1, 2, 2 + self.data_dim])
            hidden = np.tanh(codes[:, 0] * w + c)
            bend, unit = 1 - hidden**2, np.eye(self.data_dim)
            rows = [
                np.stack([b * z * v, b * v, *(h * unit), *unit], axis=-1)
                for z, b, h in zip(codes[:, 0], bend, hidden, strict=True)
            ]
            return np.mean([row.T @ row for row in rows], axis=0)
        features = np.prod(codes[:, None] ** self._powers, axis=-1)
        return np.kron(np.eye(self.data_dim), features.T @ features / len(codes))


# Distance from a network's optimum at which the runs start.
REACH = 1e-4
_ORDERS = {"linear": 3, "quadratic": 3, "network": 7}


_SCALES = (1.0, 1 / 32, 1 / 256)


@st.composite
def step_scenes(draw: DrawFn) -> StepScene:
    """Linear and quadratic curves and planes through two to four codes."""
    kind, d = draw(st.sampled_from((("linear", 1), ("quadratic", 1), ("linear", 2))))
    features = 1 + d if kind == "linear" else 3
    data_dim = draw(st.sampled_from((1, 2) if d == 1 else (2, 3)))
    rows = st.lists(strategies.vectors(d), min_size=features, max_size=4, unique=True)
    parameters = draw(strategies.vectors(data_dim * features))
    scene = StepScene(kind, tuple(draw(rows)), parameters, data_dim, draw(st.sampled_from(_SCALES)))
    slopes = scene.decoder.jacobian(np.array(scene.codes))
    assume(np.linalg.svd(slopes, compute_uv=False).min() > 0.25)
    moment = np.linalg.eigvalsh(scene.limit_moment())
    assume(moment[0] > 1e-3 * moment[-1])
    return scene


@st.composite
def network_scenes(draw: DrawFn) -> StepScene:
    """Networks of one hidden unit and two outputs, through four codes."""
    codes = draw(st.lists(strategies.vectors(1, -4, 4), min_size=4, max_size=4, unique=True))
    w = draw(st.sampled_from((0.5, 1.0, -0.75)))
    rest = draw(strategies.vectors(5, -2, 2))
    # For small sigma the optimum is near the parameters that generate the data.
    finest = draw(st.sampled_from((1 / 8, 1 / 64, 1 / 256)))
    scene = StepScene("network", tuple(codes), (w, *rest), 2, finest)
    assume(np.abs(rest[1:3]).max() > 0)
    slopes = scene.decoder.jacobian(np.array(scene.codes))
    assume(np.linalg.svd(slopes, compute_uv=False).min() > 0.1)
    moment = np.linalg.eigvalsh(scene.limit_moment())
    assume(moment[0] > 1e-3 * moment[-1])
    return scene

"""Checks of 9a: where gradient descent on the ELBO in a decoder's parameters begins to diverge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.derivatives import weighted_hessian
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma
from vaetheory.stability import StableStep, largest_stable_step

# How far from a network's optimum the runs start.
_REACH = 1e-4
_ORDERS = {"linear": 3, "quadratic": 3, "network": 7}


@dataclass(frozen=True)
class StepScene:
    """A decoder whose parameters are fitted to the data it generates, its encoder held fixed.

    The decoder is linear or quadratic in one latent, linear in two ("linear" with codes of two
    entries), or v tanh(w z + c) + b with parameters (w, c, v, b).
    """

    kind: str
    codes: tuple[Vector, ...]
    parameters: Vector
    data_dim: int
    finest: float

    @property
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

    @property
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
        """The data `(N, D)`: what the decoder makes of the codes."""
        return np.asarray(self.decoder(np.array(self.codes)))

    def decode(self, theta: Any) -> Any:
        """All nodes decoded by parameters `(L, G, P)`, to `(L, G, N, K, D)`."""
        z = self._nodes[0]
        if self.kind == "network":
            w, c = theta[..., 0], theta[..., 1]
            hidden = anp.tanh(w[..., None, None] * z[:, None, ..., 0] + c[..., None, None])
            v, b = theta[..., 2 : 2 + self.data_dim], theta[..., 2 + self.data_dim :]
            return hidden[..., None] * v[..., None, None, :] + b[..., None, None, :]
        features = np.prod(z[..., None, :] ** self._powers, axis=-1)
        rows = anp.reshape(theta, (*np.shape(theta)[:2], self.data_dim, -1))
        return anp.einsum("lgdf,lnkf->lgnkd", rows, features)

    def objective(self, theta: Any) -> Any:
        """Negative ELBO, mean over the data in nats, of parameters `(L, G, P)`, to `(L, G)`."""
        square = anp.sum((self.data[:, None] - self.decode(theta)) ** 2, axis=-1)
        mean = anp.mean(anp.dot(square, self._nodes[1]), axis=-1)
        codes, d = np.array(self.codes), self.latent_dim
        trace = np.trace(self.covs, axis1=-2, axis2=-1)
        log_det = np.linalg.slogdet(self.covs)[1]
        kl = 0.5 * (trace + (codes**2).sum(axis=-1) - d - log_det).mean(axis=-1)
        variance = self.scales**2
        peak = 0.5 * self.data_dim * (LOG_2PI + np.log(variance))
        return mean / (2 * variance)[:, None] + (peak + kl)[:, None]

    def gradient(self, theta: Array) -> Array:
        """Gradients of the objective, `(L, G, P) -> (L, G, P)`, by autograd."""
        return np.asarray(elementwise_grad(self.objective)(theta))

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
        # With the last Hessian the rest converges too, and fast.
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
        """The same, preconditioned by the inverse Hessian: natural gradient."""
        return self.preconditioned(np.linalg.inv(self.hessian(self.optimum)))

    def preconditioned(self, precondition: Array | None) -> StableStep:
        """The same with gradients multiplied by matrices `(L, P, P)`."""

        def gradient(theta: Array) -> Array:
            slope = self.gradient(theta)
            return slope if precondition is None else slope @ precondition

        # Off the grid of powers of two, on which a threshold of 2 would lie.
        units = 1.5 if precondition is not None else self.scales**2
        return largest_stable_step(
            gradient, self.optimum, unit=units, reach=_REACH if self.kind == "network" else 1.0
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
    # The optimum is near the parameters that generate the data once sigma is small.
    finest = draw(st.sampled_from((1 / 8, 1 / 64, 1 / 256)))
    scene = StepScene("network", tuple(codes), (w, *rest), 2, finest)
    assume(np.abs(rest[1:3]).max() > 0)
    slopes = scene.decoder.jacobian(np.array(scene.codes))
    assume(np.linalg.svd(slopes, compute_uv=False).min() > 0.1)
    moment = np.linalg.eigvalsh(scene.limit_moment())
    assume(moment[0] > 1e-3 * moment[-1])
    return scene


#: The coefficient of sigma^2 in the largest stable step.
Predicted = Callable[[StepScene], float]


def second_moment_step(scene: StepScene) -> float:
    """2 / lambda_max of the second moment of the decoder's parameter gradients."""
    return 2 / float(np.linalg.eigvalsh(scene.limit_moment())[-1])


def inverse_curvature(scene: StepScene) -> float:
    """1 / lambda_max, at which descent is quickest and not where it diverges."""
    return second_moment_step(scene) / 2


def mean_curvature(scene: StepScene) -> float:
    """2 / trace, the sum of all curvatures for the greatest."""
    return 2 / float(np.trace(scene.limit_moment()))


def least_curvature(scene: StepScene) -> float:
    """2 / lambda_min."""
    return 2 / float(np.linalg.eigvalsh(scene.limit_moment())[0])


def step_errors(scene: StepScene) -> dict[str, Array]:
    """What the measured largest step can be off 2 / lambda_max by, `(L,)` each, by its cause."""
    found = scene.measured
    values, vectors = scene.curvature
    curvature = values[:, -1]
    numerics = gamma(1000) * values.shape[-1] * np.ones_like(curvature)
    if scene.kind == "network":
        # How much the curvature changes within the reach of the runs, and off the exact optimum.
        best, hessian = scene.optimum, (vectors * values[:, None]) @ np.swapaxes(vectors, -1, -2)
        stray = np.linalg.norm(scene.gradient(best[:, None])[:, 0], axis=-1) / values[:, 0]
        moved = scene.hessian(best + _REACH * found.direction) - hessian
        change = np.linalg.norm(moved, axis=(-2, -1)) / curvature
        # And what is lost of gradients so near to it.
        numerics = numerics / _REACH + change * (1 + stray / _REACH)
    return {
        "bracket": found.bracket,
        "finite_runs": found.overlooked(values, vectors),
        "curvature": numerics * found.value,
    }


def step_law(
    scene: StepScene, *, predicted: Predicted = second_moment_step, exponent: float = 2.0
) -> Comparison:
    """The measured largest step against 2 / lambda_max, and its law as sigma falls."""
    found = scene.measured
    errors = step_errors(scene)
    return Comparison.all_of(
        Comparison.identity(
            found.value, 2 / scene.curvature[0][:, -1], scale=found.value, **errors
        ),
        power_law(
            found.value,
            sum(errors.values(), np.zeros_like(found.value)),
            scene.scales,
            exponent=exponent,
            coefficient=predicted(scene),
            rounding=gamma(1000) * predicted(scene),
        ),
        _objective_is_the_elbo(scene),
        _curvature_in_closed_form(scene),
    )


def _objective_is_the_elbo(scene: StepScene) -> Comparison:
    """The objective that descends against the library's ELBO, away from the optimum."""
    away = 0.5 * scene.scales[0] * np.cos(np.arange(len(scene.parameters)))
    theta = np.array(scene.parameters) + away
    likelihood = likelihoods.Gaussian(scale=float(scene.scales[0]))
    model = LatentModel(scene.with_parameters(theta), likelihood, scene.latent_dim)
    other = elbo(model, scene.data, Posterior(np.array(scene.codes), cov=scene.covs[0]))
    lanes = theta * np.ones((len(scene.scales), 1, 1))
    size = 10.0 + float(np.abs(other.value).mean())
    truncated = 0.0
    if scene.kind == "network":
        # Seven nodes are exact up to s^13; the next moment of a tanh of slope w.
        width = float(scene.covs[0].max()) ** 0.5 * abs(scene.parameters[0])
        truncated = width**14 / float(scene.scales[0]) ** 2
    return Comparison.identity(
        -scene.objective(lanes)[0, 0],
        other.value.mean(),
        scale=size,
        elbo=other.error.mean(),
        # The objective's own rounding is that of the same sums.
        objective=other.error.mean() + gamma(200) * size,
        quadrature=truncated,
    )


def _curvature_in_closed_form(scene: StepScene) -> Comparison:
    """The Hessian by autograd against Gaussian moments; networks have no such form."""
    if scene.kind == "network":
        return Comparison(0.0, 0.0, {})
    codes = np.array(scene.codes)
    d = scene.latent_dim
    second = np.swapaxes(codes[:, :, None] * codes[:, None], 1, 2) + scene.covs
    moment = np.empty((len(scene.scales), len(codes), 1 + d, 1 + d))
    moment[..., 0, 0], moment[..., 1:, 1:] = 1, second
    moment[..., 0, 1:] = moment[..., 1:, 0] = codes
    if scene.kind == "quadratic":
        m, v = codes[:, 0], scene.covs[..., 0, 0]
        powers = [np.ones_like(v), m + 0 * v, m**2 + v, m**3 + 3 * m * v]
        powers.append(m**4 + 6 * m**2 * v + 3 * v**2)
        moment = np.stack([np.stack(powers[i : i + 3], axis=-1) for i in range(3)], axis=-1)
    blocks = moment.mean(axis=1) / scene.scales[:, None, None] ** 2
    whole = np.stack([np.kron(np.eye(scene.data_dim), block) for block in blocks])
    found = scene.hessian(scene.optimum)
    size = np.abs(whole).max(axis=(-2, -1), keepdims=True)
    return Comparison.identity(found, whole, scale=size, rounding=gamma(1000) * size)


# What is not subject to it -----------------------------------------------------------------------


def preconditioned(
    scene: StepScene,
    *,
    natural: bool = True,
    exponent: float = 0.0,
    threshold: float = 2.0,
) -> Comparison:
    """In the metric of the decoder the largest stable step is 2 at every sigma."""
    # For a decoder linear in its parameters the Hessian is the Fisher information.
    found = scene.measured_in_its_metric if natural else scene.measured
    condition = scene.curvature[0][:, -1] / scene.curvature[0][:, 0]
    rounding = gamma(1000) * condition * found.value
    return Comparison.identity(
        found.value,
        threshold * (scene.scales / scene.scales[0]) ** exponent,
        scale=found.value,
        # All directions are alike: none is slow to emerge.
        bracket=found.bracket,
        rounding=rounding,
    )

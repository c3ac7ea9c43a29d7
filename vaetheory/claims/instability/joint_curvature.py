"""Checks of 9b: condition number and gradient noise of decoder and encoder taken together.

The model is linear with one latent, D outputs and centred data; decoder w, posterior means m_n and
log deviations rho_n are the parameters. Its optimum at every sigma is known in closed form.
"""

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
from vaetheory.derivatives import weighted_hessian
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


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
        """Of the objective at the optimum, by autograd, `(L, P, P)`."""
        ones = np.ones((len(self.scales), 1))
        return np.asarray(weighted_hessian(self.objective, self.optimum, ones))

    def blocks(self) -> Array:
        """The same Hessian block by block, in closed form."""
        count, dim = self.data.shape
        w, m, rho = self.split(self.optimum)
        square, s2 = self.scales**2, np.exp(2 * rho)
        out = np.zeros((len(w), dim + 2 * count, dim + 2 * count))
        of_m, of_rho = np.arange(dim, dim + count), np.arange(dim + count, dim + 2 * count)
        out[:, :dim, :dim] = ((m**2 + s2).mean(axis=-1) / square)[:, None, None] * np.eye(dim)
        length = (w**2).sum(axis=-1) / square
        out[:, of_m, of_m] = (1 + length[:, None]) / count
        out[:, of_rho, of_rho] = 2 * s2 * (1 + length[:, None]) / count
        cross = (2 * w[:, None] * m[..., None] - self.data) / (count * square[:, None, None])
        out[:, of_m, :dim], out[:, :dim, of_m] = cross, np.swapaxes(cross, 1, 2)
        cross = 2 * w[:, None] * s2[..., None] / (count * square[:, None, None])
        out[:, of_rho, :dim], out[:, :dim, of_rho] = cross, np.swapaxes(cross, 1, 2)
        return out

    def sampled_gradients(self) -> tuple[tuple[Array, Array, Array], Array]:
        """Gradients in w `(L, N, K, D)`, m_n and rho_n `(L, N, K, 1)` of one datum and one noise.

        By autograd of -log p(x|m + s eps) + KL at the nodes of a rule in eps, whose weights `(K,)`
        come with them: exact, since their squares are polynomials of degree four.
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


def noisy_scenes() -> st.SearchStrategy[JointScene]:
    """Those whose exact gradients differ from datum to datum."""
    return joint_scenes().filter(lambda scene: batch_coefficient(scene)[0] > 1e-2)


# Condition number -------------------------------------------------------------------------------

#: sigma^2 times the condition number as sigma falls, from the top variance and the size.
ConditionLaw = Callable[[float, int], float]


def condition_coefficient(top: float, count: int) -> float:
    """(1 + v / N) over the least eigenvalue of gauge and log deviations."""
    p, q = 4 / (top + count), 2 / count
    # p + q - sqrt(p^2 + q^2) without the cancellation.
    return 2 * (1 + top / count) / (2 * p * q / (p + q + np.hypot(p, q)))


def gauge_alone(top: float, count: int) -> float:
    """The log deviations held fixed."""
    return (1 + top / count) * (top + count) / 4


def deviations_alone(top: float, count: int) -> float:
    """The gauge held fixed."""
    return (1 + top / count) * count / 2


def condition_numbers(scene: JointScene) -> tuple[Array, Array]:
    """The condition number of the joint Hessian for each sigma, `(L,)`, and its rounding."""
    values = np.linalg.eigvalsh(scene.hessian)
    condition = values[:, -1] / values[:, 0]
    return condition, gamma(100 * values.shape[-1]) * condition**2


def condition_law(
    scene: JointScene, *, predicted: ConditionLaw = condition_coefficient, exponent: float = -2.0
) -> Comparison:
    """The condition number of the joint Hessian, by autograd, and its law as sigma falls."""
    condition, errors = condition_numbers(scene)
    coefficient = predicted(float(scene.principal[0][0]), len(scene.X))
    top = np.abs(scene.hessian).max(axis=(-2, -1), keepdims=True)
    slope = np.asarray(elementwise_grad(scene.objective)(scene.optimum))
    return Comparison.all_of(
        power_law(
            condition,
            errors,
            scene.scales,
            exponent=exponent,
            coefficient=coefficient,
            rounding=gamma(100) * coefficient,
        ),
        Comparison.identity(scene.hessian, scene.blocks(), scale=top, rounding=gamma(200) * top),
        Comparison.identity(slope, 0.0, scale=top[:, 0], rounding=gamma(200) * top[:, 0]),
        _objective_is_the_elbo(scene),
    )


def _objective_is_the_elbo(scene: JointScene) -> Comparison:
    w, m, rho = (part[0] for part in scene.split(scene.optimum))
    model = LatentModel(
        decoders.Affine(w[:, None]), likelihoods.Gaussian(scale=float(scene.scales[0])), 1
    )
    other = elbo(model, scene.data, Posterior(m[:, None], cov=np.exp(2 * rho)[:, None, None]))
    value = -float(scene.objective(scene.optimum)[0, 0])
    size = 10 + float(np.abs(other.value).max())
    return Comparison.identity(
        value,
        other.value.mean(),
        scale=size,
        elbo=other.error.mean(),
        # The objective's own rounding is that of the same sums.
        objective=other.error.mean() + gamma(200) * size,
    )


# Gradient noise ---------------------------------------------------------------------------------


def sampling_spreads(scene: JointScene) -> tuple[list[Array], list[Array]]:
    """Variance over the noise of the gradients in w, m and rho, `(L,)` each; their rounding."""
    gradients, weights = scene.sampled_gradients()
    w, m, rho = scene.split(scene.optimum)
    # Before they cancel the summands are as large as x z, x w and x w s over sigma^2.
    length, width = np.linalg.norm(w, axis=-1), np.exp(rho[:, 0])
    factors = (np.abs(m).max(axis=-1) + 3 * width, length, 3 * length * width)
    spreads, errors = [], []
    for slope, factor in zip(gradients, factors, strict=True):
        mean = np.einsum("k,lnkp->lnp", weights, slope)
        away = ((slope - mean[:, :, None]) ** 2).sum(axis=-1)
        spreads.append(np.einsum("k,lnk->ln", weights, away).mean(axis=-1))
        largest = np.abs(slope).max(axis=(1, 2, 3))
        carried = gamma(100) * (largest + np.abs(scene.data).max() * factor / scene.scales**2)
        errors.append(2 * np.sqrt(spreads[-1]) * carried + carried**2 + gamma(100) * spreads[-1])
    return spreads, errors


def sampling_noise(
    scene: JointScene,
    *,
    exponents: tuple[float, float, float] = (-2.0, -2.0, 0.0),
    decoder: float | None = None,
    deviations: float = 2.0,
) -> Comparison:
    """Variance that the reparametrisation noise gives the gradients in w, m and rho."""
    values, top = scene.principal[0], float(scene.principal[0][0])
    coefficients = (float(values.sum()) / top if decoder is None else decoder, top, deviations)
    parts = []
    found = zip(*sampling_spreads(scene), exponents, coefficients, strict=True)
    for spread, error, exponent, coefficient in found:
        parts.append(
            power_law(
                spread,
                error,
                scene.scales,
                exponent=exponent,
                coefficient=coefficient,
                rounding=gamma(100) * coefficient,
            )
        )
    return Comparison.all_of(*parts)


def batch_spread(scene: JointScene) -> tuple[Array, Array]:
    """Variance over the data of the exact gradient in w, `(L,)`, and its rounding."""
    gradients, weights = scene.sampled_gradients()
    slope = np.einsum("k,lnkp->lnp", weights, gradients[0])
    spread = ((slope - slope.mean(axis=1, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1)
    # Of each sampled gradient: its summands, of the size of x m / sigma^2.
    means = np.abs(scene.split(scene.optimum)[1]).max(axis=-1)
    summands = np.abs(gradients[0]).max(axis=(1, 2, 3))
    summands = summands + np.abs(scene.data).max() * means / scene.scales**2
    carried = gamma(200) * summands
    return spread, 2 * np.sqrt(spread) * carried + carried**2


def batch_noise(
    scene: JointScene,
    *,
    exponent: float | None = None,
    share: float = 1.0,
) -> Comparison:
    """Variance over the data of the exact gradient in w: the noise of a batch of one."""
    spread, error = batch_spread(scene)
    coefficient, on_a_line = batch_coefficient(scene)
    law = (0.0 if on_a_line else -4.0) if exponent is None else exponent
    return power_law(
        spread,
        error,
        scene.scales,
        exponent=law,
        coefficient=share * coefficient,
        rounding=gamma(1000) * coefficient,
    )


def batch_coefficient(scene: JointScene) -> tuple[float, bool]:
    """Coefficient of the variance over the data, and whether they lie on a line."""
    values, vectors = scene.principal
    top, along = float(values[0]), scene.data @ vectors[:, 0]
    if len(values) == 1 or values[1] < 1e-12 * top:
        return float((along**2).var()) / top**3, True
    off = ((scene.data - along[:, None] * vectors[:, 0]) ** 2).sum(axis=-1)
    return float((off * along**2).mean()) / top, False

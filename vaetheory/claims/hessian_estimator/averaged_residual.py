"""Checks of 4d: at the optimal decoder the residual term of the Hessian averages out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import derivatives
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Covariance, EncodedData, Vector
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma

_OPTIMAL = ("the optimal decoder", r"f^*(z) = \mathbb E_{q(x|z)}[x]")
_GAUSSIAN = ("Gaussian likelihood", r"\mathcal N(f(z), \Lambda),\ \Lambda \succ 0")


@dataclass(frozen=True)
class NoisyPoint:
    """Data with their encoder, a covariance of the likelihood, and a latent point."""

    scene: EncodedData
    noise: Covariance
    z: Vector


@st.composite
def noisy_points(draw: DrawFn) -> NoisyPoint:
    """One or two latent dimensions, one to three data dimensions; the point may lie far out."""
    dim, data_dim = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scene = draw(strategies.encoded_data(dim, strategies.data_sets(data_dim)))
    noise = draw(strategies.covariances(data_dim, (1.0, 0.25, 4.0)))
    far = draw(st.sampled_from((1.0, 1.0, 4.0)))
    return NoisyPoint(scene, noise, tuple(far * v for v in draw(strategies.vectors(dim, -2, 2))))


@dataclass(frozen=True)
class Elsewhere:
    """A point, and by how much the decoder misses the optimum there."""

    point: NoisyPoint
    h: Vector


@st.composite
def elsewhere(draw: DrawFn) -> Elsewhere:
    """A decoder f* + h, h not zero."""
    point = draw(noisy_points())
    h = draw(strategies.vectors(len(point.noise.variances), -2, 2))
    assume(any(h))
    return Elsewhere(point, h)


def _weights(scene: EncodedData, z: Array, peak: float) -> Array:
    """q(x_n|z) by Bayes' rule as a formula for autograd, `(..., d) -> (..., N)`."""
    encoder = scene.encoder
    precision, log_dets = np.linalg.inv(encoder.cov), np.linalg.slogdet(encoder.cov)[1]
    away = z[..., None, :] - encoder.loc
    square = sum(
        away[..., i] * away[..., j] * precision[:, i, j]
        for i in range(encoder.latent_dim)
        for j in range(encoder.latent_dim)
    )
    terms = anp.exp(-0.5 * square - 0.5 * log_dets - peak)
    return terms / anp.sum(terms, axis=-1, keepdims=True)


def _peak(scene: EncodedData, z: Array) -> float:
    """The largest exponent at z; without it all terms would underflow far out."""
    away = z - scene.encoder.loc
    square = np.einsum("ni,nij,nj->n", away, np.linalg.inv(scene.encoder.cov), away)
    return float((-0.5 * square - 0.5 * np.linalg.slogdet(scene.encoder.cov)[1]).max())


@once
def averaged_curvature(instance: NoisyPoint, h: Array, *, weighted: bool = True) -> Array:
    """E_{q(x|z)}[-Hess_z log N(x; f*(z) + h, Lambda)] by autograd of the log density, `(d, d)`."""
    scene, z = instance.scene, np.array(instance.z)
    precision, peak = np.linalg.inv(instance.noise.matrix), _peak(scene, z)

    def log_densities(points: Array) -> Array:
        decoded = anp.dot(_weights(scene, points, peak), scene.data) + h
        away = scene.data - decoded[..., None, :]
        return -0.5 * anp.sum(anp.dot(away, precision) * away, axis=-1)

    curvatures = -derivatives.hessian(log_densities, z[None])[0]
    weights = _weights(scene, z, peak) if weighted else np.full(len(scene.X), 1 / len(scene.X))
    return np.einsum("n,nij->ij", weights, curvatures)


def _sizes(instance: NoisyPoint, h: Array) -> tuple[float, float]:
    """Size of the terms that cancel, and the relative error of the weights."""
    scene, z = instance.scene, np.array(instance.z)
    encoder = scene.encoder
    inverse = np.linalg.inv(encoder.cov)
    away = z - encoder.loc
    steep = float(np.linalg.norm(inverse, 2, axis=(-2, -1)).max())
    square = np.einsum("ni,nij,nj->n", away, inverse, away)
    # Weights below exp(-45) of the largest are below its rounding, whatever their error.
    exponents = -0.5 * square - 0.5 * np.linalg.slogdet(encoder.cov)[1]
    alive = exponents > exponents.max() - 45
    scores = np.linalg.norm((inverse @ away[..., None])[..., 0], axis=-1)
    reach = 2 * float(scores[alive].max())
    condition = float(np.linalg.cond(encoder.cov).max())
    relative = gamma((100 + 20 * float(square[alive].max())) * condition + 20 * len(scene.X))
    spread = float(np.linalg.norm(np.ptp(scene.data, axis=0)) + np.linalg.norm(h))
    largest = float(np.abs(scene.data).max())
    sharp = 1 / min(instance.noise.variances)
    return sharp * (spread + largest) * spread * (reach**2 + steep), relative


def metric(instance: NoisyPoint) -> Array:
    """J*^T Lambda^-1 J* from the library, `(d, d)`."""
    jacobian = _jacobian(instance)
    return jacobian.T @ np.linalg.solve(instance.noise.matrix, jacobian)


def _jacobian(instance: NoisyPoint) -> Array:
    scene = instance.scene
    return OptimalDecoder(scene.data, scene.encoder).jacobian(np.array(instance.z))


def noise_for_its_inverse(instance: NoisyPoint) -> Array:
    """J*^T Lambda J*."""
    jacobian = _jacobian(instance)
    return jacobian.T @ instance.noise.matrix @ jacobian


def transposed_jacobian(instance: NoisyPoint) -> Array:
    """J* Lambda^-1 J*^T where D = d; elsewhere the shapes differ, and the metric itself."""
    jacobian = _jacobian(instance)
    if jacobian.shape[0] != jacobian.shape[1]:
        return metric(instance)
    return jacobian @ np.linalg.solve(instance.noise.matrix, jacobian.T)


def residual_averages_out(
    instance: NoisyPoint,
    *,
    right: Callable[[NoisyPoint], Array] = metric,
    weighted: bool = True,
    miss: float = 0.0,
) -> Comparison:
    """Compare E_{q(x|z)}[-Hess_z log p(x|f*(z))] with J*^T Lambda^-1 J*."""
    h = np.full(len(instance.noise.variances), miss)
    size, relative = _sizes(instance, h)
    return Comparison.identity(
        averaged_curvature(instance, h, weighted=weighted),
        right(instance),
        scale=size,
        weights=relative * size,
        rounding=gamma(200) * size,
    )


RESIDUAL_AVERAGES_OUT = Proposition(
    label="4d",
    title="At the optimal decoder the Hessian's residual term averages out exactly",
    statement=r"\mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f^*(z))] = J^{*\top}\Lambda^{-1}J^*",
    hypotheses=(_OPTIMAL, _GAUSSIAN),
    kind="identity",
    instances=noisy_points(),
    check=residual_averages_out,
    controls=wrong(
        residual_averages_out,
        {
            "the data unweighted": {"weighted": False},
            "a decoder off by 1/2": {"miss": 0.5},
            "Lambda for its inverse": {"right": noise_for_its_inverse},
            "the Jacobian transposed": {"right": transposed_jacobian},
        },
    ),
    uses=("1a", "2a"),
)


def residual_remains(instance: Elsewhere, *, factor: float = 1.0) -> Comparison:
    """At f* + h the average differs from the metric by h^T Lambda^-1 Hess f*."""
    point, h = instance.point, np.array(instance.h)
    scene, z = point.scene, np.array(point.z)
    hessian = OptimalDecoder(scene.data, scene.encoder).hessian(z)
    left = averaged_curvature(point, h) - metric(point)
    size, relative = _sizes(point, h)
    return Comparison.identity(
        left,
        factor * np.einsum("a,aij->ij", np.linalg.solve(point.noise.matrix, h), hessian),
        scale=size,
        weights=2 * relative * size,
        rounding=gamma(400) * size,
    )


RESIDUAL_REMAINS = Proposition(
    label="4d-elsewhere",
    title="At any other decoder the residual term does not average out",
    statement=(
        r"f = f^* + h:\quad \mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f(z))]"
        r" - J^\top\Lambda^{-1}J = \sum_a(\Lambda^{-1}h)_a\nabla^2 f^*_a"
    ),
    hypotheses=(("not optimal", r"h \ne 0 \text{ constant}"), _GAUSSIAN),
    kind="counterexample",
    instances=elsewhere(),
    check=residual_remains,
    controls=wrong(
        residual_remains,
        {"it averages out": {"factor": 0.0}, "the residual's sign": {"factor": -1.0}},
    ),
    uses=("4d",),
)

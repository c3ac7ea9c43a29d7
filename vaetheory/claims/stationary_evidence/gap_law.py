"""Checks of 3f and 3g: how the gap between log evidence and stationary ELBO shrinks with sigma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_LADDER = 1 / 2.0 ** np.arange(5)


@dataclass(frozen=True)
class Graph:
    """The decoder z -> (W z, a polynomial of z): injective, and an immersion, since W is."""

    stretch: Vector
    angles: tuple[int, ...]
    powers: tuple[tuple[int, ...], ...]
    coefficients: Vector
    z: Vector

    @property
    def decoder(self) -> Decoder:
        """The polynomial decoder, `(d,) -> (d + 1,)`."""
        dim = len(self.stretch)
        linear = np.diag(self.stretch) @ strategies.rotation(self.angles, dim)
        flat = np.hstack([linear.T, np.zeros((dim, 1))])
        bent = np.hstack([np.zeros((len(self.powers), dim)), np.array(self.coefficients)[:, None]])
        powers = np.vstack([np.eye(dim), np.array(self.powers)])
        return decoders.Polynomial(powers, np.vstack([flat, bent]))


_MONOMIALS = {1: ((2,), (3,)), 2: ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1))}


@st.composite
def graphs(draw: DrawFn) -> Graph:
    """Curves and surfaces that are graphs over their latent space, and a point of it."""
    dim = draw(st.sampled_from((1, 1, 2)))
    powers = _MONOMIALS[dim]
    coefficients = draw(strategies.vectors(len(powers), -4, 4, 4))
    z = draw(strategies.vectors(dim, -2, 2, 2))
    stretch = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 1.5))] * dim))
    scene = Graph(stretch, draw(strategies.angles(dim)), powers, coefficients, z)
    assume(np.abs(scene.decoder.hessian(np.array(z))).max() > 0)
    return scene


def metric_slope(decoder: Decoder, z: Array) -> tuple[Array, Array]:
    """Metric g = J^T J at z and T_ijk = f_i.f_jk + f_j.f_ik + f_k.f_ij."""
    jacobian, hessian = decoder.jacobian(z), decoder.hessian(z)
    product = np.einsum("ai,ajk->ijk", jacobian, hessian)
    slope = product + product.transpose(1, 0, 2) + product.transpose(1, 2, 0)
    return jacobian.T @ jacobian, slope


def _norm(metric: Array, slope: Array) -> float:
    inverse = np.linalg.inv(metric)
    return float(np.einsum("ijk,lmn,il,jm,kn->", slope, slope, inverse, inverse, inverse))


def predicted_coefficient(decoder: Decoder, z: Array) -> float:
    """The gap law's coefficient of sigma^2, ||T||_g^2 / 12."""
    return _norm(*metric_slope(decoder, z)) / 12


def half_coefficient(decoder: Decoder, z: Array) -> float:
    """A factor 1/24."""
    return predicted_coefficient(decoder, z) / 2


def lowered_norm(decoder: Decoder, z: Array) -> float:
    """The Euclidean norm of T, not raised with the inverse metric."""
    _, slope = metric_slope(decoder, z)
    return float((slope**2).sum()) / 12


def normal_part(decoder: Decoder, z: Array) -> float:
    """The squared normal curvature in place of the metric's slope."""
    jacobian, hessian = decoder.jacobian(z), decoder.hessian(z)
    metric = jacobian.T @ jacobian
    tangent = np.linalg.solve(
        metric, np.einsum("ai,ajk->ijk", jacobian, hessian).reshape(len(metric), -1)
    )
    normal = hessian - np.einsum("ai,ijk->ajk", jacobian, tangent.reshape(-1, *hessian.shape[1:]))
    inverse = np.linalg.inv(metric)
    return float(np.einsum("aij,akl,ik,jl->", normal, normal, inverse, inverse)) / 12


def measured_gaps(decoder: Decoder, z: Array, scales: Array) -> tuple[Array, Array]:
    """Log evidence less stationary ELBO of x = f(z) for each sigma, with their error figures."""
    x = decoder(z)
    gaps, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), len(z))
        evidence = log_evidence(model, x, rtol=1e-13)
        # The branch of the ELBO that the law speaks of starts at z itself.
        metric = decoder.jacobian(z).T @ decoder.jacobian(z)
        width = np.linalg.inv(metric / scale**2 + np.eye(len(z)))
        best = stationary_posterior(model, x, start=Posterior(z, cov=width))
        gaps.append(float(evidence.value) - float(best.value))
        errors.append(float(evidence.error) + float(best.error))
    return np.array(gaps), np.array(errors)


def natural_scale(decoder: Decoder, z: Array) -> float:
    """The sigma below which the posterior is narrow against the decoder's bend and the prior."""
    least = float(np.linalg.svd(decoder.jacobian(z), compute_uv=False)[-1])
    bend = float(np.linalg.norm(decoder.hessian(z)))
    return least * min(1.0, least / max(bend, 1e-3))


def gap_law(
    scene: Graph,
    *,
    coefficient: Callable[[Decoder, Array], float] = predicted_coefficient,
    exponent: float = 2.0,
) -> Comparison:
    """Exponent and coefficient of the gap on a ladder of sigma, against the law."""
    decoder, z = scene.decoder, np.array(scene.z)
    scales = natural_scale(decoder, z) / 16 * _LADDER
    gaps, errors = measured_gaps(decoder, z, scales)
    value = coefficient(decoder, z)
    metric, _ = metric_slope(decoder, z)
    rounding = gamma(200) * float(np.linalg.cond(metric)) ** 3 * abs(value)
    law = power_law(gaps, errors, scales, exponent=exponent, coefficient=value, rounding=rounding)
    parts = [law, _slope_by_differences(decoder, z)]
    if len(z) == 1:
        first, second = decoder.jacobian(z)[:, 0], decoder.hessian(z)[:, 0, 0]
        curve = 0.75 * (first @ second) ** 2 / (first @ first) ** 3
        parts.append(
            Comparison.identity(
                curve,
                predicted_coefficient(decoder, z),
                scale=1.0,
                rounding=gamma(200) * (abs(curve) + 1),
            )
        )
    return Comparison.all_of(*parts)


def _slope_by_differences(decoder: Decoder, z: Array) -> Comparison:
    """T against half the symmetrised derivative of the metric, from the metric alone."""

    def metric(point: Array) -> Array:
        jacobian = decoder.jacobian(point)
        return np.asarray(jacobian.T @ jacobian)

    _, slope = metric_slope(decoder, z)
    step = 2.0**-6
    estimates = [
        np.stack([(metric(z + h * e) - metric(z - h * e)) / (2 * h) for e in np.eye(len(z))])
        for h in (step, 2 * step)
    ]
    # The metric of a cubic is of degree four, for which this extrapolation is exact.
    derivative = (4 * estimates[0] - estimates[1]) / 3
    half = 0.5 * (derivative + derivative.transpose(1, 0, 2) + derivative.transpose(1, 2, 0))
    size = 1 + float(np.abs(metric(z)).max()) + float(np.abs(slope).max())
    return Comparison.identity(half, slope, scale=size, rounding=gamma(100) * size / step)


@dataclass(frozen=True)
class UnitSpeed:
    """A helix at unit speed, and a point of it."""

    radius: float
    pitch: float
    z: float


def unit_speed_curves() -> st.SearchStrategy[UnitSpeed]:
    """Helices of curvature 1/4 to 1/2."""
    return st.builds(
        UnitSpeed,
        st.sampled_from((1.0, 0.5, 2.0)),
        st.sampled_from((1.0, 1.5)),
        strategies.fractions(-2, 2, 2),
    )


def isometric_gap(
    scene: UnitSpeed, *, exponent: float = 4.0, factor: float = 1 / 48, power: int = 4
) -> Comparison:
    """At constant speed the gap is sigma^4 k^4 / 48, k the curvature."""
    decoder, z = decoders.Helix(scene.radius, scene.pitch), np.array([scene.z])
    scales = 0.3 * _LADDER[:4]
    gaps, errors = measured_gaps(decoder, z, scales)
    value = factor * decoder.curvature**power
    return power_law(gaps, errors, scales, exponent=exponent, coefficient=value, rounding=0.0)


@dataclass(frozen=True)
class Fold:
    """The decoder z -> z^2, not injective, at the datum z0^2."""

    z0: float


def folds() -> st.SearchStrategy[Fold]:
    """Points away from the fold."""
    return st.builds(Fold, strategies.nonzero_fractions(8, 4))


def fold_gaps(z0: float, scales: Array) -> tuple[Array, Array]:
    """Log evidence less the best Gaussian's ELBO of x = z0^2 under f = z^2, with error figures."""
    decoder, z = decoders.Polynomial([[2]], [[1.0]]), np.array([z0])
    x = decoder(z)
    gaps, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), 1)
        evidence = log_evidence(model, x, rtol=1e-13)
        # One mode or the other, or a broad Gaussian over both.
        narrow, broad = np.abs(scale / (2 * z)), np.abs(z)
        starts = [(z, narrow), (-z, narrow), (0 * z, broad)]
        tried = [stationary_posterior(model, x, start=Posterior(m, scale=s)) for m, s in starts]
        best = max(tried, key=lambda q: float(q.value))
        gaps.append(float(evidence.value) - float(best.value))
        errors.append(float(evidence.error) + float(best.error))
    return np.array(gaps), np.array(errors)


def fold_gap(scene: Fold, *, limit: float = float(np.log(2))) -> Comparison:
    """The gap of the best Gaussian at x = z0^2 under f = z^2 tends to log 2, not to 0."""
    gaps, errors = fold_gaps(scene.z0, scene.z0**2 / 8 * _LADDER)
    measured, left, noise = extrapolate(gaps, errors)
    return Comparison.identity(measured, limit, scale=1.0, expansion=left, numerics=noise)

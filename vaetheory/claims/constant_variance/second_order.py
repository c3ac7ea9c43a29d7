"""Checks of 5a to 5c: the penalty of a constant variance, its rate, and its greatest value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.constant_variance import constant_variance_penalty, log_specht_ratio
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma

# 5a ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataScene:
    """A decoder, a noise, a weighted data set, and a constant covariance that need not be good."""

    decoder: Decoder
    scale: float
    X: tuple[Vector, ...]
    weights: Vector
    other: Covariance

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        dim = len(self.other.variances)
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.scale), dim)

    def modes(self) -> tuple[Array, Array, Array]:
        """Modes, Hessians there, and normalised weights."""
        model, X = self.model, np.array(self.X)
        modes = posterior_mode(model, X)
        weights = np.array(self.weights)
        return modes, model.potential_derivatives(X, modes)[1], weights / weights.sum()


@st.composite
def data_scenes(draw: DrawFn) -> DataScene:
    """Two to four data that have a Laplace evidence, under decoders of one or two latents."""
    dim = draw(st.sampled_from((1, 1, 2)))
    X = draw(strategies.data_sets(2, max_size=4))
    scene = DataScene(
        draw(curves() if dim == 1 else surfaces()),
        draw(st.sampled_from((1.0, 0.5, 0.125))),
        X,
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 5.0))] * len(X))),
        draw(strategies.covariances(dim)),
    )
    assume(np.linalg.eigvalsh(scene.modes()[1]).min() > 1e-3)
    return scene


class SecondOrderScene(Protocol):
    """What 5a looks at: a model, its data, and a constant covariance of any quality."""

    @property
    def model(self) -> LatentModel:
        """The latent model."""

    @property
    def X(self) -> ArrayLike:
        """The data, `(N, D)`."""

    @property
    def other(self) -> Covariance:
        """The constant covariance."""

    def modes(self) -> tuple[Array, Array, Array]:
        """Modes, Hessians there, and normalised weights."""


def second_order_penalty(A: Array, weights: Array) -> float:
    """The penalty by the formula."""
    return float(constant_variance_penalty(A, weights).value)


def log_of_mean_determinant(A: Array, weights: Array) -> float:
    """The determinants averaged in place of their logarithms."""
    mean = np.tensordot(weights, A, axes=1)
    dets = weights @ np.linalg.det(A)
    return 0.5 * float(np.linalg.slogdet(mean)[1] - np.log(dets))


def twice_the_penalty(A: Array, weights: Array) -> float:
    """Without the factor 1/2."""
    return 2 * second_order_penalty(A, weights)


def _inverse_mean(A: Array, weights: Array) -> Array:
    return np.asarray(constant_variance_penalty(A, weights).cov)


def mean_inverse(A: Array, weights: Array) -> Array:
    """The mean of the covariances for the inverse of the mean precision."""
    return np.tensordot(weights, np.linalg.inv(A), axes=1)


def penalty_identity(
    scene: SecondOrderScene,
    *,
    penalty: Callable[[Array, Array], float] = second_order_penalty,
    best: Callable[[Array, Array], Array] = _inverse_mean,
) -> Comparison:
    """Second-order ELBOs at their optima, free and constant, against the formula."""
    model, X = scene.model, np.array(scene.X)
    modes, A, weights = scene.modes()
    dim = model.latent_dim

    def mean_elbo(cov: Array) -> float:
        covs = np.broadcast_to(cov, A.shape)
        return float(weights @ second_order_elbo(model, X, Posterior(modes, cov=covs)))

    free, constant = mean_elbo(np.linalg.inv(A)), mean_elbo(best(A, weights))
    found = constant_variance_penalty(A, weights)
    condition = float(np.linalg.cond(A).max() + np.linalg.cond(found.cov))
    heights = np.abs(model.log_joint(X, modes)).max() + np.abs(np.linalg.slogdet(A)[1]).max()
    size = float(heights) + 2 * dim
    rounding = gamma(100 * dim) * condition * size

    # Any other constant covariance loses its divergence from the best on top.
    other = scene.other.matrix
    relative = np.tensordot(weights, A, axes=1) @ other
    further = 0.5 * float(np.trace(relative) - dim - np.linalg.slogdet(relative)[1])

    # Zero only where all A are equal: t - log(1 + t) >= t^2 / 2 max(1, 1 + t).
    root = np.linalg.cholesky(found.cov)
    excess = np.linalg.eigvalsh(root.T @ A @ root) - 1
    least = 0.25 * float(weights @ (excess**2 / np.maximum(1, 1 + excess)).sum(axis=-1))
    alike = constant_variance_penalty(np.broadcast_to(A[0], A.shape), weights)
    return Comparison.all_of(
        Comparison.identity(
            free - constant, penalty(A, weights), scale=size, rounding=rounding, library=found.error
        ),
        Comparison.identity(
            free - mean_elbo(other),
            penalty(A, weights) + further,
            scale=size + further,
            rounding=rounding * (1 + further),
        ),
        Comparison.at_most(least, found.value, scale=size, rounding=rounding, library=found.error),
        Comparison.identity(alike.value, 0.0, scale=1.0, rounding=alike.error),
    )


# 5b ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variation:
    """Hessians A_n = mean + t (V_n - their mean), V_n by its entries on and above the diagonal."""

    mean: Covariance
    entries: tuple[Vector, ...]

    def directions(self) -> Array:
        """V_n less their mean, `(N, d, d)`."""
        dim = len(self.mean.variances)
        out = np.zeros((len(self.entries), dim, dim))
        upper = np.triu_indices(dim)
        out[:, upper[0], upper[1]] = out[:, upper[1], upper[0]] = self.entries
        return out - out.mean(axis=0)


@st.composite
def variations(draw: DrawFn) -> Variation:
    """Two to four Hessians of up to three dimensions that differ."""
    dim, count = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    entries = draw(st.tuples(*[strategies.vectors(dim * (dim + 1) // 2, -3, 3, 1)] * count))
    assume(len(set(entries)) > 1)
    return Variation(draw(strategies.covariances(dim, (1.0, 2.0, 0.5, 4.0))), entries)


def _whitened(scene: Variation) -> Array:
    white = np.linalg.inv(np.linalg.cholesky(scene.mean.matrix))
    return np.asarray(white @ scene.directions() @ white.T)


def _quarter_norm(scene: Variation) -> float:
    return 0.25 * float((_whitened(scene) ** 2).sum(axis=(-2, -1)).mean())


def half_norm(scene: Variation) -> float:
    """A coefficient 1/2."""
    return 2 * _quarter_norm(scene)


def plain_norm(scene: Variation) -> float:
    """The Frobenius norm of the variation itself, not relative to the mean."""
    return 0.25 * float((scene.directions() ** 2).sum(axis=(-2, -1)).mean())


def small_variations(
    scene: Variation,
    *,
    coefficient: Callable[[Variation], float] = _quarter_norm,
    exponent: float = 2.0,
    third: float = -1 / 6,
) -> Comparison:
    """Even and odd part of the penalty in the size t of the variation, each on a ladder."""
    mean, directions, white = scene.mean.matrix, scene.directions(), _whitened(scene)
    scales = 0.125 / float(np.linalg.norm(white, axis=(-2, -1)).max()) / 2.0 ** np.arange(6)
    steps = scales[:, None, None, None] * directions
    up, down = (constant_variance_penalty(mean + s * steps) for s in (1, -1))
    rounding = gamma(200) * float(np.linalg.cond(mean)) ** 2
    # The mean plus a step is rounded: so is the variation, to the mean's last digit.
    blurred = gamma(4) * float(np.linalg.cond(mean)) * np.sqrt(np.maximum(up.value, down.value))
    errors = up.error + down.error + blurred
    value = coefficient(scene)
    parts = [
        power_law(
            (up.value + down.value) / 2,
            errors,
            scales,
            exponent=exponent,
            coefficient=value,
            rounding=rounding * abs(value),
        )
    ]
    cubes = np.einsum("nij,njk,nki->n", white, white, white)
    odd, size = third * float(cubes.mean()), float(np.linalg.norm(white, axis=(-2, -1)).max()) ** 3
    # Where the third cumulant vanishes there is no odd part to measure.
    if abs(odd) > 1e-3 * size:
        parts.append(
            power_law(
                (up.value - down.value) / 2,
                errors,
                scales,
                exponent=3.0,
                coefficient=odd,
                rounding=rounding * size,
            )
        )
    # The library names the leading term itself, at every size of the variation.
    for found in (up, down):
        parts.append(
            Comparison.identity(
                found.second_order, value * scales**2, scale=abs(value) * scales[0] ** 2,
                rounding=rounding * (abs(value) + size) * scales**2, blurred=blurred * scales,
            )
        )  # fmt: skip
    return Comparison.all_of(*parts)


# 5c ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bounded:
    """Hessians with eigenvalues in [least, least * ratio], by their spectra and axes; weights."""

    least: float
    ratio: float
    hessians: tuple[Covariance, ...]
    weights: Vector

    @property
    def matrices(self) -> Array:
        """The Hessians, `(N, d, d)`; spectra are given as positions in the interval."""
        matrices = np.array([c.matrix for c in self.hessians])
        eye = np.eye(matrices.shape[-1])
        return np.asarray(self.least * (eye + (self.ratio - 1) * matrices))


@st.composite
def bounded(draw: DrawFn) -> Bounded:
    """Up to four Hessians of up to three dimensions; the ends of the interval are taken."""
    dim, count = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    places = strategies.covariances(dim, (0.0, 1.0, 0.5, 0.25))
    ends = (Covariance((0.0,) * dim, (0,) * (dim - 1)), Covariance((1.0,) * dim, (0,) * (dim - 1)))
    return Bounded(
        draw(st.sampled_from((1.0, 1e-6, 1e6))),
        draw(st.sampled_from((2.0, 10.0, 1.25, 1000.0))),
        (*ends, *draw(st.tuples(*[places] * count))),
        draw(st.tuples(*[st.sampled_from((1.0, 3.0, 0.25))] * (count + 2))),
    )


def _log_specht(h: float, dim: int) -> float:
    return 0.5 * dim * float(log_specht_ratio(h))


def specht_of_the_root(h: float, dim: int) -> float:
    """Specht's ratio of the root of h."""
    return _log_specht(float(np.sqrt(h)), dim)


def equal_weights(h: float, dim: int) -> float:
    """The two-point law of equal weights, thought to be the worst."""
    return 0.5 * dim * float(np.log((1 + h) / (2 * np.sqrt(h))))


def one_dimension(h: float, dim: int) -> float:
    """No factor d."""
    return _log_specht(h, 1)


def greatest_penalty(
    scene: Bounded, *, bound: Callable[[float, int], float] = _log_specht
) -> Comparison:
    """Penalties against Specht's bound, and the two-point law that attains it."""
    matrices, h = scene.matrices, scene.ratio
    dim = matrices.shape[-1]
    found = constant_variance_penalty(matrices, np.array(scene.weights))
    limit = bound(h, dim)
    rounding = gamma(100 * dim) * (1 + h) * (1 + limit)

    # The worst law has the logarithmic mean of m and M: its weight on m follows.
    weight = (h - (h - 1) / np.log(h)) / (h - 1)
    ends = scene.least * np.array([1.0, h])[:, None, None] * np.eye(dim)
    worst = constant_variance_penalty(ends, [weight, 1 - weight])

    def loss(w: float) -> float:
        return -float(np.log(w + (1 - w) * h) - (1 - w) * np.log(h))

    # The optimum is flat: an error of 2e-8 in its place costs that squared times log(h)^2.
    searched = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9})
    return Comparison.all_of(
        Comparison.at_most(
            found.value, limit, scale=1 + limit, rounding=rounding, library=found.error
        ),
        Comparison.at_most(found.value, found.sharp_bound, scale=1 + limit, rounding=rounding),
        Comparison.at_most(
            found.sharp_bound, found.specht_bound, scale=1 + limit, rounding=rounding
        ),
        Comparison.identity(
            worst.value, limit, scale=1 + limit, rounding=rounding, library=worst.error
        ),
        # No other weights do worse: a search that knows nothing of Specht.
        Comparison.identity(
            -0.5 * dim * searched.fun,
            limit,
            scale=1 + limit,
            search=dim * (2e-8 * np.log(h)) ** 2,
            rounding=rounding,
        ),
    )

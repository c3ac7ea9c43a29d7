"""Check of 5a: the loss of the second-order ELBO from a constant variance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import ArrayLike

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.constant_variance import Penalty, constant_variance_penalty
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class DataScene:
    """A decoder, a noise, a weighted data set, and any constant covariance."""

    decoder: Decoder
    scale: float
    X: tuple[Vector, ...]
    weights: Vector
    other: Covariance

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        dim = len(self.other.variances)
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.scale), dim)

    def modes(self) -> tuple[Array, Array, Array]:
        """Modes, Hessians there, and normalised weights."""
        return self._modes

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        model, X = self.model, np.array(self.X)
        modes = posterior_mode(model, X)
        weights = np.array(self.weights)
        return modes, model.potential_derivatives(X, modes)[1], weights / weights.sum()


@st.composite
def data_scenes(draw: DrawFn) -> DataScene:
    """Two to four data with positive definite Hessians, under decoders of one or two latents."""
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
    """An instance of 5a: a model, its data, and any constant covariance."""

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


@once
def _penalty(A: Array, weights: Array) -> Penalty:
    return constant_variance_penalty(A, weights=weights)


def second_order_penalty(A: Array, weights: Array) -> float:
    """The penalty by the library's formula."""
    return float(_penalty(A, weights).value)


def log_of_mean_determinant(A: Array, weights: Array) -> float:
    """The determinants averaged in place of their logarithms."""
    mean = np.tensordot(weights, A, axes=1)
    dets = weights @ np.linalg.det(A)
    return 0.5 * float(np.linalg.slogdet(mean)[1] - np.log(dets))


def twice_the_penalty(A: Array, weights: Array) -> float:
    """Without the factor 1/2."""
    return 2 * second_order_penalty(A, weights)


def inverse_mean(A: Array, weights: Array) -> Array:
    """The inverse of the mean precision."""
    return np.asarray(_penalty(A, weights).cov)


def mean_inverse(A: Array, weights: Array) -> Array:
    """The mean of the covariances for the inverse of the mean precision."""
    return np.tensordot(weights, np.linalg.inv(A), axes=1)


@once
def _elbo(model: LatentModel, X: Array, modes: Array, covs: Array) -> Array:
    return second_order_elbo(model, X, Posterior(modes, cov=covs))


def penalty_identity(
    scene: SecondOrderScene,
    *,
    penalty: Callable[[Array, Array], float] = second_order_penalty,
    best: Callable[[Array, Array], Array] = inverse_mean,
) -> Comparison:
    """Compare the second-order ELBOs at their optima, free and constant, with the formula."""
    model, X = scene.model, np.array(scene.X)
    modes, A, weights = scene.modes()
    dim = model.latent_dim

    def mean_elbo(cov: Array) -> float:
        return float(weights @ _elbo(model, X, modes, np.broadcast_to(cov, A.shape)))

    free, constant = mean_elbo(np.linalg.inv(A)), mean_elbo(best(A, weights))
    library = _penalty(A, weights)
    condition = float(np.linalg.cond(A).max() + np.linalg.cond(library.cov))
    heights = np.abs(model.log_joint(X, modes)).max() + np.abs(np.linalg.slogdet(A)[1]).max()
    size = float(heights) + 2 * dim
    rounding = gamma(100 * dim) * condition * size

    # Any other constant covariance loses in addition its divergence from the best one.
    other = scene.other.matrix
    relative = np.tensordot(weights, A, axes=1) @ other
    further = 0.5 * float(np.trace(relative) - dim - np.linalg.slogdet(relative)[1])

    # It is zero only where all A are equal: t - log(1 + t) >= t^2 / 2 max(1, 1 + t).
    root = np.linalg.cholesky(library.cov)
    excess = np.linalg.eigvalsh(root.T @ A @ root) - 1
    least = 0.25 * float(weights @ (excess**2 / np.maximum(1, 1 + excess)).sum(axis=-1))
    alike = _penalty(np.broadcast_to(A[0], A.shape), weights)
    return Comparison.all_of(
        Comparison.identity(
            free - constant,
            penalty(A, weights),
            scale=size,
            rounding=rounding,
            library=library.error,
        ),
        Comparison.identity(
            free - mean_elbo(other),
            penalty(A, weights) + further,
            scale=size + further,
            rounding=rounding * (1 + further),
        ),
        Comparison.at_most(
            least, library.value, scale=size, rounding=rounding, library=library.error
        ),
        Comparison.identity(alike.value, 0.0, scale=1.0, rounding=alike.error),
    )


SECOND_ORDER_PENALTY = Proposition(
    label="5a",
    title="To second order a constant variance costs 1/2 (log det E[A] - E[log det A])",
    statement=(
        r"\max_{S_n}\mathbb E\,\mathrm{ELBO}_2 - \max_S\mathbb E\,\mathrm{ELBO}_2"
        r" = \tfrac12(\log\det\bar A - \mathbb E\log\det A) \ge 0,\quad S = \bar A^{-1},"
        r"\quad 0 \text{ iff all } A_n \text{ are equal}"
    ),
    hypotheses=(
        ("modes", r"\nabla U(\hat z_n) = 0,\ A_n \succ 0"),
        ("fixed expansion", r"U \text{ replaced by its Taylor polynomial at } \hat z_n"),
    ),
    kind="identity",
    instances=data_scenes(),
    check=penalty_identity,
    controls=wrong(
        penalty_identity,
        {
            "log E in place of E log": {"penalty": log_of_mean_determinant},
            "the mean covariance as the best": {"best": mean_inverse},
            "no factor 1/2": {"penalty": twice_the_penalty},
        },
    ),
    uses=("3e",),
)

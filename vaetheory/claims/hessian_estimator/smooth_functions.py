"""Smooth functions of a latent point, and their expectations by two routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes

SMOOTH = ("smooth", r"g \in C^2,\ \text{of moderate growth}")


SAMPLE = ("a Gaussian sample", r"z = m + L\varepsilon,\ S = LL^\top,\ \varepsilon \sim N(0, I)")


LOG_LIKELIHOOD = -1


@dataclass(frozen=True)
class SmoothFunction:
    """A function g of the latent: an output of the scene's decoder, or its log likelihood."""

    scene: ModelScene
    output: int

    @property
    def loc(self) -> Array:
        """Mean m `(d,)` of the Gaussian with which g is smoothed."""
        return np.array(self.scene.loc)

    @property
    def cov(self) -> Array:
        """Its covariance S `(d, d)`."""
        return self.scene.cov.matrix

    def values(self, z: Array) -> Array:
        """g(z), `(..., d) -> (...)`."""
        if self.output == LOG_LIKELIHOOD:
            return self.scene.model.log_likelihood(np.array(self.scene.x), z)
        return self.scene.decoder(z)[..., self.output]

    def gradients(self, z: Array) -> Array:
        """Gradient of g, `(..., d)`."""
        if self.output == LOG_LIKELIHOOD:
            return z - self._potential(z)[0]
        return self.scene.decoder.jacobian(z)[..., self.output, :]

    def derivatives(self, z: Array) -> tuple[Array, Array]:
        """Gradient and Hessian of g, `(..., d)` and `(..., d, d)`."""
        if self.output == LOG_LIKELIHOOD:
            gradient, hessian, _ = self._potential(z)
            return z - gradient, np.eye(z.shape[-1]) - hessian
        return self.gradients(z), self.hessians(z)

    def hessians(self, z: Array, *, residual: bool = True) -> Array:
        """Hessian of g, `(..., d, d)`; of a log likelihood also without its residual term."""
        if self.output == LOG_LIKELIHOOD:
            # The potential adds the prior's identity.
            return np.eye(z.shape[-1]) - self._potential(z)[1 if residual else 2]
        return self.scene.decoder.hessian(z)[..., self.output, :, :]

    def _potential(self, z: Array) -> tuple[Array, Array, Array]:
        return self.scene.model.potential_derivatives(np.array(self.scene.x), z)


def smooth_functions(*, dims: Sequence[int] = (1, 2)) -> SearchStrategy[SmoothFunction]:
    """Log likelihoods of four families and outputs of decoders, in one or two dimensions."""
    return st.builds(
        SmoothFunction,
        model_scenes(dims=dims),
        st.sampled_from((LOG_LIKELIHOOD, LOG_LIKELIHOOD, 0, 1)),
    )


def by_rules(entries: Callable[[Array], Array], loc: Array, cov: Array) -> tuple[Array, Array]:
    """E[entries(z)] of entries `(..., d) -> (..., K)` and its error, by the library's rules."""
    centre = entries(loc[None])
    count = centre.shape[-1]
    # An entry that is only rounding would never reach a tolerance relative to itself.
    shift = 1 + float(np.abs(centre).max())
    result = gaussian_expectation(
        lambda z, rows: shift + entries(z[:1])[0].T[rows],
        np.broadcast_to(loc, (count, len(loc))),
        np.broadcast_to(cov, (count, *cov.shape)),
        rtol=1e-11,
    )
    return result.value - shift, result.error


def by_lattice(columns: Callable[[Array], Array], loc: Array, cov: Array) -> tuple[Array, Array]:
    """Integral of `columns` by a lattice along the axes, ten deviations wide."""
    widths = np.sqrt(np.diag(cov))
    narrow = float(np.sqrt(np.linalg.eigvalsh(cov)[0]))
    # The step is small against the Gaussian and against the poles of a steep tanh.
    step = narrow / 16 if len(loc) == 1 else min(narrow / 5, 0.15)
    return lattice_integral(columns, loc - 10 * widths, loc + 10 * widths, step=step)


def flat(matrices: Array) -> Array:
    """Matrices as vectors, `(..., d, d) -> (..., d^2)`."""
    return matrices.reshape(*matrices.shape[:-2], -1)

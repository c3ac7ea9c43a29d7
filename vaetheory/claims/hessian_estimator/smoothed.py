"""Checks of 4a and 4b: the smoothed Hessian as a derivative in S and as Stein's expectations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.hessian_estimators import price_hessian, stein_hessian
from vaetheory.rounding import gamma

LOG_LIKELIHOOD = -1


@dataclass(frozen=True)
class SmoothFunction:
    """A function g of the latent: an output of the scene's decoder, or its log likelihood."""

    scene: ModelScene
    output: int

    @property
    def loc(self) -> Array:
        """Mean m `(d,)` of the Gaussian that smooths."""
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

    def hessians(self, z: Array, *, residual: bool = True) -> Array:
        """Hessian of g, `(..., d, d)`; of a log likelihood also without its residual term."""
        if self.output == LOG_LIKELIHOOD:
            # The potential adds the prior's identity.
            return np.eye(z.shape[-1]) - self._potential(z)[1 if residual else 2]
        return self.scene.decoder.hessian(z)[..., self.output, :, :]

    def _potential(self, z: Array) -> tuple[Array, Array, Array]:
        x = np.array(self.scene.x)
        return self.scene.model.potential_derivatives(
            np.broadcast_to(x, (*z.shape[:-1], len(x))), z
        )


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
    # An entry that is nothing but rounding would never reach a tolerance relative to itself.
    shift = 1 + float(np.abs(centre).max())
    result = gaussian_expectation(
        lambda z, rows: shift + entries(z[:1])[0].T[rows],
        np.broadcast_to(loc, (count, len(loc))),
        np.broadcast_to(cov, (count, *cov.shape)),
        rtol=1e-11,
    )
    return result.value - shift, result.error


def by_lattice(columns: Callable[[Array], Array], loc: Array, cov: Array) -> tuple[Array, Array]:
    """Integral of `columns` over the plain frame, ten deviations out."""
    widths = np.sqrt(np.diag(cov))
    narrow = float(np.sqrt(np.linalg.eigvalsh(cov)[0]))
    # Fine against the Gaussian and against the poles of a steep tanh.
    step = narrow / 16 if len(loc) == 1 else min(narrow / 5, 0.15)
    return lattice_integral(columns, loc - 10 * widths, loc + 10 * widths, step=step)


def flat(matrices: Array) -> Array:
    """Matrices as vectors, `(..., d, d) -> (..., d^2)`."""
    return matrices.reshape(*matrices.shape[:-2], -1)


# 4a ---------------------------------------------------------------------------------------------


def _directions(dim: int) -> Array:
    """Symmetric directions: e_i e_i^T, and e_i e_j^T + e_j e_i^T, which moves S_ij and S_ji."""
    unit = np.eye(dim)
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]
    return np.stack(
        [
            (np.outer(unit[i], unit[j]) + np.outer(unit[j], unit[i])) / (1 + (i == j))
            for i, j in pairs
        ]
    )


def derivative_in_covariance(
    instance: SmoothFunction,
    *,
    factor: float = 0.5,
    smoothed: bool = True,
    residual: bool = True,
    pairs_once: bool = False,
) -> Comparison:
    """1/2 tr(E[Hess g] B) against the complex step of E_{N(m, S + i h B)}[g], for symmetric B."""
    loc, cov = instance.loc, instance.cov
    dim = len(loc)
    directions = _directions(dim)
    hessian, error = by_rules(lambda z: flat(instance.hessians(z, residual=residual)), loc, cov)
    if not smoothed:
        hessian = flat(instance.hessians(loc))
    along = directions if not pairs_once else np.tril(directions)
    right = factor * np.einsum("kij,ij->k", along, hessian.reshape(dim, dim))
    right_error = factor * np.einsum("kij,ij->k", directions, error.reshape(dim, dim))

    # The density alone is differentiated, by a step in the complex plane that loses no digits.
    step = 1e-30
    moved = cov + 1j * step * directions
    inverses = np.linalg.inv(moved)
    dets = np.array([np.linalg.det(2 * np.pi * m) for m in moved])
    centre = float(instance.values(loc[None])[0])

    def columns(z: Array) -> Array:
        away = z - loc
        square = np.einsum("mi,kij,mj->mk", away, inverses, away)
        slopes = (np.exp(-0.5 * square) / np.sqrt(dets)).imag / step
        # A constant has no derivative: taking g(m) off leaves less to cancel.
        g = instance.values(z) - centre
        density = np.exp(-0.5 * square[:, 0].real) / np.sqrt(dets[0].real)
        return np.concatenate([g[:, None] * slopes, (np.abs(g) * density)[:, None]], axis=-1)

    value, lost = by_lattice(columns, loc, cov)
    swing = float(np.linalg.norm(np.linalg.inv(cov), 2)) * (1 + abs(centre) + float(value[-1]))
    return Comparison.identity(
        value[:-1],
        right,
        scale=np.abs(hessian).max() + swing,
        lattice=lost[:-1],
        quadrature=right_error,
        rounding=gamma(200) * swing * (1 + float(np.linalg.cond(cov))),
    )


# 4b ---------------------------------------------------------------------------------------------

#: What one draw contributes: values, gradients, noise (M, d) and L -> (M, d, d).
Draw = Callable[[Array, Array, Array, Array], Array]


def stein_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """The library's estimator from values, one draw an estimate."""
    return stein_hessian(values[..., None], noise[..., None, :], root).value


def price_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """The library's estimator from gradients, one draw an estimate."""
    return price_hessian(gradients[..., None, :], noise[..., None, :], root).value


def uncentred_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form without its term -S^-1."""
    inverse = np.linalg.inv(root @ root.T)
    return stein_draw(values, gradients, noise, root) + values[..., None, None] * inverse


def covariance_for_precision(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form with S where S^-1 belongs."""
    away = noise @ root.T
    cov = root @ root.T
    scores = away @ cov
    weights = scores[..., :, None] * scores[..., None, :] - cov
    return weights * values[..., None, None]


def halved_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form with the factor 1/2 of the derivative in S."""
    return 0.5 * stein_draw(values, gradients, noise, root)


def unwhitened_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Price's form with the noise itself where L^-T eps belongs."""
    return price_draw(values, gradients, noise, np.eye(len(root)))


def transposed_root_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Price's form with L^-1 eps for L^-T eps."""
    scores = noise @ np.linalg.inv(root).T
    draws = scores[..., :, None] * gradients[..., None, :]
    return (draws + np.swapaxes(draws, -1, -2)) / 2


def stein_identities(
    instance: SmoothFunction, *, stein: Draw = stein_draw, price: Draw = price_draw
) -> Comparison:
    """The estimators' expectations by the library's rules against E[Hess g] by a lattice.

    On the lattice the gradient's form is summed as well, without symmetrising it first.
    """
    loc, cov = instance.loc, instance.cov
    root = np.linalg.cholesky(cov)
    inverse = np.linalg.inv(cov)
    dim = len(loc)

    def entries(z: Array) -> Array:
        noise = np.linalg.solve(root, (z - loc)[..., None])[..., 0]
        values, gradients = instance.values(z), instance.gradients(z)
        parts = [draw(values, gradients, noise, root) for draw in (stein, price)]
        return np.concatenate([flat(p) for p in parts], axis=-1)

    estimates, errors = by_rules(entries, loc, cov)

    def columns(z: Array) -> Array:
        away = z - loc
        scores = away @ inverse
        density = np.exp(instance.scene.posterior.log_prob(z))[:, None]
        by_gradient = scores[:, :, None] * instance.gradients(z)[:, None, :]
        sizes = np.abs(instance.values(z))[:, None]
        return density * np.concatenate(
            [flat(instance.hessians(z)), flat(by_gradient), sizes], axis=-1
        )

    value, lost = by_lattice(columns, loc, cov)
    hessian, by_gradient = value[: dim * dim], value[dim * dim : -1]
    # Values and gradients are multiplied by the precision, and cancel in its unit.
    swing = float(np.linalg.norm(inverse, 2)) * (1 + float(value[-1]))
    swing += float(np.abs(value[:-1]).max())
    rounding = gamma(200) * swing * (1 + float(np.linalg.cond(cov)))
    wanted = np.tile(hessian, 2)
    return Comparison.all_of(
        Comparison.identity(
            estimates,
            wanted,
            scale=swing,
            quadrature=errors,
            lattice=np.tile(lost[: dim * dim], 2),
            rounding=rounding,
        ),
        Comparison.identity(
            by_gradient,
            hessian,
            scale=swing,
            lattice=lost[: dim * dim] + lost[dim * dim : -1],
            rounding=rounding,
        ),
    )

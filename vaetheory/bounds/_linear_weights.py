"""Importance weights of linear models with Gaussian noise, whose logarithms are parabolas."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import LATTICE_DIM
from vaetheory._validation import Array, fraction
from vaetheory.bounds._growth import sign_of
from vaetheory.bounds._linear_gaussian import affine_map
from vaetheory.bounds.gaussian_elbo import flatten
from vaetheory.encoders import Posterior
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


class LinearWeights(NamedTuple):
    """log w(m + L e) = height + slope . u + sum (1 - ratio_j) u_j^2 / 2, with u = V^T e.

    q = N(m, L L^T), e and u are standard normal, and V diagonalises L^T P L, where P is the
    posterior's precision.

    Attributes
    ----------
    height : array (N,)
        log w at the mean of q, in nats.
    slope : array (N, d)
    ratio : array (N, d)
        The eigenvalues of L^T P L, which are positive.
    size : array (N,)
        The size of the terms of `height`, multiplied by the condition of the noise.
    """

    height: Array
    slope: Array
    ratio: Array
    size: Array

    def finite_power(self, power: float) -> NDArray[np.intp]:
        """1 where E_q[w^s] is finite, -1 where infinite, 0 within rounding of that, `(N,)`.

        It is finite if and only if s P + (1 - s) S^-1 is positive definite.
        """
        if 0 <= power <= 1:
            return np.ones(len(self.height), dtype=int)
        return sign_of(1 - power + power * self.ratio, abs(1 - power) + abs(power) * self.ratio)

    def log_mean_power(self, power: float) -> tuple[Array, Array]:
        """(1 / s) log E_q[w^s] where it is finite, E_q[log w] for s = 0, and rounding, `(N,)`."""
        left = 1 - power + power * self.ratio
        with np.errstate(all="ignore"):
            if power == 0:
                bend = 0.5 * (1 - self.ratio)
            else:
                bend = -0.5 * np.log1p(power * (self.ratio - 1)) / power
            lift = 0.5 * power * self.slope**2 / left
            terms = np.abs(bend) + np.abs(lift) + 1
            # The eigenvalues are rounded in proportion to the greatest of each datum.
            spread = abs(power) * self.ratio.max(axis=-1, keepdims=True) + abs(1 - power)
            lost = (terms + 1 + np.abs(lift)) * (1 + spread / left)
        count = self.ratio.shape[-1]
        value = self.height + (bend + lift).sum(axis=-1)
        return value, gamma(20 * (count + 5)) * (self.size + lost.sum(axis=-1))

    def divergence(self) -> tuple[Array, Array]:
        """KL(p(z|x) || q) in nats, and its rounding, `(N,)`."""
        each = 1 / self.ratio - 1 + np.log(self.ratio) + (self.slope / self.ratio) ** 2
        size = 1 / self.ratio + np.abs(np.log(self.ratio)) + (self.slope / self.ratio) ** 2
        lost = size * (1 + self.ratio.max(axis=-1, keepdims=True) / self.ratio)
        count = self.ratio.shape[-1]
        return 0.5 * each.sum(axis=-1), gamma(20 * (count + 5)) * (self.size + lost.sum(axis=-1))


def linear_weights(model: LatentModel, data: Array, loc: Array, cov: Array) -> LinearWeights | None:
    """The weights of data `(N, D)` and posteriors, or None if the model is not linear."""
    family, x, offset = model.likelihood.reduced(data)
    layer = affine_map(model.decoder, model.latent_dim) if family.gaussian else None
    if layer is None:
        return None
    noise = cast(Gaussian, family)
    d = loc.shape[1]
    white = noise.whiten(layer.weight.T).T
    residual = noise.whiten(x - layer.bias) - loc @ white.T
    # The columns of the weight span at most d directions: the rest of the noise says nothing of z.
    q, r = np.linalg.qr(white)
    root = np.linalg.cholesky(cov)
    stacked = np.concatenate([r @ root, root], axis=-2)
    _, singular, turned = np.linalg.svd(stacked, full_matrices=False)
    slope = (residual @ q) @ r - loc
    slope = np.einsum("nji,nj->ni", root, slope)
    square = (residual**2).sum(axis=-1)
    height = noise.log_peak(x.shape[1]) + offset - 0.5 * square - 0.5 * (loc**2).sum(axis=-1)
    height = height + 0.5 * _gaussians.log_det(cov)
    whole = (noise.whiten(np.abs(x) + np.abs(layer.bias)) ** 2).sum(axis=-1)
    size = np.abs(height) + square + (loc**2).sum(axis=-1) + d
    # Residuals are differences of data, biases and outputs.
    size = size + np.sqrt(square * whole) + np.abs(offset)
    return LinearWeights(
        height,
        np.einsum("nij,nj->ni", turned, slope),
        singular**2,
        noise.condition * size,
    )


class Weighed(NamedTuple):
    """Checked data `(N, D)` and posteriors, and the weights of a linear model."""

    data: Array
    loc: Array
    cov: Array
    linear: LinearWeights | None


def weighed(model: LatentModel, X: ArrayLike, posterior: Posterior, rtol: float) -> Weighed:
    """Check the arguments of a bound: a model without a closed form has at most three latents."""
    fraction("rtol", rtol, low=1e-14, high=0.1)
    data, loc, cov = flatten(model, X, posterior)
    linear = linear_weights(model, data, loc, cov)
    if linear is None and model.latent_dim > LATTICE_DIM:
        raise ValueError(
            f"latent_dim: expected at most {LATTICE_DIM} unless the model is linear with Gaussian "
            f"noise, got {model.latent_dim}"
        )
    return Weighed(data, loc, cov, linear)

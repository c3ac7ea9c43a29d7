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
    slope_size, ratio_size : arrays (N,)
        The sizes in proportion to which slopes and eigenvalues are rounded: q and P may be nearly
        singular, and their product not.
    """

    height: Array
    slope: Array
    ratio: Array
    size: Array
    slope_size: Array
    ratio_size: Array

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
            unit = gamma(20 * (self.ratio.shape[-1] + 5))
            lost += self.ratio_size[:, None] / left * (0.5 + np.abs(power * lift))
            off = self.slope_size[:, None]
            lost += np.abs(power) * off / left * (np.abs(self.slope) + unit * off)
        value = self.height + (bend + lift).sum(axis=-1)
        return value, unit * (self.size + lost.sum(axis=-1))

    def log_moment(self, power: float) -> tuple[Array, Array]:
        """Log of E_q[wbar^s], wbar = w / E_q[w], for s > 1, and its rounding, `(N,)`.

        Infinite, with an error of 0, where the moment does not exist or is within rounding of that.
        """
        ratio, count = self.ratio, self.ratio.shape[-1]
        unit = gamma(20 * (count + 5))
        off, lost = unit * self.slope_size[:, None], unit * self.ratio_size[:, None]
        left = 1 - power + power * ratio
        good = (left > unit + abs(power) * lost) & (ratio > lost)
        there = np.asarray(good.all(axis=-1, keepdims=True))
        safe, own = np.where(there, left, 1.0), np.where(there, ratio, 1.0)
        both = power * (power - 1) / (own * safe)
        bend = power * np.log(own) - np.log(safe)
        value = 0.5 * (bend + both * self.slope**2).sum(axis=-1)
        # Derivatives by slopes and eigenvalues, where these are at the worst ends of their errors.
        own, safe = np.maximum(own - lost, own / 2), np.maximum(safe - power * lost, safe / 2)
        both = power * (power - 1) / (own * safe)
        slope = np.abs(self.slope) + off
        by_ratio = 0.5 * both * (np.abs(ratio - 1) + lost + slope**2 * (1 / own + power / safe))
        sizes = np.abs(power * np.log(own)) + np.abs(np.log(safe)) + both * slope**2
        error = (by_ratio * lost + both * slope * off + unit * sizes).sum(axis=-1)
        return np.where(there[:, 0], value, np.inf), np.where(there[:, 0], error, 0.0)

    def divergence(self) -> tuple[Array, Array]:
        """KL(p(z|x) || q) in nats, and its rounding, `(N,)`."""
        each = 1 / self.ratio - 1 + np.log(self.ratio) + (self.slope / self.ratio) ** 2
        size = 1 / self.ratio + np.abs(np.log(self.ratio)) + (self.slope / self.ratio) ** 2
        lost = size * (1 + self.ratio.max(axis=-1, keepdims=True) / self.ratio)
        unit = gamma(20 * (self.ratio.shape[-1] + 5))
        by_ratio = np.abs(1 - 1 / self.ratio) + 2 * (self.slope / self.ratio) ** 2
        lost += 0.5 * by_ratio / self.ratio * self.ratio_size[:, None]
        # Of second order as well, where the first derivative is zero.
        lost += 0.5 * unit * (self.ratio_size[:, None] / self.ratio) ** 2
        off = self.slope_size[:, None]
        lost += off * (np.abs(self.slope) + unit * off) / self.ratio**2
        return 0.5 * each.sum(axis=-1), unit * (self.size + lost.sum(axis=-1))


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
    moduli = np.abs(r) @ np.abs(root)
    stretch = np.linalg.norm(moduli, axis=(-2, -1))
    # A nearly singular covariance is factorised with errors that are as large in units of q.
    scaled = np.einsum("nii,nii->n", cov, np.linalg.inv(cov))
    terms = np.linalg.norm(noise.whiten(x - layer.bias), axis=-1)
    terms = terms + np.linalg.norm(np.abs(loc) @ np.abs(white).T, axis=-1)
    slope_size = terms * stretch + np.linalg.norm(
        np.abs(loc)[:, None] @ np.abs(root), axis=(-2, -1)
    )
    slope_size = slope_size + np.linalg.norm(slope, axis=-1) * scaled
    largest = singular.max(axis=-1)
    ratio_size = largest * (stretch + largest * scaled) + 1
    whole = (noise.whiten(np.abs(x) + np.abs(layer.bias)) ** 2).sum(axis=-1)
    size = np.abs(height) + square + (loc**2).sum(axis=-1) + d
    # Residuals are differences of data, biases and outputs.
    size = size + np.sqrt(square * whole) + np.abs(offset)
    return LinearWeights(
        height,
        np.einsum("nij,nj->ni", turned, slope),
        singular**2,
        noise.condition * size,
        noise.condition * slope_size,
        noise.condition * ratio_size,
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

"""The evidence of an affine decoder with Gaussian noise, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders._affine_maps import is_affine_map, latents_near_and_far
from vaetheory.decoders.base import Decoder
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import as_piecewise_linear
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: Difference of a decoder from its layers, relative to the moduli of all terms, that is rounding.
_ROUNDING = 1e-12


class LinearEvidence(NamedTuple):
    """Log evidences `(...)` in nats, and an estimate of their rounding."""

    value: Array
    error: Array


def linear_gaussian(weight: Array, bias: Array, likelihood: Gaussian, X: Array) -> LinearEvidence:
    """The log density N(x; b, W W^T + Lambda) of checked data `(..., D)`."""
    white = likelihood.whiten(weight.T).T
    residual = likelihood.whiten(X - bias)
    # Let J be the whitened weight. The inverse and determinant of I + J J^T are computed from a QR
    # decomposition of J stacked on I, so that they keep their digits when the scale is small.
    size, d = weight.shape
    q, r = np.linalg.qr(np.concatenate([white, np.eye(d)]))
    top = q[:size]
    # (I + J J^T)^(-1) = I - Q1 Q1^T, where Q1 is the first block of rows of Q.
    along = residual @ top
    off = residual - along @ top.T
    square = (off**2).sum(axis=-1) + ((along @ q[size:].T) ** 2).sum(axis=-1)
    log_det = np.log(np.abs(np.diagonal(r))).sum()
    value = likelihood.log_peak(size) - log_det - 0.5 * square
    most = (residual**2).sum(axis=-1)
    rounding = np.sqrt(most * np.maximum(square, 1)) * np.sqrt(size) + np.abs(value) + d
    error = 8 * ULP * likelihood.condition * rounding
    return LinearEvidence(np.asarray(value), np.asarray(error))


class LinearPosterior(NamedTuple):
    """Exact posteriors N(loc, cov) of a linear model, and the price of a diagonal covariance.

    Means `(..., d)`, the covariance and precision `(d, d)` of all, and (sum_j log P_jj - log det P)
    / 2 in nats with an estimate of its rounding.
    """

    loc: Array
    cov: Array
    precision: Array
    diagonal: float
    error: float


def linear_posterior(weight: Array, bias: Array, likelihood: Gaussian, X: Array) -> LinearPosterior:
    """The posteriors of checked data `(..., D)`; the matrix I + J^T J is not inverted."""
    white = likelihood.whiten(weight.T).T
    size, d = weight.shape
    stack = np.vstack([white, np.eye(d)])
    length = np.linalg.norm(stack, axis=0)
    # With columns of length one the digits that are lost are those of correlations only.
    q, r = np.linalg.qr(stack / length)
    inverse = np.linalg.inv(r)
    loc = likelihood.whiten(X - bias) @ q[:size] @ inverse.T / length
    root = inverse / length[:, None]
    lost = 8 * ULP * (size + d) * likelihood.condition * d * np.linalg.norm(inverse, 2)
    diagonal = -np.log(np.abs(np.diagonal(r))).sum()
    return LinearPosterior(loc, root @ root.T, stack.T @ stack, float(diagonal), float(lost))


def affine_map(decoder: Decoder, dim: int) -> LinearMap | None:
    """The decoder as one affine map, if it says that it is one and its values agree.

    Examples
    --------
    >>> from vaetheory.decoders import Affine, Circle, Reparametrised
    >>> affine_map(Reparametrised(Affine([[2.0]], [1.0]), [[3.0]]), 1).weight.tolist()
    [[6.0]]
    >>> affine_map(Circle(1.0), 1) is None
    True
    """
    found = as_piecewise_linear(decoder)
    if found is None or not all(isinstance(layer, LinearMap) for layer in found.layers):
        return None
    z = latents_near_and_far(dim)
    weight, bias = np.eye(dim), np.zeros(dim)
    for layer in found.layers:
        assert isinstance(layer, LinearMap)
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    same = is_affine_map(np.asarray(decoder(z)), z, weight, bias, _ROUNDING)
    return LinearMap(weight, bias) if same else None


def linear_decoder(model: LatentModel) -> LinearMap | None:
    """The decoder of a linear model with Gaussian noise as one map; None of another model."""
    return affine_map(model.decoder, model.latent_dim) if model.likelihood.gaussian else None


def noisy_mean(
    weight: Array, bias: Array, likelihood: Gaussian, X: Array, roots: Array
) -> LinearEvidence:
    """E[log N(x + R e; b, W W^T + Lambda)] for noise e of mean 0 and covariance I.

    Data `(..., D)` and roots R `(..., D, K)`. The log density is a parabola, so that each column of
    R adds what it changes at the mean.
    """
    at = linear_gaussian(weight, bias, likelihood, X)
    # Around a mean of 0: added to a large b, the columns would lose their digits.
    origin = np.zeros_like(bias)
    peak = linear_gaussian(weight, origin, likelihood, origin)
    moved = linear_gaussian(weight, origin, likelihood, np.swapaxes(roots, -1, -2))
    change = (moved.value - peak.value).sum(axis=-1)
    lost = (moved.error + peak.error).sum(axis=-1)
    return LinearEvidence(at.value + change, at.error + lost)

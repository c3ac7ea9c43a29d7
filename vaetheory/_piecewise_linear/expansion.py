"""Values and slopes of layers at points, with their rounding errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import Layer
from vaetheory.rounding import EPS


@dataclass(frozen=True, eq=False)
class Expansion:
    """The affine maps of a piecewise linear function on the pieces around K points.

    Attributes
    ----------
    value : array (K, r)
        At the points.
    slope : array (d, K, r)
        Derivatives by each latent.
    value_noise : array (K, r)
        Variance of the rounding error of `value`.
    slope_noise : array (K, r)
        Variance of the rounding error of the slopes, summed over the latents.
    """

    value: Array
    slope: Array
    value_noise: Array
    slope_noise: Array


def expand(layers: Sequence[Layer], points: Array) -> Expansion:
    """Values, slopes and their rounding at points `(K, d)`.

    Rounding errors are taken as independent, each with the variance of the unit roundoff. Of a
    scalar product of n numbers those of the products, and of its partial sums, count.
    """
    d = points.shape[1]
    h = points
    slope = np.broadcast_to(np.eye(d)[:, None], (d, *points.shape))
    value_noise, slope_noise = np.zeros_like(points), np.zeros_like(points)
    for layer in layers:
        if isinstance(layer, LinearMap):
            squared = layer.weight.T**2
            sums = EPS**2 * (2 + layer.weight.shape[1] / 16)
            value_noise = (value_noise + sums * h**2) @ squared
            slope_noise = (slope_noise + sums * (slope**2).sum(axis=0)) @ squared
            h = h @ layer.weight.T + layer.bias
            slope = slope @ layer.weight.T
            value_noise += 2 * EPS**2 * h**2
            slope_noise += 2 * EPS**2 * (slope**2).sum(axis=0)
        else:
            factor = layer.pieces(h)[0]
            h = layer(h)
            slope = factor * slope
            value_noise = factor**2 * value_noise + 2 * EPS**2 * h**2
            slope_noise = factor**2 * slope_noise
    return Expansion(h, slope, value_noise, slope_noise)


def continued(layers: Sequence[Layer], inside: Array, at: Array) -> Array:
    """Values `(K, r)` at points `at` of the affine maps of the pieces around points `inside`."""
    for layer in layers:
        if isinstance(layer, LinearMap):
            inside, at = (h @ layer.weight.T + layer.bias for h in (inside, at))
        else:
            slope, intercept = layer.pieces(inside)
            inside, at = layer(inside), slope * at + intercept
    return at

"""The pieces of a line on which layers are affine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._piecewise_linear.limits import Budget
from vaetheory._validation import Array
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import Layer


def edges_of_pieces(layers: Sequence[Layer], budget: Budget) -> Array:
    """Where the slope of layers on the line changes, in ascending order, between -inf and inf.

    A kink may be listed where the slope stays the same. Rounding moves a kink by a few units in the
    last place; since the function is continuous, that changes integrals by the square of it.
    """
    edges = np.array([-np.inf, np.inf])
    slope, offset = np.ones((1, 1)), np.zeros((1, 1))
    for layer in layers:
        if isinstance(layer, LinearMap):
            slope = slope @ layer.weight.T
            offset = offset @ layer.weight.T + layer.bias
            continue
        found = [edges]
        for k in range(layer.thresholds.shape[-1]):
            with np.errstate(all="ignore"):
                places = (layer.thresholds[..., k] - offset) / slope
            found.append(places[(places > edges[:-1, None]) & (places < edges[1:, None])])
        # Where overflow leaves no number there is no kink.
        refined = np.unique(np.concatenate(found))
        budget.require(len(refined) - 1)
        parent = np.searchsorted(edges, refined[1:], side="left") - 1
        edges, slope, offset = refined, slope[parent], offset[parent]
        factor, shift = layer.pieces(slope * inner_points(edges)[:, None] + offset)
        slope, offset = factor * slope, factor * offset + shift
    return edges


def inner_points(edges: Array) -> Array:
    """A point inside each of the intervals between K + 1 edges, `(K,)`."""
    low, high = edges[:-1], edges[1:]
    bounded = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
    step = 1 + np.abs(bounded)
    left = np.where(np.isfinite(low), low, bounded - 2 * step)
    right = np.where(np.isfinite(high), high, bounded + 2 * step)
    return 0.5 * left + 0.5 * right

"""A model as layers with whitened outputs, as few as possible, and the data to match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaetheory._reduction import Reduction, reduce_last_layer
from vaetheory._validation import Array
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import Layer, PiecewiseLinear
from vaetheory.likelihoods import Gaussian


class DoesNotApply(Exception):
    """The reason why evidences are not computed by pieces, as what was expected and what came."""


@dataclass(frozen=True, eq=False)
class Problem:
    """log p(x given z) = offset - |y - R h(z)|^2 / 2, where h is piecewise linear.

    Attributes
    ----------
    latent_dim : int
    hidden : sequence of layers
        h.
    reduction : Reduction
        With R as `weight`, y as `data`, and `offset`.
    """

    latent_dim: int
    hidden: Sequence[Layer]
    reduction: Reduction

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers of R h."""
        return (*self.hidden, LinearMap(self.reduction.weight))

    def same_map(self, other: Problem) -> bool:
        """Whether R h is the same for another problem, whatever the data."""
        return (
            self.latent_dim == other.latent_dim
            and np.array_equal(self.reduction.weight, other.reduction.weight)
            and (self.hidden is other.hidden or tuple(self.hidden) == tuple(other.hidden))
        )


def whitened(decoder: PiecewiseLinear, likelihood: Gaussian, data: Array) -> Problem:
    """The problem of a decoder and data `(N, D)`, or `DoesNotApply`."""
    *hidden, last = decoder.layers
    if not isinstance(last, LinearMap):
        hidden, last = list(decoder.layers), LinearMap(np.eye(data.shape[-1]))
    reduction = reduce_last_layer(last.weight, last.bias, likelihood, data)
    if reduction is None:
        raise DoesNotApply("numbers that have squares in float64, got larger ones")
    return Problem(decoder.latent_dim, tuple(hidden), reduction)

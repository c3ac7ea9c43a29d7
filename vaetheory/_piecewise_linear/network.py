"""The layers of a model with whitened outputs, as few as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from vaetheory._piecewise_linear.limits import DoesNotApply
from vaetheory._reduction import Reduction, WhitenedLayer
from vaetheory._validation import Array
from vaetheory.decoders import _trial
from vaetheory.decoders.layers import ElementwisePieces, LinearMap
from vaetheory.decoders.piecewise_linear import Layer, PiecewiseLinear, as_piecewise_linear
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel

#: A decoder may differ from its layers by this share of its outputs.
_SAME = 1e-9
#: Greatest dimension of the latents.
_DIMENSIONS = 2


@dataclass(frozen=True, eq=False)
class Network:
    """A piecewise linear h, and the last layer W h + b with the noise of the data.

    Attributes
    ----------
    written : PiecewiseLinear
        The decoder as layers.
    latent_dim : int
    hidden : sequence of layers
        h.
    last : WhitenedLayer
        Its `weight` R gives log p(x given z) = offset - |y - R h(z)|^2 / 2 for reduced data y.
    """

    written: PiecewiseLinear
    latent_dim: int
    hidden: Sequence[Layer]
    last: WhitenedLayer

    @property
    def outputs(self) -> int:
        """Number of rows of R."""
        return len(self.last.weight)

    @property
    def width(self) -> int:
        """The greatest number of units of a layer."""
        return max(len(layer.weight) for layer in self.layers if isinstance(layer, LinearMap))

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers of R h."""
        return (*self.hidden, LinearMap(self.last.weight))

    @cached_property
    def steepest(self) -> float:
        """Bound of the norm of the Jacobian of R h."""
        norms = [
            np.linalg.norm(layer.weight, 2)
            if isinstance(layer, LinearMap)
            else np.abs(layer.slopes).max()
            for layer in self.layers
        ]
        return float(np.prod(norms))

    def reduce(self, data: Array) -> Reduction:
        """Reduced data `(N, D)`."""
        reduction = self.last.reduce(data)
        if reduction is None:
            raise DoesNotApply("expected numbers whose squares fit in float64, got larger ones")
        return reduction

    def at(self, z: Array) -> Array:
        """The hidden layer h at latents `(N, d)`."""
        for layer in self.hidden:
            z = z @ layer.weight.T + layer.bias if isinstance(layer, LinearMap) else layer(z)
        return z


def layers_of(model: LatentModel, affine: bool) -> PiecewiseLinear:
    """The layers of a model that can be integrated by pieces, or `DoesNotApply`.

    A decoder without kinks is meant only if `affine`.
    """
    if not model.likelihood.gaussian:
        raise DoesNotApply(
            "expected a Gaussian likelihood with a fixed scale or covariance, "
            f"got {type(model.likelihood).__name__}"
        )
    if model.latent_dim > _DIMENSIONS:
        raise DoesNotApply(
            f"expected a latent dimension of at most {_DIMENSIONS}, got {model.latent_dim}"
        )
    written = as_piecewise_linear(model.decoder)
    if written is None:
        raise DoesNotApply(
            "expected a decoder that knows its linear layers (`piecewise_linear()` gives a "
            f"PiecewiseLinear), got {type(model.decoder).__name__}"
        )
    if not affine and not any(isinstance(layer, ElementwisePieces) for layer in written.layers):
        raise DoesNotApply("expected a decoder with kinks, got an affine one")
    return written


def network_of(model: LatentModel, written: PiecewiseLinear) -> Network:
    """The network of a model; a ValueError if its layers are not those of the decoder."""
    _require_same(model, written)
    *hidden, last = written.layers
    if not isinstance(last, LinearMap):
        hidden, last = list(written.layers), LinearMap(np.eye(model.data_dim))
    whitened = WhitenedLayer(last.weight, last.bias, cast(Gaussian, model.likelihood))
    network = Network(written, model.latent_dim, tuple(hidden), whitened)
    # Weights without squares are refused before they are used.
    network.reduce(np.zeros((1, model.data_dim)))
    return network


def _require_same(model: LatentModel, written: PiecewiseLinear) -> None:
    if written is model.decoder:
        return
    if written.latent_dim != model.latent_dim:
        raise ValueError(
            f"piecewise_linear(): expected layers of {model.latent_dim} latents as the decoder "
            f"has, got {written.latent_dim}"
        )
    z = 3 * _trial._places(model.latent_dim)
    values, others = model.decode(z), written(z)
    if values.shape != others.shape:
        raise ValueError(
            f"piecewise_linear(): expected layers with {values.shape[-1]} outputs as the decoder "
            f"has, got {others.shape[-1]}"
        )
    off = np.abs(values - others).max(axis=-1)
    if (off > _SAME * np.abs(values).max()).any():
        at = int(off.argmax())
        raise ValueError(
            "piecewise_linear(): expected layers with the values of the decoder, got values that "
            f"differ by {off[at]:.3g} at z = {z[at].tolist()}"
        )

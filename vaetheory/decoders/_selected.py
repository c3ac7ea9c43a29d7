"""Some of the outputs of a decoder, in a given order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder, LastLayer
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import PiecewiseLinear, as_piecewise_linear
from vaetheory.decoders.polynomials import Affine


def selected(decoder: Decoder, which: NDArray[np.intp]) -> Decoder:
    """The outputs of a decoder with the given indices.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.decoders import Circle
    >>> selected(Circle(2.0), np.array([0]))([[0.0]]).tolist()
    [[2.0]]
    """
    if isinstance(decoder, Affine):
        return Affine(decoder.weight[which], decoder.bias[which])
    if isinstance(decoder, LastLayer):
        return LastLayer(decoder.hidden, decoder.weight[which], decoder.bias[which])
    return Selected(decoder, which)


@dataclass(frozen=True, eq=False)
class Selected(ByValue, Decoder):
    """Outputs of `inner` with the indices `which`."""

    inner: Decoder
    which: NDArray[np.intp]

    @property
    def latent_dim(self) -> int | None:
        """Dimension d of the latents, if the inner decoder knows it."""
        return getattr(self.inner, "latent_dim", None)

    @property
    def growth_degree(self) -> int | None:  # type: ignore[override]
        """The degree of the inner decoder."""
        return self.inner.growth_degree

    def __call__(self, z: Array) -> Array:
        return self.inner(z)[..., self.which]

    def jacobian(self, z: Array) -> Array:
        return self.inner.jacobian(z)[..., self.which, :]

    def hessian(self, z: Array) -> Array:
        return self.inner.hessian(z)[..., self.which, :, :]

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self.inner.weighted_hessian(z, self._spread(z, weights))

    def vjp(self, z: Array, weights: Array) -> Array:
        return self.inner.vjp(z, self._spread(z, weights))

    def _spread(self, z: Array, weights: Array) -> Array:
        """The weights of all outputs: those of the others are 0."""
        size = np.shape(self.inner(np.zeros(np.shape(z)[-1:])))[-1]
        whole = np.zeros((*weights.shape[:-1], size))
        whole[..., self.which] = weights
        return whole

    def piecewise_linear(self) -> PiecewiseLinear | None:
        inner = as_piecewise_linear(self.inner)
        return None if inner is None else self._of(inner)

    def _of(self, inner: PiecewiseLinear) -> PiecewiseLinear:
        *hidden, last = inner.layers
        if isinstance(last, LinearMap):
            kept = LinearMap(last.weight[self.which], last.bias[self.which])
            return PiecewiseLinear([*hidden, kept])
        size = np.shape(inner(np.zeros(inner.latent_dim)))[-1]
        return PiecewiseLinear([*inner.layers, LinearMap(np.eye(size)[self.which])])

    def kinks(self) -> Decoder | None:
        return self.inner.kinks()

    def last_layer(self) -> LastLayer | None:
        inner = self.inner.last_layer()
        if inner is None:
            return None
        return LastLayer(inner.hidden, inner.weight[self.which], inner.bias[self.which])

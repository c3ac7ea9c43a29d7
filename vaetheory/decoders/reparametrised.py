"""Decoders composed with an affine change of the latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives
from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.decoders._agreement import agreeing_last_layer
from vaetheory.decoders.base import Decoder, LastLayer, as_decoder
from vaetheory.decoders.piecewise_linear import PiecewiseLinear, as_piecewise_linear
from vaetheory.decoders.polynomials import Affine


@dataclass(frozen=True, eq=False, init=False)
class Reparametrised(ByValue, Decoder):
    """A decoder composed with an affine change of the latent, z -> f(W z + b).

    With W = diag(sqrt(v)) and the prior N(0, I) it is equivalent to the decoder f with the prior
    N(b, diag(v)).

    Parameters
    ----------
    inner : callable or Decoder
        f.
    weight : array (d', d)
        W.
    bias : array (d',), optional
        b; zero by default.

    Raises
    ------
    ValueError
        If the shapes of W and b do not fit together or an entry is not finite.

    Notes
    -----
    Source: claim 6b.

    Examples
    --------
    >>> from vaetheory.decoders import Circle
    >>> Reparametrised(Circle(1.0), [[2.0]])([[0.0]]).tolist()
    [[1.0, 0.0]]
    """

    inner: Decoder
    change: Affine

    def __init__(
        self,
        inner: Decoder | derivatives.Function,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
    ) -> None:
        object.__setattr__(self, "inner", as_decoder(inner))
        object.__setattr__(self, "change", Affine(weight, bias))

    @property
    def event_shape(self) -> tuple[int, ...] | None:
        """Shape of one datum, as for the inner decoder."""
        return self.inner.event_shape

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return self.change.latent_dim

    @property
    def growth_degree(self) -> int | None:  # type: ignore[override]
        """The degree of the inner decoder."""
        return self.inner.growth_degree

    def last_layer(self) -> LastLayer | None:
        inner = agreeing_last_layer(self.inner, len(self.change.weight))
        if inner is None:
            return None
        hidden = Reparametrised(inner.hidden, self.change.weight, self.change.bias)
        return LastLayer(hidden, inner.weight, inner.bias)

    def __call__(self, z: ArrayLike) -> Array:
        return self.inner(self.change(z))

    def jacobian(self, z: Array) -> Array:
        return self.inner.jacobian(self.change(z)) @ self.change.weight

    def hessian(self, z: Array) -> Array:
        return self._turned(self.inner.hessian(self.change(z)))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self._turned(self.inner.weighted_hessian(self.change(z), weights))

    def vjp(self, z: Array, weights: Array) -> Array:
        return self.inner.vjp(self.change(z), weights) @ self.change.weight

    def piecewise_linear(self) -> PiecewiseLinear | None:
        return self._layers("piecewise_linear")

    def kinks(self) -> PiecewiseLinear | None:
        return self._layers("kinks")

    def _layers(self, hook: str) -> PiecewiseLinear | None:
        inner = as_piecewise_linear(self.inner, hook)
        return inner and PiecewiseLinear([self.change, *inner.layers])

    def _turned(self, second: Array) -> Array:
        return np.asarray(self.change.weight.T @ second @ self.change.weight)

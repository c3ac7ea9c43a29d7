"""Decoders that are affine on each of finitely many regions, such as networks of ReLUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, option, points, require, sequence, short
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder, LastLayer
from vaetheory.decoders.layers import ACTIVATIONS, ElementwisePieces, LinearMap, fitting_layers

Layer: TypeAlias = LinearMap | ElementwisePieces


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(ByValue, Decoder):
    """A composition of affine maps and of functions of each unit with straight pieces.

    It is continuous, and affine on each of finitely many polyhedra. Its second derivatives are
    zero; on a border of two polyhedra, where they do not exist, zero is returned as well, and the
    Jacobian is that of one side.

    Parameters
    ----------
    layers : sequence of LinearMap and ElementwisePieces
        In the order in which they are applied; at least one `LinearMap`.

    Raises
    ------
    ValueError
        If there is no `LinearMap`, a layer is of another type, or the sizes of neighbouring layers
        do not fit together.

    Examples
    --------
    >>> from vaetheory.decoders import ElementwisePieces, LinearMap, PiecewiseLinear
    >>> relu = ElementwisePieces.relu()
    >>> f = PiecewiseLinear([LinearMap([[1.0], [-1.0]]), relu, LinearMap([[1.0, 2.0]], [0.5])])
    >>> f([[3.0], [-3.0]]).tolist(), f.jacobian([-3.0]).tolist()
    ([[3.5], [6.5]], [[-2.0]])
    """

    layers: tuple[Layer, ...]

    growth_degree = 1

    def __init__(self, layers: Sequence[Layer]) -> None:
        made: list[Layer] = []
        size: int | None = None
        for i, layer in enumerate(sequence("layers", layers)):
            if isinstance(layer, LinearMap):
                out, expected = layer.weight.shape
                # Of an `Affine`, only the map.
                made.append(LinearMap(layer.weight, layer.bias))
            elif isinstance(layer, ElementwisePieces):
                expected = layer.units or size
                out = expected
                made.append(layer)
            else:
                raise ValueError(
                    f"layers[{i}]: expected a LinearMap or ElementwisePieces, got {short(layer)}"
                )
            if size is not None and expected != size:
                raise ValueError(
                    f"layers[{i}]: expected a layer of {size} inputs, as many as the layer before "
                    f"has outputs, got one of {expected}"
                )
            size = out
        if not any(isinstance(layer, LinearMap) for layer in made):
            raise ValueError("layers: expected at least one LinearMap, got none")
        object.__setattr__(self, "layers", tuple(made))

    @classmethod
    def network(
        cls,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activation: str | ElementwisePieces = "relu",
    ) -> PiecewiseLinear:
        """A fully connected network; its last layer is affine.

        Parameters
        ----------
        weights : sequence of arrays (out, in)
            One per layer; the first is applied to the latent. The `coefs_` of scikit-learn's
            networks are the transposed weights.
        biases : sequence of arrays (out,)
            One per layer.
        activation : str or ElementwisePieces
            Between the affine layers: "relu", "leaky_relu" (slope 0.01), "absolute", "hard_tanh"
            (from -1 to 1), or any other.

        Raises
        ------
        ValueError
            If there is no layer, the shapes of neighbouring layers do not fit together, or the
            activation is not known.

        Examples
        --------
        >>> f = PiecewiseLinear.network([[[1.0]], [[2.0]]], [[0.0], [0.5]], "absolute")
        >>> f([[-3.0]]).tolist()
        [[6.5]]
        """
        ws, bs = fitting_layers(weights, biases)
        if not isinstance(activation, ElementwisePieces):
            activation = ACTIVATIONS[option("activation", activation, ACTIVATIONS)]()
        layers: list[Layer] = []
        for w, b in zip(ws, bs, strict=True):
            layers += [LinearMap(w, b), activation]
        return cls(layers[:-1])

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        first = next(layer for layer in self.layers if isinstance(layer, LinearMap))
        return int(first.weight.shape[1])

    def piecewise_linear(self) -> PiecewiseLinear:
        return self

    def last_layer(self) -> LastLayer | None:
        *hidden, last = self.layers
        if not isinstance(last, LinearMap):
            return None
        if not any(isinstance(layer, LinearMap) for layer in hidden):
            hidden = [LinearMap(np.eye(self.latent_dim)), *hidden]
        return LastLayer(PiecewiseLinear(hidden), last.weight, last.bias)

    def __call__(self, z: ArrayLike) -> Array:
        return self._forward(points("z", z, self.latent_dim))[0]

    def jacobian(self, z: Array) -> Array:
        at = points("z", z, self.latent_dim)
        start = np.broadcast_to(np.eye(self.latent_dim), (*at.shape, self.latent_dim))
        slopes = self._forward(at, start)[1]
        assert slopes is not None
        # Without any layer that changes it, this is still a view of the identity.
        return slopes

    def hessian(self, z: Array) -> Array:
        value = self(z)
        return np.zeros((*value.shape, self.latent_dim, self.latent_dim))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        lead = np.broadcast_shapes(self(z).shape, weights.shape)[:-1]
        return np.zeros((*lead, self.latent_dim, self.latent_dim))

    def vjp(self, z: Array, weights: Array) -> Array:
        h = points("z", z, self.latent_dim)
        back: list[Array] = []
        for layer in self.layers:
            if isinstance(layer, LinearMap):
                back.append(layer.weight)
                h = h @ layer.weight.T + layer.bias
            else:
                back.append(layer.pieces(h)[0])
                h = layer(h)
        adjoint = np.broadcast_to(weights, np.broadcast_shapes(h.shape, weights.shape))
        for layer, slope in zip(self.layers[::-1], back[::-1], strict=True):
            adjoint = adjoint @ slope if isinstance(layer, LinearMap) else adjoint * slope
        return adjoint.copy()

    def _forward(self, h: Array, slopes: Array | None = None) -> tuple[Array, Array | None]:
        """Outputs, and their Jacobian given that of `h`."""
        for layer in self.layers:
            if isinstance(layer, LinearMap):
                h = h @ layer.weight.T + layer.bias
                if slopes is not None:
                    slopes = layer.weight @ slopes
            else:
                if slopes is not None:
                    slopes = layer.pieces(h)[0][..., None] * slopes
                h = layer(h)
        return h, slopes


def as_piecewise_linear(decoder: Decoder, hook: str = "piecewise_linear") -> PiecewiseLinear | None:
    """A decoder's own layers if it is piecewise linear, with their type checked; else None.

    With `hook="kinks"`, the layers between whose kinks it is smooth.

    Examples
    --------
    >>> from vaetheory.decoders import Affine, Circle
    >>> as_piecewise_linear(Circle(1.0)) is None
    True
    >>> len(as_piecewise_linear(Affine([[2.0]])).layers)
    1
    """
    if isinstance(decoder, LastLayer):
        hidden = as_piecewise_linear(decoder.hidden, hook)
        last = LinearMap(decoder.weight, decoder.bias)
        return hidden and PiecewiseLinear([*hidden.layers, last])
    made = getattr(decoder, hook)()
    return None if made is None else require(f"{hook}()", made, PiecewiseLinear)

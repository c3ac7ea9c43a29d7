"""Networks with tanh layers, and decoders with one layer of sines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import autograd.numpy as anp
import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, matrix, points, vectors
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder, LastLayer, apply_columns
from vaetheory.decoders.layers import fitting_layers


@dataclass(frozen=True, eq=False)
class _TanhLayers(ByValue, Decoder):
    """The hidden layers of a network with tanh; without layers the identity."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    latent_dim: int

    @property
    def growth_degree(self) -> int:  # type: ignore[override]
        """0, as tanh is bounded; 1 without layers."""
        return 0 if self.weights else 1

    def activations(self, z: ArrayLike) -> list[Array]:
        """Activations of the layers, the latent first."""
        layers = [points("z", z, self.latent_dim)]
        for w, b in zip(self.weights, self.biases, strict=True):
            layers.append(anp.tanh(layers[-1] @ w.T + b))
        return layers

    def _slopes(self, layers: list[Array]) -> list[tuple[Array, Array]]:
        """Jacobians of each layer's input sums and of its outputs; the latent itself is first."""
        d = layers[0].shape[-1]
        identity: Array = np.broadcast_to(np.eye(d), (*layers[0].shape, d))
        slopes: list[tuple[Array, Array]] = [(identity, identity)]
        for w, a in zip(self.weights, layers[1:], strict=True):
            # The Jacobian of the first layer's sums is constant: its weight.
            inner = apply_columns(w, slopes[-1][1]) if len(slopes) > 1 else w
            slopes.append((inner, (1 - a**2)[..., None] * inner))
        return slopes

    def __call__(self, z: ArrayLike) -> Array:
        return self.activations(z)[-1]

    def jacobian(self, z: Array) -> Array:
        return self._slopes(self.activations(z))[-1][1]

    def hessian(self, z: Array) -> Array:
        layers = self.activations(z)
        d = layers[0].shape[-1]
        second = np.zeros((*layers[0].shape, d, d))
        for w, a, (inner, _) in zip(
            self.weights, layers[1:], self._slopes(layers)[1:], strict=True
        ):
            slope = 1 - a**2
            carried = np.einsum("ab,...bjk->...ajk", w, second)
            bend = (-2 * a * slope)[..., None, None] * inner[..., :, None] * inner[..., None, :]
            second = bend + slope[..., None, None] * carried
        return second

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        # Reverse mode, so that no (H, d, d) stack is formed.
        layers = self.activations(z)
        slopes = self._slopes(layers)
        total = np.zeros((*layers[0].shape, layers[0].shape[-1]))
        adjoint = weights
        for i in range(len(layers) - 1, 0, -1):
            a, (inner, _) = layers[i], slopes[i]
            bend = adjoint * -2 * a * (1 - a**2)
            if i == 1:
                outer = inner[:, :, None] * inner[:, None, :]
                total = total + np.tensordot(bend, outer, axes=(-1, 0))
            else:
                total = total + np.swapaxes(inner, -1, -2) @ (bend[..., None] * inner)
            adjoint = (adjoint * (1 - a**2)) @ self.weights[i - 1]
        return total

    def vjp(self, z: Array, weights: Array) -> Array:
        layers = self.activations(z)
        adjoint = np.broadcast_to(
            weights, np.broadcast_shapes(layers[-1].shape, weights.shape)
        ).copy()
        for w, a in zip(self.weights[::-1], layers[:0:-1], strict=True):
            adjoint = (adjoint * (1 - a**2)) @ w
        return adjoint


@dataclass(frozen=True, eq=False)
class TanhNetwork(ByValue, Decoder):
    """Fully connected network with tanh between its affine layers; the last layer is affine.

    Parameters
    ----------
    weights : sequence of arrays (out, in)
        One per layer; the first is applied to the latent, the last has D rows.
    biases : sequence of arrays (out,)
        One per layer.

    Raises
    ------
    ValueError
        If there is no layer, or the shapes of neighbouring layers do not fit together.

    Examples
    --------
    >>> f = TanhNetwork([[[1.0]], [[2.0]]], [[0.0], [0.5]])
    >>> f([[0.0]]).tolist(), f.jacobian([[0.0]]).tolist()
    ([[0.5]], [[[2.0]]])
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def __init__(self, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]) -> None:
        ws, bs = fitting_layers(weights, biases)
        object.__setattr__(self, "weights", ws)
        object.__setattr__(self, "biases", bs)

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return int(self.weights[0].shape[1])

    @property
    def growth_degree(self) -> int:  # type: ignore[override]
        """That of the hidden layers."""
        return self._hidden.growth_degree

    @cached_property
    def _hidden(self) -> _TanhLayers:
        return _TanhLayers(self.weights[:-1], self.biases[:-1], self.latent_dim)

    def last_layer(self) -> LastLayer:
        return LastLayer(self._hidden, self.weights[-1], self.biases[-1])

    def __call__(self, z: ArrayLike) -> Array:
        return self._hidden.activations(z)[-1] @ self.weights[-1].T + self.biases[-1]

    def jacobian(self, z: Array) -> Array:
        return apply_columns(self.weights[-1], self._hidden.jacobian(z))

    def hessian(self, z: Array) -> Array:
        return np.einsum("ab,...bjk->...ajk", self.weights[-1], self._hidden.hessian(z))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self._hidden.weighted_hessian(z, weights @ self.weights[-1])

    def vjp(self, z: Array, weights: Array) -> Array:
        return self._hidden.vjp(z, weights @ self.weights[-1])


@dataclass(frozen=True, eq=False)
class Sine(ByValue, Decoder):
    """Wavy decoder f_i(z) = a_i sin(w_i . z + p_i), with many posterior modes at high frequencies.

    Parameters
    ----------
    amplitude : array (D,)
    frequency : array (D, d)
    phase : array (D,), optional
        Zero by default.

    Examples
    --------
    >>> Sine([2.0], [[1.0]])([[0.0]]).tolist()
    [[0.0]]
    """

    amplitude: Array
    frequency: Array
    phase: Array

    def __init__(
        self, amplitude: ArrayLike, frequency: ArrayLike, phase: ArrayLike | None = None
    ) -> None:
        w = matrix("frequency", frequency)
        a = as_array("amplitude", amplitude, ndim=1)
        p = np.zeros(len(w)) if phase is None else as_array("phase", phase, ndim=1)
        if not len(a) == len(w) == len(p):
            raise ValueError(
                "amplitude, frequency and phase: expected one of each per output, got shapes "
                f"{a.shape}, {w.shape} and {p.shape}"
            )
        for name, value in (("amplitude", a), ("frequency", w), ("phase", p)):
            object.__setattr__(self, name, value)

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return int(self.frequency.shape[1])

    growth_degree = 0

    @cached_property
    def _outer(self) -> Array:
        return self.frequency[:, :, None] * self.frequency[:, None, :]

    def _angle(self, z: ArrayLike) -> Array:
        return vectors("z", z, self.frequency.shape[1]) @ self.frequency.T + self.phase

    def __call__(self, z: ArrayLike) -> Array:
        return self.amplitude * np.sin(self._angle(z))

    def jacobian(self, z: Array) -> Array:
        return (self.amplitude * np.cos(self._angle(z)))[..., None] * self.frequency

    def hessian(self, z: Array) -> Array:
        return -self(z)[..., None, None] * self._outer

    def vjp(self, z: Array, weights: Array) -> Array:
        return (weights * self.amplitude * np.cos(self._angle(z))) @ self.frequency

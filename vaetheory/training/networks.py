"""Networks of tanh layers with parameters in one vector, and their backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaetheory._validation import Array, dimension, sequence
from vaetheory.decoders import TanhNetwork

#: One pair of weights (out, in) and biases (out,) for each layer: views into one vector.
Layers = list[tuple[Array, Array]]


def widths(name: str, value: object) -> tuple[int, ...]:
    """Return numbers of units as a tuple of positive integers."""
    return tuple(dimension(name, size) for size in sequence(name, value))


@dataclass(frozen=True)
class Network:
    """The shape of a network of fully connected layers with tanh between them; the last is affine.

    Parameters are vectors `(count,)`, so that an optimiser updates all of them at once and a
    checkpoint is one array.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, widths of the hidden layers, outputs.

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or one is not positive.

    Examples
    --------
    >>> network = Network((2, 3, 1))
    >>> network.count
    13
    >>> p = network.initial([np.random.default_rng(0), np.random.default_rng(1)])
    >>> network.decoder(p)([0.0, 0.0]).tolist()
    [0.0]
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", widths("sizes", self.sizes))
        if len(self.sizes) < 2:
            raise ValueError(f"sizes: expected inputs and outputs at least, got {self.sizes}")

    @property
    def count(self) -> int:
        """Number of parameters."""
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return sum((inputs + 1) * outputs for inputs, outputs in pairs)

    def layers(self, params: Array) -> Layers:
        """Weights and biases as views into `params`."""
        layers, at = [], 0
        for inputs, outputs in zip(self.sizes, self.sizes[1:], strict=False):
            end = at + inputs * outputs
            weight, bias = params[at:end].reshape(outputs, inputs), params[end : end + outputs]
            layers.append((weight, bias))
            at = end + outputs
        return layers

    def initial(self, rngs: Sequence[np.random.Generator]) -> Array:
        """Draw initial parameters: weights N(0, 1 / inputs), biases 0.

        Each layer has its own generator, so networks that differ only in their number of outputs
        begin with the same hidden layers and the same first outputs.
        """
        params = np.zeros(self.count)
        for (weight, _), rng in zip(self.layers(params), rngs, strict=True):
            weight[...] = rng.standard_normal(weight.shape) / np.sqrt(weight.shape[1])
        return params

    def forward(self, layers: Layers, x: Array) -> list[Array]:
        """Input, activations of the hidden layers, output: `(B, .)` each."""
        values = [x]
        for weight, bias in layers[:-1]:
            sums = values[-1] @ weight.T
            sums += bias
            values.append(np.tanh(sums, out=sums))
        weight, bias = layers[-1]
        last = values[-1] @ weight.T
        last += bias
        values.append(last)
        return values

    def backward(
        self, layers: Layers, slopes: Layers, values: list[Array], slope: Array, *, inner: bool
    ) -> Array | None:
        """Propagate the gradient with respect to the output, `(B, outputs)`, backwards.

        Parameters
        ----------
        layers : Layers
        slopes : Layers
            Overwritten with the gradients with respect to the parameters.
        values : list of array
            The result of `forward`.
        slope : array (B, outputs)
        inner : bool
            Whether to return the gradient with respect to the input.
        """
        for i in range(len(layers) - 1, -1, -1):
            weight_slope, bias_slope = slopes[i]
            np.matmul(slope.T, values[i], out=weight_slope)
            slope.sum(axis=0, out=bias_slope)
            if i == 0 and not inner:
                return None
            slope = slope @ layers[i][0]
            if i > 0:
                # The derivative of a = tanh(u) is 1 - a^2.
                square = values[i] * values[i]
                square *= slope
                slope -= square
        return slope

    def decoder(self, params: Array) -> TanhNetwork:
        """The network with these parameters as one of the library's decoders."""
        layers = self.layers(params)
        return TanhNetwork([w for w, _ in layers], [b for _, b in layers])

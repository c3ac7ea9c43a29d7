"""Fully connected and convolutional networks with their parameters in one vector.

They have the methods of `Network`, and `apply`, which evaluates them on PyTorch's tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from vaetheory._validation import Array
from vaetheory.training.networks import Layers, Network

#: Kernels are 4 x 4, of stride 2: each halves or doubles the sides.
_KERNEL, _STRIDE, _PAD = 4, 2, 1
#: The most numbers between two layers at a time.
_NUMBERS = 2**22


@contextmanager
def one_thread() -> Iterator[None]:
    """Let one thread compute: sums of several threads depend on their number."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pieces(params: torch.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Views into a vector: a weight of each shape, and after it its biases."""
    sizes = [n for s in shapes for n in (math.prod(s), s[0])]
    parts = params.split(sizes)
    return [part.reshape(shapes[i // 2]) if i % 2 == 0 else part for i, part in enumerate(parts)]


class Dense(Network):
    """A `Network` that can be evaluated on tensors."""

    def apply(self, params: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The outputs `(B, outputs)` of inputs `(B, inputs)`, with parameters `(count,)`."""
        parts = _pieces(params, [(outputs, inputs) for inputs, outputs in pairwise(self.sizes)])
        for i in range(0, len(parts), 2):
            x = functional.linear(x if i == 0 else torch.tanh(x), parts[i], parts[i + 1])
        return x


@dataclass(frozen=True)
class Convolutions:
    """Two convolutions below fully connected layers; or their transposes, if `transposed`.

    Weights are kept with the outputs as their first axis, so that networks that differ only in
    their number of outputs begin with the same first outputs.

    Parameters
    ----------
    shape : (channels, height, width)
        The shape of the images. Sides that are no multiples of 4 are filled up with zeros, or cut.
    channels : (int, int)
        Channels of the convolutions, from the images inwards.
    dense : tuple of int
        Widths of the fully connected layers from the images inwards, and the number of latents or
        of the encoder's outputs.
    transposed : bool
        Whether it maps latents to images.
    times : int
        Outputs for each pixel, if it does.
    """

    shape: tuple[int, int, int]
    channels: tuple[int, int]
    dense: tuple[int, ...]
    transposed: bool
    times: int = 1

    @cached_property
    def _inner(self) -> tuple[int, int, int]:
        """The shape between the convolutions and the fully connected layers."""
        return self.channels[1], -(-self.shape[1] // 4), -(-self.shape[2] // 4)

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the weights, in the order of their use."""
        square = (_KERNEL, _KERNEL)
        first, second = self.channels
        widths = (math.prod(self._inner), *self.dense)
        if self.transposed:
            widths = widths[::-1]
        dense = [(outputs, inputs) for inputs, outputs in pairwise(widths)]
        if self.transposed:
            return [*dense, (first, second, *square), (self.times * self.shape[0], first, *square)]
        return [(first, self.shape[0], *square), (second, first, *square), *dense]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Inputs of each layer, and the outputs: one number more than there are layers."""
        return (*(math.prod(s[1:]) for s in self.shapes), self.shapes[-1][0])

    @cached_property
    def count(self) -> int:
        """Number of parameters."""
        return sum(math.prod(s) + s[0] for s in self.shapes)

    def layers(self, params: Array) -> Layers:
        """Weights and biases as views into `params`."""
        layers, at = [], 0
        for shape in self.shapes:
            end = at + math.prod(shape)
            layers.append((params[at:end].reshape(shape), params[end : end + shape[0]]))
            at = end + shape[0]
        return layers

    def initial(self, rngs: Sequence[np.random.Generator]) -> Array:
        """Draw initial parameters: weights N(0, 1 / inputs of an output), biases 0."""
        params = np.zeros(self.count)
        for (weight, _), rng in zip(self.layers(params), rngs, strict=True):
            inputs = math.prod(weight.shape[1:])
            if self.transposed and weight.ndim == 4:
                # A pixel sees only every second row and column of a kernel.
                inputs //= _STRIDE**2
            weight[...] = rng.standard_normal(weight.shape) / np.sqrt(inputs)
        return params

    def apply(self, params: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The outputs `(B, outputs)` of inputs `(B, inputs)`, with parameters `(count,)`."""
        parts = _pieces(params, self.shapes)
        if not self.transposed:
            high, wide = self.shape[1:]
            x = x.reshape(-1, *self.shape)
            x = functional.pad(x, (0, -wide % 4, 0, -high % 4))
        for i in range(0, len(parts), 2):
            weight, bias = parts[i], parts[i + 1]
            x = x if i == 0 else torch.tanh(x)
            if weight.ndim == 2:
                x = functional.linear(x.flatten(1), weight, bias)
                continue
            if self.transposed:
                x = x if x.ndim == 4 else x.reshape(-1, *self._inner)
                weight = weight.transpose(0, 1)
            convolve = functional.conv_transpose2d if self.transposed else functional.conv2d
            x = convolve(x, weight, bias, stride=_STRIDE, padding=_PAD)
        if self.transposed:
            x = x[..., : self.shape[1], : self.shape[2]]
        return x.flatten(1)

    def forward(self, layers: Layers, x: Array) -> list[Array]:
        """Input and output, computed in double precision."""
        flat = torch.from_numpy(np.concatenate([part.ravel() for pair in layers for part in pair]))
        each = (self.channels[0] // 4 + 1 + self.times * self.shape[0]) * math.prod(self.shape[1:])
        step = max(1, _NUMBERS // each)
        with torch.no_grad(), one_thread():
            rows = [
                self.apply(flat, torch.from_numpy(np.ascontiguousarray(x[i : i + step]))).numpy()
                for i in range(0, len(x), step)
            ]
        return [x, np.concatenate(rows)]

"""Small decoders given twice: by the library, with its derivatives, and as plain formulas.

Autograd differentiates the formula, so that a check shares no derivative with the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder

KINDS = ("tanh", "sine", "polynomial")


@dataclass(frozen=True)
class WrittenDecoder:
    """Outputs f_i(z) = a_i phi(w_i . z + b_i) with phi(t) = tanh t, sin t or t^2 / 2 + t^3 / 4.

    A polynomial has b = 0.
    """

    kind: str
    amplitude: Vector
    weight: tuple[Vector, ...]
    bias: Vector

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return len(self.weight[0])

    @property
    def decoder(self) -> Decoder:
        """The library's decoder, with derivatives in closed form."""
        a, w, b = np.array(self.amplitude), np.array(self.weight), np.array(self.bias)
        if self.kind == "tanh":
            return decoders.TanhNetwork([w, np.diag(a)], [b, np.zeros(len(a))])
        if self.kind == "sine":
            return decoders.Sine(a, w, b)
        if self.latent_dim == 1:
            slopes = w[:, 0]
            return decoders.Polynomial([[2], [3]], [a * slopes**2 / 2, a * slopes**3 / 4])
        u, v = w.T
        return decoders.Polynomial(
            [[2, 0], [1, 1], [0, 2], [3, 0], [2, 1], [1, 2], [0, 3]],
            [
                a * u**2 / 2,
                a * u * v,
                a * v**2 / 2,
                a * u**3 / 4,
                3 * a * u**2 * v / 4,
                3 * a * u * v**2 / 4,
                a * v**3 / 4,
            ],
        )

    def formula(self, z: Array) -> Array:
        """f(z), `(..., d) -> (..., D)`, for autograd."""
        t = anp.dot(z, np.array(self.weight).T)
        if self.kind == "polynomial":
            return np.array(self.amplitude) * (t**2 / 2 + t**3 / 4)
        wave = anp.tanh if self.kind == "tanh" else anp.sin
        return np.array(self.amplitude) * wave(t + np.array(self.bias))

    def laplacian_gradient(self, z: Array) -> Array:
        """Gradient of each output's Laplacian, `(..., d) -> (..., D, d)`, by autograd."""

        def laplacian(points: Array, output: int) -> Array:
            slope = elementwise_grad(lambda y: self.formula(y)[..., output])
            second = [
                elementwise_grad(lambda y, k=k: slope(y)[..., k])(points)[..., k]
                for k in range(self.latent_dim)
            ]
            return sum(second[1:], second[0])

        rows = [
            elementwise_grad(lambda y, a=a: laplacian(y, a))(z) for a in range(len(self.amplitude))
        ]
        return np.stack(rows, axis=-2)


@st.composite
def _written(draw: DrawFn, dim: int, kinds: Sequence[str]) -> WrittenDecoder:
    kind = draw(st.sampled_from(kinds))
    weight = draw(st.tuples(*[strategies.vectors(dim, -3, 3, 2)] * 2))
    amplitude = draw(st.tuples(*[strategies.nonzero_fractions(4, 2)] * 2))
    bias = (0.0, 0.0) if kind == "polynomial" else draw(strategies.vectors(2, -2, 2))
    return WrittenDecoder(kind, amplitude, weight, bias)


def written_decoders(dim: int, kinds: Sequence[str] = KINDS) -> SearchStrategy[WrittenDecoder]:
    """Decoders of `dim` latent dimensions and two outputs."""
    return _written(dim, kinds)

"""Decoders that carry their own derivatives, and the wrapper that gives them to any callable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives
from vaetheory._validation import Array, as_array, positive, vectors


class Decoder(ABC):
    """A smooth map from the latent space to the likelihood's parameters, with its derivatives.

    A decoder of your own is a subclass with `__call__`, `jacobian` and `hessian`; a plain
    callable written with `autograd.numpy` needs no class, see `FunctionDecoder`.
    """

    @abstractmethod
    def __call__(self, z: Array) -> Array:
        """Decode: `(..., d) -> (..., D)`."""

    @abstractmethod
    def jacobian(self, z: Array) -> Array:
        """First derivatives, `(..., d) -> (..., D, d)`."""

    @abstractmethod
    def hessian(self, z: Array) -> Array:
        """Second derivatives, `(..., d) -> (..., D, d, d)`."""

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        """Second derivatives of `weights . f`, `(..., d), (..., D) -> (..., d, d)`."""
        return np.einsum("...i,...ijk->...jk", weights, self.hessian(z))


@dataclass(frozen=True)
class FunctionDecoder(Decoder):
    """Any callable `(..., d) -> (..., D)` written with `autograd.numpy`, as a `Decoder`.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)`, row by row.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> f = FunctionDecoder(lambda z: anp.sin(z))
    >>> f.jacobian(anp.zeros((1, 1))).tolist()
    [[[1.0]]]
    """

    function: derivatives.Function

    def __call__(self, z: Array) -> Array:
        return np.asarray(self.function(z))

    def jacobian(self, z: Array) -> Array:
        return derivatives.jacobian(self.function, z)

    def hessian(self, z: Array) -> Array:
        return derivatives.hessian(self.function, z)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return derivatives.weighted_hessian(self.function, z, weights)


@dataclass(frozen=True)
class Affine(Decoder):
    """Linear decoder f(z) = W z + b.

    Parameters
    ----------
    weight : array (D, d)
        W.
    bias : array (D,), optional
        b; zero by default.

    Raises
    ------
    ValueError
        If the shapes do not fit together or an entry is not finite.

    Examples
    --------
    >>> Affine([[2.0], [0.0]], [0.0, 1.0])([[3.0]]).tolist()
    [[6.0, 1.0]]
    """

    weight: Array
    bias: Array

    def __init__(self, weight: ArrayLike, bias: ArrayLike | None = None) -> None:
        w = as_array("weight", weight, ndim=2)
        b = np.zeros(len(w)) if bias is None else vectors("bias", bias, len(w))
        if b.ndim != 1:
            raise ValueError(f"bias: expected shape ({len(w)},), got {b.shape}")
        object.__setattr__(self, "weight", w)
        object.__setattr__(self, "bias", b)

    def __call__(self, z: ArrayLike) -> Array:
        return vectors("z", z, self.weight.shape[1]) @ self.weight.T + self.bias

    def jacobian(self, z: Array) -> Array:
        points = vectors("z", z, self.weight.shape[1])
        return np.broadcast_to(self.weight, (*points.shape[:-1], *self.weight.shape)).copy()

    def hessian(self, z: Array) -> Array:
        points = vectors("z", z, self.weight.shape[1])
        return np.zeros((*points.shape[:-1], *self.weight.shape, points.shape[-1]))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        points = vectors("z", z, self.weight.shape[1])
        return np.zeros((*points.shape, points.shape[-1]))


@dataclass(frozen=True)
class Polynomial(Decoder):
    """Polynomial decoder f(z) = sum_k c_k prod_j z_j^(p_kj).

    Parameters
    ----------
    powers : array of int (K, d)
        The exponents of the K monomials.
    coefficients : array (K, D)
        One vector a monomial.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a power is not a natural number.

    Examples
    --------
    The parabola z -> (z, z^2):

    >>> Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 1.0]])([[3.0]]).tolist()
    [[3.0, 9.0]]
    """

    powers: Array
    coefficients: Array

    def __init__(self, powers: ArrayLike, coefficients: ArrayLike) -> None:
        p = as_array("powers", powers, ndim=2)
        c = as_array("coefficients", coefficients, ndim=2)
        if (p < 0).any() or (p != np.round(p)).any():
            raise ValueError(
                f"powers: expected integers of at least 0, got {p.min():g}..{p.max():g}"
            )
        if len(p) != len(c):
            raise ValueError(
                f"powers and coefficients: expected one vector a monomial, got shapes "
                f"{p.shape} and {c.shape}"
            )
        object.__setattr__(self, "powers", p.astype(int))
        object.__setattr__(self, "coefficients", c)

    def _derivative(self, z: ArrayLike, *axes: int) -> Array:
        """Partial derivative along `axes`, `(..., D)`."""
        z = vectors("z", z, self.powers.shape[1])
        powers, factor = self.powers.copy(), np.ones(len(self.powers))
        for axis in axes:
            factor = factor * powers[:, axis]
            powers[:, axis] = np.maximum(powers[:, axis] - 1, 0)
        monomials = factor
        for j in range(z.shape[-1]):
            monomials = monomials * z[..., j, None] ** powers[:, j]
        return monomials @ self.coefficients

    def __call__(self, z: ArrayLike) -> Array:
        return self._derivative(z)

    def jacobian(self, z: Array) -> Array:
        return np.stack([self._derivative(z, j) for j in range(self.powers.shape[1])], axis=-1)

    def hessian(self, z: Array) -> Array:
        axes = range(self.powers.shape[1])
        rows = [np.stack([self._derivative(z, j, k) for k in axes], axis=-1) for j in axes]
        return np.stack(rows, axis=-2)


@dataclass(frozen=True)
class Circle(Decoder):
    """The circle of a radius at unit speed, f(z) = r (cos(z / r), sin(z / r)); d = 1, D = 2.

    Its metric is constant, yet it is not injective: z and z + 2 pi r decode to the same datum.

    Examples
    --------
    >>> Circle(2.0)([[0.0]]).tolist()
    [[2.0, 0.0]]
    """

    radius: float

    def __init__(self, radius: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))

    def __call__(self, z: ArrayLike) -> Array:
        angle = vectors("z", z, 1)[..., 0] / self.radius
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def jacobian(self, z: Array) -> Array:
        angle = vectors("z", z, 1) / self.radius
        return np.stack([-np.sin(angle), np.cos(angle)], axis=-2)

    def hessian(self, z: Array) -> Array:
        return -self(z)[..., None, None] / self.radius**2


@dataclass(frozen=True)
class Helix(Decoder):
    """The helix at unit speed, f(z) = (r cos(z/c), r sin(z/c), p z/c), c^2 = r^2 + p^2.

    Its metric is constant, its curvature r / c^2, and it is injective; d = 1, D = 3.

    Examples
    --------
    >>> Helix(3.0, 4.0)([[0.0]]).tolist()
    [[3.0, 0.0, 0.0]]
    """

    radius: float
    pitch: float

    def __init__(self, radius: float, pitch: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))
        object.__setattr__(self, "pitch", float(positive("pitch", pitch)))

    @property
    def curvature(self) -> float:
        """Curvature of the curve."""
        return self.radius / (self.radius**2 + self.pitch**2)

    def _turn(self, z: ArrayLike) -> tuple[Array, float]:
        length = float(np.hypot(self.radius, self.pitch))
        return vectors("z", z, 1)[..., 0] / length, length

    def __call__(self, z: ArrayLike) -> Array:
        t, _ = self._turn(z)
        return np.stack([self.radius * np.cos(t), self.radius * np.sin(t), self.pitch * t], axis=-1)

    def jacobian(self, z: Array) -> Array:
        t, length = self._turn(z)
        rise = np.full_like(t, self.pitch)
        tangent = np.stack([-self.radius * np.sin(t), self.radius * np.cos(t), rise], axis=-1)
        return tangent[..., None] / length

    def hessian(self, z: Array) -> Array:
        t, length = self._turn(z)
        bend = np.stack([np.cos(t), np.sin(t), np.zeros_like(t)], axis=-1)
        return -self.radius * bend[..., None, None] / length**2


@dataclass(frozen=True)
class TanhNetwork(Decoder):
    """Fully connected network with tanh between its affine layers; the last layer is affine.

    Parameters
    ----------
    weights : sequence of arrays (out, in)
        The first takes the latent, the last gives the D outputs.
    biases : sequence of arrays (out,)
        One a layer.

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
        ws = tuple(as_array(f"weights[{i}]", w, ndim=2) for i, w in enumerate(weights))
        bs = tuple(as_array(f"biases[{i}]", b, ndim=1) for i, b in enumerate(biases))
        if not ws or len(ws) != len(bs):
            raise ValueError(
                f"weights and biases: expected one of each a layer, got {len(ws)} and {len(bs)}"
            )
        for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
            if len(b) != len(w) or (i and w.shape[1] != len(ws[i - 1])):
                raise ValueError(
                    f"layer {i}: expected a weight (out, in) and a bias (out,) that fit the layer "
                    f"before, got shapes {w.shape} and {b.shape}"
                )
        object.__setattr__(self, "weights", ws)
        object.__setattr__(self, "biases", bs)

    def _hidden(self, z: ArrayLike) -> list[Array]:
        """Activations of the hidden layers, the latent first."""
        layers = [vectors("z", z, self.weights[0].shape[1])]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            layers.append(np.tanh(layers[-1] @ w.T + b))
        return layers

    def __call__(self, z: ArrayLike) -> Array:
        return self._hidden(z)[-1] @ self.weights[-1].T + self.biases[-1]

    def jacobian(self, z: Array) -> Array:
        return _apply(self.weights[-1], self._slopes(self._hidden(z))[-1][1])

    def _slopes(self, layers: list[Array]) -> list[tuple[Array, Array]]:
        """Jacobians of each layer's input sums and of its outputs, the latent itself first."""
        d = layers[0].shape[-1]
        identity: Array = np.broadcast_to(np.eye(d), (*layers[0].shape, d))
        out: list[tuple[Array, Array]] = [(identity, identity)]
        for w, a in zip(self.weights[:-1], layers[1:], strict=True):
            # The first layer's sums have a constant Jacobian, its weight.
            inner = _apply(w, out[-1][1]) if len(out) > 1 else w
            out.append((inner, (1 - a**2)[..., None] * inner))
        return out

    def hessian(self, z: Array) -> Array:
        layers = self._hidden(z)
        d = layers[0].shape[-1]
        second = np.zeros((*layers[0].shape, d, d))
        for w, a, (inner, _) in zip(
            self.weights[:-1], layers[1:], self._slopes(layers)[1:], strict=True
        ):
            slope = 1 - a**2
            carried = np.einsum("ab,...bjk->...ajk", w, second)
            bend = (-2 * a * slope)[..., None, None] * inner[..., :, None] * inner[..., None, :]
            second = bend + slope[..., None, None] * carried
        return np.einsum("ab,...bjk->...ajk", self.weights[-1], second)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        # Backwards: the weights are carried down, so that no (D, d, d) stack is formed.
        layers = self._hidden(z)
        slopes = self._slopes(layers)
        out = np.zeros((*layers[0].shape, layers[0].shape[-1]))
        adjoint = weights @ self.weights[-1]
        for i in range(len(layers) - 1, 0, -1):
            a, (inner, _) = layers[i], slopes[i]
            bend = adjoint * -2 * a * (1 - a**2)
            if i == 1:
                out = out + np.tensordot(bend, inner[:, :, None] * inner[:, None, :], axes=(-1, 0))
            else:
                out = out + np.swapaxes(inner, -1, -2) @ (bend[..., None] * inner)
            adjoint = (adjoint * (1 - a**2)) @ self.weights[i - 1]
        return out


def _apply(matrix: Array, columns: Array) -> Array:
    """`matrix @ columns` for a stack of columns, as one product of two matrices."""
    return np.swapaxes(np.tensordot(columns, matrix, axes=(-2, 1)), -1, -2)


@dataclass(frozen=True)
class Sine(Decoder):
    """Wavy decoder f_i(z) = a_i sin(w_i . z + p_i): many modes when the frequency is high.

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
        w = as_array("frequency", frequency, ndim=2)
        a = as_array("amplitude", amplitude, ndim=1)
        p = np.zeros(len(w)) if phase is None else as_array("phase", phase, ndim=1)
        if not len(a) == len(w) == len(p):
            raise ValueError(
                "amplitude, frequency and phase: expected one an output, got shapes "
                f"{a.shape}, {w.shape} and {p.shape}"
            )
        for name, value in (("amplitude", a), ("frequency", w), ("phase", p)):
            object.__setattr__(self, name, value)

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


@dataclass(frozen=True)
class Reparametrised(Decoder):
    """A decoder after an affine change of the latent, z -> f(W z + b).

    With W = diag(sqrt(v)) and the prior N(0, I) it is the model whose decoder is f and whose
    prior is N(b, diag(v)).

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

    def __call__(self, z: ArrayLike) -> Array:
        return self.inner(self.change(z))

    def jacobian(self, z: Array) -> Array:
        return self.inner.jacobian(self.change(z)) @ self.change.weight

    def hessian(self, z: Array) -> Array:
        return self._turned(self.inner.hessian(self.change(z)))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self._turned(self.inner.weighted_hessian(self.change(z), weights))

    def _turned(self, second: Array) -> Array:
        return np.asarray(self.change.weight.T @ second @ self.change.weight)


def as_decoder(decoder: object) -> Decoder:
    """Return `decoder` as a `Decoder`, wrapping a plain callable in `FunctionDecoder`."""
    if isinstance(decoder, Decoder):
        return decoder
    if not callable(decoder):
        raise ValueError(
            "decoder: expected a callable (..., d) -> (..., D) or a vaetheory decoder, "
            f"got {type(decoder).__name__}"
        )
    return FunctionDecoder(decoder)

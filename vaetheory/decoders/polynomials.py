"""Affine and polynomial decoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, matrix, vectors
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder, LastLayer
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import PiecewiseLinear

#: Except for -1, 0 and 1, larger powers of almost all numbers underflow or overflow.
_LARGEST_POWER = 10**6


@dataclass(frozen=True, eq=False, init=False)
class Affine(LinearMap, Decoder):
    """Affine decoder f(z) = W z + b.

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

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return int(self.weight.shape[1])

    def last_layer(self) -> LastLayer:
        return LastLayer(Affine(np.eye(self.latent_dim)), self.weight, self.bias)

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

    def piecewise_linear(self) -> PiecewiseLinear:
        return PiecewiseLinear([self])


@dataclass(frozen=True, eq=False)
class Polynomial(ByValue, Decoder):
    """Polynomial decoder f(z) = sum_k c_k prod_j z_j^(p_kj).

    Parameters
    ----------
    powers : array of int (K, d)
        The exponents of the K monomials.
    coefficients : array (K, D)
        One vector per monomial.

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
        p = matrix("powers", powers)
        c = matrix("coefficients", coefficients)
        if (p < 0).any() or (p != np.round(p)).any():
            raise ValueError(
                f"powers: expected integers of at least 0, got {p.min():g}..{p.max():g}"
            )
        if p.max() > _LARGEST_POWER:
            raise ValueError(f"powers: expected at most {_LARGEST_POWER}, got {p.max():g}")
        if len(p) != len(c):
            raise ValueError(
                f"powers and coefficients: expected one vector per monomial, got shapes "
                f"{p.shape} and {c.shape}"
            )
        object.__setattr__(self, "powers", p.astype(int))
        object.__setattr__(self, "coefficients", c)

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return int(self.powers.shape[1])

    def last_layer(self) -> LastLayer:
        return LastLayer(Polynomial(self.powers, np.eye(len(self.powers))), self.coefficients.T)

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

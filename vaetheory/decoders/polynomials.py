"""Affine and polynomial decoders."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, matrix, vectors
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder, LastLayer
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import PiecewiseLinear

#: Powers up to this one are computed by multiplication.
_BY_MULTIPLICATION = 16
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

    growth_degree = 1

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

    def vjp(self, z: Array, weights: Array) -> Array:
        lead = vectors("z", z, self.weight.shape[1]).shape[:-1]
        along = weights @ self.weight
        lead = np.broadcast_shapes(lead, along.shape[:-1])
        return np.broadcast_to(along, (*lead, along.shape[-1])).copy()

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

    @property
    def growth_degree(self) -> int:  # type: ignore[override]
        """The degree of the polynomial."""
        used = (self.coefficients != 0).any(axis=1)
        return int(self.powers[used].sum(axis=1).max(initial=0))

    def last_layer(self) -> LastLayer:
        return LastLayer(Polynomial(self.powers, np.eye(len(self.powers))), self.coefficients.T)

    def _derivative(self, z: ArrayLike, *axes: int) -> Array:
        """Partial derivative along `axes`, `(..., D)`."""
        z = vectors("z", z, self.powers.shape[1])
        if axes not in self._known:
            powers, factor = self.powers.copy(), np.ones(len(self.powers))
            for axis in axes:
                factor = factor * powers[:, axis]
                powers[:, axis] = np.maximum(powers[:, axis] - 1, 0)
            self._known[axes] = _Monomials(powers), factor[:, None] * self.coefficients
        monomials, coefficients = self._known[axes]
        return monomials(z) @ coefficients

    @cached_property
    def _known(self) -> dict[tuple[int, ...], tuple[_Monomials, Array]]:
        """Monomials and coefficients of the partial derivatives that were asked for."""
        return {}

    def __call__(self, z: ArrayLike) -> Array:
        return self._derivative(z)

    def jacobian(self, z: Array) -> Array:
        return np.stack([self._derivative(z, j) for j in range(self.powers.shape[1])], axis=-1)

    def hessian(self, z: Array) -> Array:
        d = self.powers.shape[1]
        second = {(j, k): self._derivative(z, k, j) for j in range(d) for k in range(j + 1)}
        entries = [second[max(j, k), min(j, k)] for j in range(d) for k in range(d)]
        return np.stack(entries, axis=-1).reshape(*entries[0].shape, d, d)

    def vjp(self, z: Array, weights: Array) -> Array:
        # Of one output for each latent only: the Jacobian is never formed.
        slopes = [(weights * self._derivative(z, j)).sum(axis=-1) for j in range(z.shape[-1])]
        return np.stack(slopes, axis=-1)


class _Monomials:
    """The products of powers `(K, d)` of the coordinates of z, `(..., d) -> (..., K)`."""

    def __init__(self, powers: Array) -> None:
        self.powers = powers
        # Plain integers, because small arrays cost more than the multiplications.
        self._rows: list[list[int]] = powers.tolist()
        self._most: list[int] = powers.max(axis=0).tolist()

    def __call__(self, z: Array) -> Array:
        if type(z) is not np.ndarray or max(self._most) > _BY_MULTIPLICATION:
            return reduce(operator.mul, (z[..., j, None] ** p for j, p in enumerate(self.powers.T)))
        # By multiplication, with the monomials as the first axis in memory: a hundredth of the time
        # of `**` for thousands of points.
        lead = range(z.ndim - 1)
        coordinates = np.ascontiguousarray(z.transpose(z.ndim - 1, *lead))
        tables = []
        for coordinate, most in zip(coordinates, self._most, strict=True):
            table = [np.ones_like(coordinate), coordinate]
            for _ in range(1, most):
                table.append(table[-1] * coordinate)
            tables.append(table)
        products = np.empty((len(self._rows), *z.shape[:-1]))
        for i, row in enumerate(self._rows):
            product = products[i, ...]
            product[...] = tables[0][row[0]]
            for table, power in zip(tables[1:], row[1:], strict=True):
                if power:
                    product *= table[power]
        return products.transpose(*(j + 1 for j in lead), 0)

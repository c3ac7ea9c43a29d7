"""Affine flows (full, triangular and diagonal) and rotations."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lu_factor, lu_solve, solve_triangular

from vaetheory._validation import Array, as_array, points, squarable
from vaetheory.decoders import polynomials
from vaetheory.flows.base import Flow, log_abs_diagonal, zeros
from vaetheory.rounding import EPS


class Affine(Flow):
    """Affine flow f(z) = W z + b with an invertible W.

    Parameters
    ----------
    weight : array (d, d) or (d,)
        W; a vector is the diagonal of a diagonal W.
    bias : array (d,), optional
        b; zero by default.

    Attributes
    ----------
    structure : {"diagonal", "lower", "upper", "full"}
        Structure of the zeros of W; triangular systems are solved without a factorisation.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or W is singular to working precision.

    Examples
    --------
    >>> f = Affine([[2.0, 0.0], [1.0, 4.0]])
    >>> f.inverse([2.0, 5.0]).tolist(), round(float(f.log_det([0.0, 0.0])), 6)
    ([1.0, 1.0], 2.079442)
    """

    def __init__(self, weight: ArrayLike, bias: ArrayLike | None = None) -> None:
        w = as_array("weight", weight)
        w = np.diag(w) if w.ndim == 1 else w
        if w.ndim != 2 or w.shape[0] != w.shape[1] or w.size == 0:
            raise ValueError(f"weight: expected shape (d, d) or (d,), got {np.shape(weight)}")
        squarable("weight", w)
        # Units do not make a matrix singular, so its columns are compared at unit length.
        length = np.linalg.norm(w, axis=0)
        size = np.linalg.svd(w / np.where(length > 0, length, 1.0), compute_uv=False)
        if not size[-1] > len(w) * EPS * size[0]:
            raise ValueError(
                "weight: expected an invertible matrix, got singular values from "
                f"{size[-1]:g} to {size[0]:g} with its columns at unit length"
            )
        self.decoder = polynomials.Affine(w, bias)
        self.latent_dim = len(w)
        lower, upper = not np.triu(w, 1).any(), not np.tril(w, -1).any()
        self.structure = {
            (True, True): "diagonal",
            (True, False): "lower",
            (False, True): "upper",
        }.get((lower, upper), "full")
        triangular = self.structure != "full"
        self._factors = None if triangular else lu_factor(w)
        self._log_det = float(log_abs_diagonal(w if self._factors is None else self._factors[0]))

    @property
    def weight(self) -> Array:
        """W."""
        return self.decoder.weight

    @property
    def bias(self) -> Array:
        """The offset b."""
        return self.decoder.bias

    def _solve(self, columns: Array) -> Array:
        """W^-1 of the columns `(d, m)`."""
        if self._factors is not None:
            return np.asarray(lu_solve(self._factors, columns))
        lower = self.structure in ("diagonal", "lower")
        return np.asarray(solve_triangular(self.weight, columns, lower=lower))

    def forward(self, z: Array) -> Array:
        return points("z", z, self.latent_dim) @ self.weight.T + self.bias

    def inverse(self, x: Array) -> Array:
        away = points("x", x, self.latent_dim) - self.bias
        if type(away) is not np.ndarray:
            return away @ self._solve(np.eye(self.latent_dim)).T
        return self._solve(away.reshape(-1, self.latent_dim).T).T.reshape(away.shape)

    def log_det(self, z: Array) -> Array:
        return zeros(points("z", z, self.latent_dim)) + self._log_det

    def jacobian(self, z: Array) -> Array:
        return self.decoder.jacobian(z)

    def hessian(self, z: Array) -> Array:
        return self.decoder.hessian(z)


def rotation_matrix(angles: Iterable[float], dim: int) -> Array:
    """Product of rotations in the planes of neighbouring axes, angles in radians, `(dim, dim)`.

    Examples
    --------
    >>> rotation_matrix([0.0], 2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    product = np.eye(dim)
    for i, angle in enumerate(angles):
        turn = np.eye(dim)
        c, s = np.cos(angle), np.sin(angle)
        turn[i : i + 2, i : i + 2] = [[c, -s], [s, c]]
        product = product @ turn
    return product


class Rotation(Flow):
    """Rotation f(z) = R z, a product of rotations in the planes of neighbouring axes.

    Parameters
    ----------
    angles : array (d - 1,)
        One for each pair of neighbouring axes, in radians.

    Raises
    ------
    ValueError
        If `angles` is not a vector.

    Examples
    --------
    >>> Rotation([3.141592653589793 / 2]).forward([1.0, 0.0]).round(12).tolist()
    [0.0, 1.0]
    """

    def __init__(self, angles: ArrayLike) -> None:
        self.angles = as_array("angles", angles, ndim=1)
        self.latent_dim = len(self.angles) + 1
        self.matrix = rotation_matrix(self.angles, self.latent_dim)
        self.decoder = polynomials.Affine(self.matrix)

    def forward(self, z: Array) -> Array:
        return points("z", z, self.latent_dim) @ self.matrix.T

    def inverse(self, x: Array) -> Array:
        return points("x", x, self.latent_dim) @ self.matrix

    def log_det(self, z: Array) -> Array:
        return zeros(points("z", z, self.latent_dim))

    def jacobian(self, z: Array) -> Array:
        return self.decoder.jacobian(z)

    def hessian(self, z: Array) -> Array:
        return self.decoder.hessian(z)

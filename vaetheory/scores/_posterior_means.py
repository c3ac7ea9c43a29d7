"""Means of functions of datum and latent under each datum's exact posterior, by the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature import engine
from vaetheory._quadrature.expectations import expectations
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array, fraction
from vaetheory.models import LatentModel, require_model

#: Data whose functions are integrated together: each costs an evaluation at all their nodes.
_BLOCK = 8
#: Evaluations of the integrand that one datum may cost.
MAX_NODES = 5_000_000
#: Size of the number that is added to products, in squares of the rounding of their factors.
_ABOVE_NOISE = 1e8
#: Functions of a slice of the data and latents `(..., d)`, to `(..., n, K)`.
Columns = Callable[[slice, Array], Array]


def checked(model: LatentModel, X: ArrayLike, rtol: float) -> tuple[Array, float, tuple[int, ...]]:
    """The data `(N, D)` of a model with few enough latents, the tolerance, and the leading axes."""
    require_model(model)
    if model.latent_dim > engine.LARGEST_DIM:
        raise ValueError(
            f"latent_dim: expected at most {engine.LARGEST_DIM} for quadrature, "
            f"got {model.latent_dim}"
        )
    data = model.check_data(X)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    return data.reshape(-1, data.shape[-1]), rtol, data.shape[:-1]


def posterior_means(model: LatentModel, data: Array, columns: Columns, rtol: float) -> Integral:
    """E[columns(x_n, z) given x_n] of checked data `(N, D)`, `(N, K)`; `error` is an estimate."""
    parts = []
    for start in range(0, len(data), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(data)))

        def flat(z: Array, rows: slice = rows) -> Array:
            values = columns(rows, z)
            return values.reshape(*values.shape[:-2], -1)

        found = expectations(model, data[rows], flat, rtol=rtol, max_nodes=MAX_NODES)
        # Of each datum's posterior only its own functions are wanted.
        count = rows.stop - rows.start
        shape, own = (count, count, found.value.shape[-1] // count), np.arange(count)
        every = found.reshape(shape)
        picked = (every.value[own, own], every.error[own, own], every.status[own, own])
        parts.append(Integral(*picked, found.nodes))
    return Integral(
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.error for p in parts]),
        np.concatenate([p.status for p in parts]),
        sum(p.nodes for p in parts),
    )


def products_floor(rounding: Array, upper: tuple[NDArray[Any], NDArray[Any]]) -> Array:
    """A small number to be added to products of deviations, and taken off their means, `(N, K)`.

    Where a deviation is zero for all latents, its rounding alone would be integrated: noise that
    may be zero near the mode and not far out, of which the engine finds no digit.
    """
    return np.asarray(_ABOVE_NOISE * rounding[:, upper[0]] * rounding[:, upper[1]])


def status_of(good: Any) -> NDArray[np.str_]:
    """Statuses of values that are good enough, and of those that are not."""
    return np.where(good, REACHED, NOT_REACHED)

"""Means of functions of datum and latent under each datum's exact posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature import engine
from vaetheory._quadrature.expectations import expectations
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array, fraction
from vaetheory.models import LatentModel, require_model
from vaetheory.scores._wide_posteriors import Columns, linear_posterior, wide_means

#: Data whose functions are integrated together: each costs an evaluation at all their nodes.
_BLOCK = 8
#: Evaluations of the integrand that one datum may cost.
MAX_NODES = 5_000_000
#: Size of the number that is added to products, in squares of the rounding of their factors.
_ABOVE_NOISE = 1e8


def checked(model: LatentModel, X: ArrayLike, rtol: float) -> tuple[Array, float, tuple[int, ...]]:
    """The data `(N, D)` of a model with few latents or a linear one, tolerance, leading axes."""
    require_model(model)
    data = model.check_data(X)
    rows = data.reshape(-1, data.shape[-1])
    if model.latent_dim > engine.LARGEST_DIM and linear_posterior(model, rows[:1]) is None:
        raise ValueError(
            f"latent_dim: expected at most {engine.LARGEST_DIM} for quadrature, unless the model "
            f"is linear with Gaussian noise, got {model.latent_dim}"
        )
    return rows, fraction("rtol", rtol, low=1e-14, high=0.1), data.shape[:-1]


def posterior_means(model: LatentModel, data: Array, columns: Columns, rtol: float) -> Integral:
    """E[columns(x_n, z) given x_n] of checked data `(N, D)`, `(N, K)`; `error` is an estimate."""
    if model.latent_dim > engine.LARGEST_DIM:
        wide = linear_posterior(model, data)
        assert wide is not None, "the model was checked"
        return wide_means(wide, columns, rtol)
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

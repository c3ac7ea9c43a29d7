"""Derivatives of functions that work row by row, in the modes of JAX that a function allows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

#: Latents `(n, d)` to `(n, ...)`.
Rows = Callable[[Any], Any]


def _pushed(f: Rows, z: Any, j: int) -> Any:
    """The derivative along latent j, forward."""
    return jax.jvp(f, (z,), (jnp.zeros_like(z).at[:, j].set(1.0),))[1]


def _pulled(f: Rows, z: Any, j: int) -> Any:
    """The derivative along latent j, by reverse mode only."""
    out, back = jax.vjp(f, z)
    # J^T v is linear in v; its derivative in v is J.
    return jax.grad(lambda v: back(v)[0][:, j].sum())(jnp.zeros_like(out))


def _first(f: Rows, z: Any, along: Any) -> Any:
    return _stacked(lambda j: along(f, z, j), z.shape[1])


def _second(f: Rows, z: Any, along: Any) -> Any:
    d = z.shape[1]
    found = {
        (j, k): along(lambda y, j=j: along(f, y, j), z, k) for j in range(d) for k in range(j + 1)
    }
    return _stacked(lambda j: _stacked(lambda k: found[max(j, k), min(j, k)], d), d)


def _backward(f: Rows, z: Any, weights: Any) -> Any:
    return jax.vjp(f, z)[1](weights)[0]


def _contracted(f: Rows, z: Any, weights: Any) -> Any:
    return jnp.einsum("ni,nij->nj", weights, _first(f, z, _pushed))


def _weighted(f: Rows, z: Any, weights: Any, along: Any) -> Any:
    gradient = jax.grad(lambda y: (f(y) * weights).sum())
    found = _first(gradient, z, along)
    return (found + jnp.swapaxes(found, -1, -2)) / 2


def _summed(f: Rows, z: Any, weights: Any) -> Any:
    return jnp.einsum("ni,nijk->njk", weights, _second(f, z, _pushed))


def _stacked(entry: Callable[[int], Any], count: int) -> Any:
    return jnp.stack([entry(j) for j in range(count)], axis=-1)


#: Ways to compute the methods of a decoder from a function `(n, d) -> (n, D)`, the best first.
#: Functions with a reverse mode of their own have no forward mode, and loops of unknown length no
#: reverse mode.
WAYS: dict[str, tuple[Callable[..., Any], ...]] = {
    "__call__": (lambda f, z: f(z),),
    "jacobian": (partial(_first, along=_pushed), partial(_first, along=_pulled)),
    "vjp": (_backward, _contracted),
    "hessian": (partial(_second, along=_pushed), partial(_second, along=_pulled)),
    "weighted_hessian": (
        partial(_weighted, along=_pushed),
        _summed,
        partial(_weighted, along=_pulled),
    ),
}

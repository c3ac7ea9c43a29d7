"""Means of functions of importance weights under the exact posterior, by the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import _gaussians
from vaetheory._quadrature import engine
from vaetheory._quadrature.expectations import expectations
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import integrand_rounding
from vaetheory.models import LatentModel

#: Data whose functions are integrated together: each costs an evaluation at all their nodes.
_BLOCK = 8
#: Evaluations of the integrand that one datum may cost.
_MAX_NODES = 5_000_000


def log_evidences(model: LatentModel, data: Array, rtol: float) -> Integral:
    """Log evidences of checked data `(N, D)` by the engine."""
    found = engine.run(model, data, rtol=rtol, max_nodes=_MAX_NODES)
    return Integral(found.value, found.error, found.status(found.error, rtol), found.nodes)


def posterior_means(
    model: LatentModel,
    data: Array,
    loc: Array,
    cov: Array,
    function: Callable[[Array], Array],
    origin: Array,
    rtol: float,
) -> Integral:
    """E[function(log w(z) - origin) given x] of data `(N, D)` and posteriors N(loc, cov), `(N,)`.

    `error` is an estimate: that of the engine; rounding of log w is not in it, see `log_rounding`.
    """
    reduced = model.reduced(data)
    density = reduced.model.likelihood
    parts = []
    for start in range(0, len(data), _BLOCK):
        rows = slice(start, start + _BLOCK)

        def columns(z: Array, rows: slice = rows) -> Array:
            outputs = reduced.model.decode(z)[..., None, :]
            log_weight = density.log_prob(reduced.data[rows], outputs) + reduced.offset[rows]
            log_weight = log_weight + _gaussians.standard_log_prob(z)[..., None]
            log_weight = log_weight - _gaussians.log_prob(z[..., None, :], loc[rows], cov[rows])
            return function(log_weight - origin[rows])

        each = expectations(model, data[rows], columns, rtol=rtol, max_nodes=_MAX_NODES)
        own = np.arange(len(each.value))
        picked = (each.value[own, own], each.error[own, own], each.status[own, own])
        parts.append(Integral(*picked, each.nodes))
    return Integral(
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.error for p in parts]),
        np.concatenate([p.status for p in parts]),
        sum(p.nodes for p in parts),
    )


def log_rounding(model: LatentModel, data: Array, loc: Array, cov: Array) -> Array:
    """Rounding of log weights at typical latents of the posteriors, `(N,)`, in nats."""
    size = np.abs(_gaussians.log_det(cov)) + loc.shape[1]
    return integrand_rounding(model.reduced(data), loc, cov) + 1e-15 * size

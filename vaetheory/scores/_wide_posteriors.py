"""Posterior means of linear models with many latents, by exact rules for polynomials."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array
from vaetheory.decoders._affine_maps import is_affine_map, latents_near_and_far
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Functions of a slice of the data and latents `(..., d)`, to `(..., n, K)`.
Columns = Callable[[slice, Array], Array]
#: Data whose functions are evaluated together, each at the nodes of all.
_BLOCK = 8
#: Difference of outputs from an affine map, relative to the moduli of all terms, that is rounding.
_ROUNDING = 1e-12
#: The error of a rule is at most this many times the difference between two rotations of it.
_SAFETY = 20.0


class GaussianPosterior(NamedTuple):
    """The exact posteriors N(loc, root root^T) of a linear model: means `(N, d)`, one root."""

    loc: Array
    root: Array


def linear_posterior(model: LatentModel, data: Array) -> GaussianPosterior | None:
    """The exact posteriors of checked data `(N, D)`, or None if the model is not linear.

    Outputs are compared with an affine map at random latents, near and far. Scales that are outputs
    as well must not depend on the latents.
    """
    d, D = model.latent_dim, model.data_dim
    usual = model.likelihood.usual_parameters(np.zeros(model.param_dim))
    if usual is None or usual[0] != "normal":
        return None
    z = latents_near_and_far(d)
    origin = np.zeros((1, d))
    bias, weight = model.decode(origin)[0], model.decoder.jacobian(origin)[0]
    if not is_affine_map(model.decode(z), z, weight, bias, _ROUNDING) or weight[D:].any():
        return None
    scale = np.broadcast_to(model.likelihood.usual_parameters(bias)[1]["scale"], (D,))  # type: ignore[index]
    left, values, turned = np.linalg.svd(weight[:D] / scale[:, None], full_matrices=False)
    along = ((data - bias[:D]) / scale) @ left
    loc = (along * values / (1 + values**2)) @ turned
    # The prior stays along latents that no output shows.
    root = np.eye(d) + (turned.T * (1 / np.sqrt(1 + values**2) - 1)) @ turned
    return GaussianPosterior(loc, root)


@lru_cache(maxsize=16)
def fifth_degree_rule(dim: int) -> tuple[Array, Array]:
    """Nodes `(2, M, dim)` in two rotations, and weights `(M,)`: exact up to degree five, N(0, I).

    The nodes are 0, those at sqrt 3 on every axis, and those at (sqrt 3, sqrt 3) in every plane:
    2 dim^2 + 1 in all. With more than four latents some weights are negative.

    Examples
    --------
    >>> nodes, weights = fifth_degree_rule(6)
    >>> moments = [weights @ nodes[1, :, 0]**2 * 1.0, weights @ nodes[1, :, 3]**4]
    >>> np.round(moments, 12).tolist(), len(weights)
    ([1.0, 3.0], 73)
    """
    axes = np.sqrt(3.0) * np.eye(dim)
    j, k = np.triu_indices(dim, 1)
    pairs = [a * axes[j] + b * axes[k] for a in (1, -1) for b in (1, -1)]
    nodes = np.concatenate([np.zeros((1, dim)), axes, -axes, *pairs])
    on_axes, in_planes = (4 - dim) / 18, 1 / 36
    weights = np.full(len(nodes), in_planes)
    weights[1 : 2 * dim + 1] = on_axes
    weights[0] = 1 - 2 * dim * on_axes - 4 * len(j) * in_planes
    turns = np.linalg.qr(np.random.default_rng(dim).normal(size=(2, dim, dim)))[0]
    return nodes @ turns, weights


def wide_means(posterior: GaussianPosterior, columns: Columns, rtol: float) -> Integral:
    """As `posterior_means`, for posteriors that are Gaussians of any dimension.

    Gradients and Hessians of a linear model's log joint density in its parameters, and products of
    two gradients, are polynomials of degree four if the outputs' derivatives are affine. If not,
    the two rotations differ. `error` is an estimate: a multiple of the difference, plus rounding.
    """
    nodes, weights = fifth_degree_rule(len(posterior.root))
    parts = []
    for start in range(0, len(posterior.loc), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(posterior.loc)))
        own = np.arange(rows.stop - rows.start)
        sums, sizes = [], []
        for turned in nodes:
            z = posterior.loc[rows, None] + turned @ posterior.root
            values = columns(rows, z)[own, :, own]
            sums.append(np.einsum("nmk,m->nk", values, weights))
            sizes.append(np.einsum("nmk,m->nk", np.abs(values), np.abs(weights)))
        size = np.maximum(*sizes)
        error = _SAFETY * np.abs(sums[0] - sums[1]) + gamma(100) * size
        status = np.where(error <= rtol * size, REACHED, NOT_REACHED)
        count = 2 * len(own) * len(weights)
        parts.append(Integral((sums[0] + sums[1]) / 2, error, status, count))
    return Integral(
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.error for p in parts]),
        np.concatenate([p.status for p in parts]),
        sum(p.nodes for p in parts),
    )

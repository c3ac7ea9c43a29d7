"""Log evidences of checked data: by pieces where the decoder has them, else by the engine."""

from __future__ import annotations

from typing import cast

import numpy as np

from vaetheory._piecewise_linear import evidence as by_pieces
from vaetheory._piecewise_linear.limits import DoesNotApply
from vaetheory._progress import Progress
from vaetheory._quadrature import engine
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array
from vaetheory.bounds._linear_gaussian import linear_decoder, linear_gaussian
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel

MAX_NODES = 50_000_000


def require_quadrature(model: LatentModel) -> None:
    """Raise a ValueError if a model has too many latents for quadrature."""
    if model.latent_dim > engine.LARGEST_DIM:
        raise ValueError(
            f"latent_dim: expected at most {engine.LARGEST_DIM} for quadrature, "
            f"got {model.latent_dim}: vaetheory.bounds.evidence_estimate samples instead"
        )


def exact_log_evidence(
    model: LatentModel,
    rows: Array,
    *,
    rtol: float,
    max_nodes: int = MAX_NODES,
    progress: Progress | None = None,
) -> Integral:
    """What `vaetheory.evidence.log_evidence` computes of data `(N, D)` by default."""
    try:
        return sum_of_pieces(model, rows, rtol, max_nodes, progress, affine=False)
    except DoesNotApply:
        found = engine.run(model, rows, rtol=rtol, max_nodes=max_nodes, progress=progress)
    return Integral(found.value, found.error, found.status(found.error, rtol), found.nodes)


def sum_of_pieces(
    model: LatentModel,
    rows: Array,
    rtol: float,
    most: int,
    progress: Progress | None,
    *,
    affine: bool,
) -> Integral:
    """Sums over linear pieces, or `DoesNotApply`; a decoder without kinks only if `affine`."""
    found = by_pieces.run(model, rows, rtol=rtol, most=most, progress=progress, affine=affine)
    status = np.where(found.error <= rtol, REACHED, NOT_REACHED)
    return Integral(found.value, found.error, status, found.pairs)


def linear_parts(model: LatentModel) -> tuple[Array, Array, Gaussian] | None:
    """W, b and the likelihood of a linear model with Gaussian noise; None for another one."""
    line = linear_decoder(model)
    if line is None:
        return None
    return line.weight, line.bias, cast(Gaussian, model.likelihood)


def any_log_evidence(model: LatentModel, rows: Array, rtol: float) -> Integral:
    """Log evidences of data `(N, D)`: of linear models in closed form, in any dimension."""
    if (parts := linear_parts(model)) is not None:
        found = linear_gaussian(*parts, rows)
        return Integral(found.value, found.error, np.full(len(rows), REACHED), 0)
    require_quadrature(model)
    return exact_log_evidence(model, rows, rtol=rtol)

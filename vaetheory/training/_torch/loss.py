"""The losses of all objectives on PyTorch's tensors, by the library's own bounds."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from vaetheory._gaussians import LOG_2PI
from vaetheory.bounds import baggins, bilbo, profile_likelihood, with_relative_variances
from vaetheory.training._torch.variance_function import common_origin, relative_log_variances
from vaetheory.training.objectives import MOST_LOG_VARIANCE
from vaetheory.training.vae import Vae

#: The loc and the scale of the affine maps between data and networks.
Units = tuple[torch.Tensor, torch.Tensor]
#: Logits below this in size take the series of the log partition, B_2k / (2k (2k)!).
_SMALL = 1.0
_SERIES = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)


def bounded(log_variance: torch.Tensor) -> torch.Tensor:
    """Log variances between -12 and 12, of numbers of any size."""
    return MOST_LOG_VARIANCE * torch.tanh(log_variance / MOST_LOG_VARIANCE)


def log_partition(logits: torch.Tensor) -> torch.Tensor:
    """Log of (exp(t) - 1) / t, which normalises the continuous Bernoulli density exp(x t)."""
    size = logits.abs()
    small = size < _SMALL
    # Neither branch of `where` may have an infinite derivative.
    far = torch.where(small, torch.ones_like(size), size)
    near = torch.where(small, size, torch.zeros_like(size))
    square, series = near * near, torch.zeros_like(size)
    for factor in _SERIES[::-1]:
        series = square * (series + factor)
    direct = torch.log(-torch.expm1(-far)) - torch.log(far)
    return torch.where(small, logits / 2 + series, logits.clamp_min(0) + direct)


def loss(
    vae: Vae, units: Units, params: torch.Tensor, X: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Minus the objective of a batch, in nats a datum.

    Parameters
    ----------
    vae : Vae
        Its networks have `apply`.
    units : (tensor, tensor)
        Its loc and scale.
    params : tensor (count,)
    X : tensor (B, D)
    noise : tensor (B, d)
        Standard normal draws.
    """
    encoder: Any = vae.encoder
    decoder: Any = vae.decoder
    inner, outer, extra = params.split(
        [encoder.count, decoder.count, len(params) - encoder.count - decoder.count]
    )
    unit_loc, unit = units
    code = encoder.apply(inner, (X - unit_loc) / unit)
    d, objective = vae.latent_dim, vae.objective
    loc = code[:, :d]
    if objective.posterior in ("learned", "bounded"):
        log_variance = code[:, d:]
        log_variance = bounded(log_variance) if objective.posterior == "bounded" else log_variance
        log_scale = log_variance / 2
    else:
        log_scale = extra[:d] if objective.posterior == "constant" else torch.zeros_like(loc[0])
    scale = torch.exp(log_scale)
    out = decoder.apply(outer, loc + scale * noise)
    term = _log_likelihood(vae, units, X, out, extra)
    if objective.floating:
        return -bilbo(term, loc, scale).value
    divergence = 0.5 * (loc * loc + scale * scale - 1 - 2 * log_scale).sum() / len(X)
    return divergence - term


def _log_likelihood(
    vae: Vae, units: Units, X: torch.Tensor, out: torch.Tensor, extra: torch.Tensor
) -> torch.Tensor:
    """The mean log likelihood of a batch."""
    kind, size, dim = vae.objective.likelihood, len(X), vae.data_dim
    if kind == "bernoulli":
        return -functional.binary_cross_entropy_with_logits(out, X, reduction="sum") / size
    if kind == "continuous":
        return (X * out - log_partition(out)).sum() / size
    xhat = units[0] + units[1] * out[:, :dim]
    if kind in ("learned", "bounded"):
        log_variance = out[:, dim:]
        log_variance = bounded(log_variance) if kind == "bounded" else log_variance
        misfit = (X - xhat) ** 2 * torch.exp(-log_variance)
        return -0.5 * (dim * LOG_2PI + (log_variance + misfit).sum() / size)
    if kind == "one":
        log_sigma = extra[-1]
        misfit = ((X - xhat) ** 2).sum() / size * torch.exp(-2 * log_sigma)
        return -0.5 * (dim * (LOG_2PI + 2 * log_sigma) + misfit)
    if kind == "varying":
        g = relative_log_variances(extra, out[:, :dim] + common_origin(*units))
        xhat = with_relative_variances(X, xhat, g)
    if kind == "profile":
        return profile_likelihood(X, xhat, pooled=vae.pooled).value
    return baggins(X, xhat, information=vae.information, pooled=vae.pooled).value

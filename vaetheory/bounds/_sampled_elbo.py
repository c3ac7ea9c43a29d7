"""ELBOs of more latents than quadrature reaches, from replicated quasi-random points."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import LATTICE_DIM
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.bounds._noise_means import quasi_random
from vaetheory.bounds.gaussian_elbo import elbo, integrand_rounding
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: Independent replicates, the points of each, and the numbers that a decoder returns at a time.
_REPLICATES, _POINTS, _NUMBERS = 16, 2**11, 2**22
#: Half the width of the 99.9 % interval of a mean of the replicates, in standard errors.
_WIDTH = float(stdtrit(_REPLICATES - 1, 0.9995))


def sampled_elbo(model: LatentModel, data: Array, posterior: Posterior) -> Integral:
    """The ELBO of checked data `(N, D)`, in nats, for any number of latents.

    `error` is an estimate: half the 99.9 % interval of the mean of 16 replicates, and rounding.
    The points are the same in every call.
    """
    reduced, (count, d) = model.reduced(data), posterior.loc.shape
    root = np.linalg.cholesky(posterior.cov)
    means = np.empty((_REPLICATES, count))
    block = max(1, _NUMBERS // (_POINTS * reduced.model.param_dim))
    for k in range(_REPLICATES):
        points = quasi_random(d, k, _POINTS, normal=True)
        for start in range(0, count, block):
            rows = slice(start, start + block)
            z = posterior.loc[rows, None] + points @ np.swapaxes(root[rows], -1, -2)
            with unchecked():
                logs = reduced.model.log_likelihood(reduced.data[rows, None], z)
            means[k, rows] = logs.mean(axis=-1)
    divergence = _gaussians.kl_divergence(posterior.loc, posterior.cov, np.zeros(d), np.eye(d))
    value = means.mean(axis=0) + reduced.offset - divergence
    spread = means.std(axis=0, ddof=1) / np.sqrt(_REPLICATES)
    error = _WIDTH * spread + integrand_rounding(reduced, posterior.loc, posterior.cov)
    known = np.isfinite(value) & np.isfinite(error)
    return Integral(
        value, np.where(known, error, np.inf), np.full(count, NOT_REACHED), _REPLICATES * _POINTS
    )


def any_elbo(model: LatentModel, data: Array, posterior: Posterior, rtol: float) -> Integral:
    """The ELBO of checked data `(N, D)` by quadrature, or where that is worse, from points."""
    found = elbo(model, data, posterior, rtol=rtol)
    if model.latent_dim <= LATTICE_DIM or found.reached.all():
        return found
    drawn = sampled_elbo(model, data, posterior)
    better = drawn.error < found.error
    return Integral(
        np.where(better, drawn.value, found.value),
        np.where(better, drawn.error, found.error),
        np.where(found.reached & ~better, REACHED, NOT_REACHED),
        found.nodes + drawn.nodes,
    )

"""Estimate of the rounding error of the log joint, which no quadrature can reduce."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: Points on the short line.
_POINTS = 7
#: Length of the line in standard deviations of the posterior.
_LENGTH = 1e-5
_BLOCK = 200_000


def log_joint_noise(model: LatentModel, data: Array, mode: Array, information: Array) -> Array:
    """Estimate the rounding error of log p(x, z) in the posterior, `(N,)`, nats.

    The decoder is evaluated at equidistant points that are so close that it is a parabola there.
    Its third differences are then rounding errors of the decoder and of the points; this works for
    any decoder. The errors at different nodes are independent, so that the evidence has a smaller
    error; this is not taken into account.

    Parameters
    ----------
    model : LatentModel
    data : array (N, D)
    mode : array (N, d)
    information : array (N, d, d)
        Curvature of -log p(x, z) at the modes.
    """
    d = model.latent_dim
    values, vectors = np.linalg.eigh(information)
    width = 1 / np.sqrt(np.maximum(values, 1.0))
    # A typical point: one standard deviation from the mode along every axis of the posterior.
    typical = mode + np.einsum("nij,nj->ni", vectors, width)
    line = np.einsum("nij,nj->ni", vectors, width * np.sqrt([0.5, 0.7, 1.1, 1.3])[:d])
    line *= _LENGTH / _POINTS
    # Data with the same mode share a line.
    places: Array
    places, which = np.unique(np.concatenate([typical, line], axis=-1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    start, error = (np.empty((len(places), model.param_dim)) for _ in range(2))
    step = max(1, _BLOCK // (_POINTS * model.param_dim))
    for i in range(0, len(places), step):
        rows = np.s_[i : i + step]
        points = (
            places[rows, None, :d] + places[rows, None, d:] * np.arange(float(_POINTS))[:, None]
        )
        params = model.decode(points)
        third = np.diff(params, n=3, axis=1)
        # The squares of the coefficients 1, 3, 3, 1 sum to 20.
        error[rows] = np.sqrt(np.einsum("nkd,nkd->nd", third, third) / (20 * third.shape[1]))
        start[rows] = params[:, 0]
    np.maximum(error, 0.3 * ULP * np.abs(start), out=error)
    noise = np.empty(len(data))
    for i in range(0, len(data), step):
        lines = which[i : i + step]
        slope = model.likelihood.score(data[i : i + step], start[lines])
        noise[i : i + step] = np.linalg.norm(slope * error[lines], axis=-1)
    # The nodes are rounded as well: by half a unit of z, where the slope is 1 / width.
    noise += 0.5 * ULP * np.sqrt((typical**2 * (1 / width**2).max(axis=-1)[:, None]).sum(axis=-1))
    finite: Array = np.where(np.isfinite(noise), noise, np.inf)
    return finite

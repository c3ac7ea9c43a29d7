"""Rounding noise of the log joint near a mode: what no quadrature can see or repair."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.models import LatentModel

_EPS = float(np.finfo(np.float64).eps)
#: Points on a short line, at irregular places.
_PLACES = np.array([-1.0, -0.83, -0.61, -0.43, -0.17, 0.11, 0.29, 0.53, 0.71, 0.89, 1.0])


def log_joint_noise(model: LatentModel, data: Array, mode: Array, information: Array) -> Array:
    """Estimate the rounding errors of log p(x, z) at points of the posterior, `(N,)`, nats.

    The decoder is evaluated along a line so short that it is a parabola there, and what a fit
    leaves is rounding: of any decoder, without a look at its formula. The errors of the nodes are
    independent, so that the evidence has less; no credit is taken for that.

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
    # A typical point: one standard deviation off the mode along every axis of the posterior.
    typical = mode + np.einsum("nij,nj->ni", vectors, width)
    line = np.einsum("nij,nj->ni", vectors, width * np.sqrt([0.5, 0.7, 1.1, 1.3])[:d])
    points = typical[:, None] + 1e-6 * line[:, None] * _PLACES[:, None]
    params = np.empty((*points.shape[:2], model.data_dim))
    step = max(1, 1_000_000 // (len(_PLACES) * model.data_dim))
    for i in range(0, len(points), step):
        params[i : i + step] = model.decode(points[i : i + step])
    # The places as float64 has them, along the line's longest axis.
    axis = np.abs(line).argmax(axis=-1)[:, None]
    moved = np.take_along_axis(points, axis[..., None], -1)[..., 0]
    moved = moved - np.take_along_axis(typical, axis, -1)
    moved = moved / np.maximum(np.abs(moved).max(axis=-1, keepdims=True), 1e-300)
    design = moved[..., None] ** np.arange(3)
    middle = params[:, :1]
    centred = params - middle
    fitted = design @ (np.linalg.pinv(design) @ centred)
    error = np.sqrt(((centred - fitted) ** 2).sum(axis=1) / (len(_PLACES) - 3))
    error = np.maximum(error, 0.3 * _EPS * np.abs(params).max(axis=1))
    score = model.likelihood.score(data, model.decode(typical))
    noise = np.sqrt(((score * error) ** 2).sum(axis=-1))
    # The nodes themselves are rounded: half a unit of z, at a slope of one over the width.
    noise += 0.5 * _EPS * np.sqrt((typical**2 * (1 / width**2).max(axis=-1)[:, None]).sum(axis=-1))
    finite: Array = np.where(np.isfinite(noise), noise, np.inf)
    return finite

"""Modes of the posterior p(z|x), found for all data at once."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, qmc

from vaetheory._validation import Array
from vaetheory.models import LatentModel

_SCAN = 1024
_STARTS = 4
_ITERATIONS = 200
_CHUNK = 2**22


def _scan_points(dim: int) -> Array:
    """Quasi-random points of the prior, each also three times as far out, and the origin."""
    unit = qmc.Sobol(dim, scramble=False).random(_SCAN)
    near = norm.ppf((unit * (_SCAN - 1) + 0.5) / _SCAN)
    return np.concatenate([np.zeros((1, dim)), near, 3 * near])


def _starts(model: LatentModel, X: Array) -> Array:
    """The scan's best points for each datum, `(N, K, d)`."""
    points = _scan_points(model.latent_dim)
    params = model.decode(points)
    log_prior = -0.5 * (points**2).sum(axis=-1)
    best = np.empty((len(X), _STARTS, model.latent_dim))
    size = max(1, _CHUNK // params.size)
    for i in range(0, len(X), size):
        table = model.likelihood.log_prob(X[i : i + size, None], params) + log_prior
        top = np.argpartition(-table, _STARTS - 1, axis=-1)[:, :_STARTS]
        best[i : i + size] = points[top]
    return best


def climb(model: LatentModel, X: Array, z: Array) -> Array:
    """Climb the log joint from `z` by damped Newton steps (Levenberg-Marquardt), all rows at once.

    The Hessian of the potential is used where it is positive definite and its Gauss-Newton part
    elsewhere, so that every step is an ascent direction.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
    z : array (N, d)
        Starting points.

    Returns
    -------
    array (N, d)
        A local mode for each row, to rounding.
    """
    z = z.copy()
    height = model.log_joint(X, z)
    damping = np.full(len(X), 1e-3)
    active = np.arange(len(X))
    eye = np.eye(model.latent_dim)
    for _ in range(_ITERATIONS):
        gradient, hessian, safe = model.potential_derivatives(X[active], z[active])
        indefinite = np.linalg.eigvalsh(hessian)[..., 0] <= 0
        hessian = np.where(indefinite[:, None, None], safe, hessian)
        scale = np.diagonal(hessian, axis1=-2, axis2=-1)[..., None] * eye
        lifted = hessian + damping[active, None, None] * scale
        step = -np.linalg.solve(lifted, gradient[..., None])[..., 0]
        new = model.log_joint(X[active], z[active] + step)
        better = new >= height[active]
        rows = active[better]
        z[rows] += step[better]
        height[rows] = new[better]
        damping[active] = np.where(better, damping[active] / 10, damping[active] * 10)
        damping[damping < 1e-14] = 0.0
        damping[active[~better]] = np.maximum(damping[active[~better]], 1e-3)
        # The decrement is twice the height still to gain; below rounding there is none.
        decrement = -(gradient * step).sum(axis=-1)
        done = (better & (decrement < 1e-20)) | (damping[active] > 1e12)
        active = active[~done]
        if not len(active):
            break
    return z


def posterior_mode(model: LatentModel, X: Array) -> Array:
    """The highest mode found of p(z|x) for each datum, `(N, D) -> (N, d)`.

    Climbs from the best few of some two thousand quasi-random points; on a posterior with many
    narrow modes the highest of all may be missed.
    """
    starts = _starts(model, X)
    count, tries, dim = starts.shape
    repeated = np.repeat(X, tries, axis=0)
    z = climb(model, repeated, starts.reshape(-1, dim))
    height = model.log_joint(repeated, z).reshape(count, tries)
    return z.reshape(starts.shape)[np.arange(count), height.argmax(axis=-1)]

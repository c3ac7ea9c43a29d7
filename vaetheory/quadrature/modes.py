"""Climbing to modes of the posterior, all data at once: good lower bounds for the search."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.gaussians import LOG_2PI
from vaetheory.models import LatentModel

_DAMPING = 1e-3


def climb(
    model: LatentModel, data: Array, start: Array, *, steps: int = 25
) -> tuple[Array, Array, Array]:
    """Damped Gauss-Newton steps towards a mode of each datum's posterior.

    Parameters
    ----------
    model : LatentModel
    data : array (N, D)
    start : array (N, d)
    steps : int
        Greatest number of steps.

    Returns
    -------
    z : array (N, d)
        Where the log joint is at least what it was at the start; a mode, as a rule.
    log_joint : array (N,)
        log p(x, z) there, nats.
    information : array (N, d, d)
        Gauss-Newton curvature of -log p(x, z) there.
    """
    z = start.copy()
    best = model.log_joint(data, z)
    damping = np.full(len(z), _DAMPING)
    gradient, information = _finite(*model.gauss_newton(data, z))
    active = np.arange(len(z))
    for _ in range(steps):
        step = _solve(information[active], gradient[active], damping[active])
        trial = z[active] + step
        value = model.log_joint(data[active], trial)
        gain = value - best[active]
        good = gain > 0
        damping[active] = np.where(good, damping[active] * 0.1, damping[active] * 10)
        moved = active[good]
        if len(moved):
            z[moved], best[moved] = trial[good], value[good]
            gradient[moved], information[moved] = _finite(
                *model.gauss_newton(data[moved], z[moved])
            )
        # Steps that stall, or gain next to nothing, are not worth their cost here.
        active = active[np.where(good, gain > 1e-3, damping[active] < 1e6)]
        if not len(active):
            break
    return z, best, information


def _finite(gradient: Array, information: Array) -> tuple[Array, Array]:
    """Cut overflow, so that a wild step is refused by its value and not by an exception."""
    gradient = np.nan_to_num(gradient, nan=0.0, posinf=1e150, neginf=-1e150)
    information = np.nan_to_num(information, nan=0.0, posinf=1e150, neginf=-1e150)
    return np.clip(gradient, -1e150, 1e150), np.clip(information, -1e150, 1e150)


def _solve(information: Array, gradient: Array, damping: Array) -> Array:
    diagonal = np.einsum("nii->ni", information)
    damped = information.copy()
    np.einsum("nii->ni", damped)[...] += damping[:, None] * diagonal
    try:
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
    except np.linalg.LinAlgError:
        step = -gradient / np.maximum(diagonal, 1.0)
    return np.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)


def log_laplace(information: Array) -> Array:
    """Log integral of exp(-u . information u / 2), `(..., d, d) -> (...)`."""
    sign, value = np.linalg.slogdet(information)
    value = np.where((sign > 0) & np.isfinite(value), value, 0.0)
    return 0.5 * (information.shape[-1] * LOG_2PI - value)

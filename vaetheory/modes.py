"""Search for modes of the posterior p(z|x), for all data at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from vaetheory._gaussians import LOG_2PI
from vaetheory._small_matrices import least_eigenvalue
from vaetheory._trust import unchecked
from vaetheory._validation import Array, all_within
from vaetheory.likelihoods import Likelihood, NoMetricError
from vaetheory.models import LatentModel, require_model

_SCAN = 1024
_STARTS = 4
_CHUNK = 2**22
_DAMPING = 1e-3


def climb(
    model: LatentModel, X: Array, start: Array, *, polish: bool = False
) -> tuple[Array, Array, Array]:
    """Maximise the log joint by damped Gauss-Newton steps, for all rows at once.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
    start : array (N, d)
    polish : bool
        Continue down to rounding, with Newton steps where the Hessian is positive definite.
        Otherwise stop when a step gains less than a thousandth of a nat.

    Returns
    -------
    z : array (N, d)
        Points with a log joint at least as high as at the start, usually modes.
    log_joint : array (N,)
        log p(x, z) at these points, in nats.
    information : array (N, d, d)
        The curvature of -log p(x, z) that the steps used there; positive definite.
    """
    if not len(start):
        return start, np.empty(0), np.empty((0, *2 * start.shape[-1:]))
    with unchecked():
        return _climb(model, X, start.copy(), polish)


def _climb(model: LatentModel, X: Array, z: Array, polish: bool) -> tuple[Array, Array, Array]:
    best = model.log_joint(X, z)
    damping = np.full(len(z), _DAMPING)
    gradient, information = _derivatives(model, X, z, polish)
    active = np.arange(len(z))
    for _ in range(200 if polish else 25):
        step = _solve(information[active], gradient[active], damping[active])
        trial = z[active] + step
        value = model.log_joint(X[active], trial)
        gain = value - best[active]
        # Close to a mode the gain is lost in rounding while the gradient still shrinks.
        good = gain >= 0 if polish else gain > 0
        # Twice the remaining gain; below rounding there is none.
        left = -(gradient[active] * step).sum(axis=-1)
        damping[active] = np.where(good, damping[active] * 0.1, damping[active] * 10)
        moved = active[good]
        if len(moved):
            z[moved], best[moved] = trial[good], value[good]
            gradient[moved], information[moved] = _derivatives(model, X[moved], z[moved], polish)
        going = left > 1e-20 if polish else gain > 1e-3
        active = active[np.where(good, going, damping[active] < (1e12 if polish else 1e6))]
        if not len(active):
            break
    return z, best, information


def _derivatives(model: LatentModel, X: Array, z: Array, polish: bool) -> tuple[Array, Array]:
    if not polish:
        return _finite(*model.gauss_newton(X, z))
    gradient, hessian, safe = model.search_derivatives(X, z)
    gradient, hessian = _finite(gradient, hessian)
    indefinite = least_eigenvalue(hessian) <= 0
    return gradient, _finite(gradient, np.where(indefinite[:, None, None], safe, hessian))[1]


def _finite(gradient: Array, information: Array) -> tuple[Array, Array]:
    """Clip overflow, so that a step that is far too long is rejected by its value."""
    if all_within(gradient) and all_within(information):
        # The copies are changed row by row.
        return np.array(gradient), np.array(information)
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
    return step if all_within(step) else np.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)


def log_laplace(information: Array) -> Array:
    """Log integral of exp(-u . information u / 2), `(..., d, d) -> (...)`."""
    sign, value = np.linalg.slogdet(information)
    value = np.where((sign > 0) & np.isfinite(value), value, 0.0)
    integral: Array = 0.5 * (information.shape[-1] * LOG_2PI - value)
    return integral


def _scan_points(dim: int) -> Array:
    """The origin, quasi-random points of the prior, and the same points three times as far out."""
    # Imported here because scipy.stats takes a second to load.
    from scipy.stats import qmc

    unit = qmc.Sobol(dim, scramble=False).random(_SCAN)
    near = ndtri((unit * (_SCAN - 1) + 0.5) / _SCAN)
    return np.concatenate([np.zeros((1, dim)), near, 3 * near])


def scan_starts(model: LatentModel, X: Array) -> Array:
    """The scan's best points for each datum, `(N, K, d)`."""
    points = _scan_points(model.latent_dim)
    params = model.decode(points)
    log_prior = -0.5 * (points**2).sum(axis=-1)
    best = np.empty((len(X), _STARTS, model.latent_dim))
    size = max(1, _CHUNK // params.size)
    for i in range(0, len(X), size):
        table = _heights(model.likelihood, X[i : i + size], params) + log_prior
        top = np.argpartition(-table, _STARTS - 1, axis=-1)[:, :_STARTS]
        best[i : i + size] = points[top]
    return best


def _heights(likelihood: Likelihood, X: Array, params: Array) -> Array:
    """The log densities of all pairs, `(N, M)`, to rounding of the greatest of them."""
    if likelihood.gaussian or likelihood.natural:
        # As one product of two matrices.
        return likelihood.table(X).dense(params)[0]
    return likelihood.log_prob(X[:, None], params)


def posterior_mode(model: LatentModel, X: ArrayLike) -> Array:
    """The highest mode that is found of each posterior p(z|x).

    Starts from the best few of about two thousand quasi-random points; if a posterior has many
    narrow modes, the highest mode may be missed.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        The data.

    Returns
    -------
    array (..., d)
        The modes. There is no error figure: Newton's steps go on until they gain nothing that
        rounding lets them see.

    Raises
    ------
    ValueError
        If the data do not fit the model or are outside the likelihood's support. A `NoMetricError`
        for a likelihood without a metric: the modes are at kinks of log p, and Newton's steps may
        end elsewhere.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, posterior_mode
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> posterior_mode(model, [2.0]).round(12).tolist()
    [1.0]
    """
    require_model(model)
    if (reason := model.likelihood.no_metric) is not None:
        raise NoMetricError(f"{reason}; the modes are at kinks of log p, which this does not find")
    data = model.check_data(X)
    modes = highest_modes(model, data.reshape(-1, model.data_dim))
    return modes.reshape(*data.shape[:-1], model.latent_dim)


def highest_modes(model: LatentModel, X: Array) -> Array:
    """`posterior_mode` of data that have been checked, `(N, D) -> (N, d)`."""
    reduced = model.reduced(X)
    model = reduced.model
    # A decoder may overflow far from the data; the clipped values are handled.
    with unchecked():
        starts = scan_starts(model, reduced.data)
        count, tries, dim = starts.shape
        repeated = np.repeat(reduced.data, tries, axis=0)
        z, height, _ = climb(model, repeated, starts.reshape(-1, dim), polish=True)
    best = height.reshape(count, tries).argmax(axis=-1)
    return z.reshape(starts.shape)[np.arange(count), best]

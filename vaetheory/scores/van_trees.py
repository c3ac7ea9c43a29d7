"""What data can tell of the latents: van Trees' bound, and the best linear estimator's error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._quadrature.result import REACHED
from vaetheory._validation import Array, Index, fraction
from vaetheory._value_equality import ByValue
from vaetheory.bounds._linear_gaussian import linear_decoder
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import gamma
from vaetheory.scores._gaussian_means import gaussian_means


@dataclass(frozen=True, eq=False)
class MatrixBound(ByValue):
    """A bound of the mean posterior covariance, in the order of symmetric matrices.

    Attributes
    ----------
    value : array (d, d)
    error : float
        Estimate of the absolute error, in the spectral norm.
    status : str
        "reached" if the expectations reached the tolerance.
    """

    value: Array
    error: float
    status: str

    @property
    def reached(self) -> bool:
        """Whether the expectations reached the tolerance."""
        return self.status == REACHED


def van_trees_bound(model: LatentModel, *, rtol: float = 1e-10) -> MatrixBound:
    """Van Trees' lower bound (I + E[g(z)])^-1 of the mean posterior covariance E Cov(z given x).

    The means are over data from the model itself and over its prior N(0, I); g is the metric that
    the likelihood's Fisher information induces. No encoder and no other estimator of the latents
    has a smaller mean square error. It is attained by linear models with Gaussian noise.

    Parameters
    ----------
    model : LatentModel
        Any, if its likelihood has a metric. The expectations are sharp up to three latents, and for
        a linear model with Gaussian noise, which is in closed form; otherwise the error says more.
    rtol : float
        Tolerance of each entry of the mean metric, relative to the mean of its modulus.

    Returns
    -------
    MatrixBound
        `error` is an estimate.

    Raises
    ------
    ValueError
        If the mean metric is infinite or was not found. A `NoMetricError` if there is none.

    Notes
    -----
    Source: claim 19d. The mean of the local covariances, E[(I + g)^-1], is no bound.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import van_trees_bound
    >>> model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0))
    >>> van_trees_bound(model).value.round(9).tolist()
    [[0.2]]
    """
    require_model(model)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    d = model.latent_dim
    if linear_decoder(model) is not None:
        origin = np.zeros((1, d))
        metric = model.pulled_back(model.decode(origin), model.decoder.jacobian(origin))[0]
        error = gamma(20 * model.data_dim) * model.likelihood.condition * np.abs(metric)
        reached = True
    else:
        upper = np.triu_indices(d)

        def entries(z: Array, rows: Index) -> Array:
            g = model.pulled_back(model.decode(z), model.decoder.jacobian(z))
            return g[..., upper[0], upper[1]]

        found = _under_the_prior(entries, d, len(upper[0]), rtol)
        metric, error = _symmetric(found[0], d), _symmetric(found[1], d)
        reached = found[2]
    if not np.isfinite(error).all():
        raise ValueError("model: expected a finite mean metric under the prior, got none")
    precision = np.eye(d) + metric
    value = np.linalg.inv(precision)
    value = (value + value.T) / 2
    # The inverse has a norm of at most 1.
    lost = np.linalg.norm(value, 2) ** 2 * np.linalg.norm(error)
    lost += gamma(20 * d) * np.linalg.cond(precision) * np.linalg.norm(value, 2)
    return MatrixBound(value, float(lost), REACHED if reached else "not reached")


def linear_estimation_error(model: LatentModel, *, rtol: float = 1e-10) -> MatrixBound:
    """Error covariance of the best linear estimator of z: an upper bound of E Cov(z given x).

    It is I - Cov(z, x) Cov(x)^-1 Cov(x, z), for data from the model itself.

    Parameters
    ----------
    model : LatentModel
        With Gaussian noise or a family whose params are natural, such as `Poisson` and `Bernoulli`.
        For the number of latents see `van_trees_bound`.
    rtol : float
        Tolerance of each moment, relative to the mean of its modulus.

    Returns
    -------
    MatrixBound
        `error` is an estimate, of first order in those of the moments.

    Raises
    ------
    ValueError
        For other families, or if a moment is infinite or was not found.

    Notes
    -----
    Source: claim 19d.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import linear_estimation_error
    >>> model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0))
    >>> linear_estimation_error(model).value.round(9).tolist()
    [[0.2]]
    """
    require_model(model)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    family, d, D = model.likelihood, model.latent_dim, model.data_dim
    if not (family.gaussian or family.natural):
        raise ValueError(
            "model: expected Gaussian noise or a family with natural params, got "
            f"{type(family).__name__}"
        )
    line = linear_decoder(model)
    upper = np.triu_indices(D)
    if line is not None:
        cross, spread = (
            line.weight.T,
            line.weight @ line.weight.T + _noise(model, np.zeros((1, d)))[0],
        )
        off, more = gamma(4) * np.abs(cross), gamma(D + d) * np.abs(spread)
        reached = True
    else:

        def first(z: Array, rows: Index) -> Array:
            mean = _mean(model, z)
            each = z[..., :, None] * mean[..., None, :]
            return np.concatenate([mean, each.reshape(*each.shape[:-2], -1)], axis=-1)

        mean, error, good = _under_the_prior(first, d, D + d * D, rtol)
        centre, cross, off = mean[:D], mean[D:].reshape(d, D), error[D:].reshape(d, D)

        def second(z: Array, rows: Index) -> Array:
            away = _mean(model, z) - centre
            whole = away[..., :, None] * away[..., None, :] + _noise(model, z)
            return whole[..., upper[0], upper[1]]

        square, lost, fine = _under_the_prior(second, d, len(upper[0]), rtol)
        spread, more = _symmetric(square, D), _symmetric(lost, D) + np.outer(error[:D], error[:D])
        reached = good and fine
    if not (np.isfinite(off).all() and np.isfinite(more).all()):
        raise ValueError("model: expected finite moments under the prior, got none")
    gain = np.linalg.solve(spread, cross.T).T
    value = np.eye(d) - gain @ cross.T
    norm = np.linalg.norm(gain, 2)
    total = 2 * norm * np.linalg.norm(off) + norm**2 * np.linalg.norm(more)
    total += gamma(20 * D) * np.linalg.cond(spread) * (1 + norm * np.linalg.norm(cross, 2))
    status = REACHED if reached else "not reached"
    return MatrixBound((value + value.T) / 2, float(total), status)


def _mean(model: LatentModel, z: Array) -> Array:
    """Mean of the data at latents `(..., d)`, `(..., D)`."""
    params = model.decode(z)
    return params if model.likelihood.gaussian else model.likelihood.mean(params)  # type: ignore[attr-defined]


def _noise(model: LatentModel, z: Array) -> Array:
    """Covariance of the data at latents `(..., d)`, `(..., D, D)`."""
    family = model.likelihood
    if family.gaussian:
        # The Fisher information of a mean is the precision.
        constant = family.covariance(model.data_dim)  # type: ignore[attr-defined]
        return np.broadcast_to(constant, (*z.shape[:-1], *constant.shape))
    return family.fisher_information(model.decode(z))


def _symmetric(values: Array, size: int) -> Array:
    full = np.empty((size, size))
    upper = np.triu_indices(size)
    full[upper] = values
    full.T[upper] = values
    return full


def _under_the_prior(
    functions: object, d: int, size: int, rtol: float
) -> tuple[Array, Array, bool]:
    """Means under N(0, I_d), their error estimates, and whether all reached the tolerance."""
    found = gaussian_means(functions, np.zeros((1, d)), np.eye(d)[None], size, rtol=rtol)  # type: ignore[arg-type]
    return found.value[0], found.error[0], bool(found.reached.all())

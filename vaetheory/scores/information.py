"""Louis' information of the evidence, and the rates of EM that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.result import REACHED
from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.rounding import gamma
from vaetheory.scores._posterior_means import (
    checked,
    posterior_means,
    products_floor,
    status_of,
)
from vaetheory.scores.parameters import rounded_score
from vaetheory.scores.parametric import ParametricModel, require_family


@dataclass(frozen=True, eq=False)
class EvidenceInformation(ByValue):
    """The information of the data about the parameters, and how much of it is missing.

    Attributes
    ----------
    score : array (..., p)
        Gradient of log p(x; theta).
    score_error : array (..., p)
        Estimate of its absolute error.
    complete : array (..., p, p)
        Posterior mean of minus the Hessian of log p(x, z; theta): the information that x and z
        would give together.
    missing : array (..., p, p)
        Posterior covariance of the gradient of log p(x, z; theta).
    complete_error, missing_error : array (..., p, p)
        Estimates of the absolute errors.
    status : array of str (...)
        "reached" where all errors are within the tolerance.
    """

    score: Array
    score_error: Array
    complete: Array
    missing: Array
    complete_error: Array
    missing_error: Array
    status: NDArray[np.str_]

    @property
    def observed(self) -> Array:
        """Minus the Hessian of log p(x; theta), `(..., p, p)`: complete - missing (Louis)."""
        return self.complete - self.missing

    @property
    def error(self) -> Array:
        """Estimate of the absolute error of `observed`, `(..., p, p)`."""
        size = np.abs(self.complete) + np.abs(self.missing)
        return self.complete_error + self.missing_error + gamma(2) * size

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Where the tolerance was reached, `(...)`."""
        return np.asarray(self.status == REACHED)


def evidence_information(
    model: ParametricModel, X: ArrayLike, *, rtol: float = 1e-9
) -> EvidenceInformation:
    """Observed information of the exact log evidence in the parameters, by Louis' identity.

    Minus the Hessian of log p(x; theta) is the posterior mean of minus the Hessian of
    log p(x, z; theta), less the posterior covariance of its gradient.

    Parameters
    ----------
    model : ParametricModel
        With at most four latents, or with any number if it is linear with Gaussian noise (its
        outputs, at latents near and far, are an affine map of them).
    X : array (..., D)
        The data.
    rtol : float
        Tolerance of each entry of both matrices, relative to the posterior mean of its modulus.

    Returns
    -------
    EvidenceInformation
        Its errors are estimates, as for `posterior_expectation`.

    Raises
    ------
    ValueError
        As `evidence_score`.

    Notes
    -----
    Source: claim 19b. The covariance is computed around the mean gradient, so that it keeps its
    digits where the gradient is large.

    Examples
    --------
    For x = theta z + noise the evidence is N(0, 1 + theta^2).

    >>> from vaetheory import likelihoods
    >>> from vaetheory.scores import ParametricModel, evidence_information
    >>> line = ParametricModel(lambda t, z: t * z, likelihoods.Gaussian(scale=1.0), [1.0], 1)
    >>> found = evidence_information(line, [[2.0]])
    >>> [m.round(6).tolist() for m in (found.complete, found.missing, found.observed)]
    [[[[1.5]]], [[[0.5]]], [[[1.0]]]]
    """
    family = require_family(model)
    data, rtol, shape = checked(family.model, X, rtol)
    score, lost = rounded_score(family, data, max(rtol / 10, 1e-14))
    size = len(family.theta)
    upper = np.triu_indices(size)
    floor = products_floor(lost, upper)

    def columns(rows: slice, z: Array) -> Array:
        gradient, hessian = family.joint_derivatives(data[rows], z)
        away = gradient - score.value[rows]
        second = away[..., upper[0]] * away[..., upper[1]] + floor[rows]
        return np.concatenate([-hessian[..., upper[0], upper[1]], second], axis=-1)

    found = posterior_means(family.model, data, columns, rtol)
    half = len(upper[0])
    second = found.value[:, half:] - floor

    def matrices(values: Array) -> Array:
        full = np.zeros((len(data), size, size))
        full[:, upper[0], upper[1]] = values
        full[:, upper[1], upper[0]] = values
        return full.reshape(*shape, size, size)

    # The centre is off by its error, and the second moment by the product of two such errors. What
    # is rounded in the gradient counts once for each deviation.
    spread = np.sqrt(np.maximum(second[:, upper[0] == upper[1]], 0.0))
    off = score.error[:, upper[0]] * score.error[:, upper[1]]
    off += spread[:, upper[0]] * lost[:, upper[1]] + lost[:, upper[0]] * spread[:, upper[1]]
    good = found.reached.all(axis=-1) & score.reached.all(axis=-1)
    return EvidenceInformation(
        score.value.reshape(*shape, size),
        (score.error + lost).reshape(*shape, size),
        matrices(found.value[:, :half]),
        matrices(second),
        matrices(found.error[:, :half]),
        matrices(found.error[:, half:] + off),
        status_of(good).reshape(shape),
    )


@dataclass(frozen=True, eq=False)
class EMRates(ByValue):
    """Rates at which EM with the exact posterior converges near a stationary point.

    Attributes
    ----------
    value : array (p,)
        Eigenvalues of I_com^-1 I_mis in descending order: by each of them a component of the
        distance shrinks in a step.
    error : float
        Estimate of the absolute error of each.
    score : array (p,)
        Gradient of the total log evidence, which is zero at a stationary point.
    score_error : array (p,)
        Estimate of its absolute error.
    """

    value: Array
    error: float
    score: Array
    score_error: Array


def em_rates(model: ParametricModel, X: ArrayLike, *, rtol: float = 1e-9) -> EMRates:
    """Rates of EM with the exact posterior at a stationary point: the missing information.

    EM's map has the derivative I_com^-1 I_mis = 1 - I_com^-1 I_obs at a stationary point of the
    total log evidence. A rate is 1 along directions in which the evidence does not change, such as
    rotations of the latents, and above 1 at points that are no maxima.

    Parameters
    ----------
    model : ParametricModel
        At a stationary point: `score` of the result shows how nearly it is one.
    X : array (..., D)
        All data; their informations are summed.
    rtol : float
        As for `evidence_information`.

    Returns
    -------
    EMRates
        `error` is an estimate, of first order in those of the informations.

    Raises
    ------
    ValueError
        As `evidence_information`, and if the complete information is not positive definite: then no
        step of EM is defined.

    Notes
    -----
    Source: claim 19f.

    Examples
    --------
    One latent and one data dimension, sigma = 1: EM from near the maximum theta^2 = E x^2 - 1.

    >>> from vaetheory import likelihoods
    >>> from vaetheory.scores import ParametricModel, em_rates
    >>> line = ParametricModel(lambda t, z: t * z, likelihoods.Gaussian(scale=1.0), [3**0.5], 1)
    >>> em_rates(line, [[2.0], [-2.0]]).value.round(8).tolist()
    [0.625]
    """
    found = evidence_information(model, X, rtol=rtol)
    size = len(model.theta)
    complete, missing, off, more = (
        m.reshape(-1, size, size).sum(axis=0)
        for m in (found.complete, found.missing, found.complete_error, found.missing_error)
    )
    least = float(np.linalg.eigvalsh(complete)[0])
    if not least > np.linalg.norm(off):
        raise ValueError(
            "model: expected a positive-definite complete information, got a least eigenvalue of "
            f"{least:g} with an error of {np.linalg.norm(off):g}"
        )
    root = np.linalg.cholesky(complete)
    half = np.linalg.solve(root, missing)
    pencil = np.linalg.solve(root, half.T)
    rates = np.linalg.eigvalsh((pencil + pencil.T) / 2)[::-1]
    # A change of either matrix moves each eigenvalue by at most its norm in these coordinates.
    largest = 1 + float(np.abs(rates).max())
    lost = gamma(20 * size) * largest * np.linalg.cond(complete)
    error = (np.linalg.norm(more) + largest * np.linalg.norm(off)) / least + lost
    totals = [a.reshape(-1, size).sum(axis=0) for a in (found.score, found.score_error)]
    return EMRates(rates, float(error), *totals)

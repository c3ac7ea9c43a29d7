"""Means of importance weights under the exact posterior: EUBO and the harmonic mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory.bounds._linear_weights import weighed
from vaetheory.bounds._posterior_means import log_evidences, log_rounding, posterior_means
from vaetheory.bounds.renyi import renyi_bound
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: Exponents beyond which exp overflows.
_LARGEST = 700.0


def eubo(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-10
) -> Integral:
    """The upper bound E[log w given x] of the log evidence, with w = p(x, z) / q(z|x), in nats.

    The mean is over the exact posterior. The bound is log p(x) + KL(p(z|x) || q), as the ELBO is
    log p(x) - KL(q || p(z|x)). It is finite for every Gaussian q.

    Parameters
    ----------
    model : LatentModel
        Of any latent dimension if it is linear with Gaussian noise; otherwise of at most 3.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian per datum, with the leading axes of `X`.
    rtol : float
        Tolerance of the quadrature, relative to the mean modulus of log w.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate, of rounding for linear models, whose bound
        is in closed form, else as for `posterior_expectation`.

    Raises
    ------
    ValueError
        As `elbo`, and if a model is not linear and has more than three latents.

    Notes
    -----
    Source: claim 15b.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods, log_evidence
    >>> from vaetheory.bounds import eubo
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> upper = eubo(model, [[0.0]], Posterior([[0.0]], scale=0.6))
    >>> bool(log_evidence(model, [[0.0]]).value[0] < upper.value[0])
    True
    """
    data, loc, cov, linear = weighed(model, X, posterior, rtol)
    shape = posterior.loc.shape[:-1]
    if linear is not None:
        evidence, lost = linear.log_mean_power(1.0)
        apart, more = linear.divergence()
        value, error = evidence + apart, lost + more
        return Integral(value, error, np.full(len(data), REACHED), 0).reshape(shape)
    nothing = np.zeros(len(data))
    found = posterior_means(model, data, loc, cov, lambda log_w: log_w, nothing, rtol)
    error = found.error + log_rounding(model, data, loc, cov)
    return Integral(found.value, error, found.status, found.nodes).reshape(shape)


def harmonic_mean(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-10
) -> Integral:
    """-log E[1 / w given x], the harmonic mean of the weights under the posterior, in nats.

    It is the log evidence, whatever the Gaussian q, since p(x, z) is positive wherever q is. A mean
    of draws needs more: see `harmonic_mean_variance`. Parameters and errors are those of `eubo`.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate. It includes the distance from the log
        evidence, which is large where q has much of its mass so far out that the posterior has
        almost none there.

    Notes
    -----
    Source: claim 15b. If p(x, z) vanished where q does not, the value would be larger than the log
    evidence by -log of q's mass elsewhere.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import harmonic_mean
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> round(float(harmonic_mean(model, [[0.0]], Posterior([[0.0]], scale=0.6)).value[0]), 9)
    -1.265512123
    """
    data, loc, cov, linear = weighed(model, X, posterior, rtol)
    shape = posterior.loc.shape[:-1]
    if linear is not None:
        value, error = linear.log_mean_power(1.0)
        return Integral(value, error, np.full(len(data), REACHED), 0).reshape(shape)
    evidence = log_evidences(model, data, rtol)
    found = posterior_means(
        model, data, loc, cov, lambda log_w: np.exp(np.minimum(-log_w, _LARGEST)),
        evidence.value, rtol,
    )  # fmt: skip
    # The mean is the mass of q, which is one: what is missing was too far out for the nodes.
    with np.errstate(all="ignore"):
        value = evidence.value - np.log(found.value)
        off = np.abs(value - evidence.value) + evidence.error + found.error / found.value
    error = np.where(np.isfinite(value) & np.isfinite(off), off, np.inf)
    error = error + log_rounding(model, data, loc, cov)
    nodes = evidence.nodes + found.nodes
    status = np.where(error <= rtol * (1 + np.abs(value)), REACHED, NOT_REACHED)
    return Integral(value, error, status, nodes).reshape(shape)


def harmonic_mean_variance(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-10
) -> Integral:
    """Variance of p(x) / w for one draw from the exact posterior: chi^2(q || p(z|x)).

    By it a harmonic mean of draws is to be judged: where it is infinite, the estimate has no
    standard error. Parameters and errors are those of `eubo`.

    Returns
    -------
    Integral
        `value` `(...)`, p(x) E_q[1 / w] - 1, infinite where E_q[1 / w] is; `error` is an estimate.

    Raises
    ------
    ValueError
        As `renyi_bound` of order 2, if it is not known whether the variance is infinite.

    Notes
    -----
    Source: claims 15b and 15d. With Gaussian noise it is infinite for every polynomial decoder of
    degree two or more, and for a linear model unless 2 Q - P is positive definite.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import harmonic_mean_variance
    >>> model = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> harmonic_mean_variance(model, [[0.0]], Posterior([[0.0]], scale=0.1)).value.tolist()
    [inf]
    """
    data, _, _, linear = weighed(model, X, posterior, rtol)
    bound = renyi_bound(model, X, posterior, 2, rtol=rtol)
    if linear is not None:
        logs, lost = linear.log_mean_power(1.0)
        evidence = Integral(logs, lost, np.full(len(data), REACHED), 0)
    else:
        evidence = log_evidences(model, data, rtol)
    evidence = evidence.reshape(bound.value.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.expm1(evidence.value - bound.value)
        error = (1 + value) * np.expm1(np.minimum(evidence.error + bound.error, 1.0))
    infinite = np.isneginf(bound.value)
    error = np.where(infinite, 0.0, np.where(bound.error + evidence.error < 1, error, np.inf))
    status = np.where(infinite | (evidence.reached & bound.reached), REACHED, NOT_REACHED)
    return Integral(value, error, status, bound.nodes + evidence.nodes)

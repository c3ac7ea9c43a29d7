"""Moments of importance weights, and what they say of bounds by many samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.shifted_lattices import SAFETY
from vaetheory._validation import Array, Index, as_array, positive, require, same_shape
from vaetheory._value_equality import ByValue
from vaetheory.bounds import _weight_nodes as nodes
from vaetheory.bounds._linear_weights import linear_weights
from vaetheory.bounds.gaussian_elbo import flatten
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

Flags = NDArray[np.bool_]

#: Moments of the expansion: two for its terms, the next for the size of the rest.
_POWERS = (2, 3, 4)
#: Lattices over a posterior: how many are tried, and what share of a moment beyond `_FAR` standard
#: deviations shows that it may not exist, and that it does not.
_FINEST = {1: 6, 2: 4, 3: 2}
_FAR, _DOUBTFUL, _HOPELESS = 9.5, 1e-10, 1e-2


def gaussian_weight_moment(target: Posterior, posterior: Posterior, power: ArrayLike) -> Array:
    """Log of E_q[wbar^a] for wbar = p / q and Gaussian p and q, in closed form.

    With precisions P and Q the moment is finite if and only if a P + (1 - a) Q is positive
    definite. For a = 2 and the diagonal Gaussian of the greatest ELBO, Q = diag P, that is
    2 P - diag P: a weight without variance needs no more than two latents whose correlation in P
    is at least a half.

    Parameters
    ----------
    target : Posterior
        p, the exact posterior where that is Gaussian, `(..., d)`.
    posterior : Posterior
        q, with as many Gaussians.
    power : number or array (...)
        a; any real number, one for all or one for each.

    Returns
    -------
    array (...)
        Infinite where there is no such moment.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Source: claim 14d. It is (a - 1) times Renyi's divergence of order a of p from q.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import Posterior
    >>> from vaetheory.bounds import gaussian_weight_moment
    >>> def moment(r):
    ...     precision = np.array([[1.0, r], [r, 1.0]])
    ...     target = Posterior(np.zeros(2), cov=np.linalg.inv(precision))
    ...     diagonal = Posterior(np.zeros(2), scale=1.0)
    ...     return float(np.exp(gaussian_weight_moment(target, diagonal, 2)))
    >>> round(moment(0.4), 9), moment(0.5)
    (1.4, inf)
    """
    require("target", target, Posterior)
    require("posterior", posterior, Posterior)
    same_shape("target.loc", target.loc, "posterior.loc", posterior.loc)
    a = as_array("power", power)
    lead = target.loc.shape[:-1]
    if a.shape not in ((), lead):
        raise ValueError(f"power: expected shape () or {lead}, got {a.shape}")
    # In the axes where the covariance of q is one, that of p is C with eigenvalues c: then
    # a P + (1 - a) Q has the eigenvalues a / c + 1 - a.
    root = np.linalg.cholesky(posterior.cov)
    inner = np.linalg.solve(root, np.swapaxes(np.linalg.solve(root, target.cov), -1, -2))
    c, axes = np.linalg.eigh((inner + np.swapaxes(inner, -1, -2)) / 2)
    away = np.linalg.solve(root, (target.loc - posterior.loc)[..., None])[..., 0]
    away = np.einsum("...ji,...j->...i", axes, away)
    power_ = a[..., None]
    # Each eigenvalue of C is rounded by some units of the greatest.
    mixed = power_ + (1 - power_) * c
    lost = 8 * ULP * (np.abs(power_) + np.abs(1 - power_) * c.max(axis=-1, keepdims=True))
    exists = (mixed > lost).all(axis=-1)
    safe = np.where(mixed > lost, mixed, 1.0)
    terms = (1 - power_) * np.log(c) - np.log(safe) - power_ * (1 - power_) * away**2 / safe
    return np.where(exists, 0.5 * terms.sum(axis=-1), np.inf)


@dataclass(frozen=True, eq=False)
class WeightExpansion(ByValue):
    """Central moments of wbar = p(z|x) / q(z) under q, and the first terms of log p(x) - L_K.

    Attributes
    ----------
    variance, third, fourth : arrays (...)
        E_q (wbar - 1)^k for k = 2, 3, 4; infinite where there is none. The first is the
        chi-squared divergence of the posterior from q.
    error : array (..., 3)
        Error figures of them, estimates. Infinite where a moment is infinite, and where it is not
        known whether it exists: then the value is that of the posterior's middle alone.
    """

    variance: Array
    third: Array
    fourth: Array
    error: Array

    def gap(self, K: ArrayLike) -> Array:
        """The terms of order 1/K and 1/K^2 of log p(x) - L_K.

        Infinite where the variance or the third moment does not exist: the gap then closes more
        slowly than these terms. NaN where it is not known whether they exist.

        Parameters
        ----------
        K : number or array that broadcasts against the moments
        """
        count = positive("K", K, max_ndim=64)
        known = np.isfinite(self.variance) & np.isfinite(self.third)
        two, three = np.where(known, self.variance, 0.0), np.where(known, self.third, 0.0)
        terms = two / (2 * count) - (three / 3 - 3 * two**2 / 4) / count**2
        sure = np.isfinite(self.error[..., :2]).all(axis=-1)
        return np.where(known, np.where(sure, terms, np.nan), np.inf)


def importance_weighted_expansion(
    model: LatentModel, X: ArrayLike, posterior: Posterior
) -> WeightExpansion:
    """How fast the importance weighted bound L_K closes in on the log evidence for large K.

    log p(x) - L_K = mu_2 / (2 K) - (mu_3 / 3 - 3 mu_2^2 / 4) / K^2 + O(K^-3), where mu_k are the
    central moments of wbar = p(z|x) / q(z) under q. The first term needs mu_2, the second mu_3,
    the order of the rest mu_4.

    Parameters
    ----------
    model : LatentModel
        Affine with a Gaussian likelihood, in any dimension: then in closed form. Others with at
        most three latents, by lattices over the posterior.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.

    Returns
    -------
    WeightExpansion
        With an affine map it is exact whether a moment exists. For others it is known to exist if
        k I - (k - 1) S^(-1) is positive definite, S being the covariance of q: then the prior alone
        is light enough. Otherwise the tails of the decoder decide, which no finite number of its
        values shows, and the error is infinite. For a decoder with bounded outputs there is then no
        moment: see claim 14d-bounded. By lattices a moment is infinite if more than a hundredth
        of it lies beyond 9.5 standard deviations of the posterior.

    Raises
    ------
    ValueError
        If shapes do not fit, the data are outside the likelihood's support, or a model that is not
        affine and Gaussian has more than three latents.

    Notes
    -----
    Source: claim 14b, after Domke and Sheldon, and Nowozin.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import importance_weighted_expansion
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> wide = importance_weighted_expansion(model, [0.0], Posterior([0.0], scale=1.0))
    >>> round(float(wide.variance), 6), round(float(wide.gap(1000)), 8)
    (0.154701, 7.738e-05)
    >>> float(importance_weighted_expansion(model, [0.0], Posterior([0.0], scale=0.4)).variance)
    inf
    """
    data, loc, cov = flatten(model, X, posterior)
    shape = posterior.loc.shape[:-1]
    exact = linear_weights(model, data, loc, cov)
    if exact is not None:
        logs, off = zip(*(exact.log_moment(k) for k in _POWERS), strict=True)
        found, error = _central(np.stack(logs, axis=-1), np.stack(off, axis=-1))
    else:
        found, error = _by_lattices(model, data, loc, cov)
    variance, third, fourth = (part.reshape(shape) for part in found.T)
    return WeightExpansion(variance, third, fourth, error.reshape(*shape, len(_POWERS)))


def _central(logs: Array, off: Array | float = 0.0) -> tuple[Array, Array]:
    """Central moments from logs of the second to fourth moment, which have relative errors."""
    with np.errstate(over="ignore", invalid="ignore"):
        m2, m3, m4 = np.moveaxis(np.expm1(logs), -1, 0)
        raw = np.stack([m2, m3 - 3 * m2, m4 - 4 * m3 + 6 * m2], axis=-1)
        lost = (64 * ULP * (1 + np.abs(logs)) + off) * np.exp(logs)
        l2, l3, l4 = np.moveaxis(lost, -1, 0)
        error = np.stack([l2, l3 + 3 * l2, l4 + 4 * l3 + 6 * l2], axis=-1)
    exists = np.isfinite(raw)
    return np.where(exists, raw, np.inf), np.where(exists & np.isfinite(error), error, np.inf)


def _by_lattices(model: LatentModel, data: Array, loc: Array, cov: Array) -> tuple[Array, Array]:
    """Central moments from E_q wbar^k, the expectations of wbar^(k - 1) under the posterior."""
    if model.latent_dim > nodes.LARGEST_DIM:
        raise ValueError(
            f"model: expected at most {nodes.LARGEST_DIM} latents where it is not affine and "
            f"Gaussian, got {model.latent_dim}"
        )
    weights = nodes.Weights(model.reduced(data), loc, np.linalg.cholesky(cov))
    frame = nodes.Frame.of(weights)
    shape = (len(data), len(_POWERS))
    value, error = np.full(shape, np.inf), np.full(shape, np.inf)
    dim, active = model.latent_dim, np.arange(len(data))
    # A likelihood is bounded, so that the tails of p(x, z) are at most those of the prior.
    least = np.linalg.eigvalsh(cov)[:, 0, None]
    powers = np.array(_POWERS)
    exists = powers * least > (powers - 1) * (1 + 64 * ULP)
    exists &= np.isfinite(model.likelihood.greatest_log_prob(data))[:, None]
    for number in range(_FINEST[dim]):
        rule = nodes.lattices(number, dim)
        far = (rule.nodes**2).sum(axis=-1) > _FAR**2
        for rows in nodes.chunks(active, len(rule)):
            found = _raw_moments(weights, frame, rows, rule, far)
            value[rows], error[rows] = _central(*found)
            # Each central moment contains those before it.
            unsure = ~np.logical_and.accumulate(exists[rows], axis=-1)
            error[rows] = np.where(unsure, np.inf, error[rows])
        known = np.isfinite(value) & exists & (error > 1e-9 * (1 + np.abs(value)))
        active = np.flatnonzero(known.any(axis=-1))
        if not len(active):
            break
    return value, error


def _raw_moments(
    weights: nodes.Weights, frame: nodes.Frame, rows: Index, rule: nodes.Lattices, far: Flags
) -> tuple[Array, Array]:
    """Logs of E_q wbar^k for k = 2, 3, 4 and their relative errors, `(n, 3)`."""
    logs, masses, evidence = weights.elsewhere(rows, frame.loc, frame.root, rule)
    logs = logs - frame.evidence[rows, None]
    missed = np.abs(evidence - frame.evidence[rows]) + frame.error[rows]
    # Lattices over q see what a narrow posterior's do not: a plateau far out.
    under_q, masses_of_q = weights.at(rows, rule)
    under_q = under_q - frame.evidence[rows, None]
    found, off = np.empty((2, len(rows), len(_POWERS)))
    for k, power in enumerate(_POWERS):
        with np.errstate(divide="ignore", invalid="ignore"):
            # Of the mass that underflowed the moment may hold much: its logarithm is used.
            terms = (power - 1) * logs + np.log(masses)
            top = terms.max(axis=-1)
            terms = np.exp(terms - top[:, None])
            sums = np.stack(
                [terms[:, rule.owner == i].sum(axis=-1) for i in range(rule.count)], axis=-1
            )
            mean = sums.mean(axis=-1)
            share = terms @ far / (mean * rule.count)
            spread = SAFETY[rule.nodes.shape[1]] * np.ptp(sums, axis=-1) / mean
            again = power * under_q + np.log(masses_of_q) - top[:, None]
            again = np.exp(np.minimum(again, 700)).sum(axis=-1) / rule.count
            spread += np.abs(again / mean - 1)
        found[:, k] = np.where(share <= _HOPELESS, top + np.log(mean), np.inf)
        off[:, k] = np.where(share <= _DOUBTFUL, spread + power * missed + 100 * ULP, np.inf)
    return found, off

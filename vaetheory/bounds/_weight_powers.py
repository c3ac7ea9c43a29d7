"""Means of powers of importance weights by quadrature, up to three latents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import LOG_2PI, log_prob, standard_log_prob
from vaetheory._quadrature.gaussian import RowIntegrand, gaussian_expectation, lattice_rule
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import integrand_rounding
from vaetheory.models import LatentModel, ReducedModel
from vaetheory.rounding import gamma

#: Nodes evaluated at a time while the height of the integrand is looked for.
_CHUNK = 2**13
#: Exponents beyond which exp overflows.
_LARGEST = 700.0
#: Powers nearer zero than this are as good as their logarithms.
_NEAR_ZERO = 1e-2
#: The least share of the precision of the Gaussian that is kept.
_LEAST = 0.02


def log_mean_power(
    model: LatentModel, data: Array, loc: Array, cov: Array, power: float, rtol: float
) -> Integral:
    """(1 / s) log E_q[w^s] of data `(N, D)`, for s other than 0 where M is positive definite.

    w^s q is p(x given z)^s times a Gaussian of precision M = s I + (1 - s) S^-1, so the mean is a
    constant times the expectation of p(x given z)^s under that Gaussian. `error` is an estimate:
    that of `gaussian_expectation`, with its limits, plus rounding.
    """
    variances, axes = np.linalg.eigh(cov)
    left = 1 - power + power * variances
    along = np.einsum("nji,nj->ni", axes, loc)
    # The mass of the prior to the power s times q to the power 1 - s; here its log over s.
    terms = 0.5 * np.log(variances) - 0.5 * np.log1p(power * (variances - 1)) / power
    terms = terms - 0.5 * (1 - power) * along**2 / left
    reduced = model.reduced(data)
    near = abs(power) < _NEAR_ZERO
    centre, narrow, rise = tilted_gaussian(reduced, loc, cov, power)
    inverse = np.linalg.inv(narrow) * (1 - rise)[:, None, None]
    wide = narrow / rise[:, None, None]

    def tilted(z: Array, rows: NDArray[np.intp]) -> Array:
        away = z - centre[rows, None]
        within = np.einsum("nmi,nij,nmj->nm", away, inverse[rows], away)
        return power * reduced.model.log_likelihood(reduced.data[rows, None], z) - 0.5 * within

    height = _heights(tilted, centre, 0 * wide if near else np.linalg.cholesky(wide))

    def integrand(z: Array, rows: NDArray[np.intp]) -> Array:
        logs = tilted(z, rows) - height[rows, None]
        # Near s = 0 all powers are nearly one: their differences from one keep their digits.
        return np.expm1(logs) if near else np.exp(logs)

    found = gaussian_expectation(integrand, centre, wide, rtol=rtol * min(abs(power), 1.0))
    mean = 1 + found.value if near else found.value
    with np.errstate(all="ignore"):
        share = found.error / mean
        log = np.log1p(found.value) if near else np.log(mean)
        # The value may be too low by more than it may be too high.
        off = np.where((share >= 0) & (share < 1), -np.log1p(-np.minimum(share, 0.999999)), np.inf)
    height = height - 0.5 * loc.shape[1] * np.log(rise)
    value = terms.sum(axis=-1) + (height + log) / power + reduced.offset
    lost = (np.abs(terms) + 1) * (1 + (1 + np.abs(power) * variances) / left)
    lost = lost.sum(axis=-1) + np.abs(height / power)
    rounding = integrand_rounding(reduced, centre, wide)
    rounding = rounding + gamma(40) * (lost + (1.0 if near else 1 / abs(power)))
    return Integral(value, off / abs(power) + rounding, found.status, found.nodes)


def tilted_gaussian(
    reduced: ReducedModel, loc: Array, cov: Array, power: float
) -> tuple[Array, Array, Array]:
    """The Gaussian of precision s I + (1 - s) S^-1, and the share of its precision to integrate by.

    Its mean `(N, d)`, its covariance `(N, d, d)`, and the shares `(N,)`.
    """
    variances, axes = np.linalg.eigh(cov)
    left = 1 - power + power * variances
    along = np.einsum("nji,nj->ni", axes, loc)
    centre = np.einsum("nij,nj->ni", axes, along * (1 - power) / left)
    wide = (axes * (variances / left)[:, None]) @ np.swapaxes(axes, -1, -2)
    wide = 0.5 * (wide + np.swapaxes(wide, -1, -2))
    near = abs(power) < _NEAR_ZERO
    return centre, wide, np.ones(len(loc)) if near else _rise(reduced, centre, wide, power)


class Windowed(NamedTuple):
    """The integral of w^s q in a window: its log, and its error figure over it, `(N,)`."""

    log: Array
    share: Array


def windowed_power(
    model: LatentModel,
    data: Array,
    loc: Array,
    cov: Array,
    power: float,
    window: tuple[Array, Array],
    frame: tuple[Array, Array],
    rtol: float,
) -> Windowed:
    """The integral of w^s q exp(-r^2 / 2), by nodes that follow the Gaussians `frame`.

    r is the Mahalanobis distance of the Gaussians `window`; both are means and covariances. It is
    at most E_q[w^s], and the same for all frames.
    """
    reduced = model.reduced(data)

    def logs(z: Array, rows: NDArray[np.intp]) -> Array:
        likely = reduced.model.log_likelihood(reduced.data[rows, None], z)
        own, inside, drawn = (
            log_prob(z, m[rows, None], c[rows, None]) for m, c in ((loc, cov), window, frame)
        )
        return power * (likely + standard_log_prob(z)) + (1 - power) * own + inside - drawn

    height = _heights(logs, frame[0], np.linalg.cholesky(frame[1]))

    def integrand(z: Array, rows: NDArray[np.intp]) -> Array:
        return np.exp(np.minimum(logs(z, rows) - height[rows, None], _LARGEST))

    found = gaussian_expectation(integrand, *frame, rtol=rtol)
    with np.errstate(all="ignore"):
        log, share = np.log(found.value), found.error / found.value
    log_det = np.linalg.slogdet(window[1])[1] + loc.shape[1] * LOG_2PI
    return Windowed(log + height + 0.5 * log_det + power * reduced.offset, share)


def _rise(reduced: ReducedModel, centre: Array, wide: Array, power: float) -> Array:
    """Share of the Gaussian's precision that is left where inverse powers of p rise, `(N,)`.

    With less precision the nodes reach as far as the integrand does. The integral is the same.
    """
    if power > 0:
        return np.ones(len(centre))
    bend = reduced.model.definite_information(reduced.data, centre) - np.eye(centre.shape[1])
    root = np.linalg.cholesky(wide)
    most = np.linalg.eigvalsh(np.swapaxes(root, -1, -2) @ bend @ root)[:, -1]
    share: Array = np.clip(1 + power * most, _LEAST, 1.0)
    return share


def _heights(tilted: RowIntegrand, loc: Array, root: Array) -> Array:
    """The greatest log integrand at the nodes of the coarsest lattices, `(N,)`.

    `root` is that of the covariance; where it is zero all nodes are at the mean.
    """
    rule = lattice_rule(0, loc.shape[1])
    size = max(1, _CHUNK // len(rule.nodes))
    found = np.empty(len(loc))
    for start in range(0, len(loc), size):
        rows = np.arange(start, min(start + size, len(loc)))
        z = loc[rows, None] + rule.nodes @ np.swapaxes(root[rows], -1, -2)
        found[rows] = tilted(z, rows).max(axis=-1)
    return found

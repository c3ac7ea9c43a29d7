"""Evidences by independent replicates of randomised quasi-Monte Carlo, with control variates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np
from scipy.special import gammaln, logsumexp, stdtrit

from vaetheory._sampling.gates import pareto_shape
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array

#: Two-sided level of the interval of the replicates.
LEVEL = 0.999
#: Shape of a tail up to which the share beyond the greatest weight is computed.
_HEAVIEST = 0.9
#: Most control variates, and the ridge of their coefficients.
_MOST, _RIDGE = 200, 1e-4


@dataclass(frozen=True)
class Replicates:
    """Estimates of the evidence by R independent replicates.

    Attributes
    ----------
    log_means : array (N, R)
        Logs of unbiased, non-negative estimates of the evidence, in nats.
    value : array (N,)
        Log of their mean, or of the mean with control variates where that is more accurate.
    spread : array (N,)
        Standard error of `value` over the replicates, in nats.
    greatest : array (N,)
        The greatest share of a single weight in the evidence.
    shape : array (N,)
        Shape of the tail of the weights, see `pareto_shape`.
    log_weights, densities : array (N, R * count)
        The weights, and log p - log q at the draws, which is the same without annealing.
    heaviest : array (N, R, d)
        The draw of each replicate with the greatest weight.
    """

    log_means: Array
    value: Array
    spread: Array
    greatest: Array
    shape: Array
    log_weights: Array
    densities: Array
    heaviest: Array

    @classmethod
    def of(cls, log_weights: Array, heaviest: Array, densities: Array | None = None) -> Replicates:
        """From weights `(N, R, count)`, without control variates."""
        n, replicates, count = log_weights.shape
        log_means = logsumexp(log_weights, axis=2) - np.log(count)
        value = logsumexp(log_means, axis=1) - np.log(replicates)
        ratio = np.exp(log_means - value[:, None])
        flat = log_weights.reshape(n, -1)
        return cls(
            log_means,
            value,
            ratio.std(axis=1, ddof=1) / np.sqrt(replicates),
            np.exp(flat.max(axis=1) - logsumexp(flat, axis=1)),
            pareto_shape(flat),
            flat,
            flat if densities is None else densities.reshape(n, -1),
            heaviest,
        )

    @property
    def error(self) -> Array:
        """Half the width of the interval of the replicates, plus what no draw has shown.

        If the tail of n weights is a Pareto law of shape k < 1, the expectation beyond the greatest
        one, w, is w / (n (1 - k)): at P(greater) = 1 / n the mean excess is w k / (1 - k).
        """
        r = self.log_means.shape[1]
        beyond = self.greatest / (1 - np.clip(self.shape, 0.0, _HEAVIEST))
        return stdtrit(r - 1, 0.5 + LEVEL / 2) * self.spread + beyond


def replicated(target: Target, q: Mixture, purpose: str, replicates: int, count: int) -> Replicates:
    """Importance sampling from a fixed proposal, `count` points (a power of two) a replicate."""
    n, d = len(target), target.dim
    degree = _degree(d) if q.components == 1 and q.student else 0
    lw, heaviest = np.empty((n, replicates, count)), np.empty((n, replicates, d))
    sums: list[tuple[Array, ...]] = []
    for r in range(replicates):
        z = q.draw(target.streams.sobol(f"{purpose} {r}", count, q.coordinates))
        lw[:, r] = target.log_joint(z) - q.log_density(z)
        heaviest[:, r] = z[np.arange(n), lw[:, r].argmax(axis=1)]
        if degree:
            e = q.whitened(z, 0)
            sums.append(_moments(e, lw[:, r], q.df, degree))
    found = Replicates.of(lw, heaviest)
    if not degree:
        return found
    centre, spread = found.value, found.spread
    other = _controlled(sums, centre, count)
    mean = other.mean(axis=1)
    with np.errstate(all="ignore"):
        less = other.std(axis=1, ddof=1) / np.sqrt(replicates) / mean
        shifted = centre + np.log(mean)
    # Only where it is much more accurate: the smaller of two spreads is too small.
    better = (mean > 0.5) & (less < 0.5 * spread)
    return replace(
        found,
        value=np.where(better, shifted, centre),
        spread=np.where(better, less, spread),
    )


def _degree(d: int) -> int:
    """The greatest degree, at most 3, of which there are not too many Hermite polynomials."""
    sizes = {1: d + 1, 2: (d + 1) * (d + 2) // 2, 3: (d + 1) * (d + 2) * (d + 3) // 6}
    return max((k for k, size in sizes.items() if size <= _MOST), default=0)


@lru_cache(maxsize=8)
def _products(d: int, degree: int) -> list[tuple[int, ...]]:
    return [c for k in range(degree + 1) for c in combinations_with_replacement(range(d), k)]


def _features(e: Array, df: float, degree: int) -> Array:
    """Hermite polynomials times the ratio of normal to Student t density, `(N, K, p)`.

    Under the Student t the first one has mean 1, and all others have mean 0.
    """
    d = e.shape[-1]
    square = np.einsum("nkd,nkd->nk", e, e)
    ratio = -0.5 * square + 0.5 * (df + d) * np.log1p(square / df)
    at_zero = _log_ratio(d, df)
    tables = [np.ones_like(e), e, e**2 - 1, e**3 - 3 * e]
    norms = [1.0, 1.0, np.sqrt(2.0), np.sqrt(6.0)]
    tables = [t / s for t, s in zip(tables, norms, strict=True)]
    out = np.empty((*square.shape, len(_products(d, degree))))
    for i, axes in enumerate(_products(d, degree)):
        column = np.exp(ratio + at_zero)
        for axis in set(axes):
            column = column * tables[axes.count(axis)][..., axis]
        out[..., i] = column
    return out


def _log_ratio(d: int, df: float) -> float:
    """Log of normal over Student t density at the origin."""
    t = gammaln(0.5 * (df + d)) - gammaln(0.5 * df) - 0.5 * d * np.log(0.5 * df)
    return float(-t)


def _moments(e: Array, log_weights: Array, df: float, degree: int) -> tuple[Array, ...]:
    """Sums over one replicate of features, products of features, and products with the weights."""
    f = _features(e, df, degree)
    top = log_weights.max(axis=1)
    w = np.exp(log_weights - top[:, None])
    turned = np.swapaxes(f, -1, -2)
    return top, w.sum(axis=1), f.sum(axis=1), turned @ f, (turned @ w[..., None])[..., 0]


def _controlled(sums: list[tuple[Array, ...]], centre: Array, count: int) -> Array:
    """Estimates `(N, R)` over exp(centre), each with coefficients of the other replicates."""
    top, weight, first, second, cross = (np.stack(part, axis=1) for part in zip(*sums, strict=True))
    factor = np.exp(top - centre[:, None])
    weight, cross = weight * factor, cross * factor[..., None]
    replicates = weight.shape[1]
    known = np.zeros(first.shape[-1])
    known[0] = 1.0
    gram, right = second.sum(axis=1), cross.sum(axis=1)
    out = np.empty(weight.shape)
    unit = np.eye(len(known))
    for r in range(replicates):
        a = (gram - second[:, r]) / ((replicates - 1) * count)
        b = (right - cross[:, r]) / ((replicates - 1) * count)
        coefficients = np.linalg.solve(a + _RIDGE * unit, b[..., None])[..., 0]
        off = first[:, r] / count - known
        out[:, r] = weight[:, r] / count - np.einsum("np,np->n", coefficients, off)
    return out

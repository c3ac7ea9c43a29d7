"""Proposals at the modes of posteriors that are found from a scan of the prior."""

from __future__ import annotations

import numpy as np

from vaetheory._sampling.mode_search import distinct
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.modes import climb, log_laplace, scan_starts

#: Two modes are the same if their distance in standard deviations is less than this.
_SAME = 0.3
#: A Newton step of at most so many standard deviations is taken without a look at its gain.
_SHORT = 1e-3
#: Modes that are lower than the highest by this many nats are left out.
_LOWER = 25.0
#: Share of the mixture that all modes of a datum have in equal parts.
_EQUAL = 0.5
#: Degrees of freedom up to a dimension; beyond, a Student t is far from any posterior.
_DF = ((16, 10.0), (32, 30.0))


def degrees_of_freedom(dim: int) -> float:
    """Degrees of freedom of proposals in d dimensions; infinite for a normal."""
    return next((df for most, df in _DF if dim <= most), np.inf)


def laplace_mixture(target: Target) -> Mixture:
    """Mixtures of Student t, or of normals if d > 32, at the modes that are found.

    Each has the Hessian of -log p(x, z) at its mode as its precision.
    """
    model, X, d = target.model, target.data, target.dim
    with np.errstate(all="ignore"):
        starts = scan_starts(model, X)
        starts = np.concatenate([np.zeros((len(X), 1, d)), starts], axis=1)
        tries = starts.shape[1]
        z, height, precision = climb(
            model, np.repeat(X, tries, axis=0), starts.reshape(-1, d), polish=True
        )
        target.count.calls += 30 * (1 + d) * len(z)
        z, height = z.reshape(starts.shape), height.reshape(len(X), tries)
        precision = precision.reshape(len(X), tries, d, d)
        z = z + _last_step(target, z, precision)
    high = height >= height.max(axis=1, keepdims=True) - _LOWER
    kept = distinct(z, height, precision, high, _SAME)
    mass = np.where(kept, height + log_laplace(precision), -np.inf)
    share = np.exp(mass - mass.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    weights = np.where(kept, (1 - _EQUAL) * share + _EQUAL / kept.sum(axis=1, keepdims=True), 0.0)
    most = int(kept.sum(axis=1).max())
    order = np.argsort(~kept, axis=1, kind="stable")[:, :most]
    rows = np.arange(len(X))[:, None]
    roots = roots_of(precision[rows, order])
    return Mixture(weights[rows, order], z[rows, order], roots, degrees_of_freedom(d))


def _last_step(target: Target, z: Array, precision: Array) -> Array:
    """A Newton step from each point `(N, S, d)`, where it is short.

    A search ends where the gain is lost in rounding. The gradient is not lost: one more step makes
    of half the digits of the mode all of them.
    """
    slope = target.with_gradient(z).gradient
    step = np.linalg.solve(precision, slope[..., None])[..., 0]
    length = np.einsum("nsd,nsd->ns", step, slope)
    short = (length >= 0) & (length < _SHORT**2)
    return np.where(short[..., None], step, 0.0)


def roots_of(precision: Array) -> Array:
    """Matrices L with L L^T = precision^-1, `(..., d, d)`; small eigenvalues are raised to 1e-6."""
    values, vectors = np.linalg.eigh(precision)
    values = np.maximum(values, 1e-6)
    return np.asarray(vectors / np.sqrt(values)[..., None, :])

"""The ELBO of Gaussian posteriors and its derivatives, from values of the potential alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import Rule
from vaetheory._validation import Array
from vaetheory.models import LatentModel

# Nodes evaluated at a time, so that their outputs stay in the cache.
_CHUNK = 2**12


@dataclass(frozen=True)
class Moments:
    """The ELBO of each datum in each set and its derivatives, in whitened coordinates.

    Attributes
    ----------
    height : array (n, N)
        The ELBO.
    slope : array (n, N, d)
        E[w U], which is R^T E[grad U] for z = m + R w.
    bend : array (n, N, d, d)
        E[(w w^T - I) U], which is R^T E[A] R.
    slope_error, bend_error : as above
        Estimates of their errors, from the spread of the lattices; 0 for a single rule.
    """

    height: Array
    slope: Array
    bend: Array
    slope_error: Array
    bend_error: Array


def _points(X: Array, loc: Array, root: Array, rule: Rule) -> Iterator[tuple[slice, Array, Array]]:
    """Yield slices of the flattened means `(n N, d)`, data `(m, 1, D)`, and nodes `(m, M, d)`."""
    x_all, m_all = X.reshape(-1, X.shape[-1]), loc.reshape(-1, loc.shape[-1])
    roots = np.repeat(root, loc.shape[1], axis=0)
    size = max(1, _CHUNK // len(rule.nodes))
    for i in range(0, len(m_all), size):
        rows = slice(i, i + size)
        z = m_all[rows, None] + rule.nodes @ np.swapaxes(roots[rows], -1, -2)
        yield rows, x_all[rows, None], z


def moments(model: LatentModel, X: Array, loc: Array, root: Array, rule: Rule) -> Moments:
    """The ELBO and its derivatives from values of U alone, by Stein's identities.

    These also hold if U has kinks and jumps.
    """
    parts, d = len(rule.parts), loc.shape[-1]
    height = np.empty(loc.shape[0] * loc.shape[1])
    slope, bend = np.empty((len(height), d, parts)), np.empty((len(height), d, d, parts))
    for rows, x, z in _points(X, loc, root, rule):
        potential = -model.log_joint(x, z)
        mean = (potential @ rule.weights) / parts
        height[rows] = -mean
        # U is centred, so that its constant part costs no digits.
        weighted = (potential - mean[:, None]) * rule.weights
        for k, part in enumerate(rule.parts):
            w, u = rule.nodes[part], weighted[:, part]
            slope[rows, :, k] = u @ w
            bend[rows, :, :, k] = np.swapaxes(u[..., None] * w, -1, -2) @ w
            bend[rows, :, :, k] -= u.sum(axis=-1)[:, None, None] * np.eye(d)
    entropy = 0.5 * d * (1 + _gaussians.LOG_2PI) + np.linalg.slogdet(root)[1]
    spread = rule.spread(slope), rule.spread(bend)
    # Where the potential overflows nothing is known: these moments move no posterior.
    lost = ~(np.isfinite(height) & np.isfinite(bend).all(axis=(1, 2, 3)))
    height[lost], slope[lost], bend[lost] = -np.inf, 0.0, np.eye(d)[..., None]
    for error in spread:
        error[lost] = np.inf
    return Moments(
        height.reshape(loc.shape[:2]) + entropy[:, None],
        slope.mean(axis=-1).reshape(loc.shape),
        bend.mean(axis=-1).reshape(*loc.shape, d),
        spread[0].reshape(loc.shape),
        spread[1].reshape(*loc.shape, d),
    )


def gauss_newton(model: LatentModel, X: Array, loc: Array, root: Array, rule: Rule) -> Array:
    """R^T E[G] R with the Gauss-Newton part G of the Hessian, `(n, N, d, d)`: always definite."""
    sums = np.empty((loc.shape[0] * loc.shape[1], *2 * loc.shape[-1:]))
    for rows, x, z in _points(X, loc, root, rule):
        sums[rows] = np.einsum("nmij,m->nij", model.definite_information(x, z), rule.weights)
    across = root[:, None]
    mean = sums.reshape(*loc.shape, -1) / len(rule.parts)
    product: Array = np.swapaxes(across, -1, -2) @ mean @ across
    return product

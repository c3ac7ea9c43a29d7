"""The best weights of a mixture whose components are given."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array

# Newton steps, the complementarity at which they end, and the share of the way to the boundary.
_STEPS, _ENOUGH, _SHARE = 80, 1e-13, 0.995


def best_weights(density: Array) -> Array:
    """Weights `(K,)` that maximise the mean log of density @ weights, for densities `(N, K)`.

    An interior-point method on the convex program; every row of `density` needs a positive entry.
    """
    count, size = density.shape
    w, s = np.full(size, 1 / size), np.full(size, 1.0)
    scaled = density / density.max(axis=1, keepdims=True)
    for _ in range(_STEPS):
        mixed = scaled @ w
        gradient = 1 - scaled.T @ (1 / mixed) / count
        gap = float(s @ w)
        if gap < _ENOUGH and np.abs(gradient - s).max() < _ENOUGH**0.5:
            break
        target = 0.1 * gap / size
        part = scaled / mixed[:, None]
        curve = part.T @ part / count
        np.fill_diagonal(curve, np.diagonal(curve) + s / w)
        step = np.linalg.solve(curve, target / w - gradient)
        dual = target / w - s - s / w * step
        w = w + _way(w, step) * step
        s = s + _way(s, dual) * dual
    return np.asarray(w / w.sum())


def _way(point: Array, step: Array) -> float:
    """The share of a step that keeps a point positive."""
    falls = step < 0
    most = float((point[falls] / -step[falls]).min(initial=np.inf))
    return min(1.0, _SHARE * most)

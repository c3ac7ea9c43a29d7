"""Whether outputs are an affine map of a hidden layer, and the latents at which to compare."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array

#: Number of latents of each spread, and the spreads of their draws.
_POINTS, _SPREADS = 64, (1.0, 8.0)


def latents_near_and_far(dim: int) -> Array:
    """Random latents `(n, dim)` at which a layer is compared with its decoder."""
    rng = np.random.default_rng(0)
    return np.concatenate([s * rng.normal(size=(_POINTS, dim)) for s in _SPREADS])


def is_affine_map(out: Array, hidden: Array, weight: Array, bias: Array, rounding: float) -> bool:
    """Whether `out` `(n, D)` is W h + b, up to a share of the sum of the moduli of all terms.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> [is_affine_map(3 * one, one, 2 * one, np.ones(1) * b, 1e-13) for b in (1.0, 2.0)]
    [True, False]
    """
    with np.errstate(all="ignore"):
        size = np.abs(hidden) @ np.abs(weight.T) + np.abs(bias)
        off = np.abs(hidden @ weight.T + bias - out)
    known = np.isfinite(size)
    return bool((off[known] <= rounding * size[known]).all())

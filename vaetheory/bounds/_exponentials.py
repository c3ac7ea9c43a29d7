"""The exponential less its tangent at zero."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array

# Below this modulus it is summed as a series.
_SERIES, _TERMS = 1.0, 18


def beyond_tangent(u: Array) -> Array:
    """exp(u) - 1 - u, without cancellation."""
    near = np.where(np.abs(u) < _SERIES, u, 0.0)
    series = np.zeros_like(near)
    for k in range(_TERMS, 1, -1):
        # u^2 / 2 (1 + u / 3 (1 + u / 4 (...)))
        series = 1 + near * series / (k + 1)
    with np.errstate(over="ignore"):
        return np.asarray(np.where(np.abs(u) < _SERIES, near**2 / 2 * series, np.expm1(u) - u))

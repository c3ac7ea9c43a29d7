"""Means of several functions under Gaussians, one after the other by the rules of the ELBO."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array, Index

#: Functions of latents `(n, M, d)` of the data of some rows `(n,)`, to `(n, M, K)`.
Functions = Callable[[Array, Index], Array]


def gaussian_means(
    functions: Functions, loc: Array, cov: Array, size: int, *, rtol: float
) -> Integral:
    """E[functions(z)] under N(loc_n, cov_n), `(N, K)` for K = `size`; `error` is an estimate."""

    def component(z: Array, rows: Index) -> Array:
        # Each row is one function of one datum.
        values = functions(z, rows // size)
        return np.take_along_axis(values, (rows % size)[:, None, None], axis=-1)[..., 0]

    each = (np.repeat(loc, size, axis=0), np.repeat(cov, size, axis=0))
    return gaussian_expectation(component, *each, rtol=rtol).reshape((len(loc), size))

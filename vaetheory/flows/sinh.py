"""The elementwise flow sinh(z)."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from vaetheory._validation import Array
from vaetheory.flows.elementwise import Elementwise


class Sinh(Elementwise):
    """The flow f(z) = sinh(z) on every coordinate; its data have log-normal tails.

    Parameters
    ----------
    latent_dim : int

    Examples
    --------
    >>> Sinh(1).inverse([0.0]).tolist()
    [0.0]
    """

    limit = 300.0

    def value(self, z: Array) -> Array:
        return anp.sinh(z)

    def solve(self, x: Array) -> Array:
        return anp.arcsinh(x)

    def log_slope(self, z: Array) -> Array:
        # log cosh in a form that is precise at 0 too.
        return anp.log1p(2 * anp.sinh(z / 2) ** 2)

    def slope(self, z: Array) -> Array:
        return np.cosh(z)

    def bend(self, z: Array) -> Array:
        return np.sinh(z)

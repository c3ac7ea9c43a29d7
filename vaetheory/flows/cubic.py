"""The elementwise flow z + z^3 / 3."""

from __future__ import annotations

import autograd.numpy as anp

from vaetheory._validation import Array
from vaetheory.flows.elementwise import Elementwise


class Cubic(Elementwise):
    """The flow f(z) = z + z^3 / 3 on every coordinate.

    With z = 2 sinh(t) it is 2/3 sinh(3 t); the inverse uses this to avoid cancellation.

    Parameters
    ----------
    latent_dim : int

    Examples
    --------
    >>> Cubic(1).inverse([12.0]).round(12).tolist()
    [3.0]
    """

    limit = 1e46

    def value(self, z: Array) -> Array:
        return z * (1 + z * z / 3)

    def solve(self, x: Array) -> Array:
        z = 2 * anp.sinh(anp.arcsinh(1.5 * x) / 3)
        # One Newton step removes the rounding errors of hyperbolic functions of large arguments.
        return z - (z * (1 + z * z / 3) - x) / (1 + z * z)

    def log_slope(self, z: Array) -> Array:
        return anp.log1p(z * z)

    def slope(self, z: Array) -> Array:
        return 1 + z * z

    def bend(self, z: Array) -> Array:
        return 2 * z

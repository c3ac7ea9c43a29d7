"""The base class of flows that apply one monotone function to every coordinate."""

from __future__ import annotations

from abc import abstractmethod

import autograd.numpy as anp
import numpy as np

from vaetheory._validation import Array, integer, points
from vaetheory.flows.base import Flow


class Elementwise(Flow):
    """A flow that applies a monotone function of one variable to every coordinate.

    Parameters
    ----------
    latent_dim : int
        d.

    Notes
    -----
    To write one of your own:

    1. Write a subclass. If it has constants, extend `__init__`, and call `super().__init__`.
    2. Define five functions of one variable: `value(z)`, its inverse `solve(x)`, its derivative
       `slope(z)`, the log of that, `log_slope(z)`, and its second derivative `bend(z)`. Write
       `value`, `solve` and `log_slope` with `autograd.numpy`.
    3. If the function grows fast, set `limit`, the largest latent for which neither the output nor
       its square overflows.
    4. Run `vaetheory.testing.check_flow` on an instance.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> from vaetheory.flows import Elementwise
    >>> class Stretch(Elementwise):
    ...     def __init__(self, latent_dim, factor):
    ...         super().__init__(latent_dim)
    ...         self.factor = factor
    ...
    ...     def value(self, z):
    ...         return z + self.factor * anp.arcsinh(z)
    ...
    ...     def solve(self, x):
    ...         z = x
    ...         for _ in range(60):  # Newton's method, which is monotone on either side
    ...             z = z - (self.value(z) - x) / self.slope(z)
    ...         return z
    ...
    ...     def slope(self, z):
    ...         return 1 + self.factor / anp.sqrt(1 + z**2)
    ...
    ...     def log_slope(self, z):
    ...         return anp.log(self.slope(z))
    ...
    ...     def bend(self, z):
    ...         return -self.factor * z / (1 + z**2) ** 1.5
    >>> flow = Stretch(1, factor=0.5)
    >>> flow.inverse(flow.forward([2.0])).round(12).tolist()
    [2.0]
    """

    #: Larger latents raise an error, because the output or its square would overflow. As the
    #: decoder of a model, which is evaluated at any latent, the flow clips them instead.
    limit = np.inf

    def __init__(self, latent_dim: int) -> None:
        self.latent_dim = integer("latent_dim", latent_dim, low=1)

    @abstractmethod
    def value(self, z: Array) -> Array:
        """The function."""

    @abstractmethod
    def solve(self, x: Array) -> Array:
        """Its inverse."""

    @abstractmethod
    def log_slope(self, z: Array) -> Array:
        """Log of its derivative, which is positive."""

    @abstractmethod
    def slope(self, z: Array) -> Array:
        """Its derivative."""

    @abstractmethod
    def bend(self, z: Array) -> Array:
        """Its second derivative."""

    def forward(self, z: Array) -> Array:
        return self.value(self._latents(z))

    def __call__(self, z: Array) -> Array:
        return self.value(self._stopped(z))

    def inverse(self, x: Array) -> Array:
        return self.solve(points("x", x, self.latent_dim))

    def log_det(self, z: Array) -> Array:
        return anp.sum(self.log_slope(self._latents(z)), axis=-1)

    def jacobian(self, z: Array) -> Array:
        return self.slope(self._stopped(z))[..., None] * np.eye(self.latent_dim)

    def hessian(self, z: Array) -> Array:
        d = self.latent_dim
        diagonal = np.eye(d)[:, :, None] * np.eye(d)[:, None, :]
        return self.bend(self._stopped(z))[..., None, None] * diagonal

    def _latents(self, z: Array) -> Array:
        return points("z", z, self.latent_dim, limit=self.limit)

    def _stopped(self, z: Array) -> Array:
        array = points("z", z, self.latent_dim)
        return np.clip(array, -self.limit, self.limit) if type(array) is np.ndarray else array

"""The base classes of embeddings (injective maps) and flows (invertible maps with a volume)."""

from __future__ import annotations

from abc import abstractmethod

import autograd.numpy as anp
import numpy as np

from vaetheory import derivatives
from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.decoders.base import Decoder


class Embedding(ByValue, Decoder):
    """A smooth injective map f from R^d into R^D with a Jacobian of full rank.

    It is a `Decoder`, so it can be the decoder of a `LatentModel`.

    Attributes
    ----------
    latent_dim, data_dim : int
        d and D.

    Notes
    -----
    To write one of your own, write a subclass with `latent_dim`, `data_dim`, `forward` and
    `inverse`. If they are written with `autograd.numpy`, autograd computes the derivatives;
    otherwise define `jacobian` and `hessian`. Run `vaetheory.testing.check_flow` on an instance.
    """

    latent_dim: int
    data_dim: int

    @abstractmethod
    def forward(self, z: Array) -> Array:
        """f(z), `(..., d) -> (..., D)`."""

    @abstractmethod
    def inverse(self, x: Array) -> Array:
        """The z with f(z) = x, `(..., D) -> (..., d)`, of a point of the image."""

    def __call__(self, z: Array) -> Array:
        return self.forward(z)

    def jacobian(self, z: Array) -> Array:
        return derivatives.jacobian(self.forward, np.asarray(z, dtype=np.float64))

    def hessian(self, z: Array) -> Array:
        return derivatives.hessian(self.forward, np.asarray(z, dtype=np.float64))

    def log_volume(self, z: Array) -> Array:
        """1/2 log det J^T J of `forward` at z, in nats, `(..., d) -> (...)`."""
        # By QR, so that the condition number is that of J and not its square.
        triangle = np.linalg.qr(self.jacobian(z), mode="r")
        return log_abs_diagonal(np.asarray(triangle))


class Flow(Embedding):
    """A diffeomorphism f of R^d, with its inverse and log determinant.

    Notes
    -----
    To write one of your own:

    1. If the flow is one monotone function of each coordinate, use `vaetheory.flows.Elementwise`.
       Otherwise write a subclass of this class. Set `latent_dim`, here or in `__init__`.
    2. Define `forward(z)`, `inverse(x)` and `log_det(z)`, the log of the modulus of det J. Use
       `autograd.numpy`: then autograd computes `jacobian` and `hessian`. Otherwise define them.
    3. Raise a ValueError if the last axis has the wrong length.
    4. Run `vaetheory.testing.check_flow` on an instance.

    Flows are equal if their types and attributes are.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> from vaetheory.flows import Flow, flow_log_density
    >>> class Shear(Flow):
    ...     latent_dim = 2
    ...
    ...     def _pair(self, name, z):
    ...         if anp.shape(z)[-1] != 2:
    ...             raise ValueError(f"{name}: expected shape (..., 2), got {anp.shape(z)}")
    ...         return z[..., :1], z[..., 1:]
    ...
    ...     def forward(self, z):
    ...         first, second = self._pair("z", z)
    ...         return anp.concatenate([first, second + first**2], axis=-1)
    ...
    ...     def inverse(self, x):
    ...         first, second = self._pair("x", x)
    ...         return anp.concatenate([first, second - first**2], axis=-1)
    ...
    ...     def log_det(self, z):
    ...         first, _ = self._pair("z", z)
    ...         return anp.zeros_like(first)[..., 0]
    >>> round(float(flow_log_density(Shear(), [1.0, 1.0])), 6)
    -2.337877
    """

    @property
    def data_dim(self) -> int:  # type: ignore[override]
        """D, which is equal to d."""
        return self.latent_dim

    @abstractmethod
    def log_det(self, z: Array) -> Array:
        """Log of ``|det J|`` of `forward` at the latent z, in nats, `(..., d) -> (...)`."""

    def log_volume(self, z: Array) -> Array:
        return self.log_det(z)


def log_abs_diagonal(triangle: Array) -> Array:
    """Sum of log |diagonal|: the log |det| of a triangular matrix, `(..., d, d) -> (...)`."""
    diagonal = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
    if not (diagonal > 0).all():
        raise ValueError("jacobian: expected full rank everywhere, got a singular one")
    return np.log(diagonal).sum(axis=-1)


def zeros(z: Array) -> Array:
    """Zeros with the leading shape of z, in a form that autograd and jets can trace."""
    return anp.sum(0.0 * z, axis=-1)

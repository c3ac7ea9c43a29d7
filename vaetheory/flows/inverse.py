"""The inverse of a flow, as a flow."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array, points
from vaetheory.flows.base import Flow


class Inverse(Flow):
    """The inverse of a flow, as a flow.

    Parameters
    ----------
    flow : Flow

    Raises
    ------
    ValueError
        If `flow` is no Flow.

    Examples
    --------
    >>> from vaetheory.flows import Inverse, Sinh
    >>> Inverse(Sinh(1)).inverse([0.0]).tolist()
    [0.0]
    """

    def __init__(self, flow: Flow) -> None:
        if not isinstance(flow, Flow):
            raise ValueError(f"flow: expected a Flow, got {type(flow).__name__}")
        self.flow = flow
        self.latent_dim = flow.latent_dim

    def forward(self, z: Array) -> Array:
        return self.flow.inverse(points("z", z, self.latent_dim))

    def inverse(self, x: Array) -> Array:
        return self.flow.forward(points("x", x, self.latent_dim))

    def log_det(self, z: Array) -> Array:
        return -self.flow.log_det(self.forward(z))

    def jacobian(self, z: Array) -> Array:
        return np.linalg.inv(self.flow.jacobian(self.forward(z)))

    def hessian(self, z: Array) -> Array:
        y = self.forward(z)
        slope = np.linalg.inv(self.flow.jacobian(y))
        bent = np.einsum("...aij,...ik,...jl->...akl", self.flow.hessian(y), slope, slope)
        return -np.einsum("...ab,...bkl->...akl", slope, bent)

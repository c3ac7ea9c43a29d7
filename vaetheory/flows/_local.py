"""A flow near given latents: its Jacobian, computed in two ways, and its Taylor series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.flows.base import Embedding
from vaetheory.jets import taylor


class Local:
    """A flow at the latents of a batch: quantities that several methods use."""

    def __init__(self, flow: Embedding, z: Array) -> None:
        self.flow, self.z = flow, z
        self.jacobian = flow.jacobian(z)
        self.image = np.asarray(flow.forward(z))
        triangle = np.linalg.qr(self.jacobian, mode="r")
        size = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
        if not (size > 0).all():
            raise ValueError("jacobian: expected full rank at the data, got a singular one")
        self.inverse = np.linalg.inv(triangle)
        # The unit of sigma is a power of two for which no term of the series over- or underflows.
        self.unit = np.exp2(-np.ceil(np.log2(np.abs(self.inverse).max(axis=(-2, -1)))))
        # The difference between two computations of the Jacobian, in the decoder's own metric.
        difference = (taylor_jacobian(flow, z, self.jacobian) - self.jacobian) @ self.inverse
        self.slack = np.linalg.norm(difference, axis=(-2, -1))

    def directions(self, rows: NDArray[np.intp], v: Array) -> Array:
        """Directions w = R^-1 v for nodes v, `(M, d) -> (n, M, d)`."""
        return v @ np.swapaxes(self.inverse[rows], -1, -2)

    def coefficients(self, rows: NDArray[np.intp], w: Array, order: int) -> Array:
        """Taylor coefficients of f along w, `(order + 1, n, M, D)`."""
        return taylor(self.flow.forward, self.z[rows, None], w, order)


def taylor_jacobian(flow: Embedding, z: Array, other: Array) -> Array:
    """The Jacobian of f from its Taylor series, `(N, D, d)`; `other` if there is no series."""
    try:
        columns = taylor(flow.forward, z[..., None, :], np.eye(flow.latent_dim), 1)[1]
    except TypeError:
        return other
    return np.swapaxes(columns, -1, -2)

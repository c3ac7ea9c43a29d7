"""The twist: a rotation by an angle that grows with the distance from the origin."""

from __future__ import annotations

from collections.abc import Sequence

import autograd.numpy as anp
import numpy as np

from vaetheory._validation import Array, as_array, integer, points, sequence
from vaetheory.flows.base import Flow, zeros

#: The squares of larger latents, times the rate, may not fit in float64.
_LIMIT = 1e100


class Twist(Flow):
    r"""The flow f(z) = R(rate ||z||^2) z, with R(t) a rotation by t in the plane of two axes.

    It keeps ||z|| and every volume, so it maps N(0, v I) to itself for every v: a decoder composed
    with it has the same evidence (21a), and no number of environments with priors N(0, v_u I) tells
    the two apart (21d). It is not affine, so Gaussian posteriors do not stay Gaussian.

    Parameters
    ----------
    latent_dim : int
        d, at least 2.
    rate : float
        Radians per squared unit of z; any sign, not 0.
    plane : (int, int), optional
        The two axes, the first of which turns towards the second.

    Raises
    ------
    ValueError
        If d is below 2, the rate is 0 or not finite, or the axes are not two of the d.

    Notes
    -----
    Its Jacobian is R + 2 rate (R' z) z^T, and det J = 1 + 2 rate z^T K z = 1, because K = R^T R' is
    antisymmetric. `flows.Rotation` turns the plane to any other. The angle is rounded relatively:
    the image is off by up to some ulp of the rate times ||z||^3.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.flows import Twist
    >>> f = Twist(2, np.pi / 2)
    >>> (f.forward([1.0, 0.0]) + 0).round(12).tolist(), f.log_det([3.0, 1.0]).tolist()
    ([0.0, 1.0], 0.0)
    """

    def __init__(self, latent_dim: int, rate: float, plane: Sequence[int] = (0, 1)) -> None:
        self.latent_dim = integer("latent_dim", latent_dim, low=2)
        self.rate = float(as_array("rate", rate, ndim=0))
        if not 0 < abs(self.rate) <= _LIMIT:
            raise ValueError(f"rate: expected a number other than 0, got {self.rate:g}")
        axes = sequence("plane", plane)
        if len(axes) != 2:
            raise ValueError(f"plane: expected two axes, got {len(axes)}")
        first, second = (integer("plane", a, high=self.latent_dim - 1) for a in axes)
        if first == second:
            raise ValueError(f"plane: expected two different axes, got {first} twice")
        self.plane = (first, second)
        # R(t) z = z + sin(t) K z + (cos(t) - 1) P z.
        turn = np.zeros((self.latent_dim, self.latent_dim))
        turn[second, first], turn[first, second] = 1.0, -1.0
        self._turn, self._onto = turn, -turn @ turn

    def _turned(self, z: Array, sign: float) -> Array:
        angle = sign * self.rate * anp.sum(z * z, axis=-1)[..., None]
        # 1 - cos(t) = 2 sin(t/2)^2 is precise for small angles.
        back = 2 * anp.sin(angle / 2) ** 2
        return z + anp.sin(angle) * (z @ self._turn.T) - back * (z @ self._onto)

    def forward(self, z: Array) -> Array:
        return self._turned(points("z", z, self.latent_dim, limit=_LIMIT), 1.0)

    def __call__(self, z: Array) -> Array:
        return self._turned(self._stopped(z), 1.0)

    def inverse(self, x: Array) -> Array:
        return self._turned(points("x", x, self.latent_dim, limit=_LIMIT), -1.0)

    def log_det(self, z: Array) -> Array:
        return zeros(points("z", z, self.latent_dim))

    def _stopped(self, z: Array) -> Array:
        # As the decoder of a model it is evaluated at any latent.
        array = points("z", z, self.latent_dim)
        return np.clip(array, -_LIMIT, _LIMIT) if type(array) is np.ndarray else array

    def _rotations(self, z: Array) -> tuple[Array, Array]:
        """R and its derivative by the angle, `(..., d, d)`."""
        angle = (self.rate * (z * z).sum(axis=-1))[..., None, None]
        first = np.cos(angle) * self._turn - np.sin(angle) * self._onto
        back = 2 * np.sin(angle / 2) ** 2
        return np.eye(self.latent_dim) + np.sin(angle) * self._turn - back * self._onto, first

    def jacobian(self, z: Array) -> Array:
        z = self._stopped(z)
        turn, first = self._rotations(z)
        return turn + 2 * self.rate * (first @ z[..., None]) * z[..., None, :]

    def hessian(self, z: Array) -> Array:
        z = self._stopped(z)
        turn, first = self._rotations(z)
        along = 2 * self.rate * z
        moved = (first @ z[..., None])[..., 0]
        # R'' = -R in the plane and 0 across it.
        bent = -np.einsum("...ab,bc,...c->...a", turn, self._onto, z)
        cross = first[..., :, :, None] * along[..., None, None, :]
        square = bent[..., None, None] * along[..., None, :, None] * along[..., None, None, :]
        curved = 2 * self.rate * moved[..., None, None] * np.eye(self.latent_dim)
        return cross + np.swapaxes(cross, -1, -2) + square + curved

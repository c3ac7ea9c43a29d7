"""An autoregressive flow: the previous coordinates determine scale and shift of each coordinate."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, points, vectors
from vaetheory.flows.base import Flow
from vaetheory.flows.coupling import LARGEST_LOG_SCALE


class Triangular(Flow):
    """The autoregressive flow x_j = exp(s_j) z_j + t_j; s_j and t_j depend on z_1 .. z_(j-1).

    There is one hidden unit per coordinate, h = tanh(W z + b) with a strictly lower triangular W.
    The log scales are s = a h (entry by entry), the shifts t = B h with a lower triangular B.

    Parameters
    ----------
    weight : array (d, d)
        W, strictly lower triangular.
    bias : array (d,)
        b.
    log_scale : array (d,)
        a, the bound of each log scale.
    shift : array (d, d)
        B, lower triangular.

    Raises
    ------
    ValueError
        If the shapes do not fit together, a matrix is not triangular, or an entry of `log_scale`
        is beyond 300 in size.

    Examples
    --------
    >>> f = Triangular([[0, 0], [1, 0]], [0, 0], [0, 1], [[0, 0], [0, 2]])
    >>> x = f.forward([1.0, 1.0])
    >>> f.inverse(x).round(12).tolist(), round(float(f.log_det([1.0, 1.0])), 6)
    ([1.0, 1.0], 0.761594)
    """

    def __init__(
        self, weight: ArrayLike, bias: ArrayLike, log_scale: ArrayLike, shift: ArrayLike
    ) -> None:
        self.weight = as_array("weight", weight, ndim=2)
        d = len(self.weight)
        self.shift = as_array("shift", shift, ndim=2)
        self.bias, self.log_scale = (
            vectors("bias", bias, d),
            points("log_scale", log_scale, d, limit=LARGEST_LOG_SCALE),
        )
        for name, matrix, above in (("weight", self.weight, 0), ("shift", self.shift, 1)):
            if matrix.shape != (d, d) or np.triu(matrix, above).any():
                kind = "strictly lower" if above == 0 else "lower"
                raise ValueError(
                    f"{name}: expected a {kind} triangular matrix ({d}, {d}), got shape "
                    f"{matrix.shape} with entries up to "
                    f"{np.abs(np.triu(matrix, above)).max(initial=0):g} elsewhere"
                )
        if self.bias.ndim != 1 or self.log_scale.ndim != 1:
            raise ValueError(
                f"bias and log_scale: expected shape ({d},), got {self.bias.shape} and "
                f"{self.log_scale.shape}"
            )
        self.latent_dim = d

    def _hidden(self, z: Array) -> Array:
        return anp.tanh(points("z", z, self.latent_dim) @ self.weight.T + self.bias)

    def forward(self, z: Array) -> Array:
        h = self._hidden(z)
        return anp.exp(self.log_scale * h) * points("z", z, self.latent_dim) + h @ self.shift.T

    def inverse(self, x: Array) -> Array:
        x = points("x", x, self.latent_dim)
        known: list[Array] = []
        hidden: list[Array] = []
        for j in range(self.latent_dim):
            inner = sum((w * z for w, z in zip(self.weight[j], known, strict=False)), self.bias[j])
            hidden.append(anp.tanh(inner + 0.0 * x[..., j : j + 1]))
            shift = sum(b * h for b, h in zip(self.shift[j], hidden, strict=False))
            known.append((x[..., j : j + 1] - shift) * anp.exp(-self.log_scale[j] * hidden[j]))
        return anp.concatenate(known, axis=-1)

    def log_det(self, z: Array) -> Array:
        return anp.sum(self.log_scale * self._hidden(z), axis=-1)

    def _derivatives(self, z: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Latents, exp(s), h, and the first two derivatives of tanh at W z + b."""
        h = self._hidden(z)
        slope = 1 - h**2
        return points("z", z, self.latent_dim), np.exp(self.log_scale * h), h, slope, -2 * h * slope

    def jacobian(self, z: Array) -> Array:
        z, scale, _, slope, _ = self._derivatives(z)
        along = (scale * z * self.log_scale * slope)[..., None] * self.weight
        shifted = self.shift @ (slope[..., None] * self.weight)
        return along + shifted + scale[..., None] * np.eye(self.latent_dim)

    def hessian(self, z: Array) -> Array:
        z, scale, _, slope, bend = self._derivatives(z)
        outer = self.weight[:, :, None] * self.weight[:, None, :]
        s1, s2 = self.log_scale * slope, self.log_scale * bend
        own = (scale * z * (s1**2 + s2))[..., None, None] * outer
        mixed = np.eye(self.latent_dim)[:, :, None] * self.weight[:, None, :]
        mixed = (scale * s1)[..., None, None] * (mixed + np.swapaxes(mixed, -1, -2))
        shifted = np.einsum("jk,...kab->...jab", self.shift, bend[..., None, None] * outer)
        return own + mixed + shifted

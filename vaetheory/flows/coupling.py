"""Affine coupling layers, as in RealNVP."""

from __future__ import annotations

from collections.abc import Sequence

import autograd.numpy as anp
import numpy as np

from vaetheory._validation import Array, points, sequence, short
from vaetheory.decoders._trial import require_decoder
from vaetheory.decoders.base import Decoder, as_decoder
from vaetheory.derivatives import Function
from vaetheory.flows.base import Flow

#: Larger log scales raise an error, or are clipped if the flow is the decoder of a model: the
#: output or its square would overflow (see `Elementwise.limit`).
LARGEST_LOG_SCALE = 300.0


class Coupling(Flow):
    """Affine coupling: some coordinates are unchanged, and determine scale and shift of the others.

    x_a = z_a, x_b = exp(s(z_a)) z_b + t(z_a).

    Parameters
    ----------
    mask : sequence of bool (d,)
        True for a coordinate that is unchanged; there must be at least one of each kind.
    conditioner : Decoder or callable
        `(..., d - m) -> (..., 2 m)` for the m changed coordinates: first their log scales s, then
        their shifts t. A `decoders.TanhNetwork`, or a function written with `autograd.numpy`.

    Raises
    ------
    ValueError
        If the mask is not valid, or the conditioner returns another shape. The methods raise it if
        the conditioner returns a log scale beyond 300 in size.

    Notes
    -----
    Source: claim 8g; L. Dinh, J. Sohl-Dickstein and S. Bengio, arXiv:1605.08803.

    Examples
    --------
    >>> from vaetheory.decoders import TanhNetwork
    >>> network = TanhNetwork([[[1.0]], [[1.0], [2.0]]], [[0.0], [0.0, 1.0]])
    >>> f = Coupling([True, False], network)
    >>> f.inverse(f.forward([1.0, 3.0])).round(12).tolist()
    [1.0, 3.0]
    """

    def __init__(self, mask: Sequence[bool], conditioner: Decoder | Function) -> None:
        try:
            keep = np.array(sequence("mask", mask))
        except ValueError:
            raise ValueError(
                f"mask: expected booleans, at least one of each kind, got {short(mask)}"
            ) from None
        if keep.ndim != 1 or keep.dtype != bool or keep.all() or not keep.any():
            raise ValueError(
                f"mask: expected booleans, at least one of each kind, got {short(mask)}"
            )
        self.mask = keep
        self.latent_dim = len(keep)
        self._keep, self._change = np.flatnonzero(keep), np.flatnonzero(~keep)
        self._order = np.argsort(np.concatenate([self._keep, self._change]))
        self.conditioner = as_decoder(conditioner)
        wanted = 2 * len(self._change)
        size = require_decoder(self.conditioner, len(self._keep), "conditioner")
        if size != wanted:
            raise ValueError(
                f"conditioner: expected to map shape (2, {len(self._keep)}) to (2, {wanted}), "
                f"got shape (2, {size})"
            )

    def _parts(
        self, name: str, value: Array, *, stop: bool = False
    ) -> tuple[Array, Array, Array, Array]:
        """Unchanged and changed coordinates, checked (or clipped) log scales, and shifts."""
        value = points(name, value, self.latent_dim)
        kept, m = value[..., self._keep], len(self._change)
        function = getattr(self.conditioner, "function", self.conditioner)
        outputs = function(kept)
        s = outputs[..., :m]
        if stop and type(s) is np.ndarray:
            s = np.clip(s, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE)
        s = points("log scale", s, m, limit=LARGEST_LOG_SCALE)
        return kept, value[..., self._change], s, outputs[..., m:]

    def _joined(self, kept: Array, changed: Array) -> Array:
        return anp.concatenate([kept, changed], axis=-1)[..., self._order]

    def forward(self, z: Array) -> Array:
        kept, rest, s, t = self._parts("z", z)
        return self._joined(kept, anp.exp(s) * rest + t)

    def __call__(self, z: Array) -> Array:
        kept, rest, s, t = self._parts("z", z, stop=True)
        return self._joined(kept, anp.exp(s) * rest + t)

    def inverse(self, x: Array) -> Array:
        kept, rest, s, t = self._parts("x", x)
        return self._joined(kept, (rest - t) * anp.exp(-s))

    def log_det(self, z: Array) -> Array:
        return anp.sum(self._parts("z", z)[2], axis=-1)

    def jacobian(self, z: Array) -> Array:
        kept, rest, s, _ = self._parts("z", z, stop=True)
        m, scale = len(self._change), np.exp(s)
        inner = self.conditioner.jacobian(kept)
        matrix = np.zeros((*kept.shape[:-1], self.latent_dim, self.latent_dim))
        matrix[..., self._keep, self._keep] = 1.0
        matrix[..., self._change, self._change] = scale
        across = (scale * rest)[..., None] * inner[..., :m, :] + inner[..., m:, :]
        matrix[..., self._change[:, None], self._keep] = across
        return matrix

    def hessian(self, z: Array) -> Array:
        kept, rest, s, _ = self._parts("z", z, stop=True)
        m, scale = len(self._change), np.exp(s)
        first, second = self.conditioner.jacobian(kept), self.conditioner.hessian(kept)
        slope, bend = first[..., :m, :], second[..., :m, :, :]
        d = self.latent_dim
        tensor = np.zeros((*kept.shape[:-1], d, d, d))
        squared = slope[..., :, None] * slope[..., None, :]
        own = (scale * rest)[..., None, None] * (squared + bend) + second[..., m:, :, :]
        change, keep = self._change, self._keep
        tensor[..., change[:, None, None], keep[:, None], keep] = own
        mixed = scale[..., None] * slope
        tensor[..., change[:, None], change[:, None], keep] = mixed
        tensor[..., change[:, None], keep, change[:, None]] = mixed
        return tensor

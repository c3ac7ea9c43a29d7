"""Decoders as embeddings, with an inverse on their image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import likelihoods
from vaetheory._arguments import protected
from vaetheory._validation import Array, integer, points
from vaetheory.decoders.base import Decoder, FunctionDecoder, as_decoder
from vaetheory.derivatives import Function
from vaetheory.flows.base import Embedding
from vaetheory.models import LatentModel
from vaetheory.modes import highest_modes

_STEPS = 50


class Immersion(Embedding):
    """A decoder R^d -> R^D as an embedding.

    Parameters
    ----------
    decoder : Decoder or callable
        Injective, with a Jacobian of full rank; a callable must use `autograd.numpy`.
    latent_dim : int
        d.
    inverse : callable, optional
        `(..., D) -> (..., d)`, the latent of a point of the image. By default the nearest point of
        the image is found by a search; if a decoder is not injective, the result is usually the
        preimage nearest to the origin.

    Raises
    ------
    ValueError
        If the decoder does not map `(..., d)` to `(..., D)` with D >= d.

    Examples
    --------
    >>> from vaetheory import decoders
    >>> from vaetheory.flows import Immersion
    >>> f = Immersion(decoders.Helix(3.0, 4.0), 1)
    >>> f.inverse(f.forward([[2.0]])).round(12).tolist()
    [[2.0]]
    """

    def __init__(
        self,
        decoder: Decoder | Function,
        latent_dim: int,
        inverse: Callable[[Array], Array] | None = None,
    ) -> None:
        self.latent_dim = integer("latent_dim", latent_dim, low=1)
        self.decoder = as_decoder(decoder)
        self._search = LatentModel(self.decoder, likelihoods.Gaussian(scale=1e-2), latent_dim)
        self.data_dim = self._search.data_dim
        if self.data_dim < self.latent_dim:
            raise ValueError(
                f"decoder: expected at least {self.latent_dim} outputs, got {self.data_dim}"
            )
        if inverse is not None and not callable(inverse):
            raise ValueError(f"inverse: expected a callable, got {type(inverse).__name__}")
        self._inverse = inverse

    def forward(self, z: Array) -> Array:
        # autograd and jets can trace the function itself, but not its wrapper.
        if isinstance(self.decoder, FunctionDecoder):
            traced: Array = protected(self.decoder.function, "decoder")(
                points("z", z, self.latent_dim)
            )
            return traced
        return self.decoder(points("z", z, self.latent_dim))

    def jacobian(self, z: Array) -> Array:
        return self.decoder.jacobian(points("z", z, self.latent_dim))

    def hessian(self, z: Array) -> Array:
        return self.decoder.hessian(points("z", z, self.latent_dim))

    def inverse(self, x: Array) -> Array:
        x = points("x", x, self.data_dim)
        if self._inverse is not None:
            return self._inverse(x)
        rows = x.reshape(-1, self.data_dim)
        latents = nearest(self, rows, highest_modes(self._search, rows))
        return latents.reshape(*x.shape[:-1], self.latent_dim)


def nearest(flow: Embedding, x: Array, z: Array) -> Array:
    """Latents with images nearest to x `(N, D)`, by damped Gauss-Newton steps from z `(N, d)`."""
    left = x - flow.forward(z)
    distance = np.linalg.norm(left, axis=-1)
    for _ in range(_STEPS):
        step = np.einsum("nij,nj->ni", np.linalg.pinv(flow.jacobian(z)), left)
        length = np.ones(len(z))
        for _ in range(_STEPS):
            tried = z + length[:, None] * step
            new = x - flow.forward(tried)
            size = np.linalg.norm(new, axis=-1)
            worse = ~(size <= distance) & (length > 2.0**-30)
            if not worse.any():
                break
            length[worse] /= 2
        better = size < distance
        z, left = np.where(better[:, None], tried, z), np.where(better[:, None], new, left)
        if not (better & (np.abs(distance - size) > 1e-3 * size)).any():
            break
        distance = np.where(better, size, distance)
    return z

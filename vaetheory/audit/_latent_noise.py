"""The noise of the latents of a shot, however it was made of the draws."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._draws import Redraw
from vaetheory.audit._mixing import Latents, Mixing, mixing, sampled


def in_units(off: Array, log_variance: Array, factor: Array | None = None) -> Array:
    """The distances of latents (K, B, d) from the means in units of the posterior.

    exp(-v/2) (z - m), or the inverse of the triangular factor (B, d, d) times z - m.
    """
    if factor is None:
        return np.asarray(off / np.exp(log_variance / 2))
    return np.asarray(np.linalg.solve(factor[None], off[..., None])[..., 0])


class LatentNoise:
    """What is known of the noise of latents, from one shot to the next.

    Attributes
    ----------
    source : draw or None
        The draw that is the noise of the latents, in the last shot.
    mixing : Mixing or None
        How the noise of the latents was made, in the last shot, if not by one draw.
    """

    def __init__(self, redraw: Redraw) -> None:
        self._redraw = redraw
        self._known: dict[Hashable, Mixing | None] = {}
        self.source: Any = None
        self.mixing: Mixing | None = None

    def read(
        self,
        kind: Hashable,
        draws: Sequence[Any],
        shot: tuple[Array, Array, Array],
        eps: Array | None,
        seen: Latents,
        elsewhere: Callable[[], Array | None],
        factor: Array | None = None,
    ) -> Array | None:
        """The noise of latents, also where it is not one draw as it came.

        Parameters
        ----------
        kind : hashable
            Shots of one kind have their noise in one way.
        draws : sequence of draws
        shot : tuple of arrays
            Latents (K, B, d), means and log variances.
        eps : array (K, B, d) or None
            The noise, if it is one draw.
        seen : callable
            The latents in units of the posterior, with other outcomes of the draws.
        elsewhere : callable
            The same with these draws and other data.
        factor : array (B, d, d), optional
            The triangular factor of the covariance, if it is a full matrix.
        """
        self.mixing = None
        z, loc, log_variance = shot
        off = z - loc
        h = in_units(off, log_variance, factor)

        def explains(e: Array) -> bool:
            size = 1e-9 * (np.abs(loc).max() + np.abs(off).max() + 1e-300)
            made = (
                np.exp(log_variance / 2) * e
                if factor is None
                else np.einsum("nij,knj->kni", factor, e)
            )
            return bool(np.abs(off - made).max() <= size)

        if not draws or not np.abs(off).max() > 0 or (eps is not None and explains(eps)):
            return eps
        if kind not in self._known:
            self._known[kind] = mixing(seen, draws) or sampled(seen, draws, self._redraw)
        made = self._known[kind]
        if made is None:
            return eps
        if made.matrix is None:
            # The same function of the draws for other data.
            again = elsewhere()
            if again is None or not np.abs(again - h).max() <= 1e-7:
                return eps
        own = made.noise(draws, h)
        if made.right and factor is not None and not explains(own):
            # The matrix depends on the parameters, as that of a root which is not triangular.
            made = mixing(seen, draws) or made
            own = made.noise(draws, h)
        if made.right and explains(own):
            self.source, self.mixing = None, made
            return own
        self.mixing = made
        source = self.source
        if source is not None and source.numbers < loc.size:
            # A small draw is the noise of all latents only if no other draw changes them.
            others = zip(draws, self._redraw(draws), strict=True)
            again = seen([kept if kept is source else new for kept, new in others])
            if again is None or not np.abs(again - h).max() <= 1e-7:
                self.source = None
                return None
        return eps

"""Whitened coordinates on each piece, in which the log joint is a parabola of unit curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaetheory._piecewise_linear.expansion import Expansion, expand
from vaetheory._validation import Array, Index
from vaetheory.decoders.layers import LinearMap
from vaetheory.decoders.piecewise_linear import Layer
from vaetheory.rounding import EPS, gamma

#: More operations than those of a bound of the log joint, besides its scalar products.
_OPERATIONS = 24
#: Points times units of a layer that are expanded together.
_NUMBERS = 1_000_000


@dataclass(frozen=True, eq=False)
class Charts:
    """Whitened coordinates w of K pieces: z = centre + turn w, and R h(z) = value + slope . w.

    The log joint of a datum y is q + gradient . w - |w|^2 / 2 on a piece, where q and the gradient
    belong to its centre.

    Attributes
    ----------
    centre : array (K, d)
        A point inside.
    value : array (K, r)
        R h at the centre.
    slope : array (d, K, r)
        Derivatives of R h by w; each of at most unit length.
    turn, back : array (K, d, d)
        A matrix of at most unit norm, and its inverse.
    log_volume : array (K,)
        Log determinant of `turn`.
    value_noise, slope_noise : array of float32 (K, r)
        Standard deviations of the rounding errors of the values at the centre, and per unit of z of
        those that grow with the distance from it.
    stretch : array (K,)
        Greatest change of w per unit of z.
    """

    centre: Array
    value: Array
    slope: Array
    turn: Array
    back: Array
    log_volume: Array
    value_noise: Array
    slope_noise: Array
    stretch: Array

    def __len__(self) -> int:
        return len(self.centre)

    @classmethod
    def joined(cls, parts: list[Charts]) -> Charts:
        """The charts of several sets of pieces."""
        return cls(
            *(
                np.concatenate([getattr(p, name) for p in parts], axis=int(name == "slope"))
                for name in cls.__dataclass_fields__
            )
        )

    def turned(self, angle: Array) -> Charts:
        """The same charts of the plane with axes of w turned by angles `(K,)`."""
        rotation = _rotations(angle)
        return Charts(
            self.centre,
            self.value,
            _rotated(self.slope, angle),
            self.turn @ rotation,
            np.swapaxes(rotation, -1, -2) @ self.back,
            self.log_volume,
            self.value_noise,
            self.slope_noise,
            self.stretch,
        )

    def whitened(self, points: Array) -> Array:
        """Coordinates w of points `(K, P, d)` of each piece."""
        return np.asarray((points - self.centre[:, None]) @ np.swapaxes(self.back, -1, -2))

    def bounds(self, data: Array, low: Array, high: Array, log_size: Array) -> Array:
        """Upper bounds of log masses, `(N, K)`, given boxes `(K, d)` that contain the pieces.

        The greatest log joint in the box times the least of the piece's area and that of the whole
        Gaussian; with what rounding may have taken away.
        """
        d, _, r = self.slope.shape
        squares = np.einsum("kr,kr->k", self.value, self.value)
        squares += np.einsum("kd,kd->k", self.centre, self.centre)
        norms = np.einsum("nr,nr->n", data, data)[:, None]
        rounding = 4 * gamma(r + _OPERATIONS)
        out = data @ self.value.T
        out -= (0.5 - rounding) * squares - log_size - self.log_volume
        out -= (0.5 - rounding) * norms
        for i in range(d):
            offset = np.einsum("kr,kr->k", self.slope[i], self.value)
            offset += np.einsum("kd,kd->k", self.turn[..., i], self.centre)
            gradient = data @ self.slope[i].T
            gradient -= offset
            best = np.clip(gradient, low[:, i], high[:, i])
            gradient -= 0.5 * best
            gradient *= best
            out += gradient
        return out

    def gradients(self, residual: Array, place: Array, k: Index) -> Array:
        """Gradients of the log joint by w, `(M, d)`, given residuals `(M, r)` and latents."""
        along = np.stack([np.einsum("mr,mr->m", s[k], residual) for s in self.slope], axis=-1)
        return along - np.einsum("mi,mij->mj", place, self.turn[k])

    def moved(self, residual: Array, w: Array, k: Index) -> tuple[Array, Array]:
        """Residuals and latents at places `w` `(M, d)`, given the residuals at the centres."""
        at = residual.copy()
        for i, slope in enumerate(self.slope):
            at -= slope[k] * w[:, i, None]
        return at, self.latents(k, w)

    def latents(self, k: Index, w: Array) -> Array:
        """Latents `(M, d)` at places `w` of pieces."""
        z: Array = self.centre[k] + np.einsum("mij,mj->mi", self.turn[k], w)
        return z

    def noise(self, residual: Array, w: Array, k: Index) -> Array:
        """Standard deviation of the rounding of the log joint, `(M,)`, given residuals there."""
        step = np.einsum("mij,mj->mi", self.turn[k], w)
        distance = np.einsum("mi,mi->m", step, step)
        square = residual**2
        variance = np.einsum("mr,mr->m", square, np.square(self.value_noise[k], dtype=float))
        slopes = np.einsum("mr,mr->m", square, np.square(self.slope_noise[k], dtype=float))
        variance += distance * slopes
        # Of the residual itself.
        variance += EPS**2 * np.einsum("mr,mr->m", square, square)
        return np.sqrt(variance)


def charts_around(layers: Sequence[Layer], centre: Array) -> Charts:
    """Charts of the pieces of layers around points `(K, d)`."""
    widest = max(len(layer.weight) for layer in layers if isinstance(layer, LinearMap))
    step = max(1, _NUMBERS // widest)
    blocks = [centre[i : i + step] for i in range(0, len(centre), step)]
    return Charts.joined([_charts(expand(layers, block), block) for block in blocks])


def _charts(expansion: Expansion, centre: Array) -> Charts:
    d = centre.shape[1]
    slope, turn = expansion.slope, np.broadcast_to(np.eye(d), (len(centre), d, d))
    # Twice, since the first turn leaves rounding errors of the size of the longer slope.
    for _ in range(2 * (d > 1)):
        norms = np.einsum("dkr,dkr->dk", slope, slope)
        product = np.einsum("kr,kr->k", slope[0], slope[1])
        angle = 0.5 * np.arctan2(2 * product, norms[0] - norms[1])
        slope, turn = _rotated(slope, angle), turn @ _rotations(angle)
    # The log joint has the curvature of the prior, one, and that of the likelihood.
    root = np.sqrt(1 + np.einsum("dkr,dkr->kd", slope, slope))
    # The slopes were turned and scaled, and are so again when used.
    noise = expansion.slope_noise + 4 * EPS**2 * (expansion.slope**2).sum(axis=0)
    return Charts(
        centre,
        expansion.value,
        slope / root.T[..., None],
        turn / root[:, None, :],
        root[:, :, None] * np.swapaxes(turn, -1, -2),
        -np.log(root).sum(axis=-1),
        np.sqrt(expansion.value_noise).astype(np.float32),
        np.sqrt(noise).astype(np.float32),
        root.max(axis=-1),
    )


def _rotations(angle: Array) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _rotated(slope: Array, angle: Array) -> Array:
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([cos * slope[0] + sin * slope[1], cos * slope[1] - sin * slope[0]])

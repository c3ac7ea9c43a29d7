"""Noise that reaches the latents by another way than as one draw: mixed, in pieces, or transformed.

In units of the posterior the latents are h = (z - m)/exp(v/2). Their law is right if h is N(0, I),
however it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._draws import Draw, Redraw
from vaetheory.audit._normality import against_normal

#: h as a function of the draws, (K, B, d).
Latents = Callable[[Sequence[Any]], Array | None]
#: The largest number of single draws that are changed one by one.
_MOST = 512
#: Values of h closer than this are the same.
_SAME = 1e-8
#: A covariance closer than this to I is I, as for the scale of noise that is one draw.
_IDENTITY = 1e-6
#: How often a number may come again in samples of a continuous law.
_REPEATS = 3
#: How many redraws tell the law of h where it is no linear function: at least, and numbers in all.
_REDRAWS, _NUMBERS = 400, 4000


@dataclass(frozen=True)
class Mixing:
    """How h comes from the draws.

    Attributes
    ----------
    matrix : array (K B d, N) or None
        h as a linear function of the N normal draws, if it is one.
    distance : float
        The largest distance of the distribution function of h from that of N(0, 1), over
        `numbers` samples, where h is no linear function.
    refuted : bool
        Whether h is not N(0, I), although no matrix says so.
    still : bool
        Whether h is the same for all outcomes of the draws.
    uniform : bool
        Whether h is a linear function of uniform draws alone.
    shift : float
        The largest h where all draws are 0, if there is a matrix.
    d : int
        The number of latents of an example, if there is a matrix.
    scale : float
        The deviation of h, where h divided by it agrees with N(0, I) in samples; 1 otherwise.
    """

    matrix: Array | None
    distance: float = 0.0
    numbers: int = 0
    refuted: bool = False
    still: bool = False
    uniform: bool = False
    scale: float = 1.0
    shift: float = 0.0
    d: int = 1

    @property
    def covariance(self) -> Array | None:
        """The covariance of h, if it is a linear function of normal draws."""
        return None if self.matrix is None else self.matrix @ self.matrix.T

    @property
    def right(self) -> bool:
        """Whether h is N(0, I): exactly, or as far as samples tell."""
        covariance = self.covariance
        if covariance is None:
            return not self.refuted
        should = np.eye(len(covariance)) - np.kron(self._opposites, np.eye(self.d))
        off = np.abs(covariance - should).max()
        return bool(max(off, self.shift) < _IDENTITY)

    @property
    def opposite(self) -> int:
        """How many pairs of examples, or of their samples, have noise of opposite signs."""
        return 0 if self.matrix is None else int(self._opposites.sum()) // 2

    @property
    def _opposites(self) -> Array:
        """Whether the noise of one example is minus that of another one, (K B, K B)."""
        covariance, d = self.covariance, self.d
        assert covariance is not None
        blocks = covariance.reshape(-1, d, len(covariance) // d, d).swapaxes(1, 2)
        return np.asarray(np.abs(blocks + np.eye(d)).max(axis=(2, 3)) < _IDENTITY)

    def silent(self, d: int) -> int:
        """How many of d latents no draw reaches, in any example."""
        if self.matrix is None:
            return 0
        reached = np.abs(self.matrix).max(axis=1).reshape(-1, d).max(axis=0) > _SAME
        return int(d - reached.sum())

    def arranged(self, draws: Sequence[Draw], shape: tuple[int, ...]) -> Array | None:
        """The draws in the order of the latents, if each of them reaches one latent alone."""
        if self.matrix is None or len(self.matrix) != int(np.prod(shape)):
            return None
        reached = np.abs(self.matrix) > _SAME
        if not ((reached.sum(axis=1) == 1).all() and (reached.sum(axis=0) <= 1).all()):
            return None
        return np.asarray(_entries(draws)[reached.argmax(axis=1)].reshape(shape))

    def noise(self, draws: Sequence[Draw], h: Array) -> Array:
        """What h should be for these draws."""
        if self.matrix is None:
            return h
        return np.asarray((self.matrix @ _entries(draws)).reshape(h.shape))


def mixing(latents: Latents, draws: Sequence[Draw]) -> Mixing | None:
    """How h comes from normal draws as a linear function, if it does."""
    n = len(_entries(draws))
    if not 0 < n <= _MOST:
        return None
    origin = latents(_given(draws, np.zeros(n)))
    if origin is None or not np.isfinite(origin).all():
        return None
    columns = []
    for one in np.eye(n):
        column = latents(_given(draws, one))
        if column is None or column.shape != origin.shape:
            return None
        columns.append((column - origin).ravel())
    matrix = np.array(columns).T
    shift = float(np.abs(origin).max())
    shift = 0.0 if shift < _SAME else shift
    made, h = Mixing(matrix, shift=shift, d=origin.shape[-1]), latents(draws)
    if h is None or not np.isfinite(matrix).all() or not np.abs(matrix).max() > 0:
        return None
    off = np.abs(made.noise(draws, h) + origin - h).max()
    return made if off < _SAME * (1 + np.abs(h).max()) else None


def sampled(latents: Latents, draws: Sequence[Draw], redraw: Redraw) -> Mixing | None:
    """How far h, any function of the draws, is from N(0, I) in samples."""
    if not any(d.law in ("normal", "uniform") for d in draws):
        return None
    a, b = redraw(draws), redraw(draws)
    middle = [
        x.given((x.array + y.array) / 2) if x.floating else x for x, y in zip(a, b, strict=True)
    ]
    found = [latents(d) for d in (a, b, middle)]
    if any(h is None or not np.isfinite(h).all() for h in found):
        return None
    first, second, third = (np.asarray(h) for h in found)
    off = np.abs(third - (first + second) / 2).max()
    affine = bool(off < _SAME * (1 + np.abs(third).max()))
    count = max(_REDRAWS, -(-_NUMBERS // first.size))
    rows = []
    for _ in range(count):
        h = latents(redraw(draws))
        if h is None or h.shape != first.shape or not np.isfinite(h).all():
            return None
        rows.append(h.ravel())
    every = np.array(rows)
    still = bool(np.ptp(every, axis=0).max() <= _SAME * (1 + np.abs(every).max()))
    distance, far = against_normal(every)
    # A linear function of uniform draws alone is not normal, whatever its samples say.
    uniform = affine and not still and not any(_normal(d) for d in draws)
    # A clamp gives the same number again and again.
    _, repeats = np.unique(np.round(every, 9), return_counts=True)
    far = far or (not still and bool(repeats.max() > _REPEATS))
    scale = float(np.sqrt((every**2).mean()))
    if not far or uniform or still or against_normal(every / scale)[1]:
        scale = 1.0
    return Mixing(None, distance, every.size, far or uniform, still, uniform, scale)


def stretched(draws: Sequence[Draw], t: float) -> list[Any]:
    """The draws with numbers of 0.8 t to t, and the sign that each has, for the normal ones.

    They differ, so that the samples of an example can be told from those of another.
    """
    known = _entries(draws)
    rank = np.abs(known).argsort().argsort()
    size = 0.8 + 0.2 * rank / max(len(known) - 1, 1) if len(known) > 1 else np.ones(len(known))
    return _given(draws, t * np.sign(known) * size)


def _normal(draw: Draw) -> bool:
    return draw.law == "normal" and draw.floating


def _entries(draws: Sequence[Draw]) -> Array:
    parts = [d.array.ravel() for d in draws if _normal(d)]
    return np.concatenate(parts) if parts else np.empty(0)


def _given(draws: Sequence[Draw], entries: Array) -> list[Draw]:
    """The draws with other outcomes of the normal ones."""
    made, at = [], 0
    for draw in draws:
        if _normal(draw):
            size = draw.numbers
            draw, at = draw.given(entries[at : at + size].reshape(draw.array.shape)), at + size
        made.append(draw)
    return made

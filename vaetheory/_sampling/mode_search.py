"""Modes of posteriors in many dimensions, from many starts for each datum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaetheory._sampling.target import Target
from vaetheory._validation import Array, Index
from vaetheory.modes import climb

#: A mode whose mass is this many nats below the greatest one is left out.
_DEPTH = 9.0
#: Distance, in standard deviations, of two modes that are the same one.
_SAME = 1.0
#: Steps of a search that are counted: at most 25 are made, and most searches end before.
_STEPS = 8
#: Places on a principal axis, in standard deviations of the prior, where searches start.
_PLACES = (-2.2, 2.2, -1.1, 1.1, 0.0)
#: Numbers of the Jacobians that are held at once.
_NUMBERS = 2**22
#: Modes that are combined by three.
_CROSSED = 6

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Modes:
    """Modes of N posteriors, those of the greatest mass first; `known` is False for padding.

    Attributes
    ----------
    z : array (N, M, d)
    height : array (N, M)
        log p(x, z) in nats.
    information : array (N, M, d, d)
        A positive definite matrix near the Hessian of -log p(x, z).
    known : array of bool (N, M)
    """

    z: Array
    height: Array
    information: Array
    known: Mask

    def chosen(self, row: Index, index: Index) -> Modes:
        """Modes by their index `(N, M)`."""
        return Modes(
            self.z[row, index],
            self.height[row, index],
            self.information[row, index],
            self.known[row, index],
        )


def blocks(target: Target, count: int) -> list[slice]:
    """Blocks of `count` latents whose Jacobians fit in memory."""
    size = max(1, _NUMBERS // (target.model.param_dim * target.dim))
    return [slice(i, i + size) for i in range(0, count, size)]


def find_modes(target: Target, starts: Array, most: int) -> Modes:
    """The modes that searches from `starts` `(N, S, d)` end at, at most `most` of each datum."""
    n, s, d = starts.shape
    rows = np.repeat(np.arange(n), s)
    flat = starts.reshape(-1, d)
    parts = [climb(target.model, target.data[rows[i]], flat[i]) for i in blocks(target, len(flat))]
    z, height, information = (np.concatenate(a) for a in zip(*parts, strict=True))
    target.count.calls += _STEPS * (2 + d) * n * s
    found = Modes(
        z.reshape(n, s, d),
        (height + target.offset[rows]).reshape(n, s),
        information.reshape(n, s, d, d),
        np.ones((n, s), dtype=bool),
    )
    return _best(found, most)


def pooled(first: Modes, second: Modes, most: int) -> Modes:
    """The different modes of two searches, at most `most` of each datum."""
    names = ("z", "height", "information", "known")
    both = (np.concatenate([getattr(m, name) for m in (first, second)], axis=1) for name in names)
    return _best(Modes(*both), most)


def jumped(modes: Modes, count: int) -> Array:
    """Starts `(N, S, d)`, S about `count`: the first mode, moved far along each principal axis.

    Where the posterior is nearly a product, a mode that particles do not reach, because it is
    narrow and far, differs from the first one in few of the axes of its curvature.
    """
    z, axes = modes.z[:, 0], np.linalg.eigh(modes.information[:, 0])[1]
    n, d = z.shape
    along = np.einsum("nd,nda->na", z, axes)
    rounds = max(1, min(len(_PLACES), count // d))
    moves = (np.array(_PLACES[:rounds])[:, None] - along[:, None])[..., None] * np.swapaxes(
        axes, -1, -2
    )[:, None]
    return (z[:, None] + moves.reshape(n, -1, d))[:, :count]


def crossed(target: Target, modes: Modes, count: int) -> Array:
    """Starts `(N, count, d)` where three modes say that a fourth one may be.

    If the second mode and the third differ from the first each in a part of the latents of its own,
    as where the posterior is nearly a product, then z_2 + z_3 - z_1 differs in both.
    """
    few = min(_CROSSED, modes.z.shape[1])
    triples = [
        (i, j, k) for j, k in combinations(range(few), 2) for i in range(few) if i not in (j, k)
    ]
    first, second, third = np.array(triples).reshape(-1, 3).T
    z = modes.z[:, second] + modes.z[:, third] - modes.z[:, first]
    known = modes.known[:, first] & modes.known[:, second] & modes.known[:, third]
    z = np.where(known[..., None], z, modes.z[:, :1])
    height = np.where(known, target.log_joint(z), -np.inf)
    best = np.argsort(-height, axis=1)[:, :count]
    return z[np.arange(len(z))[:, None], best]


def distinct(z: Array, height: Array, precision: Array, allowed: Mask, apart: float) -> Mask:
    """Which of the points `(N, S, d)` are kept: of those that are near each other, the highest.

    Parameters
    ----------
    z : array (N, S, d)
    height : array (N, S)
    precision : array (N, S, d, d)
        By that of the lower one two points are near.
    allowed : array of bool (N, S)
        Other points are not kept, and do not hide any.
    apart : float
        In standard deviations.
    """
    row = np.arange(len(z))[:, None]
    order = np.argsort(-height, axis=1, kind="stable")
    z, precision, allowed = z[row, order], precision[row, order], allowed[row, order]
    kept = np.zeros_like(allowed)
    # From the highest one to the lowest one.
    for j in range(z.shape[1]):
        off = z[:, :j] - z[:, j, None]
        square = np.einsum("nij,njk,nik->ni", off, precision[:, j], off)
        near = np.where(kept[:, :j], square, np.inf).min(axis=1, initial=np.inf) <= apart**2
        kept[:, j] = allowed[:, j] & ~near
    return np.asarray(kept[row, np.argsort(order, axis=1)])


def _best(given: Modes, most: int) -> Modes:
    """Modes without those that repeat a higher one, and without those of too little mass."""
    row = np.arange(len(given.z))[:, None]
    height = np.where(given.known, given.height, -np.inf)
    mass = height - 0.5 * np.linalg.slogdet(given.information)[1]
    allowed = given.known & (mass > mass.max(axis=1, keepdims=True) - _DEPTH)
    kept = distinct(given.z, height, given.information, allowed, _SAME)
    # A datum of which no mode was found keeps its highest start.
    kept[row[:, 0], height.argmax(axis=1)] |= ~kept.any(axis=1)
    # Those of the greatest mass; which of them is the first does not matter.
    best = np.argsort(-np.where(kept, mass, -np.inf), axis=1)
    best = best[:, : min(most, int(kept.sum(axis=1).max()))]
    return replace(given, known=kept).chosen(row, best)

"""Sums of the masses of pieces, of which those that cannot matter are left out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from vaetheory._piecewise_linear.pieces import Masses, Peaks, Pieces
from vaetheory._validation import Array, Index

#: Pieces of each datum whose peaks are looked at first, and how many more in the next round.
_FIRST, _MORE = 8, 8
#: Pairs of a datum and a piece times outputs that are in memory together.
_BLOCK = 2_000_000


@dataclass(frozen=True, eq=False)
class Totals:
    """Integrals of N data over pieces.

    Attributes
    ----------
    log_total : array (N,)
        Log of the sum of the masses.
    bound : array (N,)
        Bound of the share of the total that was left out, or is an error of integration.
    rounding : array (N,)
        Estimate of the relative error by rounding, one standard deviation.
    pairs : array of int (N,)
        Number of pieces of which the mass was computed.
    peak : array of int (N,)
        The piece with the greatest mass.
    place : array (N, d)
        The place of its peak, in the coordinates of its chart.
    """

    log_total: Array
    bound: Array
    rounding: Array
    pairs: Index
    peak: Index
    place: Array

    @classmethod
    def joined(cls, parts: list[Totals]) -> Totals:
        """The integrals of several sets of data."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def _by_datum(n: Index, values: Array, size: int) -> Array:
    """Log of the sums of exponentials of the values of each datum, `(size,)`."""
    top = np.full(size, -np.inf)
    np.maximum.at(top, n, values)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.bincount(n, np.exp(values - shift[n]), minlength=size)) + shift


def _peaks(pieces: Pieces, data: Array, n: Index, k: Index) -> Peaks:
    step = max(1, _BLOCK // data.shape[1])
    blocks = [np.s_[i : i + step] for i in range(0, max(len(n), 1), step)]
    return Peaks.joined([pieces.peaks(data[n[b]], k[b]) for b in blocks])


def lower_bounds(pieces: Pieces, data: Array, bounds: Array, share: float) -> Array:
    """Lower bounds of the log totals, `(N,)`, from the pieces with the greatest upper bounds."""
    size, count = bounds.shape
    level, many = np.full(size, -np.inf), min(_FIRST, count)
    while True:
        k = np.argpartition(bounds, count - many, axis=1)[:, count - many :].ravel()
        n = np.repeat(np.arange(size), many)
        level = np.maximum(level, _by_datum(n, _peaks(pieces, data, n, k).lower, size))
        if many == count:
            return level
        # If very much is left to look at, look at more here first.
        left = (bounds > _threshold(level, share, count)[:, None]).sum(axis=1)
        if left.sum() <= _MORE * many * size:
            return level
        many = min(_MORE * many, count)


def _threshold(level: Array, share: float, count: int | Index) -> Array:
    """Pieces of lower log mass are together at most `share` of a total of log `level`."""
    return level + np.log(share) - np.log(count)


def integrate(pieces: Pieces, data: Array, bounds: Array, level: Array, share: float) -> Totals:
    """Sum the masses of all pieces that together may exceed `share` of the total.

    Parameters
    ----------
    pieces : Pieces
    data : array (N, r)
    bounds : array (N, K)
        Upper bounds of the log masses.
    level : array (N,)
        Lower bounds of the log totals.
    share : float
    """
    size, count = bounds.shape
    # What is not a number is kept, so that it is seen in the total.
    keep = ~(bounds <= _threshold(level, share, count)[:, None])
    dropped = np.exp(np.where(keep, -np.inf, bounds - level[:, None])).sum(axis=1)
    n, k = np.nonzero(keep)
    peaks = _peaks(pieces, data, n, k)
    # The same again with the exact peaks.
    better = np.maximum(level, _by_datum(n, peaks.lower, size))
    number = np.bincount(n, minlength=size)
    keep = ~(peaks.upper <= _threshold(better, share, np.maximum(number, 1))[n])
    out = ~keep
    left = np.exp(peaks.upper[out] - better[n[out]])
    dropped = dropped * np.exp(level - better) + np.bincount(n[out], left, minlength=size)
    n, k, peaks = n[keep], k[keep], peaks.take(np.flatnonzero(keep))
    step = max(1, _BLOCK // max(data.shape[1], 256))
    blocks = [np.s_[i : i + step] for i in range(0, len(n), step)]
    parts = [pieces.masses(data[n[b]], k[b], peaks.take(b)) for b in blocks]
    masses = Masses(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in ("factor", "bound", "rounding"))
    )
    with np.errstate(divide="ignore"):
        log_mass = np.log(masses.factor) + peaks.log_joint
    log_total = _by_datum(n, log_mass, size)
    weight = np.exp(log_mass - log_total[n])
    bound = dropped * np.exp(better - log_total)
    bound += np.bincount(n, weight * masses.bound, minlength=size)
    rounding = np.bincount(n, weight * masses.rounding, minlength=size).astype(np.float64)
    # The last of a datum's pairs in ascending order is the heaviest.
    order = np.lexsort((weight, n))
    last = order[np.cumsum(np.bincount(n, minlength=size)) - 1]
    return Totals(
        log_total, bound, rounding, np.bincount(n, minlength=size), k[last], peaks.place[last]
    )

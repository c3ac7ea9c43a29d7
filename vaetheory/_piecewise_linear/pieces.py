"""What the sum over pieces needs to know of them, on the line and on the plane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import numpy as np

from vaetheory._piecewise_linear.charts import Charts
from vaetheory._validation import Array, Index


@dataclass(frozen=True, eq=False)
class Peaks:
    """The greatest log joint of M pairs of a datum and a piece.

    Attributes
    ----------
    upper, lower : array (M,)
        Bounds of the log mass of the piece.
    log_joint : array (M,)
        Log joint at the peak, up to constants.
    place : array (M, d)
        The peak in the coordinates of the piece's chart.
    gradient : array (M, d)
        Gradient of the log joint there.
    depth : array (M,)
        How far the peak is from the border.
    """

    upper: Array
    lower: Array
    log_joint: Array
    place: Array
    gradient: Array
    depth: Array

    def take(self, which: Index | slice) -> Peaks:
        """Some of the pairs."""
        return Peaks(*(getattr(self, f.name)[which] for f in fields(self)))

    @classmethod
    def joined(cls, parts: list[Peaks]) -> Peaks:
        """The pairs of several blocks."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


@dataclass(frozen=True, eq=False)
class Masses:
    """Masses of M pairs of a datum and a piece.

    Attributes
    ----------
    factor : array (M,)
        The mass divided by the exponential of the log joint at the peak.
    bound : array (M,)
        Bound of the relative error of the integration.
    rounding : array (M,)
        Estimate of the relative error by rounding.
    """

    factor: Array
    bound: Array
    rounding: Array


class Pieces(ABC):
    """Pieces on which a decoder is affine, with their charts.

    Attributes
    ----------
    charts : Charts
    low, high : array (K, d)
        Boxes that contain the pieces, in the coordinates of their charts.
    log_size : array (K,)
        Log of an upper bound of the integral of exp(-|w|^2 / 2) over a piece, moved anywhere.
    resolution : float
        Pieces that are narrower than this share of their distance from the origin may be missing.
    """

    charts: Charts
    low: Array
    high: Array
    log_size: Array
    resolution: float

    def __len__(self) -> int:
        return len(self.charts)

    def bounds(self, data: Array) -> Array:
        """Upper bounds of the log masses, `(N, K)`, proved up to rounding that they include."""
        return self.charts.bounds(data, self.low, self.high, self.log_size)

    @abstractmethod
    def peaks(self, data: Array, k: Index) -> Peaks:
        """The peaks of pairs of a datum `(M, r)` and a piece `(M,)`."""

    @abstractmethod
    def masses(self, data: Array, k: Index, peaks: Peaks) -> Masses:
        """The masses of pairs."""

    @abstractmethod
    def log_outside(self) -> float:
        """Log of the greatest mass outside all pieces."""

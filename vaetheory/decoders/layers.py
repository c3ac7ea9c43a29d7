"""Layers of networks: affine maps, and functions of each unit with straight pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, matrix, numbers, sequence, vectors
from vaetheory._value_equality import ByValue

#: Two pieces may differ at their threshold by this share of their terms, as rounding has it.
_SAME = 1e-12


@dataclass(frozen=True, eq=False)
class LinearMap(ByValue):
    """An affine layer, h -> W h + b.

    Parameters
    ----------
    weight : array (out, in)
        W.
    bias : array (out,), optional
        b; zero by default.

    Raises
    ------
    ValueError
        If the shapes do not fit together or an entry is not finite.

    Examples
    --------
    >>> LinearMap([[2.0], [0.0]], [0.0, 1.0]).bias.tolist()
    [0.0, 1.0]
    """

    weight: Array
    bias: Array

    def __init__(self, weight: ArrayLike, bias: ArrayLike | None = None) -> None:
        w = matrix("weight", weight)
        b = np.zeros(len(w)) if bias is None else vectors("bias", bias, len(w))
        if b.ndim != 1:
            raise ValueError(f"bias: expected shape ({len(w)},), got {b.shape}")
        object.__setattr__(self, "weight", w)
        object.__setattr__(self, "bias", b)


@dataclass(frozen=True, eq=False)
class ElementwisePieces(ByValue):
    """A continuous function with straight pieces, applied to each unit of a layer.

    Between its thresholds it is x -> slope x + intercept. At a threshold its derivative is the
    slope of the piece on the left.

    Parameters
    ----------
    thresholds : array (K,) or (units, K)
        Where the slope changes, in ascending order; one row for each unit if they differ.
    slopes : array (K + 1,) or (units, K + 1)
        From left to right.
    intercepts : array (K + 1,) or (units, K + 1)
        From left to right.

    Raises
    ------
    ValueError
        If the shapes do not fit together, an entry is not finite, the thresholds do not ascend, or
        two neighbouring pieces do not meet at their threshold.

    Examples
    --------
    The ReLU with an upper limit of 6:

    >>> relu6 = ElementwisePieces([0.0, 6.0], [0.0, 1.0, 0.0], [0.0, 0.0, 6.0])
    >>> relu6([-1.0, 2.0, 7.0]).tolist()
    [0.0, 2.0, 6.0]
    """

    thresholds: Array
    slopes: Array
    intercepts: Array

    def __init__(self, thresholds: ArrayLike, slopes: ArrayLike, intercepts: ArrayLike) -> None:
        t, s, c = (
            as_array(name, value, min_ndim=1)
            for name, value in (
                ("thresholds", thresholds),
                ("slopes", slopes),
                ("intercepts", intercepts),
            )
        )
        pieces = t.shape[-1] + 1
        units = {a.shape[0] for a in (t, s, c) if a.ndim == 2}
        fit = t.size and s.size and s.shape[-1] == c.shape[-1] == pieces
        if not fit or max(t.ndim, s.ndim, c.ndim) > 2 or len(units) > 1:
            raise ValueError(
                "thresholds, slopes and intercepts: expected shapes (K,), (K + 1,) and (K + 1,), "
                "K at least 1, each with one row for all units or one for each, got "
                f"{t.shape}, {s.shape} and {c.shape}"
            )
        if (np.diff(t) <= 0).any():
            raise ValueError(f"thresholds: expected ascending numbers, got {t.tolist()}")
        left, right = (s[..., i] * t + c[..., i] for i in (np.s_[:-1], np.s_[1:]))
        size = np.abs(s[..., :-1] * t) + np.abs(s[..., 1:] * t)
        size = size + np.abs(c[..., :-1]) + np.abs(c[..., 1:])
        if not (np.abs(left - right) <= _SAME * size).all():
            raise ValueError(
                "slopes and intercepts: expected pieces that meet at their thresholds, got values "
                f"{left.tolist()} on the left of them and {right.tolist()} on the right"
            )
        for name, value in (("thresholds", t), ("slopes", s), ("intercepts", c)):
            object.__setattr__(self, name, value)

    @classmethod
    def relu(cls) -> ElementwisePieces:
        """The greater of x and 0."""
        return cls.leaky_relu(0.0)

    @classmethod
    def leaky_relu(cls, slope: ArrayLike = 0.01) -> ElementwisePieces:
        """The identity for x > 0, and `slope` x below; one slope, or one for each unit."""
        left = as_array("slope", slope)
        if left.ndim > 1 or left.size == 0:
            raise ValueError(f"slope: expected a number or a vector, got shape {left.shape}")
        return cls([0.0], np.stack([left, np.ones_like(left)], axis=-1), [0.0, 0.0])

    @classmethod
    def absolute(cls) -> ElementwisePieces:
        """The size of x without its sign."""
        return cls.leaky_relu(-1.0)

    @classmethod
    def hard_tanh(cls, low: float = -1.0, high: float = 1.0) -> ElementwisePieces:
        """The identity between `low` and `high`, constant outside."""
        return cls([low, high], [0.0, 1.0, 0.0], [low, 0.0, high])

    @property
    def units(self) -> int | None:
        """Number of units, if they have functions of their own; None if any number is good."""
        rows = [len(a) for a in (self.thresholds, self.slopes, self.intercepts) if a.ndim == 2]
        return rows[0] if rows else None

    def pieces(self, x: Array) -> tuple[Array, Array]:
        """Slope and intercept of the piece of each entry of `x`, `(..., units)`."""
        which = (x[..., None] > self.thresholds).sum(axis=-1)
        unit = np.arange(x.shape[-1])
        slope, intercept = (
            a[which] if a.ndim == 1 else a[unit, which] for a in (self.slopes, self.intercepts)
        )
        return slope, intercept

    def __call__(self, x: ArrayLike) -> Array:
        """Values `(..., units)` of the same shape."""
        at = numbers("x", x)
        if self.units is not None and at.shape[-1] != self.units:
            raise ValueError(f"x: expected shape (..., {self.units}), got {at.shape}")
        slope, intercept = self.pieces(getval(at))
        # Where the slope is zero an infinite x, which has overflowed, does not count.
        return anp.where(slope == 0, 0.0, slope * anp.where(slope == 0, 0.0, at)) + intercept


#: Functions with straight pieces by their names.
ACTIVATIONS = {
    "relu": ElementwisePieces.relu,
    "leaky_relu": ElementwisePieces.leaky_relu,
    "absolute": ElementwisePieces.absolute,
    "hard_tanh": ElementwisePieces.hard_tanh,
}


def fitting_layers(
    weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Checked weights `(out, in)` and biases `(out,)` of a network, or a ValueError."""
    given, offsets = sequence("weights", weights), sequence("biases", biases)
    ws = tuple(matrix(f"weights[{i}]", w) for i, w in enumerate(given))
    bs = tuple(as_array(f"biases[{i}]", b, ndim=1) for i, b in enumerate(offsets))
    if not ws or len(ws) != len(bs):
        raise ValueError(
            f"weights and biases: expected one of each per layer, got {len(ws)} and {len(bs)}"
        )
    for i, (w, b) in enumerate(zip(ws, bs, strict=True)):
        if len(b) != len(w) or (i and w.shape[1] != len(ws[i - 1])):
            raise ValueError(
                f"layer {i}: expected a weight (out, in) and a bias (out,) that fit the layer "
                f"before, got shapes {w.shape} and {b.shape}"
            )
    return ws, bs

"""Probabilities that Gaussian data lie in cells: the likelihood of rounded data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, erfcx, log_ndtr, ndtr

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support

#: Half widths, in standard deviations, and logarithms of the fall over half a cell up to which
#: Gauss-Legendre nodes inside the cell have all digits; beyond them differences of tails have them.
_NARROW, _FALL = 1.0, 12.0
_MANY = np.polynomial.legendre.leggauss(24)
#: The sum of both logarithms up to which a few nodes have all digits too.
_GENTLE = 1.0
_FEW = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True, eq=False)
class GaussianCells(ByValue, ElementwiseLikelihood):
    """P(x <= y < x + step) for y ~ N(f(z), scale^2) of independent dimensions.

    A datum is the lower corner of its cell. The log probability is concave in the means.

    Parameters
    ----------
    scale : array () or (D,)
        Standard deviations.
    step : array () or (D,)
        Widths of the cells.
    """

    parameter = "mean"
    growth_degree = 2
    concave = True
    support = Support.REAL

    scale: Array
    step: Array

    def __post_init__(self) -> None:
        for value in (self.scale, self.step):
            if np.ndim(value):
                object.__setattr__(self, "data_dim", len(value))

    def _middle(self, x: Array, params: Array) -> tuple[Array, Array]:
        """Middle and half the width of the cell, in standard deviations from the mean."""
        half = self.step / (2 * self.scale)
        middle = (x - params) / self.scale + half
        return middle, np.broadcast_to(half, middle.shape)

    def _log_prob(self, x: Array, params: Array) -> Array:
        middle, half = self._middle(x, params)
        fall = np.abs(middle) * half
        gentle, narrow = fall + half**2 <= _GENTLE, (half <= _NARROW) & (fall <= _FALL)
        out = np.empty(middle.shape)
        with np.errstate(all="ignore"):
            for where, rule in ((gentle, _FEW), (narrow & ~gentle, _MANY)):
                if where.any():
                    out[where] = _log_mass(middle[where], half[where], rule)
            if (wide := ~(gentle | narrow)).any():
                out[wide] = _by_tails(middle[wide], half[wide])[0]
        return out

    def _moments(self, middle: Array, half: Array) -> tuple[Array, Array]:
        """Mean and variance of a normal number within a cell."""
        with np.errstate(all="ignore"):
            smooth = (half <= _NARROW) & (np.abs(middle) * half <= _FALL)
            inside = _within(np.where(smooth, middle, 0.0), np.where(smooth, half, 1.0))
            outside = _by_tails(middle, half)[1:]
        each = [np.where(smooth, a, b) for a, b in zip(inside, outside, strict=True)]
        return each[0], each[1]

    def _greatest_log_prob(self, x: Array) -> Array:
        half = np.broadcast_to(self.step / (2 * self.scale), np.shape(x))
        return np.log(erf(half / np.sqrt(2)))

    def _score(self, x: Array, params: Array) -> Array:
        return self._moments(*self._middle(x, params))[0] / self.scale

    def _information(self, x: Array, params: Array) -> Array:
        return (1 - self._moments(*self._middle(x, params))[1]) / self.scale**2

    def _fisher(self, params: Array) -> Array:
        raise ValueError(
            "likelihood: expected one with a Fisher information that does not depend on where the "
            "cells lie, got GaussianCells"
        )

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        drawn = np.asarray(params) + self.scale * rng.standard_normal(np.shape(params))
        return np.asarray(np.floor(drawn / self.step) * self.step)


def _relative(middle: Array, half: Array, nodes: Array) -> tuple[Array, Array]:
    """Places of nodes within cells, and densities there over that at the middle, `(..., M)`."""
    away = half[..., None] * nodes
    return away, np.exp(-(middle[..., None] + 0.5 * away) * away)


def _log_mass(middle: Array, half: Array, rule: tuple[Array, Array]) -> Array:
    """Log probability by Gauss-Legendre nodes in the cell."""
    total = _relative(middle, half, rule[0])[1] @ rule[1]
    return np.asarray(np.log(total * half) - 0.5 * (middle**2 + LOG_2PI))


def _within(middle: Array, half: Array) -> tuple[Array, Array]:
    """Mean and variance by the same nodes."""
    away, density = _relative(middle, half, _MANY[0])
    weights = density * _MANY[1]
    total = weights.sum(axis=-1)
    mean = (weights * away).sum(axis=-1) / total
    return middle + mean, (weights * (away - mean[..., None]) ** 2).sum(axis=-1) / total


def _by_tails(middle: Array, half: Array) -> tuple[Array, Array, Array]:
    """By differences of the distribution function, of a wide cell or far out."""
    # Mirrored, so that the middle is not positive: the far end is the lower one.
    sign, near = np.where(middle > 0, -1.0, 1.0), -np.abs(middle)
    low, high = near - half, near + half
    top, fall = log_ndtr(high), log_ndtr(low) - log_ndtr(high)
    log_p = np.where(high > 0, np.log(ndtr(high) - ndtr(low)), top + np.log1p(-np.exp(fall)))
    # Densities at the ends over the probability: far out by Mills' ratio, which keeps all digits.
    mills = np.sqrt(2 / np.pi) / erfcx(-high / np.sqrt(2)) / -np.expm1(fall)
    at_high = np.where(high > 0, np.exp(-0.5 * (high**2 + LOG_2PI) - log_p), mills)
    at_low = at_high * np.exp(2 * half * near)
    mean = at_low - at_high
    at_ends = np.where(at_low > 0, low * at_low, 0.0) - high * at_high
    variance = np.clip(1 + at_ends - mean**2, 0.0, 1.0)
    return log_p, sign * mean, variance

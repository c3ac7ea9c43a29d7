"""Expectations of the log of a mean of K weights, by one-dimensional integrals.

For independent weights of a law with Laplace transform phi(t) = E exp(-t w),

    E log((w_1 + ... + w_K) / K) = integral over t > 0 of (exp(-t) - phi(t / K)^K) / t,

which is Frullani's integral under the expectation. With v = log(t / K) the integrand is analytic
for imaginary parts of v below pi/2, where the modulus of phi is at most 1, so that a trapezoid rule
in v is exact to rounding. phi is a convolution of the law of log w with exp(-exp(s)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array

from vaetheory._validation import Array, Index
from vaetheory.rounding import gamma

#: Distance of the points to which the masses of log weights are moved, in nats, and their number
#: for each weight. exp(-exp(s)) is analytic and at most 1 for imaginary parts of s below pi/2, so
#: that interpolating it by a polynomial of degree 15 at points so close errs by less than 1e-15.
_BIN, _TAPS = 1 / 16, 16
#: Points between two nodes of the trapezoid rule: its step is 3/16, and its error, of order
#: exp(-pi^2 / step), 1e-22 times the range of v.
_STRIDE = 3
#: exp(-exp(s)) is 0 from here on, and 1 - exp(-exp(s)) is 0 to as many nats below zero.
_TOP, _DEEP = 4.0, 40.0
#: From here down 1 - exp(-exp(s)) is summed as a series of powers of exp(s).
_LOW, _POWERS = -1.5, 12
#: Log weights that span more nats than this are integrated as if the log of a sum were the greatest
#: log, which it exceeds by at most the log of their number.
WIDEST = 2.0**16


#: Numbers of a block of rows: points of all their laws.
_BLOCK = 2**22


def blocks(logs: Array, laws: int) -> Iterator[slice]:
    """Rows of log weights `(n, M)` whose laws fit in memory together."""
    span = np.ptp(logs, axis=-1).max(initial=0.0)
    size = max(1, int(_BLOCK / (laws * (span + 2 * _DEEP) / _BIN)))
    for start in range(0, len(logs), size):
        yield slice(start, start + size)


class Places(NamedTuple):
    """The points to which the masses of log weights are moved.

    Attributes
    ----------
    cell : array of int (n, M)
        The first of the points of each, among those of all rows and laws.
    part : array (n, M)
        How far it is past the middle of its points, in units of `_BIN`.
    base : array of int (n,)
        The first point of each row, in units of `_BIN`.
    shape : tuple of int
        Rows, laws, and points of each.
    """

    cell: Index
    part: Array
    base: Index
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, logs: Array, law: Index) -> Places:
        """Of log weights `(n, M)`, the nodes of several laws `(M,)`."""
        n, laws = len(logs), int(law.max()) + 1
        place = logs / _BIN
        whole = np.floor(place)
        base = whole.min(axis=-1).astype(np.int64) - (_TAPS // 2 - 1)
        cell = whole.astype(np.int64) - base[:, None] - (_TAPS // 2 - 1)
        length = int(cell.max()) + _TAPS
        cell += (np.arange(n)[:, None] * laws + law) * length
        return cls(cell, place - whole, base, (n, laws, length))

    def moved(self, masses: Array) -> Array:
        """Masses `(n, M)`, of any signs, at the points: `(n, C, G)`."""
        sums = np.zeros(int(np.prod(self.shape)))
        for tap, share in enumerate(_shares(self.part)):
            moved = (share * masses).ravel()
            sums += np.bincount((self.cell + tap).ravel(), moved, minlength=len(sums))
        return sums.reshape(self.shape)

    def all_moved(self, columns: Array) -> Array:
        """Several masses of each node `(n, M, J)` at the points: `(n, C, J, G)`."""
        n, laws, length = self.shape
        # One column of the matrix for each node, with its points one after another.
        rows = (self.cell.reshape(-1, 1) + np.arange(_TAPS)).ravel()
        shares = np.stack(_shares(self.part), axis=-1).ravel()
        starts = _TAPS * np.arange(self.cell.size + 1)
        moving = csc_array((shares, rows, starts), shape=(n * laws * length, self.cell.size))
        found = moving @ columns.reshape(self.cell.size, -1)
        return np.swapaxes(found.reshape(n, laws, length, -1), -1, -2)


@dataclass(frozen=True)
class WeightLaw:
    """Laws of log weights, as masses on points that are `_BIN` nats apart.

    Attributes
    ----------
    masses : array (n, C, G)
        C laws for each of n rows; each sums to one.
    base : array of int (n,)
        The first point of each row, in units of `_BIN`.
    unit : array (n,)
        The log weight to which all others are relative.
    """

    masses: Array
    base: Index
    unit: Array

    @classmethod
    def of(cls, logs: Array, masses: Array, law: Index) -> WeightLaw:
        """The laws of log weights `(n, M)`.

        Their masses `(n, M)` sum to one over the nodes of each law, and `law` `(M,)` says to which
        of them a node belongs.
        """
        unit = cls.unit_of(logs, masses, law)
        places = Places.of(logs - unit[:, None], law)
        return cls(places.moved(masses), places.base, unit)

    @staticmethod
    def unit_of(logs: Array, masses: Array, law: Index) -> Array:
        """The geometric mean of the weights under the first law, `(n,)`.

        Relative to it exp(-t) and phi fall at nodes of the same range, and no digits cancel
        between it and the value.
        """
        first = law == 0
        return np.asarray((logs[:, first] * masses[:, first]).sum(axis=-1))

    def transform(self, most: float) -> Transform:
        """1 - phi at the nodes, for means of up to `most` weights."""
        top, low = round(_TOP / _BIN), round(_LOW / _BIN)
        deep = round((_DEEP + np.log(most)) / _BIN)
        n, laws, length = self.masses.shape
        held = np.zeros((n, laws, length + top + deep))
        held[..., :length] = self.masses
        loss = np.zeros_like(held[..., ::_STRIDE])
        for behind, s in enumerate(_BIN * np.arange(top, low - 1, -1.0)):
            loss += -np.expm1(-np.exp(s)) * _late(held, behind)
        # The kernel of masses farther below is a power series.
        behind, sign = top - low + 1, 1.0
        for power in range(1, _POWERS + 1):
            scale = sign * np.exp(_BIN * power * (low - 1)) / factorial(power)
            loss += scale * _late(_fading(held, _BIN * power, _BIN * deep), behind)
            sign = -sign
        # Weights above the kernel: exp(-exp(s)) is zero for them.
        above = np.cumsum(self.masses[..., :0:-1], axis=-1)[..., ::-1][..., ::_STRIDE]
        loss[..., : above.shape[-1]] += above
        steps = _STRIDE * np.arange(loss.shape[-1])
        v = _BIN * (round(_TOP / _BIN) - steps - self.base[:, None])
        return Transform(v, np.clip(loss, 0.0, 1.0), self.unit)


def _shares(part: Array) -> list[Array]:
    """Weights of Lagrange's interpolation at `_TAPS` points, of which part is past the middle."""
    away = [part - (tap - (_TAPS // 2 - 1)) for tap in range(_TAPS)]
    before, after = [np.ones_like(part)], [np.ones_like(part)]
    for tap in range(_TAPS - 1):
        before.append(before[-1] * away[tap])
        after.append(after[-1] * away[_TAPS - 1 - tap])
    points = np.arange(_TAPS)
    scale = [float(np.prod([j - k for k in points if k != j])) for j in points]
    return [before[j] * after[_TAPS - 1 - j] / scale[j] for j in points]


def _late(values: Array, behind: int) -> Array:
    """Every `_STRIDE`-th of the values `(..., G)`, after so many zeros have come before them."""
    moved = np.zeros_like(values[..., ::_STRIDE])
    first = -(-behind // _STRIDE)
    part = values[..., first * _STRIDE - behind :: _STRIDE]
    moved[..., first:] = part[..., : moved.shape[-1] - first]
    return moved


def _fading(values: Array, rate: float, nats: float) -> Array:
    """Sums of all values before and at each, `(..., G)`, each times exp(-rate times its distance).

    After every step the sums are over twice as many values, until the rest is so many nats less.
    """
    sums, reach = values.copy(), 1
    while reach < values.shape[-1] and rate * reach < nats:
        sums[..., reach:] += np.exp(-rate * reach) * sums[..., :-reach]
        reach *= 2
    return sums


class Mean(NamedTuple):
    """E log of a mean of weights `(n, C)`, and the error of the integral over v `(n, C)`."""

    value: Array
    error: Array


@dataclass(frozen=True)
class Transform:
    """1 - phi of laws of log weights, at nodes of the integral.

    Attributes
    ----------
    v : array (n, V)
        The nodes, log(t / K), falling.
    loss : array (n, C, V)
        1 - E exp(-exp(v) w).
    unit : array (n,)
        As of `WeightLaw`.
    """

    v: Array
    loss: Array
    unit: Array

    def united(self, laws: slice) -> Transform:
        """Some of the laws, and after them their mean."""
        loss = self.loss[:, laws]
        loss = np.concatenate([loss, loss.mean(axis=1, keepdims=True)], axis=1)
        return Transform(self.v, loss, self.unit)

    @property
    def span(self) -> Array:
        """Nats from the least to the greatest node, `(n,)`."""
        return np.asarray(self.v.max(axis=-1) - self.v.min(axis=-1))

    def log_mean(self, count: int, first: Transform | None = None) -> Mean:
        """E log((w_1 + ... + w_K) / K) for K = `count`.

        With `first`, w_1 is of these other laws, whose nodes must be the same.
        """
        t = count * np.exp(np.minimum(self.v, 700.0 - np.log(count)))[:, None]
        with np.errstate(divide="ignore"):
            log_phi = np.log1p(-self.loss)
            log_first = log_phi if first is None else np.log1p(-first.loss)
            # 0 times the log of 0 is not wanted: with one weight there are no others.
            log_rest = (count - 1) * log_phi if count > 1 else np.zeros_like(log_phi)
            terms = np.expm1(-t) - np.expm1(log_first + log_rest)
        value = _BIN * _STRIDE * terms.sum(axis=-1) + self.unit[:, None]
        # Rounding: of phi^K a few units of K (1 - phi) phi^K, and of the sum of the masses at all
        # nodes where phi is not 1.
        lost = gamma(60) + gamma(10) * self.span + gamma(2) * np.abs(self.unit)
        return Mean(value, np.broadcast_to(lost[:, None], value.shape))


@dataclass(frozen=True)
class WideLaw:
    """Laws of log weights that span so much that of several all but the greatest are nothing.

    Attributes
    ----------
    logs : array (n, M)
        The log weights of all laws, rising.
    below : array (n, C, M)
        The probability of each law that a log weight is at most that.
    """

    logs: Array
    below: Array

    @classmethod
    def of(cls, logs: Array, masses: Array, law: Index) -> WideLaw:
        """As `WeightLaw.of`."""
        order = np.argsort(logs, axis=-1)
        rising, sizes = (np.take_along_axis(a, order, axis=-1) for a in (logs, masses))
        owner = law[order]
        below = [np.cumsum(np.where(owner == k, sizes, 0.0), axis=-1) for k in range(law.max() + 1)]
        return cls(rising, np.minimum(np.stack(below, axis=1), 1.0))

    def united(self, laws: slice) -> WideLaw:
        """Some of the laws, and after them their mean."""
        below = self.below[:, laws]
        return WideLaw(
            self.logs, np.concatenate([below, below.mean(axis=1, keepdims=True)], axis=1)
        )

    @property
    def span(self) -> Array:
        """Nats from the least to the greatest log weight, `(n,)`."""
        return np.ptp(self.logs, axis=-1)

    def log_mean(self, count: int, first: WideLaw | None = None) -> Mean:
        """As of `Transform`: between the mean of the greatest log, less log K, and that mean."""
        one = self.below if first is None else first.below
        # The greatest is at most a log weight if all are. What is missing of one is rounding.
        most = one * self.below ** (count - 1)
        most[..., -1] = 1.0
        steps = np.diff(most, axis=-1, prepend=0.0)
        greatest = (steps * self.logs[:, None]).sum(axis=-1)
        half = np.log(count) / 2
        size = (np.abs(steps) * np.abs(self.logs[:, None])).sum(axis=-1)
        return Mean(greatest - half, half + gamma(40) * size)


def law_of(logs: Array, masses: Array, law: Index, most: float) -> Transform | WideLaw:
    """The laws of log weights `(n, M)`, for means of up to `most` weights."""
    if np.ptp(logs, axis=-1).max() > WIDEST:
        return WideLaw.of(logs, masses, law)
    return WeightLaw.of(logs, masses, law).transform(most)

"""Integrals of a posterior's weight, and of functions times it, as they add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array, Index

#: Functions of the latent whose expectations are wanted, `(..., d) -> (..., K)`.
Observable = Callable[[Array], Array]
#: Log integrands are cut this far below the best: exp of less is slow and adds nothing.
LEAST = -120.0
#: What observables have where the integrand is this many nats below its top is their tail: what is
#: left out lies beyond.
TAIL = -46.0
#: Greatest log integrand, relative to the best known, that is exponentiated.
MOST = 600.0


def columns_of(observable: Observable | None, d: int) -> int:
    """Number of functions that an observable stands for."""
    return 0 if observable is None else observable(np.zeros((1, d))).shape[-1]


def add_up(datum: Index, values: Array, n: int) -> Array:
    """Sum rows `(P, ...)` over the pairs of each of n data, `(n, ...)`."""
    if values.ndim == 1:
        return np.bincount(datum, values, minlength=n).astype(np.float64, copy=False)
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    if not flat.shape[1]:
        return np.zeros((n, *values.shape[1:]))
    out = np.stack([np.bincount(datum, column, minlength=n) for column in flat.T], axis=-1)
    return out.reshape(n, *values.shape[1:]).astype(np.float64, copy=False)


@dataclass
class Part:
    """Integrals over P cells or frames, with errors along `a` axes.

    Attributes
    ----------
    value : array (P,)
    error : array (P, a)
        Quadrature estimate.
    rounding : array (P,)
    moment, size : array (P, K)
        Integrals of the observables times the weight, and of their moduli.
    moment_error : array (P, K, a)
    tail : array (P, K)
        The part of `size` at the outskirts of the posterior.
    """

    value: Array
    error: Array
    rounding: Array
    moment: Array
    size: Array
    moment_error: Array
    tail: Array

    @classmethod
    def empty(cls, count: int, observables: int, axes: int) -> Part:
        """Room for the integrals."""
        k = observables
        return cls(
            np.empty(count), np.empty((count, axes)), np.empty(count), np.empty((count, k)),
            np.empty((count, k)), np.empty((count, k, axes)), np.empty((count, k)),
        )  # fmt: skip

    def relative_error(self) -> Array:
        """Errors of P integrals that stand for themselves, infinite where there is none, `(P,)`.

        Where there are observables the worst of them counts, each relative to its modulus.
        """
        sums = Sums.empty(0 * self.value, np.zeros(len(self.value), np.intp), self.size.shape[1])
        error, total = sums.relative(self, np.arange(len(self.value)))
        known = np.isfinite(total) & (total > 0)
        off = error.sum(axis=-1) / np.where(known, total, 1.0)
        return np.where(known & np.isfinite(off), off, np.inf)

    def put(self, which: Index, other: Part) -> None:
        """Take some integrals from another part."""
        for f in fields(self):
            getattr(self, f.name)[which] = getattr(other, f.name)

    def scale(self, factor: Array) -> None:
        """Multiply everything by a factor `(P,)`."""
        for values in (self.value, self.rounding):
            values *= factor
        for values in (self.error, self.moment, self.size, self.tail):
            values *= factor[:, None]
        self.moment_error *= factor[:, None, None]


@dataclass
class Sums:
    """Integrals relative to exp(shift), with their error figures.

    Attributes
    ----------
    shift : array (N,)
        Nats.
    total, error, rounding : array (N,)
        The integral, the quadrature estimate of its error, and an estimate of the rounding.
    moment, size, moment_error, tail : array (N, K)
        The same for the observables times the weight; `size` is the integral of the moduli, `tail`
        its part at the outskirts of the posterior.
    nodes : array of int (N,)
    gave_up : array of bool (N,)
    """

    shift: Array
    total: Array
    error: Array
    rounding: Array
    moment: Array
    size: Array
    moment_error: Array
    tail: Array
    nodes: Index
    gave_up: NDArray[np.bool_]

    @classmethod
    def empty(cls, shift: Array, nodes: Index, observables: int) -> Sums:
        """Nothing yet."""
        n = len(shift)
        one, some = np.zeros(n), np.zeros((n, observables))
        return cls(
            shift.copy(), one, one.copy(), one.copy(), some, some.copy(), some.copy(),
            some.copy(), nodes.copy(), np.zeros(n, dtype=bool),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: list[Sums]) -> Sums:
        """The sums of several chunks of data, one after the other."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Sums:
        """The sums of some data."""
        return Sums(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def relative(
        self, part: Part, datum: Index, waiting: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Errors of a part `(P, a)` in units of the weight, and what the totals would be `(N,)`.

        Where there are observables the worst of them counts, each relative to its modulus.
        `waiting` are values `(N,)` and sizes `(N, K)` that are to come on top.
        """
        n = len(self.shift)
        value, size = (0.0, 0.0) if waiting is None else waiting
        total = self.total + value + add_up(datum, part.value, n)
        if not self.size.shape[1]:
            return part.error, total
        size = self.size + size + add_up(datum, part.size, n)
        unit = total[:, None] / np.maximum(size, 1e-300)
        return np.maximum(part.error, (part.moment_error * unit[datum][..., None]).max(1)), total

    def add(self, part: Part, datum: Index, which: NDArray[np.bool_]) -> None:
        """Add some of the pairs of a part."""
        n, who = len(self.shift), datum[which]
        self.total += add_up(who, part.value[which], n)
        self.error += add_up(who, part.error[which].sum(axis=-1), n)
        self.rounding += add_up(who, part.rounding[which], n)
        if self.size.shape[1]:
            self.moment += add_up(who, part.moment[which], n)
            self.size += add_up(who, part.size[which], n)
            self.moment_error += add_up(who, part.moment_error[which].sum(axis=-1), n)
            self.tail += add_up(who, part.tail[which], n)

    def put(self, which: NDArray[np.bool_], other: Sums) -> None:
        """Take the integrals of some data from other sums."""
        for f in fields(self):
            if f.name not in ("nodes", "gave_up"):
                getattr(self, f.name)[which] = getattr(other, f.name)[which]

    def rescale(self, datum: Index, top: Array, part: Part) -> None:
        """Raise the shift where the integrand is much larger than known, before sums overflow.

        Parameters
        ----------
        datum : array of int (P,)
        top : array (P,)
            Greatest log integrand, relative to the shift, of each pair of `part`.
        """
        highest = np.zeros(len(self.shift))
        np.maximum.at(highest, datum, top)
        if highest.max(initial=0.0) < 50:
            return
        rise = np.where(highest > 50, highest, 0.0)
        # Where exponents were cut the value is wrong, and its error figure must say so.
        cut = highest > MOST
        rise = np.minimum(rise, MOST)
        factor = np.exp(-rise)
        part.scale(factor[datum])
        self.shift += rise
        for values in (self.total, self.error, self.rounding):
            values *= factor
        for values in (self.moment, self.size, self.moment_error, self.tail):
            values *= factor[:, None]
        self.error[cut] = np.inf

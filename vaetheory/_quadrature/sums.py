"""Running sums of integrals: of a posterior's weight, and of functions times the weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array, Index

#: Functions of the latent whose expectations are wanted, `(..., d) -> (..., K)`.
Observable = Callable[[Array], Array]
#: Log integrands are clipped this far below the best: exp of less is slow and adds nothing.
LEAST = -120.0
#: The tail of an observable is its part where the integrand is this many nats below its maximum;
#: the part that is left out lies farther out.
TAIL = -46.0
#: Greatest log integrand, relative to the best known, that is exponentiated.
MOST = 600.0


def columns_of(observable: Observable | None, d: int) -> int:
    """Number K of functions that an observable returns."""
    return 0 if observable is None else observable(np.zeros((1, d))).shape[-1]


def add_up(datum: Index, values: Array, n: int) -> Array:
    """Sum rows `(P, ...)` over the pairs of each of n data, `(n, ...)`."""
    if values.ndim == 1:
        return np.bincount(datum, values, minlength=n).astype(np.float64, copy=False)
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    if not flat.shape[1]:
        return np.zeros((n, *values.shape[1:]))
    sums = np.stack([np.bincount(datum, column, minlength=n) for column in flat.T], axis=-1)
    return sums.reshape(n, *values.shape[1:]).astype(np.float64, copy=False)


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
        Integrals of the observables times the weight, and of their moduli times the weight.
    moment_error : array (P, K, a)
    tail : array (P, K)
        The part of `size` in the tails of the posterior.
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
        """A part with uninitialised arrays."""
        k = observables
        return cls(
            np.empty(count), np.empty((count, axes)), np.empty(count), np.empty((count, k)),
            np.empty((count, k)), np.empty((count, k, axes)), np.empty((count, k)),
        )  # fmt: skip

    def relative_error(self) -> Array:
        """Relative error of each of the P integrals by itself, `(P,)`; infinite if unknown.

        With observables it is the largest of their errors, each relative to its modulus.
        """
        sums = Sums.empty(0 * self.value, np.zeros(len(self.value), np.intp), self.size.shape[1])
        error, total = sums.relative(self, np.arange(len(self.value)))
        known = np.isfinite(total) & (total > 0)
        off = error.sum(axis=-1) / np.where(known, total, 1.0)
        return np.where(known & np.isfinite(off), off, np.inf)

    def put(self, which: Index, other: Part) -> None:
        """Overwrite some integrals with those of another part."""
        for f in fields(self):
            getattr(self, f.name)[which] = getattr(other, f.name)

    def scale(self, factor: Array) -> None:
        """Multiply all arrays by a factor `(P,)`."""
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
        The integral, the quadrature estimate of its error, and an estimate of its rounding error.
    moment, size, moment_error, tail : array (N, K)
        The same for the observables times the weight; `size` is the integral of the moduli, `tail`
        its part in the tails of the posterior.
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
        """Sums of no integrals."""
        n = len(shift)
        one, some = np.zeros(n), np.zeros((n, observables))
        return cls(
            shift.copy(), one, one.copy(), one.copy(), some, some.copy(), some.copy(),
            some.copy(), nodes.copy(), np.zeros(n, dtype=bool),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: list[Sums]) -> Sums:
        """The concatenated sums of several chunks of data."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Sums:
        """The sums of some data."""
        return Sums(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def relative(
        self, part: Part, datum: Index, waiting: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array]:
        """Errors of a part `(P, a)` in units of the weight, and the totals including it `(N,)`.

        With observables the error is the largest of theirs, each relative to its modulus.
        `waiting` are values `(N,)` and sizes `(N, K)` that will be added later.
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
        """Overwrite the integrals of some data with those of other sums."""
        for f in fields(self):
            if f.name not in ("nodes", "gave_up"):
                getattr(self, f.name)[which] = getattr(other, f.name)[which]

    def rescale(self, datum: Index, top: Array, part: Part) -> None:
        """Raise the shift where the integrand is much larger than expected, to avoid overflow.

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
        # Where exponents were clipped the value is wrong, and its error must be infinite.
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

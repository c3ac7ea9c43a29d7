"""The outcome of one check: a residual, and a bound computed from named error terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Comparison:
    """The outcome of one check on one instance: the residual, and the bound of its error.

    Attributes
    ----------
    residual : float
        Distance of the two sides of an identity, or the amount by which an inequality is missed.
    bound : float
        Bound of the error of the computation itself: the sum of `terms`, never a tolerance.
    terms : mapping of str to float
        The named error terms.
    scale : float
        Size of the quantities compared: a bound as large as they are decides nothing.
    parts : tuple of Comparison
        The comparisons that this one combines, if there are several; the fields above are then
        those of the one with the greatest margin.
    looseness : float
        The greatest ratio of bound to scale over all entries.
    findings : tuple of str
        Observations for the reader of the result, one sentence each.

    Examples
    --------
    >>> Comparison.identity([1.0, 2.0], [1.0, 2.5], scale=2.0, rounding=0.1).residual
    0.5
    """

    residual: float
    bound: float
    terms: Mapping[str, float]
    scale: float = 1.0
    parts: tuple[Comparison, ...] = ()
    findings: tuple[str, ...] = ()
    looseness: float = -1.0

    def __post_init__(self) -> None:
        if self.looseness < 0:
            object.__setattr__(self, "looseness", _ratio(self.bound, self.scale))

    @property
    def margin(self) -> float:
        """Residual over bound: refuted above 1."""
        if self.residual == 0:
            return 0.0
        return self.residual / self.bound if self.bound > 0 else float("inf")

    @property
    def finite(self) -> bool:
        """Whether residual, bound and scale are all numbers."""
        return all(np.isfinite(v) for v in (self.residual, self.bound, self.scale, self.looseness))

    @classmethod
    def identity(
        cls, left: ArrayLike, right: ArrayLike, *, scale: ArrayLike, **terms: ArrayLike
    ) -> Comparison:
        """Compare two sides entry by entry; the fields are those of the greatest margin."""
        difference = np.abs(np.asarray(left, float) - np.asarray(right, float))
        return cls._worst_entry(difference, scale, terms)

    @classmethod
    def at_most(
        cls, left: ArrayLike, right: ArrayLike, *, scale: ArrayLike, **terms: ArrayLike
    ) -> Comparison:
        """Check left <= right entry by entry."""
        excess = np.maximum(np.asarray(left, float) - np.asarray(right, float), 0.0)
        return cls._worst_entry(excess, scale, terms)

    @classmethod
    def identities(
        cls, left: ArrayLike, right: ArrayLike, *, scale: ArrayLike, **terms: ArrayLike
    ) -> list[Comparison]:
        """As `identity` for each instance along the first axis, for a check made by `together`.

        Each argument broadcasts to the shape of `left - right`, whose first axis is kept.

        Examples
        --------
        >>> found = Comparison.identities([1.0, 2.0], [1.0, 2.5], scale=2.0, rounding=[0.1, 0.2])
        >>> [(c.residual, c.bound) for c in found]
        [(0.0, 0.1), (0.5, 0.2)]
        """
        difference = np.abs(np.asarray(left, float) - np.asarray(right, float))
        return cls._worst_entries(difference, scale, terms)

    @classmethod
    def each_at_most(
        cls, left: ArrayLike, right: ArrayLike, *, scale: ArrayLike, **terms: ArrayLike
    ) -> list[Comparison]:
        """As `at_most` for each instance along the first axis, for a check made by `together`."""
        excess = np.maximum(np.asarray(left, float) - np.asarray(right, float), 0.0)
        return cls._worst_entries(excess, scale, terms)

    @classmethod
    def _worst_entries(
        cls, residual: np.ndarray, scale: ArrayLike, terms: Mapping[str, ArrayLike]
    ) -> list[Comparison]:
        sizes = np.broadcast_to(scale, residual.shape)
        named = {k: np.broadcast_to(v, residual.shape) for k, v in terms.items()}
        return [
            cls._worst_entry(one, sizes[i], {k: v[i] for k, v in named.items()})
            for i, one in enumerate(residual)
        ]

    @classmethod
    def _worst_entry(
        cls, residual: np.ndarray, scale: ArrayLike, terms: Mapping[str, ArrayLike]
    ) -> Comparison:
        named = {k: _spread(np.abs(v), residual.shape) for k, v in terms.items()}
        bound = sum(named.values(), start=np.zeros(residual.shape))
        sizes = _spread(np.abs(scale), residual.shape)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            margin = np.where(bound > 0, residual / bound, np.where(residual == 0, 0.0, np.inf))
            ratios = np.where(sizes > 0, bound / sizes, np.inf)
        # NaN first: an entry that could not be computed must not hide behind the others.
        at = np.unravel_index(np.where(np.isnan(margin), np.inf, margin).argmax(), residual.shape)
        return cls(
            residual=float(residual[at]),
            bound=float(bound[at]),
            terms={k: float(v[at]) for k, v in named.items()},
            scale=float(sizes[at]),
            looseness=float(np.where(bound == 0, 0.0, ratios).max()),
        )

    @classmethod
    def all_of(cls, *parts: Comparison, findings: tuple[str, ...] = ()) -> Comparison:
        """Combine comparisons that must all hold; the fields are those of the greatest margin."""
        worst = max(parts, key=lambda p: (not p.finite, p.margin))
        sentences = findings + tuple(f for p in parts for f in p.findings)
        loosest = max(p.looseness for p in parts)
        return cls(worst.residual, worst.bound, worst.terms, worst.scale, parts, sentences, loosest)


def _spread(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array of a shape; `broadcast_to` takes longer than all else in a short comparison."""
    return value if value.shape == shape else np.broadcast_to(value, shape)


def _ratio(bound: float, scale: float) -> float:
    """Bound over scale; a bound of 0 has ratio 0 whatever the scale."""
    if bound == 0:
        return 0.0
    return bound / scale if scale > 0 else float("inf")

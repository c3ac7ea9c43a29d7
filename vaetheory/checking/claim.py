"""What a claim is: checkable sentences, computed bounds, and wrong versions to be refuted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import ArrayLike

from vaetheory._validation import option

KINDS = ("identity", "inequality", "rate", "statistical", "counterexample")


@dataclass(frozen=True)
class Certificate:
    """What one check of one instance found: how far off it is, and how far off it may be.

    Attributes
    ----------
    residual : float
        Distance of the two sides of an identity, or the amount by which an inequality is missed.
    bound : float
        What the computation itself may have got wrong: the sum of `terms`, never a tolerance.
    terms : mapping of str to float
        The named error terms.
    scale : float
        Size of the quantities compared: a bound of their size decides nothing.
    parts : tuple of Certificate
        The comparisons behind this one, where there are several; the fields above are then those
        of the worst.
    looseness : float
        Bound over scale of the entry that was compared most loosely.
    findings : tuple of str
        What was found that is worth telling, one sentence each.

    Examples
    --------
    >>> Certificate.identity([1.0, 2.0], [1.0, 2.5], scale=2.0, rounding=0.1).residual
    0.5
    """

    residual: float
    bound: float
    terms: Mapping[str, float]
    scale: float = 1.0
    parts: tuple[Certificate, ...] = ()
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
    ) -> Certificate:
        """Compare two sides entry by entry; the entry with the greatest margin speaks for all."""
        difference = np.abs(np.asarray(left, float) - np.asarray(right, float))
        return cls._worst_entry(difference, scale, terms)

    @classmethod
    def at_most(
        cls, left: ArrayLike, right: ArrayLike, *, scale: ArrayLike, **terms: ArrayLike
    ) -> Certificate:
        """Check left <= right entry by entry."""
        excess = np.maximum(np.asarray(left, float) - np.asarray(right, float), 0.0)
        return cls._worst_entry(excess, scale, terms)

    @classmethod
    def _worst_entry(
        cls, residual: np.ndarray, scale: ArrayLike, terms: Mapping[str, ArrayLike]
    ) -> Certificate:
        named = {k: np.broadcast_to(np.abs(v), residual.shape) for k, v in terms.items()}
        bound = np.sum(list(named.values()), axis=0)
        sizes = np.broadcast_to(np.abs(scale), residual.shape)
        nothing = np.where(residual == 0, 0.0, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = np.where(bound > 0, residual / bound, nothing)
        # NaN first: an entry that could not be computed must not hide behind the others.
        at = np.unravel_index(np.nan_to_num(margin, nan=np.inf).argmax(), residual.shape)
        looseness = max(
            _ratio(float(b), float(s)) for b, s in zip(bound.flat, sizes.flat, strict=True)
        )
        return cls(
            residual=float(residual[at]),
            bound=float(bound[at]),
            terms={k: float(v[at]) for k, v in named.items()},
            scale=float(sizes[at]),
            looseness=looseness,
        )

    @classmethod
    def all_of(cls, *parts: Certificate, findings: tuple[str, ...] = ()) -> Certificate:
        """Several comparisons that must all hold; the worst of them is shown."""
        worst = max(parts, key=lambda p: (not p.finite, p.margin))
        told = findings + tuple(f for p in parts for f in p.findings)
        loosest = max(p.looseness for p in parts)
        return cls(worst.residual, worst.bound, worst.terms, worst.scale, parts, told, loosest)


def _ratio(bound: float, scale: float) -> float:
    """Bound over scale; no bound is as sharp as can be whatever the scale."""
    if bound == 0:
        return 0.0
    return bound / scale if scale > 0 else float("inf")


Check = Callable[[Any], Certificate]


@dataclass(frozen=True)
class Control:
    """A wrong version of a proposition, which its check must refute on some instance.

    Attributes
    ----------
    name : str
        What is wrong with it, in a few words.
    check : callable
        The same check with one hypothesis dropped or one constant changed.
    """

    name: str
    check: Check


@dataclass(frozen=True)
class Proposition:
    """One checkable sentence.

    Attributes
    ----------
    label : str
        The claim's number and a letter, "3f"; with a suffix for a special case, "3-digits".
    title, statement : str
        In words, and in TeX.
    hypotheses : tuple of (name, TeX)
        The conditions under which it holds.
    kind : str
        identity, inequality, rate, statistical or counterexample.
    instances : Hypothesis strategy
        Small readable instances, so that a counterexample shrinks to one a person can work out.
    check : callable
        `check(instance) -> Certificate`.
    controls : tuple of Control
        Wrong versions; each must be refuted.
    uses : tuple of str
        Labels of the propositions it builds on.
    figure : str, optional
        Name of the figure that shows it.
    resolution : float
        The largest bound, relative to the certificate's scale, that still decides anything.
    examples : int
        Instances drawn in the quick profile.
    """

    label: str
    title: str
    statement: str
    hypotheses: tuple[tuple[str, str], ...]
    kind: str
    instances: SearchStrategy[Any]
    check: Check
    controls: tuple[Control, ...]
    uses: tuple[str, ...] = ()
    figure: str | None = None
    resolution: float = 1e-6
    examples: int = 20

    def __post_init__(self) -> None:
        option("kind", self.kind, KINDS)
        names = [c.name for c in self.controls]
        if len(set(names)) != len(names):
            raise ValueError(f"proposition {self.label}: expected controls of different names")


@dataclass(frozen=True)
class Claim:
    """A claim of the source: a title and the propositions that make it precise.

    Attributes
    ----------
    label : str
        Its name in words, "stationary-evidence".
    title : str
    source : str
        Where it comes from.
    propositions : tuple of Proposition
    """

    label: str
    title: str
    source: str
    propositions: tuple[Proposition, ...] = field(default=())

    def __post_init__(self) -> None:
        labels = [p.label for p in self.propositions]
        if len(set(labels)) != len(labels):
            raise ValueError(f"claim {self.label}: expected different labels, got {labels}")

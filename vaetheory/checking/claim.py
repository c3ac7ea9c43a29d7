"""Claims, their propositions, and the wrong versions that each check must refute."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis.strategies import SearchStrategy

from vaetheory._validation import integer, option, positive, require, require_callable, sequence
from vaetheory.checking.comparison import Comparison

KINDS = ("identity", "inequality", "rate", "statistical", "counterexample")

Check = Callable[[Any], Comparison]

#: What a check is a map of, in the words of an error.
_MAPS = "instance -> Comparison"


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

    def __post_init__(self) -> None:
        require("name", self.name, str)
        require_callable(f"control {self.name!r:.80}", self.check, _MAPS)


def wrong(check: Callable[..., Comparison], versions: Mapping[str, Any]) -> tuple[Control, ...]:
    """Return the wrong versions of a check, given by what each of them changes.

    Parameters
    ----------
    check : callable
        `check(instance, **keywords) -> Comparison`, right with the default keywords.
    versions : mapping of str to mapping
        For each wrong version its name, which says in a few words what is wrong, and the keywords
        that make it wrong. In place of keywords there may be another check.

    Returns
    -------
    tuple of Control

    Raises
    ------
    ValueError
        If the check is not callable, or a version changes nothing, or a keyword that the check
        does not have.

    Examples
    --------
    >>> def square_is_product(k, *, factor=1):
    ...     return Comparison.identity(factor * k**2, k * k, scale=1.0, rounding=0.0)
    >>> [control.name for control in wrong(square_is_product, {"twice": {"factor": 2}})]
    ['twice']
    """
    require_callable("check", check, _MAPS)
    require("versions", versions, Mapping, "a mapping of names to changed keywords")
    return tuple(Control(name, _changed(check, name, change)) for name, change in versions.items())


def _changed(check: Callable[..., Comparison], name: str, change: Any) -> Check:
    """Return the check of one wrong version, or raise a ValueError."""
    if callable(change):
        if change is check:
            raise ValueError(f"wrong version {name!r}: expected another check, got the right one")
        return change
    if not isinstance(change, Mapping) or not change:
        raise ValueError(
            f"wrong version {name!r}: expected the keywords that it changes, got {change!r:.80}"
        )
    # The first parameter is the instance.
    known = dict(list(inspect.signature(check).parameters.items())[1:])
    for keyword, value in change.items():
        if keyword not in known:
            raise ValueError(
                f"wrong version {name!r}: expected keywords of the check "
                f"({', '.join(known)}), got {keyword!r}"
            )
        if value is known[keyword].default:
            raise ValueError(
                f"wrong version {name!r}: expected another value of {keyword} than the check's "
                f"own, got {value!r:.80}"
            )
    return partial(check, **change)


@dataclass(frozen=True)
class Proposition:
    r"""One checkable sentence.

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
        `check(instance) -> Comparison`. A check made by `together` is called once for all instances
        of a profile.
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

    Notes
    -----
    To write one of your own:

    1. Write a strategy for instances with few, small, readable parameters; see
       `vaetheory.checking.strategies`.
    2. Write `check(instances, *, keyword=right_value)` under the decorator `together`. It computes
       both sides for all instances by independent methods, on arrays that have the instances as
       their first axis, and returns a `Comparison` for each, whose bound is the sum of named error
       terms. If instances do not fit into one array, `together(alike=...)` groups those that do.
       Where nothing can be shared, because each instance calls a long computation of its own,
       write `check(instance, *, keyword=right_value)` without the decorator.
    3. Give what the keywords do not change a function of its own, under the decorator `once`: the
       wrong versions then do not compute it again.
    4. Write at least two wrong versions with `wrong(check, {name: {keyword: wrong_value}})`.
    5. Write the `Proposition` below its check, in the same file.
    6. Run `verify(claims=[Claim("label", "Title", "source", (proposition,))])`.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import strategies as st
    >>> from vaetheory import verify
    >>> from vaetheory.checking import Claim, Comparison, Proposition, once, together, wrong
    >>> from vaetheory.rounding import gamma
    >>> @once
    ... def totals(instances):
    ...     squares = np.arange(max(instances) + 1.0) ** 2
    ...     return np.cumsum(squares)[list(instances)]
    >>> @together
    ... def sum_of_squares(instances, *, divisor=6):
    ...     n, total = np.array(instances, dtype=float), totals(tuple(instances))
    ...     closed = n * (n + 1) * (2 * n + 1) / divisor
    ...     lost = gamma(n + 4) * total
    ...     return Comparison.identities(closed, total, scale=total, rounding=lost)
    >>> proposition = Proposition(
    ...     label="99a",
    ...     title="The sum of the first squares",
    ...     statement=r"\sum_{k=1}^n k^2 = n (n + 1) (2n + 1) / 6",
    ...     hypotheses=(("natural number", r"n \ge 1"),),
    ...     kind="identity",
    ...     instances=st.integers(1, 50),
    ...     check=sum_of_squares,
    ...     controls=wrong(sum_of_squares, {"a fifth": {"divisor": 5}, "a third": {"divisor": 3}}),
    ... )
    >>> (result,) = verify(claims=[Claim("squares", "Squares", "algebra", (proposition,))])
    >>> result.verdict, [control.refuted for control in result.controls]
    ('confirmed', [True, True])
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
        where = f"proposition {require('label', self.label, str):.80}"
        option("kind", self.kind, KINDS)
        require(f"{where}: instances", self.instances, SearchStrategy, "a Hypothesis strategy")
        require_callable(f"{where}: check", self.check, _MAPS)
        for control in sequence(f"{where}: controls", self.controls):
            require(f"{where}: controls", control, Control, "objects of class Control")
        integer(f"{where}: examples", self.examples, low=1)
        positive(f"{where}: resolution", self.resolution)
        names = [c.name for c in self.controls]
        if len(set(names)) != len(names):
            raise ValueError(f"{where}: expected controls of different names")


@dataclass(frozen=True)
class Claim:
    """A claim of the source: a title and the propositions that make it precise.

    To write one of your own, write each proposition beside its check, as in
    `vaetheory/claims/smooth_decoder/`, and list the propositions here in order. Then
    `verify(claims=[...])` runs the claim; `Proposition` has an example.

    Attributes
    ----------
    label : str
        Its name in words, "stationary-evidence".
    title : str
    source : str
        Where it comes from.
    propositions : tuple of Proposition
    number : int, optional
        Its number in the registry, with which the labels of its propositions begin. A claim of
        your own needs none.
    says : str, optional
        What it says, in one sentence without formulas, for lists of claims.
    """

    label: str
    title: str
    source: str
    propositions: tuple[Proposition, ...] = field(default=())
    number: int | None = field(default=None, kw_only=True)
    says: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        where = f"claim {require('label', self.label, str):.80}"
        require(f"{where}: says", self.says, str)
        for p in sequence(f"{where}: propositions", self.propositions):
            require(f"{where}: propositions", p, Proposition, "objects of class Proposition")
        labels = [p.label for p in self.propositions]
        if len(set(labels)) != len(labels):
            raise ValueError(f"{where}: expected different labels, got {labels}")
        if self.number is None:
            return
        integer("number", self.number)
        for label in labels:
            if not re.match(rf"{self.number}(?!\d)", label):
                raise ValueError(
                    f"{where}: expected labels that begin with its number, {self.number}, "
                    f"got {label!r:.80}"
                )

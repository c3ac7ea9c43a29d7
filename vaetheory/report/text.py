"""Results as aligned lines of text, with or without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vaetheory.checking.runner import (
    CONFIRMED,
    CONTROL_SURVIVED,
    INCONCLUSIVE,
    REFUTED,
    Result,
)

#: ANSI colours of the verdicts, which are always printed as words too.
_COLOURS = {CONFIRMED: "32", REFUTED: "1;31", CONTROL_SURVIVED: "1;35", INCONCLUSIVE: "1;33"}
_GOOD = "32"
_FAINT = "2"

# Columns are dropped before the title becomes shorter than this.
_LEAST_TITLE = 20


@dataclass(frozen=True)
class _Column:
    """A column: its heading, its width, and a function that returns the text for a result."""

    heading: str
    width: int
    cell: Callable[[Result], str]
    right: bool = False

    def __call__(self, text: str) -> str:
        return text.rjust(self.width) if self.right else text.ljust(self.width)


@dataclass(frozen=True)
class Table:
    """A table of results that is printed line by line as results arrive.

    Attributes
    ----------
    labels : sequence of str
        Labels of the propositions in the table; their column is as wide as the longest.
    width : int, optional
        Columns of the terminal. On a narrow terminal the seconds, the instances and then the other
        numbers are dropped to make room for the title, and a long title is cut. Without a width
        nothing is dropped or cut.
    colour : bool
        Whether to print the verdicts in colour.

    Examples
    --------
    >>> from vaetheory import verify
    >>> table = Table(["1b"], width=80)
    >>> print(table.heading())
    verdict           label  residual    bound  refuted  proposition
    >>> table.row(next(verify("1b"))).split()[:2]
    ['confirmed', '1b']
    """

    labels: Sequence[str] = ()
    width: int | None = None
    colour: bool = False

    def heading(self) -> str:
        """The headings of the columns."""
        columns = self._columns()
        cells = [column(column.heading) for column in columns]
        title = "proposition"[: self._room(columns)]
        return self._paint("  ".join([*cells, title]), _FAINT)

    def row(self, result: Result) -> str:
        """One line for one proposition."""
        columns = self._columns()
        cells = [column(column.cell(result)) for column in columns]
        room = self._room(columns)
        title = result.title
        if room is not None and len(title) > room:
            title = title[: room - 1].rstrip() + "…"
        cells[0] = self._paint(cells[0], _COLOURS.get(result.verdict, _GOOD))
        return "  ".join([*cells, title])

    def _columns(self) -> list[_Column]:
        """The columns that leave enough room for the title."""
        widest = max([len(label) for label in self.labels] + [len("label")])
        columns = [
            _Column("verdict", len(CONTROL_SURVIVED), lambda r: r.verdict),
            _Column("label", widest, lambda r: r.label),
            _Column("residual", 8, lambda r: f"{r.residual:.1e}", right=True),
            _Column("bound", 7, lambda r: f"{r.bound:.1e}", right=True),
            _Column("refuted", 7, _refuted, right=True),
            _Column("instances", 9, lambda r: str(r.instances), right=True),
            _Column("seconds", 7, lambda r: f"{r.seconds:.1f}", right=True),
        ]
        optional = ["seconds", "instances", "bound", "residual", "refuted"]
        while optional and (room := self._room(columns)) is not None and room < _LEAST_TITLE:
            dropped = optional.pop(0)
            columns = [column for column in columns if column.heading != dropped]
        return columns

    def _room(self, columns: Iterable[_Column]) -> int | None:
        """Characters left for the title."""
        if self.width is None:
            return None
        return max(self.width - sum(column.width + 2 for column in columns), 4)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour else text


def _refuted(result: Result) -> str:
    return f"{sum(c.refuted for c in result.controls)}/{len(result.controls)}"


def line(result: Result) -> str:
    """One line for one proposition, without a limit of its width.

    Examples
    --------
    >>> from vaetheory import verify
    >>> line(next(verify("1b"))).split()[:2]
    ['confirmed', '1b']
    """
    return Table([result.label]).row(result)


def details(result: Result) -> list[str]:
    """The lines below a result's line: findings, and the reason and instance of a failure."""
    texts = [f"    finding: {finding}" for finding in result.findings]
    if not result.confirmed:
        texts += [f"    why: {result.message}", f"    instance: {result.instance!r}"]
    return texts


def summary(results: Sequence[Result]) -> str:
    """The last line of a run's output."""
    good = sum(r.confirmed for r in results)
    controls = [c for r in results for c in r.controls]
    refuted = sum(c.refuted for c in controls)
    return (
        f"{good} of {len(results)} propositions confirmed, {refuted} of {len(controls)} wrong "
        f"versions refuted, {sum(r.instances for r in results)} instances, "
        f"{sum(r.seconds for r in results):.1f} s of work"
    )

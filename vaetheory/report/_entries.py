"""Entries of an HTML page: results of a run's JSON, with their statements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vaetheory.checking.runner import Result
from vaetheory.report.document import result_of


@dataclass(frozen=True)
class Entry(Result):
    """A result, read back from JSON, with the statement of its proposition.

    Attributes
    ----------
    statement : str
        TeX; empty in documents of versions that did not write statements.
    hypotheses : tuple of (name, TeX)
    uses : tuple of str
    figure : str or None
    resolution : float or None
    """

    statement: str = ""
    hypotheses: tuple[tuple[str, str], ...] = ()
    uses: tuple[str, ...] = ()
    figure: str | None = None
    resolution: float | None = None

    @property
    def refuted(self) -> int:
        """The number of refuted controls."""
        return sum(control.refuted for control in self.controls)

    @property
    def margin(self) -> float:
        """Residual over bound."""
        return ratio(self.residual, self.bound)


def ratio(residual: float, bound: float) -> float:
    """Residual over bound, where 0 / 0 is 0.

    Examples
    --------
    >>> ratio(0.0, 0.0), ratio(1.0, 0.0), ratio(1.0, 2.0)
    (0.0, inf, 0.5)
    """
    if residual == 0:
        return 0.0
    return residual / bound if bound else math.inf


def entries(document: Mapping[str, Any]) -> list[Entry]:
    """The results in a run's JSON document, in the order of the document."""
    return [_entry(result) for result in document["results"]]


def _entry(stored: Mapping[str, Any]) -> Entry:
    result, resolution = result_of(stored), stored.get("resolution")
    return Entry(
        **{field.name: getattr(result, field.name) for field in fields(result)},
        statement=str(stored.get("statement", "")),
        hypotheses=tuple((str(name), str(tex)) for name, tex in stored.get("hypotheses", ())),
        uses=tuple(str(used) for used in stored.get("uses", ())),
        figure=stored.get("figure"),
        resolution=None if resolution is None else float(resolution),
    )

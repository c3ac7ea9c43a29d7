"""What a page shows of each result of a run's JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vaetheory.checking.runner import Result
from vaetheory.report.document import result_of


@dataclass(frozen=True)
class Entry(Result):
    """A result, read back from JSON, with the sentence that it is about.

    Attributes
    ----------
    statement : str
        TeX; empty where the document is older than statements in it.
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
        """Controls that were refuted."""
        return sum(control.refuted for control in self.controls)

    @property
    def margin(self) -> float:
        """Residual over bound."""
        return ratio(self.residual, self.bound)


def ratio(residual: float, bound: float) -> float:
    """Residual over bound; nothing over nothing is nothing.

    Examples
    --------
    >>> ratio(0.0, 0.0), ratio(1.0, 0.0), ratio(1.0, 2.0)
    (0.0, inf, 0.5)
    """
    if residual == 0:
        return 0.0
    return residual / bound if bound else math.inf


def entries(document: Mapping[str, Any]) -> list[Entry]:
    """The results of a run's JSON document, in its order."""
    return [_entry(result) for result in document["results"]]


def _entry(told: Mapping[str, Any]) -> Entry:
    result, resolution = result_of(told), told.get("resolution")
    return Entry(
        **{field.name: getattr(result, field.name) for field in fields(result)},
        statement=str(told.get("statement", "")),
        hypotheses=tuple((str(name), str(tex)) for name, tex in told.get("hypotheses", ())),
        uses=tuple(str(used) for used in told.get("uses", ())),
        figure=told.get("figure"),
        resolution=None if resolution is None else float(resolution),
    )

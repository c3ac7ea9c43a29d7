"""What a page shows of each result of a run's JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaetheory.claims.runner import CONTROL_SURVIVED, INCONCLUSIVE, REFUTED

#: Verdicts that are failures; every other is a confirmation or better.
FAILURES = frozenset((REFUTED, INCONCLUSIVE, CONTROL_SURVIVED))


@dataclass(frozen=True)
class ControlEntry:
    """A wrong version, and what became of it."""

    name: str
    refuted: bool
    residual: float
    bound: float
    instance: str


@dataclass(frozen=True)
class Entry:
    """A result as a page shows it; numbers are numbers again.

    Attributes
    ----------
    label, claim, title, kind, verdict : str
    residual, bound, seconds : float
    terms : mapping of str to float
    instances : int
    worst_instance : str
    controls : tuple of ControlEntry
    findings : tuple of str
    message : str
    statement : str
        TeX; empty where the document is older than statements in it.
    hypotheses : tuple of (name, TeX)
    uses : tuple of str
    figure : str or None
    resolution : float or None
    """

    label: str
    claim: str
    title: str
    kind: str
    verdict: str
    residual: float
    bound: float
    seconds: float
    terms: Mapping[str, float]
    instances: int
    worst_instance: str
    controls: tuple[ControlEntry, ...]
    findings: tuple[str, ...]
    message: str
    statement: str
    hypotheses: tuple[tuple[str, str], ...]
    uses: tuple[str, ...]
    figure: str | None
    resolution: float | None

    @property
    def good(self) -> bool:
        """Whether it was confirmed, or better, and every control refuted."""
        return self.verdict not in FAILURES

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


def _entry(result: Mapping[str, Any]) -> Entry:
    controls = tuple(
        ControlEntry(
            name=str(control["name"]),
            refuted=bool(control["refuted"]),
            residual=float(control["residual"]),
            bound=float(control["bound"]),
            instance=str(control["instance"]),
        )
        for control in result["controls"]
    )
    resolution = result.get("resolution")
    return Entry(
        label=str(result["label"]),
        claim=str(result["claim"]),
        title=str(result["title"]),
        kind=str(result["kind"]),
        verdict=str(result["verdict"]),
        residual=float(result["residual"]),
        bound=float(result["bound"]),
        seconds=float(result["seconds"]),
        terms={str(name): float(value) for name, value in result["terms"].items()},
        instances=int(result["instances"]),
        worst_instance=str(result["worst_instance"]),
        controls=controls,
        findings=tuple(str(finding) for finding in result["findings"]),
        message=str(result["message"]),
        statement=str(result.get("statement", "")),
        hypotheses=tuple((str(n), str(tex)) for n, tex in result.get("hypotheses", ())),
        uses=tuple(str(used) for used in result.get("uses", ())),
        figure=result.get("figure"),
        resolution=None if resolution is None else float(resolution),
    )

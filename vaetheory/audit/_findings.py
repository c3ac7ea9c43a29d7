"""What an audit finds: one sentence, one number, and what to change."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from vaetheory._value_equality import ByValue

WRONG, BOUND, NOTE = "wrong", "bound", "note"
SEVERITIES = (WRONG, BOUND, NOTE)


@dataclass(frozen=True, eq=False)
class Finding(ByValue):
    """One fact about a loss that differs from the declared ELBO, or should be known.

    Attributes
    ----------
    code : str
        A short name, such as "kl.logvar-as-logstd", for programs.
    sentence : str
        What was found, in words, with its numbers.
    severity : str
        "wrong": what is minimised, sampled or reported is not what was declared. "bound": training
        is not affected, but the value is no bound of the log evidence. "note": worth knowing.
    number : float
        The number on which the finding rests; `meaning` says how anybody can compute it again.
    meaning : str
        What the number is.
    change : str
        What to change in the code, or in the declaration.

    Examples
    --------
    >>> from vaetheory.audit import Finding
    >>> Finding("kl.missing", "the loss has no KL term", "wrong", 0.0, "its coefficient", "add it")
    Finding('kl.missing', 'wrong', number=0)
    """

    code: str
    sentence: str
    severity: str
    number: float
    meaning: str
    change: str

    def as_dict(self) -> dict[str, object]:
        """The finding for JSON; numbers that are not finite become None."""
        made = asdict(self)
        if not np.isfinite(self.number):
            made["number"] = None
        return made

    def __repr__(self) -> str:
        return f"Finding({self.code!r}, {self.severity!r}, number={self.number:.10g})"


class Findings:
    """A list of findings in which each code stands once."""

    def __init__(self) -> None:
        self._of: dict[str, Finding] = {}

    def add(
        self, code: str, severity: str, number: float, meaning: str, sentence: str, change: str
    ) -> None:
        """Add a finding unless its code is there already."""
        self.include(Finding(code, sentence, severity, float(number), meaning, change))

    def include(self, finding: Finding) -> None:
        """Add a finding unless its code is there already."""
        self._of.setdefault(finding.code, finding)

    def drop(self, code: str) -> None:
        """Take a finding back, where a more exact one takes its place."""
        self._of.pop(code, None)

    def __contains__(self, code: str) -> bool:
        return code in self._of

    def begins(self, prefix: str) -> bool:
        """Whether a code begins with a prefix."""
        return any(code.startswith(prefix) for code in self._of)

    def sorted(self) -> tuple[Finding, ...]:
        """All of them, the most severe first."""
        return tuple(sorted(self._of.values(), key=lambda f: SEVERITIES.index(f.severity)))

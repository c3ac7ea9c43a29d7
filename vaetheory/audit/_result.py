"""The result of an audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaetheory._numbers_as_text import rounded_up
from vaetheory._value_equality import ByValue
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Finding
from vaetheory.audit._tables import paragraph, table

IS, IS_NOT, UNDECIDED = "is", "is not", "undecided"
_OPENING = {
    IS: "this is the ELBO of the declared model",
    IS_NOT: "is not: ",
    UNDECIDED: "cannot be decided: ",
}
_HEADINGS = {
    WRONG: "Wrong",
    BOUND: "Harmless for training, but no bound",
    NOTE: "Notes",
}


@dataclass(frozen=True, eq=False)
class Audit(ByValue):
    """What an audit has found.

    Attributes
    ----------
    status : str
        "is", "is not" or "undecided": whether the loss is the ELBO of the declared model, up to a
        constant and a factor that its findings name.
    verdict : str
        The same as a sentence: "this is the ELBO of the declared model", perhaps with what must be
        added, "is not: ..." or "cannot be decided: ...".
    findings : tuple of Finding
        The most severe first.
    coefficients : mapping
        The terms of the loss with their weights, without the reduction over the batch. `R` is the
        declared -log p(x given z) and `KL` the declared divergence, in nats an example. "sampled
        z" and "sampled e" have the mean 0: with 1 and -1 the divergence is estimated by one sample.
        Otherwise single terms: `m` and `v` are means and log variances of the posterior in units of
        the prior, `z` the latents and `e` the noise.
    residual : float
        What these terms do not explain, as a share of the spread of the loss over all parameters,
        data and noise that were tried.
    beta : float or None
        The effective weight of the divergence, in units of the reconstruction term.
    facts : mapping
        What else was measured.

    Examples
    --------
    >>> from vaetheory.audit import Audit
    >>> made = Audit("is", (), {"R": 1.0, "KL": 1.0}, 2e-14, 1.0, {})
    >>> made.verdict
    'this is the ELBO of the declared model'
    >>> print(made)
    This is the ELBO of the declared model.
    <BLANKLINE>
    The loss is, to 2e-14 of its spread:
      R   1
      KL  1
    effective beta 1
    """

    status: str
    findings: tuple[Finding, ...]
    coefficients: Mapping[str, float]
    residual: float
    beta: float | None
    facts: Mapping[str, Any]
    reason: str = field(default="")

    @property
    def verdict(self) -> str:
        """The verdict as a sentence."""
        opening = _OPENING[self.status]
        if self.status == IS:
            return f"{opening}{self.reason}"
        return f"{opening}{self.reason}"

    def _of(self, severity: str) -> list[Finding]:
        return [f for f in self.findings if f.severity == severity]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings."""
        return tuple(f.code for f in self.findings)

    @property
    def exit_status(self) -> int:
        """0: the ELBO, and nothing is wrong. 1: something is wrong. 2: it could not be decided."""
        if self.status == UNDECIDED:
            return 2
        return 1 if self.status == IS_NOT or self._of(WRONG) else 0

    def to_json(self) -> str:
        """The audit as JSON: verdict, findings, coefficients, residual, beta and facts."""
        document = {
            "verdict": self.verdict,
            "status": self.status,
            "findings": [f.as_dict() for f in self.findings],
            "coefficients": dict(self.coefficients),
            "residual": self.residual,
            "beta": self.beta,
            "facts": dict(self.facts),
        }
        return json.dumps(_plain(document), indent=2, ensure_ascii=False)

    def __repr__(self) -> str:
        lines = paragraph(self.verdict[0].upper() + self.verdict[1:] + ".")
        number = 0
        for severity, heading in _HEADINGS.items():
            those = self._of(severity)
            if those:
                lines += ["", f"{heading}:"]
            for f in those:
                number += 1
                first = f"{number}. "
                lines += paragraph(f"[{f.code}] {f.sentence}.", first=first)
                lines += paragraph(
                    f"Number: {f.number:.10g} ({f.meaning}).", first=" " * len(first)
                )
                lines += paragraph(f"Change: {f.change}.", first=" " * len(first))
        if self.coefficients:
            lines += ["", f"The loss is, to {self.residual:.0e} of its spread:"]
            lines += table([[name, f"{c:.10g}"] for name, c in self.coefficients.items()])
        if self.beta is not None:
            lines.append(f"effective beta {self.beta:.10g}")
        lines += _gap(self.facts.get("evidence"))
        return "\n".join(lines)

    __str__ = __repr__


def _gap(evidence: Any) -> list[str]:
    """The split of the gap, as a table."""
    if not isinstance(evidence, Mapping) or "gap" not in evidence:
        return []
    lines = ["", "Against the exact evidence (means in nats an example):"]
    rows = [["-log p(x)", f"{evidence['negative_log_evidence']:.6g}"]]
    rows += [["the declared loss", f"{evidence['loss']:.6g}"]]
    rows += [[f"  {part['name']}", _gap_text(part), part["why"]] for part in evidence["gap"]]
    lines += table(rows)
    if evidence.get("gains"):
        lines += ["", "What would gain how much, with the decoder as it is (nats an example):"]
        rows = [[g["change"], f"{g['text']} ({g['proposition']})"] for g in evidence["gains"]]
        lines += table(rows)
    if "assumed" in evidence:
        lines += paragraph(f"It is assumed that {evidence['assumed']}.", first="  ")
    return lines


def _gap_text(part: Mapping[str, Any]) -> str:
    """A part of the gap, with its error where that can be seen."""
    nats, error = part["nats"], part["error"]
    if not abs(nats) > 2 * error:
        return f"below {rounded_up(abs(nats) + error, digits=1)}"
    return f"{nats:.3g}"


def _plain(value: Any) -> Any:
    """A value for JSON; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value

"""The verdict on a loss, from what was found."""

from __future__ import annotations

from typing import Any

from vaetheory.audit._by_size import by_size
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import BOUND, WRONG, Findings
from vaetheory.audit._result import IS, IS_NOT, UNDECIDED, Audit

#: Notes that say that the loss is another objective.
_OTHER = ("outside.penalty", "outside.importance-bound", "outside.capacity")
#: Findings about what stands around the loss: the loss may be right.
_AROUND = ("encoder.logvar", "encoder.mean", "data.", "sample.", "iwae.", "bpd.", "reported.")

#: Notes that say that the law of the noise is known from samples alone.
_SAMPLED = ("noise.untapped", "noise.sampled-law")


def verdict(found: Examined, findings: Findings, facts: dict[str, Any], beta: float) -> Audit:
    """The result of an audit."""
    those = findings.sorted()
    wrong = [f for f in those if f.severity == WRONG]
    about_loss = [f for f in wrong if not f.code.startswith(_AROUND)]
    undecided = [f for f in those if f.code.startswith("undecided.")]
    penalty = [f for f in those if f.code in _OTHER]
    bound = [f for f in those if f.severity == BOUND and not f.code.startswith(_AROUND)]
    status, reason = IS, ""
    if about_loss or penalty:
        status = IS_NOT
        reason = "; ".join(f.sentence for f in (about_loss or penalty)[:3])
    elif undecided:
        status, reason = UNDECIDED, "; ".join(f.sentence for f in undecided)
    else:
        parts = []
        if beta != 1:
            parts.append(f", with the declared beta {beta:g}")
        if bound:
            parts.append("; no bound as it stands: " + "; ".join(f.sentence for f in bound))
        around = [f for f in wrong if f.code.startswith(_AROUND)]
        if around:
            parts.append("; but: " + "; ".join(f.sentence for f in around))
        for f in those:
            if f.code in _SAMPLED:
                parts.append(f"; if its noise is N(0, I), of which only samples tell ({f.code})")
        if any(f.code.startswith("kl.free-bits") for f in those):
            parts.append(", with free bits")
        reason = "".join(parts)
    if found.identity.found:
        facts["by batch size"] = by_size(found.identity, found.reading, found.shots)
    return Audit(
        status,
        those,
        dict(found.reading.terms),
        found.identity.residual,
        found.reading.beta,
        facts,
        reason,
    )

"""What is said of a loss for which there is no equation."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory.audit._coupling import coupled
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings


def unexplained(
    bench: Any, found: Examined, findings: Findings, facts: dict[str, Any], at: str, slack: float
) -> None:
    """Say what is known of a loss that is no combination of known terms."""
    if findings.begins("state.random"):
        return
    defect = None if bench.fixed else coupled(bench)
    facts["defect of the batch"] = defect
    residual = found.identity.residual
    if not np.isfinite(residual):
        findings.add(
            "undecided.overflow",
            NOTE,
            max(float(np.abs(s.values).max()) for of in found.shots.values() for s in of),
            "the largest loss that was seen",
            f"the loss is too large to be compared, or not finite{at}, wherever it was tried",
            "clamp log variances, or audit a module with smaller weights",
        )
        return
    if defect is not None and defect > 1e-8 * slack:
        findings.add(
            "outside.coupled",
            WRONG,
            defect,
            "|l(a, b) - (l(a, a) + l(b, b))/2| over the size of the loss",
            f"the loss of an example depends on the others in its batch{at} (relative defect "
            f"{defect:.2g}): statistics of the batch, or a term such as MMD, TC or a clamp of "
            "a mean. This is not the ELBO of the declared model; it may be what is meant",
            "nothing, if another objective is meant; otherwise compute each example alone",
        )
        return
    findings.add(
        "outside.unexplained",
        WRONG,
        residual,
        "the part of the loss that no combination of known terms explains",
        f"no combination of the known terms gives this loss{at} (residual {residual:.2g} of "
        "its spread): it is not the ELBO of the declared model. It may be another objective, "
        "or `encode`, `decode` and `likelihood` are not what the loss uses",
        "declare what the loss uses; flows, learned priors, hierarchies and adversaries are "
        "outside of what can be recognised",
    )

"""What is told of the measures of a task: means over its held-out data, with their errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds import Bracket
from vaetheory.rounding import gamma
from vaetheory.training.measures import UNRESOLVED, Measures


def summary(measures: Measures, shift: float) -> dict[str, Any]:
    """Means over the test data, with the error of the computation and of the choice of data.

    To log densities, in nats, `shift` is added.
    """
    count = len(measures.elbo)

    def of(values: Array, error: Array | None = None, add: float = 0.0) -> dict[str, float]:
        entry = {"mean": float(values.mean()) + add}
        entry["standard_error"] = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else 0.0
        if error is not None:
            entry["sampling_error"] = float(np.sqrt((error**2).sum()) / count)
        return entry

    elbo, importance = measures.elbo, measures.importance
    told: dict[str, Any] = {
        "elbo": of(elbo, measures.elbo_error, shift),
        "importance": of(importance, measures.importance_error, shift),
        "rate": of(measures.rate),
        "distortion": of(measures.distortion, measures.elbo_error, -shift),
        "median_effective_draws": float(np.median(measures.effective)),
    }
    # The bound uses the same draws as the ELBO. It can still be below the ELBO, by rounding and
    # because the divergence of the ELBO is in closed form.
    errors = measures.elbo_error + measures.importance_error + gamma(20) * np.abs(elbo)
    tiny = float(np.finfo(float).tiny)
    excess = float(((elbo - importance) / np.maximum(errors, tiny)).max())
    told["elbo_above_importance_in_errors"] = excess
    if measures.estimates is not None:
        told["estimates"] = _each(measures, measures.estimates, shift)
    evidence, evidence_error = measures.evidence, measures.evidence_error
    if evidence is not None and evidence_error is not None:
        unresolved = np.flatnonzero(evidence_error > UNRESOLVED)
        told["unresolved"] = unresolved.size
        if unresolved.size:
            # Indices into the test data. A mean over the rest would be one of other data.
            told["unresolved_data"] = unresolved.tolist()
            return told
        told["evidence"] = of(evidence, None, shift)
        told["evidence"] |= {"error": float(evidence_error.max()), "apart": measures.apart}
        told["order"] = {
            # By Markov's inequality exp(importance - evidence) exceeds 1 / p with probability p.
            "importance_above_evidence": float((importance - evidence).max()),
            "elbo_above_evidence_in_errors": float(
                ((elbo - evidence) / (measures.elbo_error + evidence_error)).max()
            ),
            "largest_gap_of_importance": float((evidence - importance).max()),
            "mean_gap_of_elbo": float((evidence - elbo).mean()),
        }
    return told


def _each(measures: Measures, found: Bracket, shift: float) -> dict[str, Any]:
    """The estimates of some of the data, one by one, and what else is known of these data."""

    def known(values: Array) -> list[float | None]:
        return [float(v) if np.isfinite(v) else None for v in values]

    count = len(found.value)
    some = np.s_[:count]
    return {
        "status": found.status.tolist(),
        # What is known in closed form lacks nothing.
        "reason": np.asarray(found.diagnostics.get("reason", [""] * count)).tolist(),
        "value": known(found.value + shift),
        "error": known(found.error),
        "lower": known(found.lower + shift),
        "confidence": found.confidence,
        "importance": known(measures.importance[some] + shift),
        "importance_error": known(measures.importance_error[some]),
        "elbo": known(measures.elbo[some] + shift),
        "evaluations": found.evaluations,
    }

"""Tables of the results of an experiment: means over seeds, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetheory._validation import require, sequence
from vaetheory._value_equality import ByValue
from vaetheory.training.objectives import IMAGE_OBJECTIVES
from vaetheory.training.statistics import Interval, confidence_interval

#: The objective with which the others are compared.
REFERENCE = "half"
MEASURES = ("elbo", "importance", "evidence", "rate", "distortion")


@dataclass(frozen=True, eq=False)
class Row(ByValue):
    """One objective at one scale.

    Attributes
    ----------
    objective : str
    scale : float
    outputs : int
        The number of outputs of both networks.
    measures : mapping of str to Interval
        Means over seeds of the means over held-out data.
    behind : mapping of str to Interval
        How far it is behind the half-network: the paired difference half - this, over the seeds
        that both have; empty for the half-network.
    elsewhere : mapping of str to Interval
        The same differences with intervals that hold for other data sets of this size.
    """

    objective: str
    scale: float
    outputs: int
    measures: Mapping[str, Interval]
    behind: Mapping[str, Interval]
    elsewhere: Mapping[str, Interval]


def _values(results: Iterable[Mapping[str, Any]], measure: str) -> dict[int, float]:
    """Means over the held-out data, by seed."""
    entries = {r["seed"]: r["measures"].get(measure) for r in results}
    return {seed: entry["mean"] for seed, entry in entries.items() if entry is not None}


def checked_results(results: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return results of an experiment, or raise a ValueError if there are none, or others."""
    results = sequence("results", results)
    for number, result in enumerate(results):
        require(f"results[{number}]", result, Mapping, "a result of run_task")
        missing = {"scale", "objective", "seed", "measures", "sizes", "outputs"} - result.keys()
        if missing:
            raise ValueError(
                f"results[{number}]: expected a result of run_task, got one without "
                f"{', '.join(sorted(missing))}"
            )
    if not results:
        raise ValueError("results: expected at least one, got none")
    return results


def table(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows, scale by scale, for results of an experiment as `experiment.run` yields them.

    Raises
    ------
    ValueError
        If there are no results, or one of them is not a result of `run_task`.

    Examples
    --------
    >>> shared = {"scale": 1.0, "sizes": [70, 10, 20], "outputs": [2, 3]}
    >>> results = [
    ...     {"objective": name, "seed": seed, "measures": {"elbo": {"mean": value}}, **shared}
    ...     for name, seed, value in [("half", 0, 3.0), ("half", 1, 5.0), ("bilbo", 0, 2.0),
    ...                               ("bilbo", 1, 3.0)]
    ... ]
    >>> table(results)[0].behind["elbo"].mean
    1.5
    """
    results = checked_results(results)
    rows = []
    for scale in sorted({r["scale"] for r in results}):
        here = [r for r in results if r["scale"] == scale]
        reference = [r for r in here if r["objective"] == REFERENCE]
        for name in IMAGE_OBJECTIVES:
            own = [r for r in here if r["objective"] == name]
            if not own:
                continue
            train, _, test = own[0]["sizes"]
            measures, behind, elsewhere = {}, {}, {}
            for measure in MEASURES:
                values = _values(own, measure)
                if not values:
                    continue
                measures[measure] = confidence_interval(list(values.values()))
                others = _values(reference, measure)
                both = sorted(set(values) & set(others))
                if name != REFERENCE and both:
                    differences = np.array([others[s] - values[s] for s in both])
                    behind[measure] = confidence_interval(differences)
                    elsewhere[measure] = confidence_interval(differences, overlap=test / train)
            rows.append(Row(name, scale, sum(own[0]["outputs"]), measures, behind, elsewhere))
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown: mean and half the width of the 95 % interval, in nats a datum.

    If some seeds have no value of a measure, its cell says how many have one.
    """
    shown = [m for m in MEASURES if any(m in r.measures for r in rows)]
    head = ["objective", "scale", "outputs", *shown]
    compared = [m for m in shown if m in ("elbo", "importance", "evidence")]
    head += [f"half ahead in {m}" for m in compared]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        cells = [row.objective, f"{row.scale:g}", str(row.outputs)]
        seeds = max((mean.count for mean in row.measures.values()), default=0)
        cells += [interval_text(row.measures.get(m), seeds) for m in shown]
        cells += [interval_text(row.behind.get(m), seeds) for m in compared]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def interval_text(mean: Interval | None, seeds: int = 0) -> str:
    """A mean and half the width of its interval; it says so where it has fewer than `seeds`."""
    if mean is None:
        return ""
    few = f" ({mean.count} of {seeds} seeds)" if mean.count < seeds else ""
    if mean.count == 1:
        return f"{mean.mean:.2f}{few}"
    return f"{mean.mean:.2f} ± {(mean.high - mean.low) / 2:.2f}{few}"


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values for JSON; the ends of an interval of one seed are None."""

    def ends(mean: Interval) -> dict[str, Any]:
        known = mean.count > 1
        return {
            "mean": mean.mean,
            "low": mean.low if known else None,
            "high": mean.high if known else None,
            "seeds": mean.count,
        }

    return [
        {
            "objective": row.objective,
            "scale": row.scale,
            "outputs": row.outputs,
            "measures": {m: ends(v) for m, v in row.measures.items()},
            "half_ahead": {m: ends(v) for m, v in row.behind.items()},
            "half_ahead_elsewhere": {m: ends(v) for m, v in row.elsewhere.items()},
        }
        for row in rows
    ]

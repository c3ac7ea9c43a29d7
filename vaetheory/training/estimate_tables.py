"""Tables of estimated evidences beside importance-weighted bounds, on the same held-out data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.bounds.bracket import BRACKETED, ESTIMATED
from vaetheory.training.objectives import IMAGE_OBJECTIVES
from vaetheory.training.statistics import Interval, confidence_interval
from vaetheory.training.tables import REFERENCE, checked_results, interval_text

_HEADINGS = (
    "objective", "scale", "with a value", "importance", "estimate", "stated error",
    "estimate - importance", "greatest", "at least", "half ahead in importance",
    "half ahead in estimate", "change of the lead",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class EstimateRow(ByValue):
    """Estimated evidences of one objective at one scale; in nats.

    Means are over the data with a value, first of each seed and then over the seeds that have one.

    Attributes
    ----------
    objective : str
    scale : float
    count : int
        Number of data whose evidence was to be estimated, over all seeds.
    reasons : mapping of str to int
        What the estimates without a value lack, and how many of them.
    importance, estimate : Interval or None
        Means on the same data; None if no datum has a value.
    error : float or None
        The mean of the stated errors.
    above : Interval or None
        Estimate minus importance-weighted bound.
    greatest : float or None
        The greatest of these differences.
    lower : Interval or None
        Mean over *all* data, with a value or not, of the lower bounds that hold at their
        confidence; None if one of them is infinite.
    behind : mapping of str to Interval
        "importance" and "estimate": the paired difference half - this on data that have a value
        under both objectives, and "change": the second minus the first. Empty for the half-network
        and if no datum has both.
    pairs : int
        Number of these data.
    """

    objective: str
    scale: float
    count: int
    reasons: Mapping[str, int]
    importance: Interval | None
    estimate: Interval | None
    error: float | None
    above: Interval | None
    greatest: float | None
    lower: Interval | None
    behind: Mapping[str, Interval]
    pairs: int


@dataclass(frozen=True, eq=False)
class _Data:
    """What one task knows of its data, NaN where there is nothing."""

    good: NDArray[np.bool_]
    arrays: Mapping[str, Array]
    reasons: Sequence[str]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> _Data:
        entry = result["measures"]["estimates"]
        names = ("importance", "value", "error", "lower")
        arrays = {name: np.array(entry[name], dtype=np.float64) for name in names}
        good = np.isin(entry["status"], (ESTIMATED, BRACKETED))
        return cls(good, arrays, entry["reason"])

    def mean(self, name: str, rows: NDArray[np.bool_]) -> float | None:
        return float(self.arrays[name][rows].mean()) if rows.any() else None


def estimate_table(results: Sequence[Mapping[str, Any]]) -> list[EstimateRow]:
    """The rows, scale by scale, for results of an experiment with `estimates`.

    A value counts only where its status is "estimated" (or "bracketed"). What has none is counted,
    and enters nothing but the lower bound: if there are many, the means are those of easier data.

    Parameters
    ----------
    results : sequence of mapping
        As `run_experiment` yields them; those without estimates are left out.

    Raises
    ------
    ValueError
        If there are no results, or one of them is not a result of `run_task`.

    Examples
    --------
    >>> def result(name, value, status):
    ...     entry = {"status": status, "reason": ["", "scout"], "value": value, "error": [0.1, 0.1],
    ...              "lower": [0.0, 1.0], "importance": [1.0, 2.0]}
    ...     return {"objective": name, "seed": 0, "scale": 1.0, "sizes": [70, 10, 20],
    ...             "outputs": [2, 3], "measures": {"estimates": entry}}
    >>> good, bad = "estimated", "unresolved"
    >>> rows = estimate_table(
    ...     [result("half", [3.0, 4.0], [good, good]), result("bilbo", [1.5, None], [good, bad])]
    ... )
    >>> rows[0].behind["estimate"].mean, rows[0].pairs, dict(rows[0].reasons)
    (1.5, 1, {'scout': 1})
    """
    found = [r for r in checked_results(results) if "estimates" in r["measures"]]
    rows = []
    for scale in sorted({r["scale"] for r in found}):
        here = [r for r in found if r["scale"] == scale]
        of = {(r["objective"], r["seed"]): _Data.of(r) for r in here}
        for name in IMAGE_OBJECTIVES:
            own = {seed: data for (other, seed), data in of.items() if other == name}
            if own:
                reference = {s: of[REFERENCE, s] for s in own if (REFERENCE, s) in of}
                rows.append(_row(name, scale, own, reference))
    return rows


def _row(
    name: str, scale: float, own: Mapping[int, _Data], reference: Mapping[int, _Data]
) -> EstimateRow:
    parts = list(own.values())
    known = np.concatenate([p.good for p in parts])
    gaps = np.concatenate([p.arrays["value"] - p.arrays["importance"] for p in parts])[known]
    errors = np.concatenate([p.arrays["error"] for p in parts])[known]
    reasons = Counter(
        r for p in parts for r, good in zip(p.reasons, p.good, strict=True) if not good
    )

    def over(measure: str) -> Interval | None:
        means = [m for p in parts if (m := p.mean(measure, p.good)) is not None]
        return confidence_interval(means) if means else None

    above = [
        g for p in parts if (g := _difference(p, "value", p, "importance", p.good)) is not None
    ]
    everything = [p.mean("lower", np.ones_like(p.good)) for p in parts]
    lows = [m for m in everything if m is not None and np.isfinite(m)]
    behind: dict[str, Interval] = {}
    both = {s: own[s].good & data.good for s, data in reference.items()}
    both = {s: rows for s, rows in both.items() if rows.any()}
    if name != REFERENCE and both:
        differences = {
            key: np.array([_difference(reference[s], m, own[s], m, both[s]) for s in both])
            for key, m in (("importance", "importance"), ("estimate", "value"))
        }
        differences["change"] = differences["estimate"] - differences["importance"]
        behind = {key: confidence_interval(values) for key, values in differences.items()}
    return EstimateRow(
        objective=name,
        scale=scale,
        count=len(known),
        reasons=dict(reasons),
        importance=over("importance"),
        estimate=over("value"),
        error=float(errors.mean()) if errors.size else None,
        above=confidence_interval(above) if above else None,
        greatest=float(gaps.max()) if gaps.size else None,
        lower=confidence_interval(lows) if len(lows) == len(parts) else None,
        behind=behind,
        pairs=int(sum(rows.sum() for rows in both.values())) if behind else 0,
    )


def _difference(
    one: _Data, first: str, other: _Data, second: str, rows: NDArray[np.bool_]
) -> float | None:
    """Mean of a measure minus another, over some of the data."""
    off = one.arrays[first][rows] - other.arrays[second][rows]
    return float(off.mean()) if off.size else None


def estimate_markdown(rows: Sequence[EstimateRow]) -> str:
    """The table in Markdown: means and half the widths of their 95 % intervals over the seeds.

    Where some data have no value, the second column says what they lack, and the columns that
    compare say on how many data they do.
    """
    lines = ["| " + " | ".join(_HEADINGS) + " |", "| --- " * len(_HEADINGS) + "|"]
    for row in rows:
        known = row.count - sum(row.reasons.values())
        lacking = ", ".join(f"{word}: {n}" for word, n in sorted(row.reasons.items()))
        few = f" ({row.pairs} data)" if row.behind and row.pairs < row.count else ""
        cells = [
            row.objective,
            f"{row.scale:g}",
            f"{known} of {row.count}" + (f" ({lacking})" if lacking else ""),
            *(interval_text(x) for x in (row.importance, row.estimate)),
            "" if row.error is None else f"{row.error:.2g}",
            interval_text(row.above),
            "" if row.greatest is None else f"{row.greatest:.2f}",
            interval_text(row.lower),
            *(
                interval_text(row.behind.get(key)) + (few if key in row.behind else "")
                for key in ("importance", "estimate", "change")
            ),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"

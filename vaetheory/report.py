"""Results as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaetheory.claims.runner import ControlResult, Result
from vaetheory.environment import environment


def line(result: Result) -> str:
    """One line for one proposition.

    Examples
    --------
    >>> from vaetheory import verify
    >>> line(next(verify("1b"))).split()[:2]
    ['confirmed', '1b']
    """
    refuted = sum(c.refuted for c in result.controls)
    return (
        f"{result.verdict:<16} {result.label:<12} residual {result.residual:8.1e}  "
        f"bound {result.bound:8.1e}  {result.instances:>4} instances  "
        f"{refuted}/{len(result.controls)} controls refuted  {result.seconds:6.1f} s  "
        f"{result.title}"
    )


def details(result: Result) -> list[str]:
    """What a reader wants under the line: findings, and for a failure its reason and instance."""
    out = [f"    found: {finding}" for finding in result.findings]
    if not result.confirmed:
        out += [f"    why: {result.message}", f"    instance: {result.instance!r}"]
    return out


def summary(results: Sequence[Result]) -> str:
    """The closing line of a run."""
    good = sum(r.confirmed for r in results)
    controls = [c for r in results for c in r.controls]
    refuted = sum(c.refuted for c in controls)
    return (
        f"{good} of {len(results)} propositions confirmed, {refuted} of {len(controls)} wrong "
        f"versions refuted, {sum(r.instances for r in results)} instances, "
        f"{sum(r.seconds for r in results):.1f} s of work"
    )


def as_json(results: Sequence[Result], *, profile: str, seed: int) -> dict[str, Any]:
    """The JSON document of a run; numbers that are not finite become strings."""
    return {
        "results": [_finite(r.as_dict()) for r in results],
        "environment": environment(),
        "profile": profile,
        "seed": seed,
    }


def _finite(value: Any) -> Any:
    """`value` with every float that JSON cannot hold as its name."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value


def read_results(path: Path, *, profile: str, seed: int) -> dict[str, Result]:
    """The results, by label, of an earlier run of the same kind; instances are their text.

    Raises
    ------
    ValueError
        If the file is not a run's JSON, or of another profile, seed or environment.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        came = {key: document[key] for key in ("profile", "seed", "environment")}
        results = [_from_dict(entry) for entry in document["results"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the JSON of an earlier run, got {type(error).__name__}: {error}"
        ) from None
    wanted = {"profile": profile, "seed": seed, "environment": environment()}
    for key, value in wanted.items():
        if came[key] != value:
            raise ValueError(f"{path}: expected a run of {key} {value}, got {came[key]}")
    return {r.label: r for r in results}


def _from_dict(entry: dict[str, Any]) -> Result:
    """The inverse of `Result.as_dict`, but for instances, which stay text."""
    controls = tuple(ControlResult(**control) for control in entry["controls"])
    changed = {
        "residual": float(entry["residual"]),
        "bound": float(entry["bound"]),
        "instance": Text(entry["worst_instance"]),
        "controls": controls,
        "findings": tuple(entry["findings"]),
    }
    kept = {k: v for k, v in entry.items() if k != "worst_instance"}
    return Result(**(kept | changed))


class Text(str):
    """An instance that is known by its text only: it is shown as it is."""

    __slots__ = ()
    __repr__ = str.__str__

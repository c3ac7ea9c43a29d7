"""The JSON document of a run: written, read back, and gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from vaetheory._documents import read_json, sealed, unsealed
from vaetheory._environment import environment
from vaetheory.checking.claim import Claim, Proposition
from vaetheory.checking.runner import ControlResult, Result
from vaetheory.report._form import RUN, check

#: What a result has.
_FIELDS = tuple(f.name for f in fields(Result) if f.name != "instance")


def as_json(
    results: Sequence[Result],
    *,
    profile: str,
    seed: int,
    claims: Sequence[Claim] | None = None,
) -> dict[str, Any]:
    """The JSON document of a run; numbers that are not finite become strings.

    It has a digest of all the rest of it, without which it is not read back: `documents.sealed`
    gives another one to a document that is meant to be changed.

    Each result carries what a report shows beside it: the proposition's statement and hypotheses
    in TeX, what it uses, its figure and its resolution.

    Parameters
    ----------
    results : sequence of Result
    profile, seed : str, int
        Of the run.
    claims : sequence of Claim, optional
        The registry that was run; `CLAIMS` by default.

    Examples
    --------
    >>> from vaetheory import verify
    >>> document = as_json(list(verify("1b")), profile="quick", seed=0)
    >>> document["results"][0]["uses"], document["claims"][0]["label"]
    (['1a'], 'optimal-decoder')
    """
    from vaetheory.claims import CLAIMS

    registry = CLAIMS if claims is None else claims
    known = {p.label: p for c in registry for p in c.propositions}
    shown = {r.claim for r in results}
    return sealed(
        {
            "results": [_finite(r.as_dict() | _sentence(known.get(r.label))) for r in results],
            "claims": [
                {"label": c.label, "title": c.title, "source": c.source}
                for c in registry
                if c.label in shown
            ],
            "environment": environment(),
            "profile": profile,
            "seed": seed,
        }
    )


def _sentence(proposition: Proposition | None) -> dict[str, Any]:
    """What a reader needs to know of a proposition beside its result."""
    if proposition is None:
        return {}
    return {
        "statement": proposition.statement,
        "hypotheses": [list(hypothesis) for hypothesis in proposition.hypotheses],
        "uses": list(proposition.uses),
        "figure": proposition.figure,
        "resolution": proposition.resolution,
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


def read_document(path: Path) -> dict[str, Any]:
    """The JSON document of an earlier run, as `as_json` made it.

    Raises
    ------
    ValueError
        If the file is not a run's JSON, or not as it was written.
    """
    try:
        document = unsealed(str(path), read_json(path))
        check(document, RUN)
    except ValueError as error:
        told = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: expected the JSON of an earlier run: {told}") from None
    return document


def read_results(path: Path, *, profile: str, seed: int) -> dict[str, Result]:
    """The results, by label, of an earlier run of the same kind; instances are their text.

    Raises
    ------
    ValueError
        If the file is not a run's JSON, or of another profile, seed or environment.
    """
    document = read_document(path)
    came = {key: document[key] for key in ("profile", "seed", "environment")}
    results = [result_of(entry) for entry in document["results"]]
    wanted = {"profile": profile, "seed": seed, "environment": environment()}
    for key, value in wanted.items():
        if came[key] != value:
            raise ValueError(f"{path}: expected a run of {key} {value}, got {came[key]}")
    return {r.label: r for r in results}


def result_of(entry: Mapping[str, Any]) -> Result:
    """The inverse of `Result.as_dict`, but for instances, which stay text."""
    controls = tuple(
        ControlResult(
            name=str(control["name"]),
            refuted=bool(control["refuted"]),
            residual=float(control["residual"]),
            bound=float(control["bound"]),
            instance=Text(control["instance"]),
        )
        for control in entry["controls"]
    )
    changed = {
        "residual": float(entry["residual"]),
        "bound": float(entry["bound"]),
        "terms": {str(name): float(value) for name, value in entry["terms"].items()},
        "instance": Text(entry["worst_instance"]),
        "controls": controls,
        "findings": tuple(str(finding) for finding in entry["findings"]),
        "seconds": float(entry["seconds"]),
    }
    for name in ("label", "claim", "title", "kind", "verdict", "message"):
        changed[name] = str(entry[name])
    kept = {k: v for k, v in entry.items() if k in _FIELDS}
    return Result(**(kept | changed))


class Text(str):
    """An instance that is known by its text only: it is shown as it is."""

    __slots__ = ()
    __repr__ = str.__str__

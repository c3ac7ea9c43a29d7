"""The JSON document of a run: written, read back, resumed."""

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

#: The fields of a result that JSON stores under their own name.
_FIELDS = tuple(f.name for f in fields(Result) if f.name != "instance")


def as_json(
    results: Sequence[Result],
    *,
    profile: str,
    seed: int,
    claims: Sequence[Claim] | None = None,
) -> dict[str, Any]:
    """The JSON document of a run; numbers that are not finite become strings.

    It contains a digest of its content, and a document with a wrong digest is not read back.
    `_documents.sealed` makes a new digest after intentional changes.

    Each result also has what a report shows with it: the proposition's statement and hypotheses in
    TeX, the propositions that it uses, its figure and its resolution.

    Parameters
    ----------
    results : sequence of Result
    profile, seed : str, int
        Those of the run.
    claims : sequence of Claim, optional
        The registry of the run; `CLAIMS` by default.

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
    """What a reader needs to know about a proposition besides its result."""
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
    """`value` with the names of floats that JSON cannot represent."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    return value


def read_document(path: Path) -> dict[str, Any]:
    """Read the JSON document of an earlier run, made by `as_json`.

    Raises
    ------
    ValueError
        If the file is not a run's JSON, or was changed after it was written.
    """
    try:
        document = unsealed(str(path), read_json(path))
        check(document, RUN)
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: expected the JSON of an earlier run: {reason}") from None
    return document


def read_results(path: Path, *, profile: str, seed: int) -> dict[str, Result]:
    """The results, by label, of an earlier run of the same kind; instances are text.

    Raises
    ------
    ValueError
        If the file is not a run's JSON, or has another profile, seed or environment.
    """
    document = read_document(path)
    results = [result_of(entry) for entry in document["results"]]
    expected = {"profile": profile, "seed": seed, "environment": environment()}
    for key, value in expected.items():
        if document[key] != value:
            raise ValueError(f"{path}: expected a run of {key} {value}, got {document[key]}")
    return {r.label: r for r in results}


def result_of(entry: Mapping[str, Any]) -> Result:
    """The inverse of `Result.as_dict`, except that instances remain text."""
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
    converted = {
        "residual": float(entry["residual"]),
        "bound": float(entry["bound"]),
        "terms": {str(name): float(value) for name, value in entry["terms"].items()},
        "instance": Text(entry["worst_instance"]),
        "controls": controls,
        "findings": tuple(str(finding) for finding in entry["findings"]),
        "seconds": float(entry["seconds"]),
    }
    for name in ("label", "claim", "title", "kind", "verdict", "message"):
        converted[name] = str(entry[name])
    stored = {k: v for k, v in entry.items() if k in _FIELDS}
    return Result(**(stored | converted))


class Text(str):
    """An instance of which only the text is known; its repr is that text."""

    __slots__ = ()
    __repr__ = str.__str__

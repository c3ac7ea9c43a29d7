"""The registry as plain data, stored beside it: `vaetheory list` does not have to build it.

The registry is the claims' own definition, and building it loads Hypothesis and half of SciPy.
`python -m vaetheory.cli._index` writes `claims/index.json` anew after a change of a claim; a test
says so when it has not been done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaetheory.checking.claim import Claim

#: The stored index.
INDEX = Path(__file__).parent.parent / "claims" / "index.json"


def stored() -> list[dict[str, Any]]:
    """The claims and their propositions, from the stored index."""
    claims: list[dict[str, Any]] = json.loads(INDEX.read_text(encoding="utf-8"))
    return claims


def current() -> list[dict[str, Any]]:
    """The claims and their propositions, from the registry itself."""
    from vaetheory.claims import CLAIMS

    return described(CLAIMS)


def described(claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """Claims and their propositions as plain data."""
    return [
        {
            "label": claim.label,
            "title": claim.title,
            "source": claim.source,
            "propositions": [
                {
                    "label": p.label,
                    "title": p.title,
                    "kind": p.kind,
                    "statement": p.statement,
                    "hypotheses": [list(hypothesis) for hypothesis in p.hypotheses],
                    "uses": list(p.uses),
                    "controls": [control.name for control in p.controls],
                    "figure": p.figure,
                    "resolution": p.resolution,
                }
                for p in claim.propositions
            ],
        }
        for claim in claims
    ]


def as_text(claims: list[dict[str, Any]]) -> str:
    """Claims as JSON, for machines."""
    return json.dumps(claims, indent=2, ensure_ascii=False)


def write() -> None:
    """Store what the registry says now, whole or not at all."""
    from vaetheory._files import replacing

    text = as_text(current()) + "\n"
    with replacing(INDEX) as draft:
        draft.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()

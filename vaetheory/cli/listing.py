"""`vaetheory list`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from vaetheory.claims import CLAIMS


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the claims and their propositions")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every claim and its propositions."""
    if options.json:
        print(json.dumps(_document(), indent=2, ensure_ascii=False))
        return 0
    widest = max(len(p.label) for claim in CLAIMS for p in claim.propositions)
    for claim in CLAIMS:
        print(f"{claim.label}: {claim.title}")
        for p in claim.propositions:
            print(f"  {p.label:<{widest}}  {p.kind:<14}  {p.title}")
    return 0


def _document() -> list[dict[str, Any]]:
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
        for claim in CLAIMS
    ]

"""`vaetheory list`."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the claims and their propositions")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every claim and its propositions."""
    from vaetheory.cli import _index

    claims = _index.stored()
    if options.json:
        print(_index.as_text(claims))
        return 0
    widest = max(len(p["label"]) for claim in claims for p in claim["propositions"])
    for claim in claims:
        print(f"{claim['label']}: {claim['title']}")
        for p in claim["propositions"]:
            print(f"  {p['label']:<{widest}}  {p['kind']:<14}  {p['title']}")
    return 0

"""`vaetheory list`."""

from __future__ import annotations

import argparse
from typing import Any

from vaetheory.claims import CLAIMS


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the claims and their propositions")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every claim and its propositions."""
    for claim in CLAIMS:
        print(f"{claim.label}: {claim.title}")
        for p in claim.propositions:
            print(f"  {p.label:<12} {p.kind:<14} {p.title}")
    return 0

"""`vaetheory list`."""

from __future__ import annotations

import argparse
from typing import Any

from vaetheory.cli import _asked
from vaetheory.cli._paths import STANDARD, writable, write


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("list", help="list the claims and their propositions")
    parser.add_argument(
        "sources", nargs="*", metavar="CLAIMS",
        help="FILE.py, FILE.py:NAME or package.module:NAME; by default the theorem book and the "
        "claims of installed packages",
    )  # fmt: skip
    parser.add_argument(
        "--json", nargs="?", const=str(STANDARD), metavar="FILE",
        help="write JSON; - or no FILE is standard output",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every claim and its propositions."""
    from vaetheory.cli import _index

    target = writable("--json", options.json)
    claims = _index.described(_loaded(options.sources)) if options.sources else _index.stored()
    if not options.sources:
        claims += _index.described(c for source in _asked.installed() for c in source.claims)
    if target is not None:
        write(target, _index.as_text(claims) + "\n")
    if target is None:
        _print(claims)
    return 0


def _loaded(names: list[str]) -> list[Any]:
    from vaetheory.checking import _sources

    return [claim for name in names for claim in _sources.load(name).claims]


def _print(claims: list[dict[str, Any]]) -> None:
    labels = [p["label"] for claim in claims for p in claim["propositions"]]
    widest = max(map(len, labels), default=0)
    for claim in claims:
        print(f"{claim['label']}: {claim['title']}")
        for p in claim["propositions"]:
            print(f"  {p['label']:<{widest}}  {p['kind']:<14}  {p['title']}")

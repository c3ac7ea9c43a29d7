"""`vaetheory figures`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vaetheory.cli import _progress
from vaetheory.cli._paths import folder


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("figures", help="draw the proof-check figures")
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="a claim, proposition or figure")
    parser.add_argument(
        "--out", default="figures", metavar="DIR", help="folder for the figures (figures)"
    )
    parser.add_argument(
        "--format", default="png", metavar="FORMATS",
        help="png, svg or pdf, or several of them separated by commas (png)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw figures and print the names of the written files."""
    # Matplotlib takes longer to import than everything else.
    from vaetheory.figures import registry

    names = registry.select(options.labels)
    drawing = registry.regenerate(names, Path(options.out), formats=options.format.split(","))
    folder("--out", options.out)
    for number, name in enumerate(names):
        _progress.show(f"{number}/{len(names)}: {name}")
        written = next(drawing)
        _progress.show("")
        print(" ".join(str(path) for path in written), flush=True)
    return 0

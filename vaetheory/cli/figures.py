"""`vaetheory figures`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vaetheory.cli import _asked, _drawings
from vaetheory.cli._paths import folder


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("figures", help="draw the proof-check figures")
    parser.add_argument(
        "labels", nargs="*", metavar="CLAIM",
        help="FILE.py or package.module:NAME with figures of your own (FIGURES), then labels of "
        "claims, propositions and figures; all figures by default",
    )  # fmt: skip
    parser.add_argument(
        "--out", default="figures", metavar="DIR", help="folder for the figures (figures)"
    )
    parser.add_argument(
        "--format", default="png", metavar="FORMATS",
        help="png, svg or pdf, or several of them separated by commas (png)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw figures and print the names of the written files; status 2 if one is left out."""
    # Matplotlib takes longer to import than everything else.
    from vaetheory.figures import registry

    asked = _asked.asked(options.labels)
    drawn = {**registry.FIGURES} if asked.book else {}
    drawn.update(asked.figures)
    names = registry.select(asked.labels, drawn, asked.claims)
    if not names:
        raise ValueError(
            f"{options.labels[0]}: expected FIGURES, a mapping of names to functions that draw, "
            "got none"
        )
    drawing = _drawings.draw(
        names, Path(options.out), formats=options.format.split(","), figures=drawn,
        claims=asked.claims,
    )  # fmt: skip
    folder("--out", options.out)
    complete = True
    for written in drawing:
        complete = complete and bool(written)
        if written:
            print(" ".join(str(path) for path in written), flush=True)
    return 0 if complete else 2

"""`vaetheory report`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vaetheory.cli import _asked, _drawings, verify
from vaetheory.cli._paths import STANDARD, table_goes_to, writable, write

if TYPE_CHECKING:
    from vaetheory.report.page import Picture


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="write a run as one self-contained HTML page",
        description="Write one self-contained HTML page for the run in the file --results, or for "
        "a new run, to which the options of `verify` apply.",
    )
    parser.add_argument(
        "--results",
        metavar="FILE",
        help="the JSON of a run; by default a new run is made",
    )
    parser.add_argument(
        "--out", default="report.html", metavar="FILE", help="the page (report.html)"
    )
    parser.add_argument("--no-figures", action="store_true", help="leave out the figures")
    parser.add_argument(
        "--figures", metavar="DIR", help="folder with the figures; by default they are drawn"
    )
    verify.declare(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page; the exit status is 0 only if every proposition on it is confirmed."""
    from vaetheory.checking._sources import is_source
    from vaetheory.report import read_document
    from vaetheory.report._entries import entries
    from vaetheory.report.page import page

    target = writable("--out", options.out)
    if target is None:
        raise ValueError("--out: expected a file, got no name")
    shown = table_goes_to(options.out, options.json, options.junit)
    if options.results and (options.resume or not all(map(is_source, options.labels))):
        raise ValueError("--results: expected no labels and no --resume with it, got some")
    with TemporaryDirectory() as folder:
        if options.results:
            source = Path(options.results)
            if not source.is_file():
                raise ValueError(
                    f"--results: expected the JSON of a run, got {source}, which is not a file"
                )
        else:
            json_target = writable("--json", options.json)
            source = Path(folder) / "run.json"
            if json_target is not None and json_target != STANDARD:
                source = json_target
            options.json = str(source)
            verify.run(options, shown)
            if json_target == STANDARD:
                write(STANDARD, source.read_text(encoding="utf-8"))
        document = read_document(source)
        shown_entries = entries(document)
        pictures: dict[str, Picture] = {}
        if not options.no_figures:
            named = [entry.figure for entry in shown_entries if entry.figure]
            drawn = Path(options.figures) if options.figures else None
            pictures = _pictures(named, options.labels, drawn, Path(folder))
    write(target, page(document, pictures))
    if target != STANDARD:
        print(target, file=shown)
    return 0 if shown_entries and all(entry.confirmed for entry in shown_entries) else 1


def _pictures(
    named: Sequence[str], labels: Sequence[str], drawn: Path | None, folder: Path
) -> dict[str, Picture]:
    """The figures that results name, after the overview of the theorem book."""
    # Matplotlib takes longer to import than everything else.
    from vaetheory.figures import registry
    from vaetheory.report.page import Picture

    asked = _asked.asked(labels)
    figures = {**registry.FIGURES, **asked.figures}
    of_the_book = any(name in registry.FIGURES for name in named)
    known = [name for name in figures if name in named or (name == "overview" and of_the_book)]
    if drawn is None:
        drawing = _drawings.draw(known, folder, figures=figures, claims=asked.claims)
        known = [name for name, written in zip(known, drawing, strict=True) if written]
    pictures = {}
    for name in known:
        path = (drawn or folder) / f"{name}.png"
        if not path.is_file():
            raise ValueError(f"--figures: expected a folder with {path.name}, got no file {path}")
        pictures[name] = Picture(path.read_bytes(), "image/png", registry.caption(name, figures))
    return pictures

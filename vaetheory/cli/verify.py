"""`vaetheory verify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaetheory import report
from vaetheory.claims import CLAIMS
from vaetheory.claims.runner import PROFILES, Result, select, verify
from vaetheory.cli import progress
from vaetheory.cli.jobs import processes
from vaetheory.files import write_json
from vaetheory.progress import listening


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify", help="check propositions and refute their wrong versions"
    )
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="a claim or a proposition")
    parser.add_argument("--profile", choices=list(PROFILES), default="quick")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes to run in")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that --json FILE holds"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check propositions, printing each result as it comes."""
    target = Path(options.json) if options.json else None
    if target and not target.resolve().parent.is_dir():
        raise ValueError(f"--json: expected a folder that exists, got {target}")
    if target and target.exists() and not target.is_file():
        raise ValueError(f"--json: expected a file, got {target}, which is something else")
    if options.resume and not target:
        raise ValueError("--resume: expected --json FILE, the run to go on with; got none")
    labels = [p.label for _, p in select(options.labels or None, CLAIMS)]
    known: dict[str, Result] = {}
    if target and options.resume and target.exists():
        known = report.read_results(target, profile=options.profile, seed=options.seed)
    left = [label for label in labels if label not in known]
    results: list[Result] = []
    order = {p.label: i for i, (_, p) in enumerate(select(None, CLAIMS))}
    with processes(options.jobs) as executor:
        running = verify(left, options.profile, options.seed, executor=executor)
        for number, label in enumerate(labels):
            progress.show(f"{number}/{len(labels)}: {label}")
            with listening(_share(f"{number}/{len(labels)}: {label}")):
                results.append(known[label] if label in known else next(running))
            progress.show("")
            print(report.line(results[-1]))
            for text in report.details(results[-1]):
                print(text)
            sys.stdout.flush()
            if target:
                # After each result, so that an interrupted run keeps what it has.
                kept = results + [r for x, r in known.items() if x not in labels[: number + 1]]
                kept.sort(key=lambda r: order[r.label])
                document = report.as_json(kept, profile=options.profile, seed=options.seed)
                write_json(target, document)
    print(report.summary(results))
    return 0 if all(r.confirmed for r in results) else 1


def _share(text: str) -> Callable[[float], None]:
    """Show how far a long computation within a proposition is."""

    def show(done: float) -> None:
        if done < 1:
            progress.show(f"{text}: {done:.0%}")

    return show

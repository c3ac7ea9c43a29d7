"""`vaetheory verify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from vaetheory import report
from vaetheory.claims import CLAIMS
from vaetheory.claims.runner import PROFILES, Result, select, verify
from vaetheory.cli import certify, colours, progress
from vaetheory.cli.jobs import processes
from vaetheory.cli.paths import writable
from vaetheory.files import write_json
from vaetheory.progress import listening
from vaetheory.report.junit import as_junit, write_junit
from vaetheory.report.text import Table


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify", help="check propositions and refute their wrong versions"
    )
    declare(parser)
    certify.add_options(parser)
    parser.set_defaults(run=_prove_or_check)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare what says which run is wanted."""
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="a claim or a proposition")
    parser.add_argument("--profile", choices=list(PROFILES), default="quick")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes to run in")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--junit", metavar="FILE", help="write them there as JUnit's XML")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that --json FILE holds"
    )


def _prove_or_check(options: argparse.Namespace) -> int:
    """Prove instances if that is asked for, else check propositions."""
    if options.certify:
        return certify.run(options)
    if options.out:
        raise ValueError("--out: expected with --certify, got without it")
    return run(options)


def run(options: argparse.Namespace) -> int:
    """Check propositions, printing each result as it comes."""
    target = writable("--json", options.json)
    junit_target = writable("--junit", options.junit)
    if options.resume and not target:
        raise ValueError("--resume: expected --json FILE, the run to go on with; got none")
    labels = [p.label for _, p in select(options.labels or None, CLAIMS)]
    known: dict[str, Result] = {}
    if target and options.resume and target.exists():
        known = report.read_results(target, profile=options.profile, seed=options.seed)
    left = [label for label in labels if label not in known]
    results: list[Result] = []
    table = Table(labels, width=colours.width(sys.stdout), colour=colours.wanted(sys.stdout))
    order = {p.label: i for i, (_, p) in enumerate(select(None, CLAIMS))}
    with processes(options.jobs) as executor:
        running = verify(left, options.profile, options.seed, executor=executor)
        for number, label in enumerate(labels):
            progress.show(f"{number}/{len(labels)}: {label}")
            with listening(_share(f"{number}/{len(labels)}: {label}")):
                results.append(known[label] if label in known else next(running))
            progress.show("")
            if not number:
                print(table.heading())
            print(table.row(results[-1]))
            for text in report.details(results[-1]):
                print(text)
            sys.stdout.flush()
            if target:
                # After each result, so that an interrupted run keeps what it has.
                kept = results + [r for x, r in known.items() if x not in labels[: number + 1]]
                kept.sort(key=lambda r: order[r.label])
                document = report.as_json(kept, profile=options.profile, seed=options.seed)
                write_json(target, document)
    if junit_target:
        now = datetime.now(timezone.utc)
        suites = as_junit(results, profile=options.profile, seed=options.seed, finished=now)
        write_junit(junit_target, suites)
    print(report.summary(results))
    return 0 if all(r.confirmed for r in results) else 1


def _share(text: str) -> Callable[[float], None]:
    """Show how far a long computation within a proposition is."""

    def show(done: float) -> None:
        if done < 1:
            progress.show(f"{text}: {done:.0%}")

    return show

"""`vaetheory verify`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vaetheory._files import json_text
from vaetheory._profiles import PROFILES
from vaetheory._progress import listening
from vaetheory.cli import _asked, _colours, _jobs, _progress, certify
from vaetheory.cli._paths import STANDARD, table_goes_to, writable, write

if TYPE_CHECKING:
    from vaetheory.checking.runner import Result


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify", help="check propositions and refute their wrong versions"
    )
    declare(parser)
    certify.add_options(parser)
    parser.set_defaults(run=_prove_or_check)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that select and describe a run."""
    _asked.declare(parser)
    parser.add_argument(
        "--profile", choices=list(PROFILES), default="quick",
        help="how many instances to draw (quick)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the instances (0)"
    )
    _jobs.declare(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="write the results as JSON; - is standard output"
    )
    parser.add_argument(
        "--junit", metavar="FILE", help="write the results as JUnit XML; - is standard output"
    )
    parser.add_argument(
        "--resume", action="store_true", help="resume the run whose results are in --json FILE"
    )


def _prove_or_check(options: argparse.Namespace) -> int:
    """Prove instances with `--certify`, else check propositions."""
    if options.certify:
        return certify.run(options)
    if options.out:
        raise ValueError("--out: expected --certify with it, got no --certify")
    return run(options)


def run(options: argparse.Namespace, shown: TextIO | None = None) -> int:
    """Check propositions and print each result at once to `shown`.

    By default that is standard output, or standard error if an output file is `-`.
    """
    from vaetheory import report
    from vaetheory.report.junit import as_junit, junit_text
    from vaetheory.report.text import Table

    target = writable("--json", options.json)
    junit_target = writable("--junit", options.junit)
    if options.resume and target in (None, STANDARD):
        raise ValueError("--resume: expected --json FILE with the run to resume, got none")
    shown = shown or table_goes_to(options.json, options.junit)
    asked = _asked.asked(options.labels)
    chosen = asked.chosen()
    labels = [p.label for _, p in chosen]
    known: dict[str, Result] = {}
    if target and options.resume and target.exists():
        known = _known(target, options, asked)
    left = [(claim, p) for claim, p in chosen if p.label not in known]
    results: list[Result] = []
    table = Table(labels, width=_colours.width(shown), colour=_colours.wanted(shown))
    with _jobs.workers(options) as executor, _progress.visible():
        running = asked.verified(
            left, profile=options.profile, seed=options.seed, executor=executor
        )
        print(table.heading(), file=shown, flush=True)
        for number, label in enumerate(labels):
            _progress.show(f"{number}/{len(labels)}: {label}")
            with listening(_share(f"{number}/{len(labels)}: {label}")):
                results.append(known[label] if label in known else next(running))
            _progress.show("")
            print(table.row(results[-1]), file=shown)
            for text in report.details(results[-1]):
                print(text, file=shown)
            shown.flush()
            if target and (target != STANDARD or number + 1 == len(labels)):
                # Written after each result, so that an interrupted run can be resumed.
                kept = results + [r for x, r in known.items() if x not in labels[: number + 1]]
                document = report.as_json(
                    kept, profile=options.profile, seed=options.seed, claims=asked.claims
                )
                write(target, json_text(document))
    if junit_target:
        now = datetime.now(timezone.utc)
        suites = as_junit(results, profile=options.profile, seed=options.seed, finished=now)
        write(junit_target, junit_text(suites))
    print(report.summary(results), file=shown)
    return 0 if all(r.confirmed for r in results) else 1


def _known(path: Path, options: argparse.Namespace, asked: _asked.Asked) -> dict[str, Result]:
    """The results of an earlier run, after checking that their propositions have not changed."""
    from vaetheory import report
    from vaetheory.checking._selection import select

    earlier = report.read_results(path, profile=options.profile, seed=options.seed)
    registry = {p.label: (c.label, p) for c, p in select(None, asked.claims)}
    for label, result in earlier.items():
        claim, p = registry.get(label, ("", None))
        controls = [] if p is None else [control.name for control in p.controls]
        stored = (result.claim, result.title, result.kind, [c.name for c in result.controls])
        if p is None or stored != (claim, p.title, p.kind, controls):
            raise ValueError(
                f"{path}: expected results of the current propositions, got one of "
                f"{label!r:.80}, which has changed or no longer exists"
            )
    return earlier


def _share(text: str) -> Callable[[float], None]:
    """A function that shows the progress of a long computation within a proposition."""

    def show(done: float) -> None:
        if done < 1:
            _progress.show(f"{text}: {done:.0%}")

    return show

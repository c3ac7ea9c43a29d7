"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from vaetheory import report
from vaetheory.claims import CLAIMS
from vaetheory.claims.runner import PROFILES, Result, select, verify
from vaetheory.progress import listening


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and exit with status 2."""
        self.exit(2, f"vaetheory: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vaetheory", description="The theorems about variational auto-encoders, run."
    )
    parser.add_argument(
        "--version", action="version", version=f"vaetheory {metadata.version('vaetheory')}"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the claims and their propositions")
    run = commands.add_parser("verify", help="check propositions and refute their wrong versions")
    run.add_argument("labels", nargs="*", metavar="LABEL", help="a claim or a proposition")
    run.add_argument("--profile", choices=list(PROFILES), default="quick")
    run.add_argument("--seed", type=int, default=0, metavar="N")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="processes to run in")
    run.add_argument("--json", metavar="FILE", help="write the results there")
    run.add_argument(
        "--resume", action="store_true", help="go on with the run that --json FILE holds"
    )
    draw = commands.add_parser("figures", help="draw the proof-check figures anew")
    draw.add_argument("labels", nargs="*", metavar="LABEL", help="a claim, proposition or figure")
    draw.add_argument("--out", default="figures", metavar="DIR", help="where to (figures)")
    draw.add_argument(
        "--format", default="png", metavar="FORMATS", help="png, svg, pdf, or several by commas"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: everything asked for was confirmed and every control refuted. 1: something was not.
    2: the request could not be understood. 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            return _list()
        if options.command == "figures":
            return _figures(options)
        return _verify(options)
    except (ValueError, OSError) as error:
        print(f"vaetheory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vaetheory: interrupted", file=sys.stderr)
        return 130


def _list() -> int:
    for claim in CLAIMS:
        print(f"{claim.label}: {claim.title}")
        for p in claim.propositions:
            print(f"  {p.label:<12} {p.kind:<14} {p.title}")
    return 0


def _figures(options: argparse.Namespace) -> int:
    # Drawing needs Matplotlib, which takes longer to load than all the rest.
    from vaetheory.figures import registry

    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: expected a folder, got {folder}, which is something else")
    names = registry.select(options.labels)
    drawing = registry.regenerate(names, folder, options.format.split(","))
    for number, name in enumerate(names):
        _progress(f"{number}/{len(names)}: {name}")
        written = next(drawing)
        _progress("")
        print(" ".join(str(path) for path in written), flush=True)
    return 0


@contextmanager
def _executor(jobs: int) -> Iterator[Executor | None]:
    """Processes for more than one job; none for one."""
    if jobs < 1:
        raise ValueError(f"--jobs: expected at least 1, got {jobs}")
    if jobs == 1:
        yield None
        return
    # Each process computes on one core; what is set here is read when they import NumPy.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _verify(options: argparse.Namespace) -> int:
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
    with _executor(options.jobs) as executor:
        running = verify(left, options.profile, options.seed, executor=executor)
        for number, label in enumerate(labels):
            _progress(f"{number}/{len(labels)}: {label}")
            with listening(_share(f"{number}/{len(labels)}: {label}")):
                results.append(known[label] if label in known else next(running))
            _progress("")
            print(report.line(results[-1]))
            for text in report.details(results[-1]):
                print(text)
            sys.stdout.flush()
            if target:
                # After each result, so that an interrupted run keeps what it has.
                kept = results + [r for x, r in known.items() if x not in labels[: number + 1]]
                kept.sort(key=lambda r: order[r.label])
                document = report.as_json(kept, profile=options.profile, seed=options.seed)
                report.write_json(target, document)
    print(report.summary(results))
    return 0 if all(r.confirmed for r in results) else 1


def _share(text: str) -> Callable[[float], None]:
    """Show how far a long computation within a proposition is."""

    def show(done: float) -> None:
        if done < 1:
            _progress(f"{text}: {done:.0%}")

    return show


def _progress(text: str) -> None:
    """Show what is running on the terminal's last line; nothing where there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

"""`vaetheory check-certificate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vaetheory.cli import _progress


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "check-certificate", help="prove certificates again, with mpmath and fractions alone"
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a certificate written by verify --certify"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check files and print each result at once.

    The status is 0 if all are accepted, 1 if any is rejected, and 3 if none is rejected but at
    least one could not be checked.
    """
    from vaetheory.certify import _recheck

    try:
        import mpmath  # noqa: F401
    except ImportError:
        print(
            "vaetheory: checking certificates needs mpmath: pip install 'vaetheory[certify]'",
            file=sys.stderr,
        )
        return 2
    paths = [Path(name) for name in options.files]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"FILE: expected a certificate, got {path}, which is not a file")
    verdicts = []
    for path in paths:
        _progress.show(f"{path.name}")
        outcome = _recheck.check(path)
        _progress.show("")
        verdicts.append(outcome.verdict)
        print(f"{outcome.verdict:<16} {outcome.label:<12} {outcome.seconds:6.1f} s  {path}")
        prefix = "proved" if outcome.verdict == _recheck.ACCEPTED else "why"
        print(f"    {prefix}: {outcome.message}")
        sys.stdout.flush()
    counts = {
        v: verdicts.count(v) for v in (_recheck.ACCEPTED, _recheck.REJECTED, _recheck.UNCHECKED)
    }
    print(", ".join(f"{n} {v}" for v, n in counts.items()))
    if counts[_recheck.REJECTED]:
        return 1
    return 3 if counts[_recheck.UNCHECKED] else 0

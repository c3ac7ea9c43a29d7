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
    parser.add_argument("files", nargs="+", metavar="FILE", help="what verify --certify wrote")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check files, printing each result as it comes.

    Status 0: all accepted. 1: one was rejected. 3: none was rejected, but one could not be checked.
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
            raise ValueError(f"FILE: expected a certificate, got {path}, which is no file")
    verdicts = []
    for path in paths:
        _progress.show(f"{path.name}")
        found = _recheck.check(path)
        _progress.show("")
        verdicts.append(found.verdict)
        print(f"{found.verdict:<16} {found.label:<12} {found.seconds:6.1f} s  {path}")
        print(f"    {'proved' if found.verdict == _recheck.ACCEPTED else 'why'}: {found.message}")
        sys.stdout.flush()
    counts = {
        v: verdicts.count(v) for v in (_recheck.ACCEPTED, _recheck.REJECTED, _recheck.UNCHECKED)
    }
    print(", ".join(f"{n} {v}" for v, n in counts.items()))
    if counts[_recheck.REJECTED]:
        return 1
    return 3 if counts[_recheck.UNCHECKED] else 0

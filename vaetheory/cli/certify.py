"""`vaetheory verify --certify`."""

from __future__ import annotations

import argparse
import sys

from vaetheory.cli import _progress
from vaetheory.cli._paths import folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `verify` for certificates."""
    parser.add_argument(
        "--certify",
        action="store_true",
        help="prove the default instances in ball arithmetic and write certificates",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the certificates (default: certificates)"
    )


def run(options: argparse.Namespace) -> int:
    """Prove instances and print each result at once; the status is 1 if a proof failed."""
    try:
        from vaetheory.certify import _certificate as files
        from vaetheory.certify import _runner
    except ImportError as error:
        print(f"vaetheory: {error}", file=sys.stderr)
        return 2
    for name in ("json", "junit", "resume"):
        if getattr(options, name):
            raise ValueError(f"--{name}: expected no --certify with it, got --certify")
    from vaetheory.checking._selection import canonical
    from vaetheory.claims import CLAIMS

    pairs = [(claim.label, p.label) for claim in CLAIMS for p in claim.propositions]
    labels = _runner.select(canonical(options.labels, CLAIMS), pairs)
    place = folder("--out", options.out or "certificates")
    done = good = 0
    seconds = 0.0
    for label in labels:
        _progress.show(f"{label}")
        for attempt in _runner.certify([label]):
            _progress.show("")
            done += 1
            seconds += attempt.seconds
            if attempt.certificate is None:
                where = f"instance {attempt.number}"
            else:
                good += 1
                path = place / f"{label}-{attempt.number}.json"
                files.write(path, attempt.certificate)
                where = str(path)
            print(f"{attempt.verdict:<16} {label:<12} {attempt.seconds:6.1f} s  {where}")
            print(
                f"    {'proved' if attempt.certificate else 'why'}: {attempt.message}", flush=True
            )
    print(f"{good} of {done} instances certified, {seconds:.1f} s of work")
    return 0 if good == done else 1

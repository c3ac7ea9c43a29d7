"""The command line: parse, call, print; one command a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn

from vaetheory.cli import check_certificate, experiment, figures, listing, report, verify

#: Each has `add(commands)`, which declares its options and sets `run`, the function to call.
COMMANDS = (listing, verify, figures, report, check_certificate, experiment)


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
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: everything asked for was confirmed and every control refuted. 1: something was not.
    2: the request could not be understood. 130: interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"vaetheory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vaetheory: interrupted", file=sys.stderr)
        return 130

"""The command line interface; each command is in its own file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from typing import NoReturn, TextIO

from vaetheory import __version__
from vaetheory._numbers_as_text import plain
from vaetheory.cli import (
    audit,
    check_certificate,
    experiment,
    figures,
    listing,
    new,
    report,
    verify,
)

#: Each module has `add(commands)`, which declares its options and sets `run`, the function to call.
#: What the work needs is imported by `run`, so that `--help` loads neither NumPy nor the claims.
COMMANDS = (listing, verify, figures, report, new, check_certificate, experiment, audit)

# The exit status that a shell reports for a program ended by SIGPIPE.
_SIGPIPE = 128 + 13


class _Parser(argparse.ArgumentParser):
    """A parser whose error messages are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        self.exit(2, f"vaetheory: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vaetheory", description="Executable theorems about variational auto-encoders."
    )
    parser.add_argument("--version", action="version", version=f"vaetheory {__version__}")
    parser.set_defaults(run=lambda options: parser.print_help())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: every requested proposition was confirmed and every control refuted. 1: at least one was not.
    2: an error in the request or in reading or writing. 130: interrupted. 141: broken pipe.
    """
    try:
        try:
            status = _answer(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; flushing at exit must not fail again.
        _silence(sys.stdout, sys.stderr)
        return _SIGPIPE
    except OSError as error:
        # Standard output cannot be written, for example because the disk is full.
        _silence(sys.stdout)
        print(f"vaetheory: standard output: {error.strerror}", file=sys.stderr)
        return 2
    return status


def _silence(*streams: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _answer(arguments: Sequence[str] | None) -> int:
    """Parse the arguments, run the command, and print any error on one line."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"vaetheory: {plain(str(error))}", file=sys.stderr)
        return 2
    except BrokenExecutor:
        print(
            "vaetheory: --jobs: expected all processes to finish, got one that was ended",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("vaetheory: interrupted", file=sys.stderr)
        return 130

"""What is running, on the terminal's last line."""

from __future__ import annotations

import sys


def show(text: str) -> None:
    """Show what is running; an empty text clears it. Nothing where there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

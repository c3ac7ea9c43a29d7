"""The progress line at the bottom of the terminal."""

from __future__ import annotations

import sys


def show(text: str) -> None:
    """Show a text in the progress line, or clear it; do nothing if there is no terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

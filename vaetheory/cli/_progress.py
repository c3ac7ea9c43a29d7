"""The progress line at the bottom of the terminal, or lines now and then where there is none."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds between lines where there is no terminal.
_PAUSE = 10.0

_latest = ""


def show(text: str) -> None:
    """Show a text in the progress line, or clear it; without a terminal it is kept for later."""
    global _latest
    _latest = text
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


@contextmanager
def visible() -> Iterator[None]:
    """Within this block, a line says every few seconds what is being done if there is no terminal.

    It goes to standard error.
    """
    if sys.stderr.isatty():
        yield
        return
    done, stream = threading.Event(), sys.stderr

    def tell() -> None:
        while not done.wait(_PAUSE):
            if _latest:
                print(_latest, file=stream, flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()

"""Whether to print in colour, and how wide the terminal is."""

from __future__ import annotations

import os
import shutil
from typing import TextIO


def wanted(stream: TextIO) -> bool:
    """Whether to colour what goes to `stream`.

    `NO_COLOR` forbids it and `FORCE_COLOR` asks for it (each if not empty, the first before the
    second); otherwise only a terminal that is not dumb gets colours.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width(stream: TextIO) -> int | None:
    """Columns of the terminal, or of `COLUMNS`; none where `stream` is a file or a pipe."""
    if not stream.isatty():
        return None
    return shutil.get_terminal_size().columns

"""Colour and width of the terminal."""

from __future__ import annotations

import os
import shutil
from typing import TextIO


def wanted(stream: TextIO) -> bool:
    """Whether to print in colour to `stream`.

    A non-empty `NO_COLOR` turns colour off; otherwise a non-empty `FORCE_COLOR` turns it on;
    otherwise colour is on for terminals, unless `TERM` is `dumb`.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width(stream: TextIO) -> int | None:
    """Columns of the terminal, or `COLUMNS` if that is set; None if `stream` is no terminal."""
    if not stream.isatty():
        return None
    return shutil.get_terminal_size().columns

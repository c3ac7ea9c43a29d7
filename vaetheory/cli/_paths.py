"""Files and folders named by options, and standard output, written as -."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TextIO

from vaetheory._files import replacing

#: The file name that stands for standard output.
STANDARD = Path("-")


def table_goes_to(*names: str | None) -> TextIO:
    """The stream for the table, given the names of the other output files.

    It is standard error if one of the files is standard output, else standard output.

    Raises
    ------
    ValueError
        If more than one file is standard output.
    """
    count = names.count(str(STANDARD))
    if count > 1:
        raise ValueError(f"-: expected one option to name standard output, got {count}")
    return sys.stderr if count else sys.stdout


def writable(option: str, name: str | None) -> Path | None:
    """Check, before any computation, that a named file can be written; None for no name.

    Raises
    ------
    ValueError
        If its folder does not exist or cannot be written to, the name belongs to something that
        is not a file, or to Python code.
    """
    if not name:
        return None
    path = Path(name)
    if path == STANDARD:
        return STANDARD
    if path.suffix == ".py":
        # `--json claims.py` is a slip, and would lose the claims.
        raise ValueError(f"{option}: expected a file for results, got {path}, a Python file")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"{option}: expected a folder that exists, got {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{option}: expected a file, got {path}, which is not a file")
    _try(option, folder)
    return path


def folder(option: str, name: str) -> Path:
    """The folder that an option names; it is created if necessary.

    Raises
    ------
    ValueError
        If the name belongs to something else, or the folder cannot be created or written to.
    """
    path = Path(name)
    if path == STANDARD:
        raise ValueError(f"{option}: expected a folder, got -, which is standard output")
    if path.exists() and not path.is_dir():
        raise ValueError(f"{option}: expected a folder, got {path}, which is not a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{option}: expected a folder that can be created, got {path}: {error.strerror}"
        ) from None
    _try(option, path)
    return path


def _try(option: str, path: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise ValueError(
            f"{option}: expected a folder that can be written to, got {path}: {error.strerror}"
        ) from None


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8, atomically to a file or to standard output."""
    if path == STANDARD:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")

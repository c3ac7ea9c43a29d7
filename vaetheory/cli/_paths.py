"""Files and folders that options name, and standard output, which is called -."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TextIO

from vaetheory._files import replacing

#: What stands for standard output where a file is to be named.
STANDARD = Path("-")


def table_goes_to(*names: str | None) -> TextIO:
    """Where what is printed for a reader goes, beside files of these names.

    Raises
    ------
    ValueError
        If more than one of them is standard output.
    """
    count = names.count(str(STANDARD))
    if count > 1:
        raise ValueError(f"-: expected one option to name standard output, got {count}")
    return sys.stderr if count else sys.stdout


def writable(option: str, name: str | None) -> Path | None:
    """The file that an option names to write to, before anything is computed; none for none.

    Raises
    ------
    ValueError
        If its folder does not exist or cannot be written to, or something else than a file has
        that name.
    """
    if not name:
        return None
    path = Path(name)
    if path == STANDARD:
        return STANDARD
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"{option}: expected a folder that exists, got {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{option}: expected a file, got {path}, which is something else")
    _try(option, folder)
    return path


def folder(option: str, name: str) -> Path:
    """The folder that an option names to write into, made if it is not there.

    Raises
    ------
    ValueError
        If something else has that name, or it cannot be made or written to.
    """
    path = Path(name)
    if path == STANDARD:
        raise ValueError(f"{option}: expected a folder, got -, which is standard output")
    if path.exists() and not path.is_dir():
        raise ValueError(f"{option}: expected a folder, got {path}, which is something else")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{option}: expected a folder that can be made, got {path}: {error.strerror}"
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
    """Write a text to a file, whole or not at all, or to standard output, as UTF-8."""
    if path == STANDARD:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
        return
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")

"""Atomic writing of files, and checks that a path is an ordinary file."""

from __future__ import annotations

import glob
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` for writing; on success it replaces `path`.

    After an exception or an interruption `path` is unchanged and the temporary file is removed. If
    a process was killed, the next one removes its temporary file. Links are followed.

    Raises
    ------
    OSError
        If the file cannot be written; the error names `path`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     target = Path(folder) / "a.txt"
    ...     with replacing(target) as draft:
    ...         _ = draft.write_text("whole")
    ...     target.read_text(), len(list(target.parent.iterdir()))
    ('whole', 1)
    """
    path = Path(os.path.realpath(path))
    name = None
    try:
        handle, name = _begin(path)
        try:
            yield Path(name)
            # Temporary files are private; the result gets the permissions of an ordinary file.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        finally:
            os.close(handle)
    except OSError as error:
        # If the disk is full the error names no file; other errors name the temporary file.
        if error.filename in (None, name) or name is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def _begin(path: Path) -> tuple[int, str]:
    """Create a temporary file, which is locked while its handle is open."""
    prefix = f".{path.name}.vaetheory-"
    for abandoned in path.parent.glob(f"{glob.escape(prefix)}*"):
        _remove_unless_locked(abandoned)
    for _ in range(3):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        if _lock(handle) and os.path.exists(name):
            break
        # Locks do not work on this file system, or another process removed the file as abandoned
        # between the two calls.
        if os.path.exists(name):
            break
        os.close(handle)
    return handle, name


def _remove_unless_locked(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            if _lock(handle):
                path.unlink()
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file until its handle is closed; return False if it is locked or cannot be locked."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` to `path` atomically."""
    with replacing(path) as draft:
        draft.write_text(json_text(document), encoding="utf-8")


def json_text(document: Mapping[str, Any]) -> str:
    """The text that `write_json` writes for `document`."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def ordinary(path: Path, most: int) -> int:
    """The size in bytes of an ordinary file.

    Raises
    ------
    ValueError
        If there is no such file, if it is not an ordinary file (reading a pipe or a device may
        block or never end), or if it has more bytes than `most`.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(
            f"{path}: expected a file that can be read, got {error.strerror}"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kinds = {
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a pipe",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        kind = kinds.get(stat.S_IFMT(status.st_mode), "something else")
        raise ValueError(f"{path}: expected an ordinary file, got {kind}")
    if status.st_size > most:
        raise ValueError(f"{path}: expected a file of at most {most} bytes, got {status.st_size}")
    return status.st_size

"""Files written whole or not at all, and files that are what they seem."""

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
    """Yield a path beside `path` to write to; on success it takes the place of `path`.

    After an exception or an interruption `path` is as it was and nothing is left beside it; what a
    process that was killed has left there is removed by the next one. A link is followed.

    Raises
    ------
    OSError
        If it cannot be written, in the name of `path`.

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
            # A temporary file is private; give it the permissions of an ordinary one.
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
        # A full disk names no file, and others name the one that nobody knows.
        if error.filename in (None, name) or name is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def _begin(path: Path) -> tuple[int, str]:
    """A file to write to, held by a lock as long as its handle is open."""
    begun = f".{path.name}.vaetheory-"
    for left in path.parent.glob(f"{glob.escape(begun)}*"):
        _remove_unless_held(left)
    for _ in range(3):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=begun, suffix=path.suffix)
        if _lock(handle) and os.path.exists(name):
            break
        # Locks do not work here, or another process took it for left over between the two calls.
        if os.path.exists(name):
            break
        os.close(handle)
    return handle, name


def _remove_unless_held(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            if _lock(handle):
                path.unlink()
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a file until its handle is closed, if nobody else has and this is a place for locks."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` to `path`, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(json_text(document), encoding="utf-8")


def json_text(document: Mapping[str, Any]) -> str:
    """`document` as `write_json` writes it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def ordinary(path: Path, most: int) -> int:
    """The size of an ordinary file that can be read.

    Raises
    ------
    ValueError
        If there is none, if it is something else, which may be waited for or never end, or if it
        has more bytes than `most`.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ValueError(
            f"{path}: expected a file that can be read, got {error.strerror}"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        kinds = {
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a pipe",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        kind = kinds.get(stat.S_IFMT(found.st_mode), "something else")
        raise ValueError(f"{path}: expected an ordinary file, got {kind}")
    if found.st_size > most:
        raise ValueError(f"{path}: expected a file of at most {most} bytes, got {found.st_size}")
    return found.st_size

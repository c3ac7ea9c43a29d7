"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it takes the place of `path`.

    After an exception or an interruption `path` is as it was and nothing is left beside it.

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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        # A temporary file is private; give it the permissions of an ordinary one.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write `document` to `path`, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")

"""Checkpoints: arrays and plain values in one file with a hash of its content."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vaetheory._documents import hashed, parsed_json
from vaetheory._files import ordinary, replacing
from vaetheory._validation import Array

_MAGIC = b"vaetheory checkpoint 1 "
_VALUES = "values"
_LARGEST = 2**32


def save(path: Path, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : Path
    arrays : mapping of str to array
    values : mapping
        Values that JSON can hold.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(Path(folder) / "a.ckpt", {"x": np.arange(2.0)}, {"epoch": 3})
    ...     load(Path(folder) / "a.ckpt")
    ({'x': array([0., 1.])}, {'epoch': 3})
    """
    room = io.BytesIO()
    text = np.frombuffer(json.dumps(dict(values), allow_nan=False).encode(), dtype=np.uint8)
    np.savez(room, allow_pickle=False, **{_VALUES: text}, **arrays)
    body = room.getvalue()
    with replacing(path) as draft:
        draft.write_bytes(_MAGIC + hashed(body).encode() + b"\n" + body)


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint.

    Raises
    ------
    ValueError
        If the file is not a checkpoint, or its content does not match its hash.
    """
    ordinary(path, _LARGEST)
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    if not head.startswith(_MAGIC):
        raise ValueError(f"{path}: expected a checkpoint, got a file that begins {content[:24]!r}")
    if head[len(_MAGIC) :] != hashed(body).encode():
        raise ValueError(
            f"{path}: expected the checkpoint that was written, got {len(body)} bytes with another "
            "hash: it is damaged; delete it to start this run again"
        )
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return arrays, parsed_json(_VALUES, arrays.pop(_VALUES).tobytes())
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected a checkpoint, got {error}") from None

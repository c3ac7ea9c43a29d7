"""Data sets from files: .npy, .npz, CSV, and IDX, the format of MNIST; any of them gzipped."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import as_array
from vaetheory.training.data import LEAST_ROWS, Source

#: Types of IDX by their code; big-endian.
_IDX = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read(path: str | Path, *, units: str = "pooled") -> Source:
    """Read a data set, recognised by its first bytes and not by its name.

    A datum is a row, and any further axes of it are flattened. Bytes (unsigned, 8 bits) are taken
    for 256 grey values and become numbers in [0, 1), dequantised by noise; all other numbers are
    taken as they are.

    Parameters
    ----------
    path : str or Path
        An array `(N, ...)` as .npy, as the only array or the one named X, x or data of an
        .npz, as comma-separated numbers with or without a line of names, or as IDX.
    units : str
        The networks' ends, see `Units`.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the file cannot be read as one of these, has no rows of numbers, fewer than 20 rows, or
        an entry that is not finite. Nothing is unpickled.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers.npy"
    ...     np.save(path, np.arange(60.0).reshape(30, 2))
    ...     read(path).X.shape
    (30, 2)
    """
    path = Path(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: expected a whole gzip file, got {error}") from None
    if content[:6] == b"\x93NUMPY":
        array = _npy(path, content)
    elif content[:2] == b"PK":
        array = _npz(path, content)
    elif content[:2] == b"\0\0":
        array = _idx(path, content)
    else:
        array = _csv(path, content)
    if array.ndim < 2:
        raise ValueError(
            f"{path}: expected an array of at least two axes, a datum a row, got shape "
            f"{array.shape}"
        )
    if len(array) < LEAST_ROWS or array[0].size == 0:
        raise ValueError(
            f"{path}: expected at least {LEAST_ROWS} rows of numbers, got shape {array.shape}"
        )
    grey = array.dtype == np.uint8
    X = as_array(str(path), array.reshape(len(array), -1))
    return Source(path.name, X / 256, 1 / 256, units) if grey else Source(path.name, X, 0.0, units)


def _npy(path: Path, content: bytes) -> NDArray[Any]:
    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: expected a .npy array of numbers, got {error}") from None


def _npz(path: Path, content: bytes) -> NDArray[Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            names = stored.files
            named = names if len(names) == 1 else [n for n in ("X", "x", "data") if n in names]
            if not named:
                raise ValueError(
                    f"arrays {', '.join(names) or 'none'}, of which none is named X, x or data"
                )
            return np.asarray(stored[named[0]])
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: expected an .npz with one array, got {error}") from None


def _idx(path: Path, content: bytes) -> NDArray[Any]:
    kind, ndim = content[2:3], content[3:4]
    if not kind or kind[0] not in _IDX or not ndim or len(content) < 4 + 4 * ndim[0]:
        raise ValueError(f"{path}: expected an IDX file, got the beginning {content[:8]!r}")
    shape = np.frombuffer(content, ">u4", ndim[0], 4).astype(int).tolist()
    dtype = np.dtype(_IDX[kind[0]])
    body = content[4 + 4 * ndim[0] :]
    # In Python's integers: a damaged shape may promise more than 64 bits can count.
    wanted = dtype.itemsize
    for size in shape:
        wanted *= size
    if len(body) != wanted:
        raise ValueError(
            f"{path}: expected {wanted} bytes of an IDX array of shape {tuple(shape)}, got "
            f"{len(body)}"
        )
    return np.frombuffer(body, dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def _csv(path: Path, content: bytes) -> NDArray[Any]:
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path}: expected .npy, .npz, IDX or comma-separated numbers, got {error}"
        ) from None
    rows = [(k + 1, line) for k, line in enumerate(lines) if line]
    if rows and not any(_is_number(text) for text in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{path}: expected rows of comma-separated numbers, got none")
    width = len(rows[0][1])
    for number, line in rows:
        if len(line) != width:
            raise ValueError(
                f"{path}: expected {width} numbers in line {number} as in the first, got "
                f"{len(line)}"
            )
        for text in line:
            if not _is_number(text):
                raise ValueError(f"{path}: expected numbers in line {number}, got {text!r}")
    return np.array([[float(text) for text in line] for _, line in rows])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

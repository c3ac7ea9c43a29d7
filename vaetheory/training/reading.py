"""Data sets from files: .npy, .npz, CSV, and IDX, the format of MNIST; any of them gzipped."""

from __future__ import annotations

import io
import os
from pathlib import Path

from vaetheory._files import ordinary
from vaetheory._validation import Array, finite, option
from vaetheory.training._arrays import NPY, idx, npy
from vaetheory.training._streams import MOST_BYTES, Stream, member, opened
from vaetheory.training._text import comma_separated
from vaetheory.training.data import UNITS, Source

_NAMES = ("X", "x", "data")


def read_data(path: str | os.PathLike[str], *, units: str = "pooled") -> Source:
    """Read a data set, recognised by its first bytes and not by its name.

    A datum is a row, and any further axes of it are flattened. Bytes (unsigned, 8 bits) are taken
    for 256 grey values and become numbers in [0, 1), dequantised by noise; all other numbers are
    taken as they are.

    What a file promises is weighed before it is believed. A data set has at most 2^26 numbers
    (512 MiB; MNIST has 55 million), a file at most 2^29 bytes, packed or unpacked, and text at most
    2^27 bytes with 2^20 a line. What is refused takes at most 768 MiB, whatever the file says, and
    a data set of the greatest size 1,600 MiB; a file that promises more than it holds, or more than
    this, is refused without being read.

    Parameters
    ----------
    path : str or path
        An array `(N, ...)` as .npy, as the only array or the one named X, x or data of an
        .npz, as comma-separated numbers with or without a line of names, or as IDX. An ordinary
        file: no pipe and no device.
    units : str
        The networks' ends, see `Units`.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the file cannot be opened or read as one of these, has no rows of numbers, fewer than 20
        rows, or an entry that is not finite. Nothing is unpickled or evaluated.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "numbers.npy"
    ...     np.save(path, np.arange(60.0).reshape(30, 2))
    ...     read_data(path).X.shape
    (30, 2)
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path: expected a file's name, got {type(path).__name__}")
    option("units", units, UNITS)
    path = Path(path)
    size = ordinary(path, MOST_BYTES)
    try:
        with opened(path, size) as stream:
            X, grey = _array(stream)
    except OSError as error:
        raise ValueError(
            f"{path}: expected a file that can be read, got {error.strerror}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    finite(str(path), X)
    if grey:
        X /= 256
    return Source(path.name, X, 1 / 256 if grey else 0.0, units)


def _array(stream: Stream) -> tuple[Array, bool]:
    """The rows of a data set, and whether they are grey values."""
    beginning = stream.beginning(len(NPY))
    if beginning == NPY:
        return npy(stream)
    if beginning[:2] == b"PK":
        # Its list of files is at its end.
        archive = stream if stream.seekable() else io.BytesIO(stream.everything())
        with member(archive, _NAMES) as array:
            if array.beginning(len(NPY)) != NPY:
                raise ValueError("expected an .npz with one array, got something else of its name")
            return npy(array)
    if beginning[:2] == b"\0\0":
        return idx(stream)
    return comma_separated(stream), False

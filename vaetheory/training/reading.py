"""Reading data sets from .npy, .npz, CSV and IDX (MNIST) files, gzipped or not."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vaetheory._files import ordinary
from vaetheory._validation import finite, option
from vaetheory.training._arrays import NPY, idx, npy
from vaetheory.training._streams import MOST_BYTES, Stream, member, opened
from vaetheory.training._text import comma_separated
from vaetheory.training.data import UNITS, Source

#: Names of the data among the arrays of an .npz.
NAMES = ("X", "x", "data")


def read_data(path: str | os.PathLike[str], *, units: str = "pooled") -> Source:
    """Read a data set; the format is recognised by the first bytes of the file, not by its name.

    A datum is a row, and its further axes are flattened. Unsigned bytes are taken as 256 grey
    values; they become numbers in [0, 1) and are dequantised by noise in `split_data`. All other
    numbers are left as they are.

    The sizes stated in a file are checked before they are used. A data set has at most 2^26 numbers
    (512 MiB; MNIST has 55 million), a file at most 2^29 bytes, packed or unpacked, and text at most
    2^27 bytes with at most 2^20 bytes in a line. A rejected file needs at most 768 MiB of memory,
    and a data set of the greatest size 1,600 MiB. A file that states a size above these limits, or
    above what it holds, is rejected without being read.

    Parameters
    ----------
    path : str or path
        An array `(N, ...)` as .npy; an .npz with one array, or with one named X, x or data;
        comma-separated numbers with or without a line of names; or IDX. It must be an ordinary
        file, not a pipe or a device.
    units : str
        The kind of affine maps between data and networks, see `Units`.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the file cannot be opened or read as one of these formats, has fewer than 20 rows of
        numbers, or an entry that is not finite. Nothing is unpickled or evaluated.

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
    option("units", units, UNITS)
    path = path_of(path)
    found, grey = array_in(path, NAMES)
    X = finite(str(path), found.reshape(len(found), -1))
    if grey:
        X /= 256
    return Source(path.name, X, 1 / 256 if grey else 0.0, units)


def path_of(path: object) -> Path:
    """Return a path, or raise a ValueError if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path: expected a file's name, got {type(path).__name__}")
    return Path(path)


def array_in(
    path: Path, names: Sequence[str], *, images: bool = False
) -> tuple[NDArray[Any], bool]:
    """The array of a file `(N, ...)` and whether its numbers are bytes; see `npy` for images.

    Raises
    ------
    ValueError
        As `read_data`; it names the file.
    """
    size = ordinary(path, MOST_BYTES)
    try:
        with opened(path, size) as stream:
            return _array(stream, names, images=images)
    except OSError as error:
        raise ValueError(
            f"{path}: expected a file that can be read, got {error.strerror}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _array(stream: Stream, names: Sequence[str], *, images: bool) -> tuple[NDArray[Any], bool]:
    beginning = stream.beginning(len(NPY))
    if beginning == NPY:
        return npy(stream, images=images)
    if beginning[:2] == b"PK":
        # The list of files is at the end of an archive, so the stream must be seekable.
        archive = stream if stream.seekable() else io.BytesIO(stream.everything())
        with member(archive, names) as array:
            if array.beginning(len(NPY)) != NPY:
                raise ValueError("expected an .npz with one array, got something else of its name")
            return npy(array, images=images)
    if beginning[:2] == b"\0\0":
        return idx(stream, images=images)
    return comma_separated(stream), False

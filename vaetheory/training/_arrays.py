"""Reading arrays of numbers from .npy and IDX files; sizes are checked before allocation."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory.training._streams import Stream
from vaetheory.training.data import LEAST_ROWS

#: The most numbers in a data set: 512 MiB. MNIST has 55 million.
MOST_NUMBERS = 2**26
#: The most grey values of images, which stay bytes: 256 MiB. CIFAR has 184 million.
MOST_BYTES_OF_IMAGES = 2**28
#: The first bytes of a .npy file.
NPY = b"\x93NUMPY"
_WHAT = "a .npy array of numbers"
_LONGEST_HEADER = 2**16
# The number of axes that all versions of NumPy can hold.
_MOST_AXES = 32
# Numbers converted at a time.
_PIECE = 2**18
#: Types of IDX by their code, all big-endian.
_IDX = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_ENTRY = re.compile(
    r"""\s*(['"])(?P<key>descr|fortran_order|shape)\1\s*:\s*"""
    r"""(?P<value>'[^'\\]*'|"[^"\\]*"|True|False|\((?:\s*\d{1,20}L?\s*,)*(?:\s*\d{1,20}L?)?\s*\))\s*(,|(?=\}))"""
)
_TYPE = re.compile(r"[<>|=]?[biuf]\d{1,2}")


def npy(stream: Stream, *, images: bool = False) -> tuple[NDArray[Any], bool]:
    """The array of a .npy file, one datum a row, and whether its numbers are bytes.

    The numbers become doubles; those of images stay bytes, or become single precision. The header
    is parsed as the format describes it and is never evaluated.

    Raises
    ------
    ValueError
        If it is not an array of real numbers, or its size differs from that in its header.
    """
    version = stream.exactly(len(NPY) + 2, _WHAT)[len(NPY) :]
    if version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"expected a .npy array of version 1, 2 or 3, got {tuple(version)}")
    size = 2 if version == b"\1\0" else 4
    length = int.from_bytes(stream.exactly(size, _WHAT), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"expected a .npy header of at most {_LONGEST_HEADER} bytes, got {length}")
    text = stream.exactly(length, _WHAT).decode("latin-1")
    kind, fortran, shape = _header(text.strip())
    used = len(NPY) + 2 + size + length
    found = _numbers(stream, used, "a .npy array", kind, shape, fortran=fortran, images=images)
    return found, kind == np.uint8


def _header(text: str) -> tuple[np.dtype, bool, tuple[int, ...]]:
    """Type, order and shape; a header must give each of them once and nothing else."""
    error = ValueError(f"expected {_WHAT}, got the header {text!r:.160}")
    entries: dict[str, str] = {}
    at = 1
    while entry := _ENTRY.match(text, at):
        if entry["key"] in entries:
            raise error
        entries[entry["key"]], at = entry["value"], entry.end()
    if not text.startswith("{") or text[at:].strip() != "}" or len(entries) < 3:
        raise error
    kind, order, shape = entries["descr"], entries["fortran_order"], entries["shape"]
    if kind[0] not in "'\"" or order not in ("True", "False") or shape[0] != "(":
        raise error
    return _type(kind[1:-1]), order == "True", tuple(int(n) for n in re.findall(r"\d+", shape))


def _type(text: str) -> np.dtype:
    try:
        if _TYPE.fullmatch(text):
            return np.dtype(text)
    except TypeError:
        # NumPy does not have every size on every platform.
        pass
    kind = _WHAT if text.endswith("O") else "an array of real numbers"
    raise ValueError(f"expected {kind}, got type {text!r:.80}")


def idx(stream: Stream, *, images: bool = False) -> tuple[NDArray[Any], bool]:
    """As `npy`, for an IDX file."""
    head = stream.exactly(4, "an IDX file")
    if head[2] not in _IDX:
        raise ValueError(f"expected an IDX file, got the beginning {head!r}")
    sizes = stream.exactly(4 * head[3], "an IDX file's shape")
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    kind = np.dtype(_IDX[head[2]])
    found = _numbers(stream, 4 + len(sizes), "an IDX array", kind, shape, images=images)
    return found, kind == np.uint8


def check_shape(shape: Sequence[int]) -> None:
    """Raise a ValueError unless the shape is that of enough rows of numbers."""
    got = f"got shape {tuple(shape)!s:.160}"
    if len(shape) < 2:
        raise ValueError(f"expected an array of at least two axes, one datum a row, {got}")
    if len(shape) > _MOST_AXES:
        raise ValueError(f"expected an array of at most {_MOST_AXES} axes, {got}")
    # Python's integers do not overflow, whatever sizes a header states.
    if shape[0] < LEAST_ROWS or math.prod(shape[1:]) == 0:
        raise ValueError(f"expected at least {LEAST_ROWS} rows of numbers, {got}")


def _numbers(
    stream: Stream,
    used: int,
    what: str,
    kind: np.dtype,
    shape: tuple[int, ...],
    *,
    fortran: bool = False,
    images: bool = False,
) -> NDArray[Any]:
    """The array that fills the stream after its first `used` bytes."""
    check_shape(shape)
    count = math.prod(shape)
    size = count * kind.itemsize
    of = f"of {what} of shape {shape!s:.160} and type {kind.str}"
    if stream.size is not None and stream.size - used != size:
        raise ValueError(f"expected {size} bytes {of}, got {stream.size - used}")
    kept: np.dtype[Any] = np.dtype(np.float64)
    if images:
        kept = kind if kind == np.uint8 else np.dtype(np.float32)
    most = MOST_BYTES_OF_IMAGES if kept == np.uint8 else MOST_NUMBERS
    if count > most:
        raise ValueError(f"expected at most {most} numbers, got shape {shape!s:.160}")
    whole = np.empty(shape, kept)
    # A flat view in the order of the bytes.
    flat = whole.T.flat if fortran else whole.reshape(-1)
    for start in range(0, count, _PIECE):
        piece = stream.read(min(_PIECE, count - start) * kind.itemsize)
        numbers = np.frombuffer(piece[: len(piece) // kind.itemsize * kind.itemsize], kind)
        if len(numbers) < min(_PIECE, count - start):
            got = start * kind.itemsize + len(piece)
            raise ValueError(f"expected {size} bytes {of}, got {got}")
        with np.errstate(over="ignore", invalid="ignore"):
            flat[start : start + len(numbers)] = numbers
    if stream.read(1):
        raise ValueError(f"expected {size} bytes {of}, got more")
    return whole

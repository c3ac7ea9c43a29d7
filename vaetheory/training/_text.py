"""Reading rows of numbers from text, in pieces of bounded size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from vaetheory._validation import Array
from vaetheory.training._arrays import check_shape
from vaetheory.training._streams import Stream

# Bytes converted at a time, and the most bytes of a line.
_PIECE = 2**20
_MARK = b"\xef\xbb\xbf"
# The characters of most rows of numbers; other rows take the slow path.
_PLAIN = b"0123456789+-.eE, \n"


def comma_separated(stream: Stream) -> Array:
    """The rows `(N, D)` of comma-separated numbers; the first line may hold names.

    Entries may be in quotation marks, and empty lines are skipped.

    Raises
    ------
    ValueError
        If an entry is not a number in the usual notation, or rows differ in length.
    """
    content = stream.everything().removeprefix(_MARK)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    rows = bytearray()
    width = 0
    for number, piece in _pieces(content):
        numbers = _plain(piece, width)
        if numbers is None:
            numbers = _line_by_line(piece, number, width)
        if numbers.size:
            width = numbers.shape[1]
            rows += numbers.tobytes()
    if not width:
        raise ValueError("expected rows of comma-separated numbers, got none")
    X = np.frombuffer(rows).reshape(-1, width)
    check_shape(X.shape)
    return X


def _pieces(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Pieces of whole lines, each with the line number of its first line."""
    number, start = 1, 0
    while start < len(content):
        end = content.rfind(b"\n", start, start + _PIECE) + 1
        if not end and len(content) - start > _PIECE:
            raise ValueError(f"expected at most {_PIECE} bytes in line {number}, got more")
        piece = content[start:end] if end else content[start:] + b"\n"
        yield number, piece
        number += piece.count(b"\n")
        start += len(piece)


def _plain(piece: bytes, width: int) -> Array | None:
    """Rows of numbers by a fast conversion, or None if the lines hold anything else."""
    if piece.translate(None, _PLAIN):
        return None
    codes = np.frombuffer(piece, np.uint8)
    starts = np.flatnonzero(codes == ord("\n"))[:-1] + 1
    commas = np.add.reduceat(codes == ord(","), [0, *starts], dtype=np.intp)
    count = width or int(commas[0]) + 1
    if (commas != count - 1).any():
        return None
    with warnings.catch_warnings():
        # NumPy warns if it stops at something that is not a number.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(piece[:-1].replace(b"\n", b","), sep=",")
        except (DeprecationWarning, ValueError):
            return None
    return numbers.reshape(-1, count) if numbers.size == commas.size * count else None


def _line_by_line(piece: bytes, first: int, width: int) -> Array:
    """As `_plain`, for lines that may be empty, hold names or quoted entries, or be wrong."""
    try:
        lines = piece.decode().split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected .npy, .npz, IDX or comma-separated numbers, got {error}"
        ) from None
    rows: list[list[float]] = []
    named = width > 0
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        entries = line.split(",")
        if not named and not rows and not any(map(_is_number, entries)):
            named = True
            continue
        width = width or len(entries)
        if len(entries) != width:
            raise ValueError(
                f"expected {width} numbers in line {number} as in the first, got {len(entries)}"
            )
        wrong = next((entry for entry in entries if not _is_number(entry)), None)
        if wrong is not None:
            raise ValueError(f"expected numbers in line {number}, got {wrong.strip()!r:.80}")
        rows.append([_number(entry) for entry in entries])
    return np.array(rows).reshape(len(rows), -1) if rows else np.empty((0, 0))


def _number(entry: str) -> float:
    """The number in an entry; 1_000 and digits of other scripts, which Python accepts, are not."""
    entry = entry.strip()
    if len(entry) > 1 and entry[0] == entry[-1] == '"':
        entry = entry[1:-1]
    if "_" in entry or not entry.isascii():
        raise ValueError
    return float(entry)


def _is_number(entry: str) -> bool:
    try:
        _number(entry)
    except ValueError:
        return False
    return True

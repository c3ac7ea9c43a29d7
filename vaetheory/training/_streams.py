"""Streams of bytes from untrusted files: bounded reads, and decompression up to a limit."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

#: The most bytes of a file, packed or unpacked: 512 MiB of numbers and their description.
MOST_BYTES = 2**29 + 2**17
#: The most bytes held in memory at once, for text and for an archive in a gzip file.
MOST_HELD = 2**27
# Bytes read at a time.
_PIECE = 2**18
# The most consecutive streams in one gzip file; some writers begin a new one every 64 KiB.
_MEMBERS = 2**16
# The most bytes of an archive's list of files; NumPy writes one file for each array.
_DIRECTORY = 2**17
_GZIP = b"\x1f\x8b"
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Stream(io.BufferedReader):
    """A buffered stream of bytes that may know its size."""

    def __init__(self, raw: io.RawIOBase, size: int | None) -> None:
        super().__init__(raw, _PIECE)
        #: The size in bytes, or None if the bytes are decompressed while they are read.
        self.size = size

    def beginning(self, count: int) -> bytes:
        """The next `count` bytes without consuming them, or fewer at the end."""
        return self.peek(count)[:count]

    def exactly(self, count: int, what: str) -> bytes:
        """Read `count` bytes, or raise a ValueError that says `what` they should be."""
        content = self.read(count)
        if len(content) < count:
            raise ValueError(f"expected {what}, got {len(content)} bytes where {count} were due")
        return content

    def everything(self) -> bytes:
        """All remaining bytes, at most `MOST_HELD`."""
        if self.size is not None and self.size > MOST_HELD:
            raise ValueError(f"expected at most {MOST_HELD} bytes of it, got {self.size}")
        content = bytearray()
        while piece := self.read(_PIECE):
            content += piece
            if len(content) > MOST_HELD:
                raise ValueError(f"expected at most {MOST_HELD} bytes of it unpacked, got more")
        return bytes(content)


@contextmanager
def opened(path: Path, size: int) -> Iterator[Stream]:
    """The content of a file of `size` bytes, decompressed if it is gzipped."""
    with path.open("rb", buffering=0) as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        yield Stream(_Gunzipped(file) if packed else file, None if packed else size)


class _Gunzipped(io.RawIOBase):
    """The content of a gzip file, decompressed only as far as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj(wbits=31)
        self._packed = b""
        self._members = 1
        self._total = self._zeros = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        filled = 0
        while filled < len(room) and not self._ended:
            piece = self._some(len(room) - filled)
            room[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._total += filled
        if self._total > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES} bytes unpacked, got more")
        return filled

    def _some(self, most: int) -> bytes:
        """At most `most` bytes; the result may be empty before the end."""
        self._packed = self._packed or self._file.read(_PIECE)
        if self._unpacker.eof:
            # Zeros may fill up the last block, and another gzip stream may follow.
            packed = len(self._packed)
            self._packed = self._packed.lstrip(b"\0")
            self._zeros += packed - len(self._packed)
            if self._zeros > _PIECE:
                raise ValueError(f"expected at most {_PIECE} zeros after a gzip stream, got more")
            if not self._packed:
                self._packed = self._file.read(_PIECE)
                self._ended = not self._packed
                return b""
            self._members += 1
            if self._members > _MEMBERS:
                raise ValueError(f"expected at most {_MEMBERS} gzip streams in one file, got more")
            self._unpacker = zlib.decompressobj(wbits=31)
        if not self._packed:
            raise ValueError("expected a whole gzip file, got one that ends too early")
        try:
            piece = self._unpacker.decompress(self._packed, most)
        except zlib.error as error:
            raise ValueError(f"expected a whole gzip file, got {error}") from None
        self._packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        return piece


@contextmanager
def member(archive: IO[bytes], names: Sequence[str]) -> Iterator[Stream]:
    """The bytes of the only array in an .npz, or of the first that has one of these names.

    Raises
    ------
    ValueError
        If there is no such array, if there are two of its name, or if it is not stored as NumPy
        stores arrays.
    """
    size = archive.seek(0, os.SEEK_END)
    with _archive_errors():
        limited = _Limited(archive)
        files = zipfile.ZipFile(cast(IO[bytes], limited))
    limited.most = None
    entry = _chosen(files.infolist(), names)
    if entry.compress_size > size:
        raise ValueError(f"expected an .npz of {entry.compress_size} bytes and more, got {size}")
    with _archive_errors():
        packed = files.open(entry)
    with packed:
        yield Stream(_Unpacked(packed), entry.file_size)


@contextmanager
def _archive_errors() -> Iterator[None]:
    """Turn any exception of `zipfile` into a ValueError about the archive.

    `zipfile` trusts the content of an archive, so a wrong file can cause any exception.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected an .npz with one array, got {reason:.200}") from None


class _Unpacked(io.RawIOBase):
    """The bytes of an array in an archive; any error while reading it is a ValueError."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        with _archive_errors():
            content = self._packed.read(len(room))
        room[: len(content)] = content
        return len(content)


def _chosen(entries: Sequence[zipfile.ZipInfo], names: Sequence[str]) -> zipfile.ZipInfo:
    arrays = [e for e in entries if e.filename.endswith(".npy")]
    stored = [e.filename.removesuffix(".npy") for e in arrays]
    matches = stored if len(stored) == 1 else [name for name in names if name in stored]
    if not matches:
        got = " ".join(", ".join(stored).split()) or "none"
        raise ValueError(
            f"expected an .npz with one array, got arrays {got:.200}, of which none is named "
            f"{', '.join(names[:-1])} or {names[-1]}"
        )
    if stored.count(matches[0]) > 1:
        raise ValueError(f"expected an .npz with every array once, got {matches[0]!r:.80} twice")
    entry = arrays[stored.index(matches[0])]
    if entry.flag_bits & 1:
        raise ValueError(
            f"expected an .npz without a password, got {entry.filename!r:.80} encrypted"
        )
    if entry.compress_type not in _PACKED:
        # The decompressors of other methods have no limit of their output.
        raise ValueError(
            "expected an array stored or deflated, as NumPy writes them, got "
            f"{entry.filename!r:.80} in the zip format's method {entry.compress_type}"
        )
    return entry


class _Limited:
    """An archive from which `zipfile` reads at most `most` bytes at a time, if that is set."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.most: int | None = _DIRECTORY

    def read(self, count: int = -1) -> bytes:
        if self.most is None:
            return self._file.read(count)
        content = self._file.read(self.most + 1 if count < 0 else min(count, self.most + 1))
        if len(content) > self.most:
            raise ValueError(f"a list of files of more than {self.most} bytes")
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

"""Bytes of files that may lie: read in bounded pieces, unpacked no further than a limit."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

#: A file may hold so many bytes, packed or unpacked: 512 MiB of numbers, and what describes them.
MOST_BYTES = 2**29 + 2**17
#: As many where they must be in memory all at once: text, and an archive within an archive.
MOST_HELD = 2**27
# What is read at a time.
_PIECE = 2**18
# Streams one after the other in one gzip file: some writers begin a new one every 64 KiB.
_MEMBERS = 2**16
# The list of an archive's files, of which NumPy writes one an array.
_DIRECTORY = 2**17
_GZIP = b"\x1f\x8b"
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Stream(io.BufferedReader):
    """Bytes in order, and how many there are where that is known beforehand."""

    def __init__(self, raw: io.RawIOBase, size: int | None) -> None:
        super().__init__(raw, _PIECE)
        #: In bytes, from the beginning; none for what is unpacked as it is read.
        self.size = size

    def beginning(self, count: int) -> bytes:
        """The next bytes, which stay to be read; fewer at the end."""
        return self.peek(count)[:count]

    def exactly(self, count: int, what: str) -> bytes:
        """So many bytes, or a ValueError that names what they should have been."""
        found = self.read(count)
        if len(found) < count:
            raise ValueError(f"expected {what}, got {len(found)} bytes where {count} were due")
        return found

    def everything(self) -> bytes:
        """All the bytes that are left, at most `MOST_HELD`."""
        if self.size is not None and self.size > MOST_HELD:
            raise ValueError(f"expected at most {MOST_HELD} bytes of it, got {self.size}")
        found = bytearray()
        while piece := self.read(_PIECE):
            found += piece
            if len(found) > MOST_HELD:
                raise ValueError(f"expected at most {MOST_HELD} bytes of it unpacked, got more")
        return bytes(found)


@contextmanager
def opened(path: Path, size: int) -> Iterator[Stream]:
    """The bytes of a file of so many bytes, unpacked if it is gzipped."""
    with path.open("rb", buffering=0) as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        yield Stream(_Gunzipped(file) if packed else file, None if packed else size)


class _Gunzipped(io.RawIOBase):
    """What a gzip file holds, no more of it in memory than is asked for."""

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
            found = self._some(len(room) - filled)
            room[filled : filled + len(found)] = found
            filled += len(found)
        self._total += filled
        if self._total > MOST_BYTES:
            raise ValueError(f"expected at most {MOST_BYTES} bytes unpacked, got more")
        return filled

    def _some(self, most: int) -> bytes:
        """At most so many bytes, perhaps none though there are more to come."""
        self._packed = self._packed or self._file.read(_PIECE)
        if self._unpacker.eof:
            # Zeros may fill up the last block, and another gzip stream may follow.
            packed = len(self._packed)
            self._packed = self._packed.lstrip(b"\0")
            self._zeros += packed - len(self._packed)
            if self._zeros > _PIECE:
                raise ValueError(f"expected at most {_PIECE} zeros behind a gzip stream, got more")
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
            found = self._unpacker.decompress(self._packed, most)
        except zlib.error as error:
            raise ValueError(f"expected a whole gzip file, got {error}") from None
        self._packed = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        return found


@contextmanager
def member(archive: IO[bytes], names: Sequence[str]) -> Iterator[Stream]:
    """The bytes of the only array in an .npz, or of the one of them that has one of these names.

    Raises
    ------
    ValueError
        If there is no such array or several, or it is not stored as NumPy stores arrays.
    """
    size = archive.seek(0, os.SEEK_END)
    with _telling():
        sparing = _Sparing(archive)
        files = zipfile.ZipFile(cast(IO[bytes], sparing))
    sparing.most = None
    entry = _chosen(files.infolist(), names)
    if entry.compress_size > size:
        raise ValueError(f"expected an .npz of {entry.compress_size} bytes and more, got {size}")
    with _telling():
        packed = files.open(entry)
    with packed:
        yield Stream(_Unpacked(packed), entry.file_size)


@contextmanager
def _telling() -> Iterator[None]:
    """Say in a sentence what is wrong with an archive.

    `zipfile` believes what an archive says: whatever it stumbles over, the file is wrong.
    """
    try:
        yield
    except Exception as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected an .npz with one array, got {told:.200}") from None


class _Unpacked(io.RawIOBase):
    """An array of an archive, which fails with a sentence only."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        with _telling():
            found = self._packed.read(len(room))
        room[: len(found)] = found
        return len(found)


def _chosen(entries: Sequence[zipfile.ZipInfo], names: Sequence[str]) -> zipfile.ZipInfo:
    arrays = [e for e in entries if e.filename.endswith(".npy")]
    found = [e.filename.removesuffix(".npy") for e in arrays]
    wanted = found if len(found) == 1 else [name for name in names if name in found]
    if not wanted:
        told = " ".join(", ".join(found).split()) or "none"
        raise ValueError(
            f"expected an .npz with one array, got arrays {told:.200}, of which none is named "
            f"{', '.join(names[:-1])} or {names[-1]}"
        )
    if found.count(wanted[0]) > 1:
        raise ValueError(f"expected an .npz with every array once, got {wanted[0]!r:.80} twice")
    entry = arrays[found.index(wanted[0])]
    if entry.flag_bits & 1:
        raise ValueError(
            f"expected an .npz without a password, got {entry.filename!r:.80} encrypted"
        )
    if entry.compress_type not in _PACKED:
        # Others unpack as much as they like at a time.
        raise ValueError(
            "expected an array stored or deflated, as NumPy writes them, got "
            f"{entry.filename!r:.80} in the zip format's method {entry.compress_type}"
        )
    return entry


class _Sparing:
    """An archive of which `zipfile` cannot read more at a time than a short list of files takes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.most: int | None = _DIRECTORY

    def read(self, count: int = -1) -> bytes:
        if self.most is None:
            return self._file.read(count)
        found = self._file.read(self.most + 1 if count < 0 else min(count, self.most + 1))
        if len(found) > self.most:
            raise ValueError(f"a list of files of more than {self.most} bytes")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

"""Files that lie, break off, or unpack without end: each is to be refused in a sentence."""

import gzip
import io
import lzma
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

NUMBERS = np.arange(60.0).reshape(30, 2) ** 1.5
_BLOCK = 2**24


def npy_bytes(array, version=None):
    room = io.BytesIO()
    np.lib.format.write_array(room, array, version=version, allow_pickle=True)
    return room.getvalue()


def header(text, version=1, body=b"", length=None):
    """A .npy file whose header is this text, whatever it says."""
    text = text.encode("latin-1")
    size = len(text) if length is None else length
    packed = size.to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + packed + text + body


def told(descr="'<f8'", order="False", shape="(30, 2)", more=""):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {more}}}"


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", method) as files:
        for name, content in entries:
            files.writestr(name, content)
    return room.getvalue()


def patched(content, old, new):
    assert old in content, "there is nothing to change"
    return content.replace(old, new)


def flagged(content, offset, value, size=2):
    """An archive with a field of its entries changed, in the local headers and in the list."""
    out = bytearray(content)
    for mark, shift in ((b"PK\x03\x04", offset), (b"PK\x01\x02", offset + 2)):
        at = out.find(mark)
        while at >= 0:
            out[at + shift : at + shift + size] = value.to_bytes(size, "little")
            at = out.find(mark, at + 4)
    return bytes(out)


def gzip_bomb(head, block, times):
    """A gzip file of `head` and then `block` many times over, made without unpacking it."""
    return gzip.compress(head) + gzip.compress(block) * times


def zip_bomb(head, times):
    """An .npz whose one array is `head` and then zeros without end, deflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + block * times + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    size = len(head) + times * _BLOCK
    name = b"X.npy"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name
    listed = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    listed += name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(local) + len(packed), 0)
    return local + packed + listed + b"PK\x05\x06" + end


def idx(code, shape, body=b""):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def csv_rows(count=30):
    return b"\n".join(b"%d,%d" % (k, k * k) for k in range(count)) + b"\n"


GOOD = npy_bytes(NUMBERS)
NPZ = zipped([("X.npy", GOOD)])
BODY = NUMBERS.tobytes()
MANY = "1" * 18

#: Contents by name; what is not made of bytes is below.
CONTENTS = {
    # .npy: shapes.
    "more rows than there are": lambda: header(told(shape="(1000000000000, 2)"), body=BODY),
    "rows without end": lambda: header(told(shape=f"({MANY}, {MANY})"), body=BODY),
    "no rows, many columns": lambda: header(told(shape="(0, 1000000000000)")),
    "many rows, no columns": lambda: header(told(shape="(1000000000000, 0)")),
    "a row too few": lambda: header(told(shape="(29, 2)"), body=BODY),
    "a negative size": lambda: header(told(shape="(-30, 2)"), body=BODY),
    "two negative sizes": lambda: header(told(shape="(-30, -2)"), body=BODY),
    "a size that is a float": lambda: header(told(shape="(30.0, 2)"), body=BODY),
    "a size that is true": lambda: header(told(shape="(30, True)"), body=BODY[:240]),
    "a size that is a product": lambda: header(told(shape="(10**9*10**9, 2)"), body=BODY),
    "a nested shape": lambda: header(told(shape="((30,), 2)"), body=BODY),
    "a shape that is a list": lambda: header(told(shape="[30, 2]"), body=BODY),
    "a shape that is a number": lambda: header(told(shape="60"), body=BODY),
    "five hundred axes": lambda: header(told(shape="(30, 2" + ", 1" * 500 + ")"), body=BODY),
    "forty axes in Fortran's order": lambda: header(
        told(order="True", shape="(30, 2" + ", 1" * 38 + ")"), body=BODY
    ),
    "a size of ten thousand digits": lambda: header(told(shape="(" + "9" * 9999 + ", 2)")),
    "a size of underscores": lambda: header(told(shape="(3_0, 2)"), body=BODY),
    "too many numbers, in truth": lambda: header(told("'|u1'", shape="(8192, 8193)")),
    # .npy: types.
    "a record of two thousand million bytes": lambda: header(told("'|V2000000000'"), body=BODY),
    "a record of that size in Fortran's order": lambda: header(
        told("[('a', '|V2000000000')]", "True", "(2, 30)")
    ),
    "text of two thousand million characters": lambda: header(told("'<U500000000'"), body=BODY),
    "records": lambda: npy_bytes(np.zeros((30, 2), [("a", "f8"), ("b", "i4")])),
    "subarrays": lambda: header(told("('<f8', (1000000, 1000000))"), body=BODY),
    "nested records": lambda: header(told("[('a', [('b', '<f8', (30, 30))])]"), body=BODY),
    "objects": lambda: npy_bytes(np.array([[{}, []]] * 30, dtype=object)),
    "dates": lambda: npy_bytes(np.zeros((30, 2), "M8[ns]")),
    "complex numbers": lambda: npy_bytes(np.ones((30, 2), complex)),
    "words": lambda: npy_bytes(np.full((30, 2), "a")),
    "floats of three bytes": lambda: header(told("'<f3'"), body=BODY[:180]),
    "floats of no bytes": lambda: header(told("'<f0'"), body=b""),
    "a type that is no type": lambda: header(told("'<q8'"), body=BODY),
    "a type that is code": lambda: header(told("__import__('os').getcwd()"), body=BODY),
    # .npy: headers.
    "an empty header": lambda: header("", body=BODY),
    "no dictionary": lambda: header("('descr',)", body=BODY),
    "nested a thousand deep": lambda: header("(" * 5000 + ")" * 5000, body=BODY),
    "signs a thousand deep": lambda: header("-" * 9000 + "1", body=BODY),
    "a key twice": lambda: header(told(more="'shape': (1, 60), "), body=BODY),
    "a key too many": lambda: header(told(more="'more': 1, "), body=BODY),
    "a key too few": lambda: header("{'descr': '<f8', 'shape': (30, 2), }", body=BODY),
    "an order that is neither": lambda: header(told(order="1"), body=BODY),
    "a header longer than the file": lambda: header(told(), body=BODY, length=60_000),
    "a header of four thousand million bytes": lambda: header(
        told(), 2, body=BODY, length=2**32 - 1
    ),
    "NUL bytes in the header": lambda: header(told().replace("30", "3\0"), body=BODY),
    "a version to come": lambda: header(told(), 9, body=BODY),
    "the magic number alone": lambda: b"\x93NUMPY",
    "half a version": lambda: b"\x93NUMPY\x01",
    # .npy: bodies.
    "cut off": lambda: GOOD[:-1],
    "something after the end": lambda: GOOD + b"\0",
    "two files in one": lambda: GOOD + GOOD,
    "no numbers at all": lambda: header(told()),
    "not a number": lambda: npy_bytes(np.full((30, 2), np.nan)),
    "an infinity of long doubles": lambda: npy_bytes(
        np.full((30, 2), np.finfo(np.longdouble).max, dtype=np.longdouble)
    ),
    "a vector": lambda: npy_bytes(np.arange(40.0)),
    "a number": lambda: npy_bytes(np.array(3.0)),
    # gzip.
    "gzip cut off": lambda: gzip.compress(GOOD)[:-9],
    "gzip without its check": lambda: gzip.compress(GOOD)[:-8],
    "gzip of a wrong check": lambda: gzip.compress(GOOD)[:-8] + bytes(8),
    "gzip and then something else": lambda: gzip.compress(GOOD) + b"rubbish",
    "gzip of nothing": lambda: gzip.compress(b""),
    "gzip of gzip": lambda: gzip.compress(gzip.compress(GOOD)),
    "gzip that is none": lambda: b"\x1f\x8brubbish",
    "a million empty gzips": lambda: gzip.compress(b"") * 200_000,
    "gzip of an endless name": lambda: b"\x1f\x8b\x08\x08\0\0\0\0\0\0" + b"a" * 2**22,
    "gzip of zeros without end": lambda: gzip_bomb(b"", bytes(_BLOCK), 128),
    "gzip of text without end": lambda: gzip_bomb(b"", b"1,2\n" * (_BLOCK // 4), 128),
    "gzip of a line without end": lambda: gzip_bomb(b"", b"1" * _BLOCK, 64),
    "gzip of an array that says little": lambda: gzip_bomb(
        header(told(), body=BODY), bytes(_BLOCK), 128
    ),
    "gzip of an array that says much": lambda: gzip_bomb(
        header(told(shape="(1000000, 2000)")), bytes(_BLOCK), 128
    ),
    "gzip of an array that holds nothing": lambda: gzip.compress(
        header(told(shape="(33554432, 2)"))
    ),
    "gzip of an archive without end": lambda: gzip_bomb(b"PK\x03\x04", bytes(_BLOCK), 64),
    # .npz.
    "an archive of nothing": lambda: zipped([]),
    "an archive of a text": lambda: zipped([("readme.txt", b"1,2\n" * 30)]),
    "an archive of a folder": lambda: zipped([("X.npy/", b"")]),
    "a folder of that name": lambda: zipped([("X.npy", b"")]),
    "an archive of two arrays": lambda: zipped([("a.npy", GOOD), ("b.npy", GOOD)]),
    "an array twice": lambda: _twice(),
    "a link in an archive": lambda: _link_in_archive(),
    "an encrypted array": lambda: flagged(NPZ, 6, 1),
    "LZMA": lambda: zipped([("X.npy", GOOD)], zipfile.ZIP_LZMA),
    "bzip2": lambda: zipped([("X.npy", GOOD)], zipfile.ZIP_BZIP2),
    "Zstandard, in name": lambda: flagged(NPZ, 8, 93),
    "an unknown packing": lambda: flagged(NPZ, 8, 6),
    "deflated in name only": lambda: flagged(zipped([("X.npy", GOOD)], zipfile.ZIP_STORED), 8, 8),
    "a wrong checksum": lambda: flagged(NPZ, 14, 12345, 4),
    "a size unpacked that is too small": lambda: flagged(NPZ, 22, 100, 4),
    "a size unpacked that is too large": lambda: flagged(NPZ, 22, 2**31, 4),
    "a size packed that is too large": lambda: flagged(NPZ, 18, 2**31, 4),
    "sizes that want 64 bits": lambda: flagged(flagged(NPZ, 22, 2**32 - 1, 4), 18, 2**32 - 1, 4),
    "an archive cut off": lambda: NPZ[:-5],
    "an archive without its list": lambda: NPZ[: NPZ.find(b"PK\x01\x02")],
    "an archive of a long list": lambda: zipped(
        [(f"{k}.npy", b"") for k in range(5000)], zipfile.ZIP_STORED
    ),
    "a list that lies about its length": lambda: _end_changed(12, 2**31),
    "a list that lies about its place": lambda: _end_changed(16, 2**31),
    "an array in an archive of zeros without end": lambda: zip_bomb(
        header(told(shape="(1000000, 2000)")), 120
    ),
    "an array in an archive with zeros behind it": lambda: zip_bomb(header(told(), body=BODY), 120),
    "an archive in an archive": lambda: zipped([("X.npy", NPZ)]),
    "objects in an archive": lambda: zipped(
        [("X.npy", npy_bytes(np.array([[{}]] * 30, dtype=object)))]
    ),
    "PK and no more": lambda: b"PK",
    # IDX.
    "IDX without a shape": lambda: idx(8, ()),
    "IDX of an unknown type": lambda: idx(7, (30, 2), bytes(60)),
    "IDX of four thousand million rows": lambda: idx(8, (2**32 - 1, 2), bytes(60)),
    "IDX of 255 axes": lambda: idx(8, (2**32 - 1,) * 255, bytes(60)),
    "IDX of 255 axes of one": lambda: idx(8, (30,) + (1,) * 254, bytes(30)),
    "IDX of no columns": lambda: idx(8, (2**32 - 1, 0)),
    "IDX cut off in its shape": lambda: idx(8, (30, 2))[:-3],
    "IDX that goes on": lambda: idx(8, (30, 2), bytes(61)),
    "zeros": lambda: bytes(100_000),
    # Text.
    "nothing": lambda: b"",
    "blanks": lambda: b" \n\t\n\r\n" * 50,
    "names alone": lambda: b"a,b\n",
    "a byte order mark alone": lambda: b"\xef\xbb\xbf",
    "rows of two lengths": lambda: csv_rows() + b"1,2,3\n",
    "a row of nothing": lambda: csv_rows() + b",\n",
    "a word among numbers": lambda: csv_rows() + b"1,x\n",
    "NUL among numbers": lambda: csv_rows() + b"1,\x002\n",
    "not a number in text": lambda: csv_rows() + b"1,nan\n",
    "beyond float64": lambda: csv_rows() + b"1,1e400\n",
    "a number of a million digits": lambda: csv_rows() + b"1," + b"9" * 1_000_000 + b"\n",
    "an exponent of many digits": lambda: csv_rows() + b"1,1e" + b"9" * 100_000 + b"\n",
    "thousands by underscores": lambda: csv_rows() + b"1,1_000\n",
    "digits of another script": lambda: csv_rows() + "1,٣\n".encode(),
    "decimal commas": lambda: b'"1,5","2,5"\n' * 30,
    "semicolons": lambda: b"1;2\n" * 30,
    "a quotation without end": lambda: csv_rows() + b'"1,2\n' * 50_000,
    "quotations over lines": lambda: b'"\n","\n",' * 200_000,
    "one line of four million characters": lambda: b"1," * 2**21,
    "one number of four million characters": lambda: b"1" * 2**22,
    "a million lines of one comma": lambda: b",\n" * 1_000_000,
    "UTF-16": lambda: csv_rows().decode().encode("utf-16"),
    "UTF-16 without its mark": lambda: csv_rows().decode().encode("utf-16-be"),
    "UTF-32": lambda: csv_rows().decode().encode("utf-32"),
    "Latin-1": lambda: b"gr\xf6\xdfe,b\n" + csv_rows(),
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
    "a pickle": lambda: b"\x80\x04\x95\x0b\0\0\0\0\0\0\0]\x94(K\x01K\x02e.",
    "a script": lambda: b"#!/bin/sh\nrm -rf nothing\n",
    "XZ": lambda: lzma.compress(GOOD),
}


def _twice():
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w") as files:
        for name in ("X.npy", "Y.npy"):
            files.writestr(name, GOOD)
    return patched(room.getvalue(), b"Y.npy", b"X.npy")


def _link_in_archive():
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w") as files:
        entry = zipfile.ZipInfo("X.npy")
        entry.external_attr = 0o120777 << 16
        files.writestr(entry, "/etc/passwd")
    return room.getvalue()


def _end_changed(offset, value):
    at = NPZ.rfind(b"PK\x05\x06") + offset
    return NPZ[:at] + value.to_bytes(4, "little") + NPZ[at + 4 :]


#: What is no ordinary file, or none at all: made where it is to be found.
PLACES = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to endless zeros": lambda path: path.symlink_to("/dev/zero"),
    "a link to a device": lambda path: path.symlink_to("/dev/null"),
    "nothing at all": lambda path: None,
    "a file of a terabyte of holes": lambda path: _holes(path, b"", 2**40),
    "a line of a thousand million characters": lambda path: _holes(path, b"1", 10**9),
    "an array of holes": lambda path: _holes(
        path, header(told(shape="(33554432, 8)")), 2**31 + 128
    ),
    "an archive of holes": lambda path: _holes(path, b"PK\x03\x04", 2**29),
    "gzip of holes": lambda path: _holes(path, gzip.compress(GOOD), 2**29),
    "text of holes": lambda path: _holes(path, b"1,2\n", 2**27),
}


def _holes(path, beginning, size):
    path.write_bytes(beginning)
    os.truncate(path, size)


def make(folder: Path) -> dict[str, Path]:
    """All of them, in a folder: their paths by name."""
    out = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        out[name] = folder / f"c{number}"
        out[name].write_bytes(content())
    for number, (name, place) in enumerate(PLACES.items()):
        out[name] = folder / f"p{number}"
        place(out[name])
    return out

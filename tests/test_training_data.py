"""Data sets: what comes with scikit-learn, files of every kind, and files that cannot be read."""

import gzip
import re
import zipfile

import numpy as np
import pytest

from vaetheory.training import SOURCES, Source, read_data, split_data

NUMBERS = np.arange(60.0).reshape(30, 2) ** 1.5
GREY = (np.arange(30 * 4) % 251).astype(np.uint8).reshape(30, 2, 2)


def idx(array, code, kind):
    head = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(kind).tobytes()


def csv_text(array, head=""):
    return (head + "\n".join(",".join(map(repr, map(float, row))) for row in array)).encode()


def test_numbers_in_every_format(tmp_path):
    np.save(tmp_path / "a.npy", NUMBERS)
    np.save(tmp_path / "f.npy", np.asfortranarray(NUMBERS))
    np.savez(tmp_path / "one.npz", anything=NUMBERS)
    np.savez_compressed(tmp_path / "named.npz", labels=np.arange(3), X=NUMBERS)
    (tmp_path / "plain.csv").write_bytes(csv_text(NUMBERS))
    (tmp_path / "named.csv").write_bytes(b"\xef\xbb\xbf" + csv_text(NUMBERS, "a,b\r\n\n"))
    (tmp_path / "t10k-idx2").write_bytes(idx(NUMBERS, 0x0E, ">f8"))
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress((tmp_path / "a.npy").read_bytes()))
    for path in sorted(tmp_path.iterdir()):
        source = read_data(path)
        assert np.array_equal(source.X, NUMBERS), f"{path.name}: other numbers"
        assert (source.step, source.name) == (0.0, path.name), f"{path.name}: {source}"


def test_bytes_are_grey_values(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    (tmp_path / "b-idx3-ubyte").write_bytes(idx(GREY, 0x08, ">u1"))
    (tmp_path / "c-idx3-ubyte.gz").write_bytes(gzip.compress(idx(GREY, 0x08, ">u1")))
    for path in sorted(tmp_path.iterdir()):
        source = read_data(path)
        assert np.array_equal(source.X * 256, GREY.reshape(30, 4)), f"{path.name}: other values"
        assert source.step == 1 / 256, f"{path.name}: not dequantised"
        noisy = np.concatenate([split_data(source, 0).train, split_data(source, 0).test])
        assert ((noisy * 256) % 1 > 0).mean() > 0.9, "no noise was added"


def test_other_integers_are_numbers(tmp_path):
    (tmp_path / "a").write_bytes(idx(GREY.astype(int) - 100, 0x0B, ">i2"))
    source = read_data(tmp_path / "a")
    assert source.step == 0, "integers were taken for grey values"
    assert source.X.min() == -100, f"least {source.X.min()}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected rows of comma-separated numbers, got none"),
        (b"a,b\n", "expected rows of comma-separated numbers, got none"),
        (b"1,2\n3\n", "expected 2 numbers in line 2 as in the first, got 1"),
        (b"1,2\n3,x\n", "expected numbers in line 2, got 'x'"),
        (b"1,2\n\n3,\n", "expected numbers in line 3, got ''"),
        (csv_text(NUMBERS[:5]), "expected at least 20 rows of numbers, got shape (5, 2)"),
        (csv_text(NUMBERS) + b"\nnan,1", "expected finite numbers, got nan at index (30, 0)"),
        (csv_text(NUMBERS) + b"\n1,1e999", "expected finite numbers, got inf at index (30, 1)"),
        (b"\xff\xfe\x00rubbish", "expected .npy, .npz, IDX or comma-separated numbers"),
        (b"\x93NUMPY\x01\x00", "expected a .npy array of numbers"),
        (b"PK\x03\x04rubbish", "expected an .npz with one array"),
        (b"\x1f\x8brubbish", "expected a whole gzip file"),
        (gzip.compress(csv_text(NUMBERS))[:-9], "expected a whole gzip file"),
        (b"\0\0", "expected an IDX file"),
        (b"\0\0\x08", "expected an IDX file"),
        (b"\0\0\x07\x01\0\0\0\x01a", "expected an IDX file"),
        (idx(GREY, 0x08, ">u1")[:-1], "expected 120 bytes of an IDX array of shape (30, 2, 2)"),
        (b"\0\0\x0e\x04" + b"\xff" * 16, "bytes of an IDX array of shape"),
    ],
)
def test_what_cannot_be_read_is_said(content, message, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_data(path)
    assert str(path) in str(caught.value), "the file is not named"
    assert "\n" not in str(caught.value), "more than one line"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}, []] * 20, dtype=object), "expected a .npy array of numbers, got"),
        (np.arange(40.0), "expected an array of at least two axes"),
        (np.array(3.0), "expected an array of at least two axes"),
        (np.ones((40, 2), dtype=complex), "expected an array of real numbers"),
        (np.full((40, 2), "a"), "expected an array of real numbers"),
        (np.ones((1, 5)), "expected at least 20 rows"),
        (np.ones((40, 0)), "expected at least 20 rows"),
        (np.full((40, 2), np.inf), "expected finite numbers"),
    ],
)
def test_arrays_that_are_no_data_sets(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message) as caught:
        read_data(tmp_path / "a.npy")
    assert "\n" not in str(caught.value), "more than one line"


def test_an_npz_of_several_arrays_needs_a_name(tmp_path):
    np.savez(tmp_path / "a.npz", left=NUMBERS, right=NUMBERS)
    with pytest.raises(ValueError, match="arrays left, right, of which none is named X, x or data"):
        read_data(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"expected an \.npz with one array"):
        read_data(tmp_path / "b.npz")


def test_a_split_shares_no_datum_and_depends_on_the_seed():
    source = Source("line", np.arange(50.0)[:, None])
    first, same, other = split_data(source, 1), split_data(source, 1), split_data(source, 2)
    parts = [first.train, first.validation, first.test]
    assert [len(p) for p in parts] == [35, 5, 10], f"{[len(p) for p in parts]}"
    assert np.array_equal(np.sort(np.concatenate(parts), axis=0), source.X), "not a partition"
    assert np.array_equal(first.train, same.train), "the same seed gave another split"
    assert not np.array_equal(first.train, other.train), "two seeds gave one split"
    scaled = first.times(8.0)
    assert np.array_equal(scaled.test, 8 * first.test), "not the same data in other units"


def test_a_split_wants_columns_that_vary():
    X = np.hstack([np.arange(30.0)[:, None], np.ones((30, 2))])
    with pytest.raises(ValueError, match="got 2 constant in the training data, the first of them"):
        split_data(Source("a", X), 0)
    with pytest.raises(ValueError, match="expected at least 20 rows"):
        split_data(Source("a", X[:10]), 0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("digits", (1797, 64)), ("patches", (2120, 64)), ("breast-cancer", (569, 30))],
)
def test_sources(name, shape):
    source = SOURCES[name]()
    assert source.X.shape == shape, f"{name}: {source.X.shape}"
    if source.step:
        assert source.X.min() >= 0, f"{name}: {source.X.min()}"
        assert source.X.max() + source.step <= 1, f"{name}: {source.X.max()}"
        grey = source.X / source.step
        assert np.abs(grey - np.round(grey)).max() < 1e-9, f"{name}: not on the grid of its step"
    found = split_data(source, 0)
    assert min(map(len, (found.train, found.validation, found.test))) > 50, f"{name}: too few"


def test_npy_is_read_as_numpy_reads_it(tmp_path):
    """Types, byte orders, both orders of axes and versions of the header, by NumPy's reader."""
    path = tmp_path / "a.npy"
    numbers = np.arange(24.0 * 30).reshape(30, 2, 3, 4) % 97
    for kind in ("?", "i1", "<u2", ">i4", "<i8", ">u8", "<f2", ">f4", ">f8", np.longdouble):
        for array in (numbers.astype(kind), np.asfortranarray(numbers.astype(kind))):
            for version in ((1, 0), (2, 0), (3, 0)):
                with path.open("wb") as file:
                    np.lib.format.write_array(file, array, version=version)
                wanted = np.load(path).reshape(30, -1)
                assert np.array_equal(read_data(path).X, wanted), f"{kind} {version}: other numbers"


@pytest.mark.parametrize("name", ["a folder/X.npy", "/etc/X.npy", "../X.npy", "X.npy"])
def test_the_names_in_an_archive_are_no_places(name, tmp_path):
    np.save(tmp_path / "a.npy", NUMBERS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as files:
        files.write(tmp_path / "a.npy", name)
        files.comment = b"a" * 65_535
    assert np.array_equal(read_data(tmp_path / "a.npz").X, NUMBERS), f"{name}: other numbers"


def test_long_text_is_read_in_pieces(tmp_path):
    """Several pieces, converted by the quick road, and by the other where entries are quoted."""
    wanted = np.random.default_rng(0).standard_normal((30_000, 4))
    lines = [",".join(map(repr, map(float, row))) for row in wanted]
    quoted = [
        f'"{line}"'.replace(",", '","') if k % 999 == 0 else line for k, line in enumerate(lines)
    ]
    for text in ("\n".join(lines), "a,b,c,d\n\n" + "\r\n".join(quoted) + "\r\n"):
        (tmp_path / "a.csv").write_bytes(text.encode())
        assert np.array_equal(read_data(tmp_path / "a.csv").X, wanted), "other numbers"


@pytest.mark.parametrize("path", [3, None, b"a.npy", 1.5])
def test_a_path_is_a_path(path):
    with pytest.raises(ValueError, match="path: expected a file's name, got"):
        read_data(path)


def test_units_are_checked_where_they_are_given(tmp_path):
    np.save(tmp_path / "a.npy", NUMBERS)
    with pytest.raises(ValueError, match="units: expected one of pooled, each, plain"):
        read_data(tmp_path / "a.npy", units="metres")

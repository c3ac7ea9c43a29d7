"""Images: arrays and folders of every kind, what is refused, and their dequantised split."""

import gzip
import math
import os
import struct
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vaetheory.cli import main
from vaetheory.training import (
    IMAGE_OBJECTIVES,
    IMAGES,
    OBJECTIVES,
    SOURCES,
    Experiment,
    Images,
    ImageSettings,
    ImageSplit,
    images_from,
    read_images,
    split_data,
)

RNG = np.random.default_rng(0)
#: 24 grey images of 6 x 8 pixels, and 24 of colours.
GREY = RNG.integers(0, 256, (24, 6, 8), dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (24, 6, 8, 3), dtype=np.uint8)
#: Rows of colours as they are kept: channel by channel.
ROWS = np.moveaxis(COLOURS, 3, 1).reshape(24, -1)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.tobytes()


def assert_images(found, rows, shape, step=1 / 256):
    assert (found.shape, found.step) == (shape, step), f"{found.shape}, step {found.step}"
    assert np.array_equal(found.X, rows), "other pixels"


@pytest.mark.parametrize(
    ("array", "rows", "shape"),
    [
        (GREY, GREY.reshape(24, -1), (1, 6, 8)),
        (COLOURS, ROWS, (3, 6, 8)),
        (np.moveaxis(COLOURS, 3, 1), ROWS, (3, 6, 8)),
        (GREY[:, None], GREY.reshape(24, -1), (1, 6, 8)),
        (GREY[..., None], GREY.reshape(24, -1), (1, 6, 8)),
        (GREY[:, :6, :6].reshape(24, 36), GREY[:, :6, :6].reshape(24, 36), (1, 6, 6)),
        (ROWS[:, :108], ROWS[:, :108], (3, 6, 6)),
        (GREY[:, 0, :5], GREY[:, 0, :5], (1, 1, 5)),
    ],
)
def test_shapes_of_arrays(array, rows, shape, tmp_path):
    assert_images(images_from("a", array), rows, shape)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "b.npz", y_train=np.arange(24), x_train=array)
    (tmp_path / "c-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    for path in sorted(tmp_path.iterdir()):
        assert_images(read_images(path), rows, shape)


@pytest.mark.parametrize("kind", ["f4", "f8", ">f8", "i2", "u4"])
def test_grey_values_in_other_types(kind, tmp_path):
    np.save(tmp_path / "a.npy", GREY.astype(kind))
    assert_images(read_images(tmp_path / "a.npy"), GREY.reshape(24, -1), (1, 6, 8))
    if kind[-2] == "f":
        np.save(tmp_path / "b.npy", GREY.astype(kind) / np.asarray(255, kind))
        assert_images(read_images(tmp_path / "b.npy"), GREY.reshape(24, -1), (1, 6, 8))


def test_two_values_and_numbers():
    for kind in ("bool", "u1", "f4"):
        found = images_from("ink", (GREY > 99).astype(kind))
        assert_images(found, GREY.reshape(24, -1) > 99, (1, 6, 8), step=1 / 2)
    for numbers in (GREY / 256 + 0.001, GREY - 128.0, GREY * 2.0):
        found = images_from("numbers", numbers)
        assert_images(found, numbers.reshape(24, -1).astype("f4"), (1, 6, 8), step=0.0)
        assert found.X.dtype == np.float32, f"{found.X.dtype}"


def test_a_table_of_numbers_is_one_of_images(tmp_path):
    rows = GREY[:, :3, :3].reshape(24, 9)
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    assert_images(read_images(tmp_path / "a.csv"), rows, (1, 3, 3))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (GREY[:19], "expected at least 20 images of shape"),
        (
            np.zeros((24, 6, 8, 2)),
            r"expected .* C = 1, 3 or 4 channels, .*, got shape \(24, 6, 8, 2\)",
        ),
        (np.zeros((24, 2, 2, 2, 3)), "expected at least 20 images"),
        (np.zeros(24), "expected at least 20 images"),
        (np.zeros((24, 0)), "expected at least 20 images"),
        (np.full((24, 4, 4), np.nan), r"expected finite numbers, got nan at index \(0, 0\)"),
        (np.full((24, 4, 4), 1e39), "expected finite numbers, got inf"),
        (np.zeros((24, 4, 4), complex), "expected images of real numbers, got type complex128"),
        (np.zeros((24, 4), object), "expected images of real numbers, got type object"),
        (np.zeros((20, 300, 300), np.uint8), "expected images of at most 65536 numbers, got 90000"),
    ],
)
def test_arrays_that_are_no_images(array, message):
    with pytest.raises(ValueError, match=rf"odd: {message}"):
        images_from("odd", array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 1 / 300}, "a step of 1 / 2 to 1 / 256 between grey values"),
        ({"step": 0.3}, "a step of 1 / 2 to 1 / 256"),
        ({"step": 1 / 16}, "expected grey values below 16, got 255"),
        ({"shape": (1, 6, 7)}, "expected rows of the 1 x 6 x 7 numbers of an image"),
        ({"shape": (48,)}, "expected rows of the 48 numbers"),
        ({"shape": (0, 6, 8)}, "shape: expected an integer of at least 1"),
        ({"units": "none"}, "units: expected one of"),
    ],
)
def test_images_are_checked(changes, message):
    good = {"name": "a", "X": GREY.reshape(24, -1), "step": 1 / 256, "shape": (1, 6, 8)}
    good["X"] = np.where(good["X"] == good["X"].max(), 255, good["X"]).astype(np.uint8)
    with pytest.raises(ValueError, match=message):
        Images(**(good | changes))


def test_a_split_is_of_dequantised_single_precision():
    images = images_from("grey", np.concatenate([GREY] * 40))
    data = split_data(images, seed=3)
    parts = (data.train, data.validation, data.test)
    assert [len(p) for p in parts] == [672, 96, 192], f"{[len(p) for p in parts]}"
    assert {p.dtype for p in parts} == {np.dtype(np.float32)}, "another precision"
    X = np.concatenate(parts)
    assert 0 <= X.min() <= X.max() < 1, f"{X.min()}..{X.max()}"
    back = np.floor(X.astype(float) * 256).astype(int)
    levels = np.sort(images.X.astype(int), axis=0)
    # Noise so close to one that it is one in single precision is rare.
    assert (np.sort(back, axis=0) != levels).mean() < 1e-3, "other grey values"
    noise = (X.astype(float) * 256) % 1
    # The mean of N uniform numbers, within five of its standard deviations.
    assert abs(noise.mean() - 0.5) < 5 / math.sqrt(12 * X.size), f"noise of mean {noise.mean()}"
    assert data.times(1.0) is data, "a copy"
    assert np.array_equal(data.times(4.0).test, 4 * data.test), "another factor"
    assert np.array_equal(split_data(images, seed=3).train, data.train), "another draw"
    with pytest.raises(ValueError, match="train: expected 2 axes in single precision"):
        ImageSplit(*(p.astype(float) for p in parts))


def test_black_borders_of_bytes_vary_and_those_of_numbers_do_not():
    black = np.pad(GREY, ((0, 0), (1, 1), (1, 1)))
    assert np.ptp(split_data(images_from("bytes", black), 0).train, axis=0).all(), "constant"
    with pytest.raises(ValueError, match="numbers: expected columns that vary, got 32 constant"):
        split_data(images_from("numbers", black - 0.5 * (black > 0)), 0)


def test_data_sets_of_scikit_learn_as_images():
    for name in ("digits", "patches"):
        images, source = IMAGES[name](), SOURCES[name]()
        assert images.shape == (1, 8, 8), f"{name}: {images.shape}"
        off = np.abs(images.X * source.step - source.X).max()
        assert off < 1e-15, f"{name}: pixels off by {off}"


# Folders ------------------------------------------------------------------------------------------


def save(folder, images, suffix=".png", **options):
    for number, image in enumerate(images):
        place = folder / ("ab"[number % 2])
        place.mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(place / f"{number:03}{suffix}", **options)


@pytest.mark.parametrize(("images", "shape"), [(GREY, (1, 6, 8)), (COLOURS, (3, 6, 8))])
def test_a_folder_of_images(images, shape, tmp_path):
    save(tmp_path / "png", images)
    (tmp_path / "png" / ".hidden").write_text("not seen")
    # Those of the folder a come first, then those of b.
    order = [*range(0, 24, 2), *range(1, 24, 2)]
    rows = images_from("all", images[order]).X
    assert_images(read_images(tmp_path / "png"), rows, shape)
    save(tmp_path / "jpeg", images, ".JPG", quality=100, subsampling=0)
    found = read_images(str(tmp_path / "jpeg"))
    assert found.shape == shape, f"{found.shape}"
    assert np.abs(found.X.astype(int) - rows).mean() < 2, "other pixels"


def png(width, height, depth=8, kind=0, body=b""):
    """A PNG whose header says this."""

    def chunk(name, content):
        code = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + code

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    ends = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + ends


def broken(name):
    return {
        "one that breaks off": png(8, 6)[:40],
        "too few pixels": png(8, 6, body=b"\0" * 20),
        "a size without end": png(2**31 - 1, 2**31 - 1),
        "a size to exhaust memory": png(20_000, 20_000),
        "another size": png(6, 8, body=b"\0" * 56),
        "sixteen bits": png(8, 6, depth=16, body=b"\0" * 102),
        "colours among grey": png(8, 6, kind=2, body=b"\0" * 150),
        "nothing": b"",
        "text": b"these are no pixels",
        "another format": b"GIF89a" + bytes(20),
    }[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one that breaks off", "expected a PNG or JPEG, got "),
        ("too few pixels", "expected a PNG or JPEG, got "),
        ("a size without end", "expected "),
        ("a size to exhaust memory", "expected "),
        ("another size", "expected 8 x 6 pixels as the others have, got 6 x 8"),
        ("sixteen bits", "expected 8 bits a channel, grey or colours, got an image of kind I;16"),
        ("colours among grey", "expected an image of kind L as 000.png, got RGB"),
        ("nothing", "expected a PNG or JPEG, got a file that is neither"),
        ("text", "expected a PNG or JPEG, got a file that is neither"),
        ("another format", "expected a PNG or JPEG, got a file that is neither"),
    ],
)
def test_a_wrong_image_is_named(name, message, tmp_path):
    save(tmp_path, GREY)
    (tmp_path / "b" / "x.png").write_bytes(broken(name))
    with pytest.raises(ValueError, match=r"x\.png: ") as caught:
        read_images(tmp_path)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'b' / 'x.png'}: {message}"), told
    assert "\n" not in told, told


def test_folders_of_other_things_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected at least 20 PNG or JPEG images, got 0"):
        read_images(tmp_path)
    save(tmp_path, GREY[:19])
    with pytest.raises(ValueError, match="expected at least 20 PNG or JPEG images, got 19"):
        read_images(tmp_path)
    (tmp_path / "labels.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"\.jpeg files, got 'labels.csv' among them"):
        read_images(tmp_path)
    (tmp_path / "labels.csv").unlink()
    os.mkfifo(tmp_path / "b" / "pipe.png")
    save(tmp_path, GREY)
    with pytest.raises(ValueError, match=r"pipe.png: expected an ordinary file, got a pipe"):
        read_images(tmp_path)
    for wrong in (tmp_path / "nowhere", 3):
        with pytest.raises(ValueError, match="expected a file"):
            read_images(wrong)


def test_files_that_lie_are_refused_as_before(tmp_path):
    (tmp_path / "a").write_bytes(idx(GREY)[:-1])
    with pytest.raises(ValueError, match="expected 1152 bytes of an IDX array"):
        read_images(tmp_path / "a")
    np.save(tmp_path / "b.npy", np.array([[{}]] * 30), allow_pickle=True)
    with pytest.raises(ValueError, match=r"expected a \.npy array of numbers, got type"):
        read_images(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", a=GREY, b=GREY)
    with pytest.raises(ValueError, match="of which none is named X, x, data, images or x_train"):
        read_images(tmp_path / "c.npz")
    (tmp_path / "d").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**17, 64, 64))
    with pytest.raises(ValueError, match="expected 536870912 bytes of an IDX array"):
        read_images(tmp_path / "d")


# Settings and the command, without PyTorch --------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "deep"}, "network: expected one of mlp, conv"),
        ({"network": "conv", "shape": (1, 7, 28)}, "at least 8 x 8 pixels for convolutions, got 7"),
        ({"network": "conv", "channels": (4,)}, "channels and hidden: expected two convolutions"),
        ({"network": "conv", "hidden": ()}, "channels and hidden: expected two convolutions"),
        ({"shape": (28, 28)}, "shape: expected channels, height and width, got"),
        ({"shape": 28}, "shape: expected a list"),
        ({"device": 0}, "device: expected a str"),
        ({"rate": 2.0}, "rate: expected"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageSettings(**({"shape": (1, 28, 28)} | changes))


def test_experiments_on_images_are_checked():
    images, settings = images_from("grey", GREY), ImageSettings(shape=(1, 6, 8))
    everything = tuple(IMAGE_OBJECTIVES)
    assert Experiment(images, settings, objectives=everything).tasks(), "no tasks"
    with pytest.raises(ValueError, match="settings: expected those for images of shape"):
        Experiment(images, replace(settings, shape=(1, 8, 6)))
    with pytest.raises(ValueError, match=r"source: expected an? Images"):
        Experiment(SOURCES["digits"](), settings)
    with pytest.raises(ValueError, match=r"data in \[0, 1\] at scale 1 for bernoulli, got scales"):
        Experiment(images, settings, objectives=everything, scales=(1.0, 1e3))
    numbers = images_from("numbers", GREY - 128.0)
    with pytest.raises(ValueError, match="of numbers, which is not in"):
        Experiment(numbers, settings, objectives=("continuous-bernoulli",))
    with pytest.raises(ValueError, match="objectives: expected one of"):
        Experiment(SOURCES["digits"](), objectives=("bounded",))
    with pytest.raises(ValueError, match=r"objective: .* got ordinary VAE, bounded log variances"):
        Experiment(SOURCES["digits"]()).settings.model(
            IMAGE_OBJECTIVES["bounded"], SOURCES["digits"]().X[:, :3], 1.0
        )
    assert set(OBJECTIVES) < set(IMAGE_OBJECTIVES), "some of the six are missing"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "FILE", "--device", "cpu"], "--device: expected with images"),
        (["--data", "FILE", "--rows", "20"], "--rows: expected with images"),
        (["--data", "breast-cancer", "--network", "mlp"], "breast-cancer, which is a table"),
        (["--data", "FILE", "--network", "conv"], "at least 8 x 8 pixels for convolutions"),
        (["--data", "FILE", "--network", "mlp", "--rows", "3"], "rows: expected an integer of at"),
        (["--data", "nowhere", "--network", "mlp"], "--data: expected one of digits"),
        (["--data", "EMPTY"], "expected at least 20 PNG or JPEG images, got 0"),
        (["--data", "FILE", "--hidden", "3,x"], "--hidden: expected whole numbers"),
        (["--data", "FILE", "--objectives", "first"], "objectives: expected one of ordinary"),
        (["--data", "FILE", "--rate", "2"], "rate: expected"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, message, capsys, tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    (tmp_path / "empty").mkdir()
    names = {"FILE": str(tmp_path / "a.npy"), "EMPTY": str(tmp_path / "empty")}
    arguments = [names.get(argument, argument) for argument in arguments]
    out = ["--out", str(tmp_path / "out")]
    assert main(["experiment", "half-network", *arguments, *out]) == 2, "not refused"
    told = capsys.readouterr().err
    assert message in told, told
    assert len(told.splitlines()) == 1, told


def test_what_is_not_installed_is_said(monkeypatch, capsys, tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    for name in [n for n in sys.modules if n.startswith("vaetheory.training._torch")]:
        monkeypatch.delitem(sys.modules, name)
    import vaetheory.training

    monkeypatch.delattr(vaetheory.training, "_torch", raising=False)
    for name in ("torch", "mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, name, None)
    asked = ["experiment", "half-network", "--out", str(tmp_path / "out"), "--data"]
    for data, extra in ((str(tmp_path / "a.npy"), "torch"), ("mnist", "images")):
        assert main([*asked, data, "--network", "mlp", "--seeds", "1"]) == 2, f"no {extra}"
        told = capsys.readouterr().err
        assert f"pip install 'vaetheory[{extra}]'" in told, told
        assert len(told.splitlines()) == 1, told

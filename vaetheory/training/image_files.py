"""Reading images from arrays in files, and from folders of PNG and JPEG files."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaetheory._files import ordinary
from vaetheory.training._arrays import MOST_BYTES_OF_IMAGES
from vaetheory.training.data import LEAST_ROWS
from vaetheory.training.images import MOST_EACH, Images, images_from
from vaetheory.training.reading import NAMES, array_in, path_of

_SUFFIXES = (".png", ".jpg", ".jpeg")
#: Names of the images among the arrays of an .npz.
_NAMES = (*NAMES, "images", "x_train")
#: The most bytes of an image file, and the most files.
_MOST_BYTES, _MOST_FILES = 2**24, 2**20
#: Pillow's names of images of a byte a channel, and what they are read as.
_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}


def read_images(path: str | os.PathLike[str], *, units: str = "pooled") -> Images:
    """Read images from a file with an array, or from a folder of PNG and JPEG files.

    Parameters
    ----------
    path : str or path
        An array of images as .npy, .npz, IDX or comma-separated numbers, as for `read_data`; of an
        .npz also the array named images or x_train. Or a folder whose files, those of its folders
        included, are PNG and JPEG images of one size; hidden files are skipped. The order is that
        of their names.
    units : str
        The kind of affine maps between data and networks, see `Units`.

    Returns
    -------
    Images
        See `images_from` for the shapes of arrays and for what counts as grey values.

    Raises
    ------
    ValueError
        As `read_data`; or if the folder has other files, fewer than 20 images, or images of
        different sizes or kinds. An array has at most 2^28 bytes or 2^26 other numbers, an image at
        most 2^16 numbers.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "images.npy"
    ...     np.save(path, np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8))
    ...     read_images(path).shape
    (1, 8, 8)
    """
    path = path_of(path)
    if path.is_dir():
        return images_from(path.name, _folder(path), units=units)
    array, _ = array_in(path, _NAMES, images=True)
    if array.flags.owndata:
        array.flags.writeable = False
    return images_from(path.name, array, units=units)


def _folder(folder: Path) -> NDArray[np.uint8]:
    """The images `(N, H, W)` or `(N, H, W, C)` of a folder."""
    files = _files(folder)
    if len(files) < LEAST_ROWS:
        raise ValueError(
            f"{folder}: expected at least {LEAST_ROWS} PNG or JPEG images, got {len(files)}"
        )
    first, mode = _image(files[0], None)
    if first.size * len(files) > MOST_BYTES_OF_IMAGES:
        raise ValueError(
            f"{folder}: expected at most {MOST_BYTES_OF_IMAGES} numbers, got {len(files)} images "
            f"of shape {first.shape}"
        )
    images = np.empty((len(files), *first.shape), np.uint8)
    for row, file in zip(images, files, strict=True):
        image, other = _image(file, first.shape)
        if other != mode:
            raise ValueError(
                f"{file}: expected an image of kind {mode} as {files[0].name}, got {other}"
            )
        row[...] = image
    images.flags.writeable = False
    return images


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        raise ValueError(
            f"{error.filename}: expected a folder that can be read, got {error.strerror}"
        ) from None

    for place, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = sorted(n for n in inner if not n.startswith("."))
        for name in sorted(n for n in names if not n.startswith(".")):
            if not name.lower().endswith(_SUFFIXES):
                raise ValueError(
                    f"{folder}: expected a folder of .png, .jpg and .jpeg files, got "
                    f"{name!r:.80} among them"
                )
            found.append(Path(place, name))
        if len(found) > _MOST_FILES:
            raise ValueError(f"{folder}: expected at most {_MOST_FILES} images, got more")
    return found


def _image(path: Path, shape: tuple[int, ...] | None) -> tuple[NDArray[np.uint8], str]:
    """The bytes `(H, W)` or `(H, W, C)` of an image, and its kind."""
    ordinary(path, _MOST_BYTES)
    from PIL import Image as pillow

    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes that are meant to exhaust memory.
            warnings.simplefilter("error")
            # This reads the header only.
            with pillow.open(path, formats=("PNG", "JPEG")) as image:
                size, mode = image.size, _MODES.get(image.mode)
                if mode is None:
                    raise ValueError(
                        f"expected 8 bits a channel, grey or colours, got an image of kind "
                        f"{image.mode}"
                    )
                if size[0] * size[1] * len(mode) > MOST_EACH:
                    raise ValueError(
                        f"expected an image of at most {MOST_EACH} numbers, got {size[0]} x "
                        f"{size[1]} pixels: make it smaller"
                    )
                if shape is not None and size != (shape[1], shape[0]):
                    raise ValueError(
                        f"expected {shape[1]} x {shape[0]} pixels as the others have, got "
                        f"{size[0]} x {size[1]}"
                    )
                return np.asarray(image.convert(mode), np.uint8), mode
    except Exception as error:
        # Pillow trusts the content of a file, so a wrong file can cause any exception.
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify" in reason:
            reason = "a file that is neither"
        told = reason if reason.startswith("expected") else f"expected a PNG or JPEG, got {reason}"
        raise ValueError(f"{path}: {told:.300}") from None

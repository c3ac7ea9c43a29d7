"""The data sets of the experiment, and their dequantisation and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import (
    SQUARABLE,
    Array,
    as_array,
    fraction,
    integer,
    option,
    require,
    scales,
)
from vaetheory._value_equality import ByValue

_VALIDATION, _TEST = 0.1, 0.2
#: The fewest rows that can be split in three.
LEAST_ROWS = 20
#: Kinds of affine maps between data and networks, see `Units`.
UNITS = ("pooled", "each", "plain")
_PATCH = 8


@dataclass(frozen=True, eq=False)
class Source(ByValue):
    """A data set before dequantisation and split.

    Attributes
    ----------
    name : str
    X : array (N, D)
    step : float
        The distance between neighbouring grey values, or 0 if the data are continuous. Uniform
        noise of this width makes grey values continuous: their expected log density plus D log step
        is a lower bound of the log probability of the grey values.
    units : str
        The kind of affine maps that suits the data, see `Units`.
    """

    name: str
    X: Array
    step: float = 0.0
    units: str = "pooled"

    def __post_init__(self) -> None:
        require("name", self.name, str)
        object.__setattr__(self, "X", as_array(self.name, self.X, ndim=2))
        step = fraction("step", self.step, low=0.0, high=SQUARABLE)
        object.__setattr__(self, "step", step)
        option("units", self.units, UNITS)

    def parts(self, rows: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> Split:
        """The three parts with these rows, dequantised."""
        X = self.X
        if self.step:
            X = X + self.step * rng.random(X.shape)
        return Split(*(X[part] for part in rows))


@dataclass(frozen=True, eq=False)
class Split(ByValue):
    """Disjoint training, validation and test data, `(N, D)` each."""

    train: Array
    validation: Array
    test: Array

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            object.__setattr__(self, name, as_array(name, getattr(self, name), ndim=2))

    def times(self, factor: float) -> Split:
        """The same data multiplied by a factor."""
        factor = float(scales("factor", as_array("factor", factor, ndim=0)))
        return Split(self.train * factor, self.validation * factor, self.test * factor)


def split_data(source: Source, seed: int) -> Split:
    """Dequantise and split at random: 70 %, 10 % and 20 %.

    Raises
    ------
    ValueError
        If there are too few rows, or a column of the training data does not vary.

    Examples
    --------
    >>> data = split_data(Source("line", np.arange(20.0)[:, None]), seed=0)
    >>> len(data.train), len(data.validation), len(data.test)
    (14, 2, 4)
    """
    integer("seed", seed)
    X = require("source", source, Source).X
    if len(X) < LEAST_ROWS or X.shape[1] == 0:
        raise ValueError(
            f"{source.name}: expected at least {LEAST_ROWS} rows of at least one number, got "
            f"shape {X.shape}"
        )
    rng = np.random.default_rng([seed, 100])
    order = rng.permutation(len(X))
    first, second = round(_TEST * len(X)), round((_TEST + _VALIDATION) * len(X))
    parts = source.parts((order[second:], order[first:second], order[:first]), rng)
    constant = np.flatnonzero(np.ptp(parts.train, axis=0) == 0)
    if constant.size:
        raise ValueError(
            f"{source.name}: expected columns that vary, got {constant.size} constant in the "
            f"training data, the first of them column {constant[0]}; leave them out"
        )
    return parts


def digits() -> Source:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 pixels of 17 grey values, in [0, 1)."""
    return Source("digits", _datasets().load_digits().data / 17, 1 / 17)


def patches() -> Source:
    """8 x 8 patches of scikit-learn's two photographs: green, 256 grey values, in [0, 1).

    They are every fourth patch of a grid, so no two share a pixel.
    """
    patches_of_each = []
    for photograph in _datasets().load_sample_images().images:
        green = np.asarray(photograph, dtype=np.float64)[..., 1]
        rows, columns = (n // _PATCH for n in green.shape)
        cut = green[: rows * _PATCH, : columns * _PATCH]
        cells = cut.reshape(rows, _PATCH, columns, _PATCH).swapaxes(1, 2)
        patches_of_each.append(cells.reshape(-1, _PATCH**2)[::4])
    return Source("patches", np.concatenate(patches_of_each) / 256, 1 / 256)


def breast_cancer() -> Source:
    """30 measurements of 569 cell samples, in their own units, whose sizes differ by 10^5."""
    return Source("breast-cancer", _datasets().load_breast_cancer().data, units="each")


def _datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError:
        raise ValueError(
            "data: expected scikit-learn, which carries these data sets: "
            "pip install 'vaetheory[data]'"
        ) from None
    return datasets


#: The data sets that come with scikit-learn.
SOURCES: Mapping[str, Callable[[], Source]] = {
    "digits": digits,
    "patches": patches,
    "breast-cancer": breast_cancer,
}

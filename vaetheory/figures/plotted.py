"""The numbers behind what a figure draws, so that its CSV gives the same picture again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from vaetheory._validation import Array
from vaetheory.plotting import Columns


def completed(figure: Figure, columns: Mapping[str, ArrayLike]) -> Columns:
    """The columns that a figure's panels gave, and what they drew beyond these.

    Parameters
    ----------
    figure : Figure
        Drawn.
    columns : mapping of str to array_like
        What its panels say they plotted, under names of their own.

    Returns
    -------
    dict of str to array_like
        The same, and one column for every coordinate of a line, marker, error bar, bar or image
        that is not among them, named by its panel and its legend.
    """
    out: Columns = dict(columns)
    known = {_bytes(np.ravel(np.asarray(column, float))) for column in out.values()}
    for number, axes in enumerate(figure.axes, 1):
        for name, numbers in _drawn(axes):
            if numbers.size == 0 or _bytes(numbers) in known:
                continue
            known.add(_bytes(numbers))
            out[_unused(f"panel {number}: {name}", out)] = numbers
    return out


def _bytes(numbers: Array) -> bytes:
    return np.asarray(numbers, float).tobytes()


def _unused(name: str, taken: Mapping[str, object]) -> str:
    """A name that no column has yet."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _label(artist: Line2D | PathCollection, kind: str) -> str:
    label = str(artist.get_label()).replace("\n", " ")
    return kind if label.startswith("_") or not label else f"{kind} {label}"


def _drawn(axes: Axes) -> Iterator[tuple[str, Array]]:
    """Names and numbers of all that an axis shows."""
    for line in axes.get_lines():
        x, y = (np.asarray(line.get_data()[i], float).ravel() for i in range(2))
        along, across = line.get_transform().contains_branch_seperately(axes.transData)
        name = _label(line, "line")
        # A line across the whole panel has one coordinate that is no datum.
        if along:
            yield f"{name} x", x if across else x[:1]
        if across:
            yield f"{name} y", y if along else y[:1]
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            offsets = np.asarray(collection.get_offsets(), float)
            name = _label(collection, "points")
            yield f"{name} x", offsets[:, 0]
            yield f"{name} y", offsets[:, 1]
            continue
        if isinstance(collection, LineCollection):
            name, vertices = "error bars", [np.asarray(s) for s in collection.get_segments()]
        else:
            name, vertices = "area", [np.asarray(p.vertices) for p in collection.get_paths()]
        together = np.concatenate([np.zeros((0, 2)), *[v.astype(float) for v in vertices]])
        yield f"{name} x", together[:, 0]
        yield f"{name} y", together[:, 1]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    if bars:
        boxes = np.array([(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in bars])
        for name, numbers in zip(("left", "bottom", "width", "height"), boxes.T, strict=True):
            yield f"bars {name}", numbers
    for image in axes.get_images():
        if isinstance(image, AxesImage):
            yield "image", np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan).ravel()

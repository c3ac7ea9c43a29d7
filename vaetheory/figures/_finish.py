"""Layout of finished figures: minimum font size, wrapped titles, legends that cover no data."""

from __future__ import annotations

import textwrap
from typing import Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from vaetheory._plotting import SMALLEST
from vaetheory._validation import Array

_Place = Literal[
    "upper right", "upper left", "lower left", "lower right", "center right", "center left",
    "upper center", "lower center", "center",
]  # fmt: skip
# Places for a legend, tried in this order until one covers no data.
_PLACES: tuple[_Place, ...] = get_args(_Place)


def finish(figure: Figure) -> None:
    """Make a figure readable at half size.

    Texts have at least `SMALLEST` points. Titles are wrapped to the width of their panel. A legend
    that covers data moves to a free place, or the axis is extended to make room for it.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text) and float(text.get_fontsize()) < SMALLEST:
            text.set_fontsize(SMALLEST)
    for axes in figure.axes:
        if legend := axes.get_legend():
            # The layout must not reserve room for a legend inside its panel.
            legend.set_in_layout(False)
    _lay_out(figure)
    for axes in figure.axes:
        frame = axes.get_window_extent()
        _wrap(axes.title, frame.width)
        _wrap(axes.xaxis.label, frame.width)
        _wrap(axes.yaxis.label, frame.height)
    _lay_out(figure)
    for axes in figure.axes:
        _clear(axes)


def _lay_out(figure: Figure) -> None:
    """Compute the places of panels and texts without drawing."""
    engine = figure.get_layout_engine()
    if engine is None:
        figure.draw_without_rendering()
    else:
        engine.execute(figure)


def _wrap(text: Text, room: float) -> None:
    """Wrap a text into the fewest lines that fit `room` pixels, of about the same length."""
    label, extent = text.get_text(), text.get_window_extent()
    needed = extent.height if text.get_rotation() == 90 else extent.width
    if needed <= room:
        return
    lines = label.split("\n")
    most = max(int(max(map(len, lines)) * room / needed), 12)
    text.set_text("\n".join(_even(line, most) for line in lines))


def _even(line: str, most: int) -> str:
    """A line wrapped into the fewest lines of at most `most` letters, of about the same length."""
    if len(line) <= most:
        return line
    count = len(textwrap.wrap(line, most))
    even = next(w for w in range(1, most + 1) if len(textwrap.wrap(line, w)) <= count)
    return "\n".join(textwrap.wrap(line, even))


def _clear(axes: Axes) -> None:
    """Move the legend to a place where it covers no data."""
    legend = axes.get_legend()
    if legend is None or not legend.get_visible():
        return
    legend = _narrow(axes, legend)
    points = drawn_points(axes)
    if not covered(legend, points):
        return
    legend.set_bbox_to_anchor(None)
    for place in _PLACES:
        legend.set_loc(place)
        if not covered(legend, points):
            return
    legend.set_loc("upper right")
    frame = axes.get_window_extent()
    # The share of the height that stays free below the legend, with a small margin.
    share = 1 - legend.get_window_extent().height / frame.height - 0.06
    heights = drawn_points(axes, rules=False)[:, 1]
    inside = heights[(heights >= frame.y0) & (heights <= frame.y1)]
    if share < 0.3:
        legend.set_loc("upper center")
        legend.set_bbox_to_anchor((0.5, -0.2), axes.transAxes)
    elif inside.size:
        reach = (inside.max() - frame.y0) / frame.height
        transform = axes.yaxis.get_transform()
        low, high = transform.transform(np.array(axes.get_ylim()))
        top = low + (high - low) * max(reach / share, 1.0)
        axes.set_ylim(top=float(transform.inverted().transform(np.array([top]))[0]))
        # A vertical line over the whole panel may still collide on one side.
        points = drawn_points(axes)
        sides: tuple[_Place, ...] = ("upper right", "upper left")
        hidden = []
        for side in sides:
            legend.set_loc(side)
            hidden.append(covered(legend, points))
        legend.set_loc(sides[int(np.argmin(hidden))])


def _narrow(axes: Axes, legend: Legend) -> Legend:
    """Give a legend that is wider than its panel a single column, and wrap its lines."""
    if legend.get_window_extent().width > axes.get_window_extent().width:
        title = legend.get_title().get_text()
        handles = axes.get_legend_handles_labels()[0]
        texts = [text.get_text() for text in legend.get_texts()]
        legend = axes.legend(handles, texts, loc="upper right", title=title or None)
        legend.set_in_layout(False)
    widest = max(text.get_window_extent().width for text in legend.get_texts())
    beside = legend.get_window_extent().width - widest
    room = axes.get_window_extent().width - beside
    for text in legend.get_texts():
        _wrap(text, room)
    return legend


def covered(legend: Legend, points: Array) -> int:
    """The number of points `(n, 2)`, in pixels, under a legend."""
    box = legend.get_window_extent()
    inside = (points >= np.array(box.min) - 2) & (points <= np.array(box.max) + 2)
    return int(inside.all(axis=1).sum())


def drawn_points(axes: Axes, *, rules: bool = True) -> Array:
    """Points `(n, 2)` in pixels, a few pixels apart, along everything that is drawn.

    Without `rules`, vertical lines over the whole panel (`axvline`) are left out.
    """
    chains: list[Array] = []
    for line in axes.get_lines():
        if not rules and not line.get_transform().contains_branch_seperately(axes.transData)[1]:
            continue
        path = line.get_transform().transform(np.asarray(line.get_xydata(), float))
        joined = line.get_linestyle() not in ("None", "", " ")
        chains.append(_dense(path) if joined else path)
    for collection in axes.collections:
        if isinstance(collection, PathCollection):
            chains.append(axes.transData.transform(np.asarray(collection.get_offsets(), float)))
        elif isinstance(collection, LineCollection):
            for segment in collection.get_segments():
                chains.append(_dense(axes.transData.transform(np.asarray(segment, float))))
        else:
            for outline in collection.get_paths():
                corners = np.asarray(outline.vertices, float)
                chains.append(_dense(axes.transData.transform(corners)))
    for patch in axes.patches:
        if isinstance(patch, Rectangle):
            box = patch.get_window_extent().corners()
            chains.append(_dense(box[[0, 1, 3, 2, 0]]))
    chains = [chain[np.isfinite(chain).all(axis=1)] for chain in chains]
    return np.concatenate([np.zeros((0, 2)), *chains])


def _dense(path: Array) -> Array:
    """A polygonal chain with points every few pixels."""
    path = path[np.isfinite(path).all(axis=1)]
    if len(path) < 2:
        return path
    lengths = np.hypot(*np.diff(path, axis=0).T)
    counts = np.minimum(np.ceil(lengths / 4).astype(int) + 1, 400)
    pieces = [np.linspace(a, b, n) for a, b, n in zip(path[:-1], path[1:], counts, strict=True)]
    return np.concatenate(pieces)

"""The plotted numbers of a figure; its CSV contains everything that is needed to redraw it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from vaetheory._validation import Array
from vaetheory.figures._panels import ErrorBars, Exponents

#: The columns of a figure's CSV.
HEADER = (
    "panel",
    "series",
    "part",
    "x",
    "y",
    "x error",
    "y error",
    "fitted exponent",
    "law exponent",
)


@dataclass(frozen=True)
class Drawn:
    """The numbers of one artist, `(n,)` each or `None`.

    `part` is the role of the artist in its series: points, line, points and line, bars, law, bound,
    text or another name. A horizontal line has no `x` and a vertical one no `y`.
    """

    series: str
    part: str
    x: Array | None
    y: Array | None
    x_error: Array | None = None
    y_error: Array | None = None


def table(figure: Figure, exponents: Sequence[Exponents]) -> Iterator[tuple[str, ...]]:
    """The rows of a figure's CSV, in the order of `HEADER`: every point of every artist.

    Parameters
    ----------
    figure : Figure
        A figure that is drawn.
    exponents : sequence of mapping of str to (float, float)
        The fitted exponents of each panel, which are written next to the points of their series.

    Yields
    ------
    tuple of str

    Raises
    ------
    ValueError
        If an artist with data has no name, or an exponent belongs to no series.
    """
    for number, (axes, fitted) in enumerate(zip(figure.axes, exponents, strict=True), 1):
        fits = {_words(series): fit for series, fit in fitted.items()}
        artists = list(drawn(axes))
        known = {one.series for one in artists if one.part == "points"}
        if unknown := set(fits) - known:
            raise ValueError(f"exponents: expected series of points {known}, got {unknown}")
        for one in artists:
            fit = fits.get(one.series) if one.part == "points" else None
            ends = ("", "") if fit is None else (repr(float(fit[0])), repr(float(fit[1])))
            columns = [one.x, one.y, one.x_error, one.y_error]
            length = next(len(column) for column in columns[:2] if column is not None)
            for row in range(length):
                cells = ["" if c is None else repr(float(c[row])) for c in columns]
                yield (str(number), one.series, one.part, *cells, *ends)


def drawn(axes: Axes) -> Iterator[Drawn]:
    """The numbers of every artist with data in a panel."""
    held: set[int] = set()
    for container in axes.containers:
        if isinstance(container, BarContainer):
            held |= {id(bar) for bar in container.patches} | _members(container.errorbar)
            yield _bars(container)
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            if not _members(container) & held:
                yield _errorbars(container)
            held |= _members(container)
    errors = {id(one.points): one for one in axes.collections if isinstance(one, ErrorBars)}
    for line in axes.get_lines():
        if id(line) not in held and np.size(line.get_xdata()):
            yield _line(axes, line, errors.get(id(line)))
    for collection in axes.collections:
        if id(collection) in held or isinstance(collection, ErrorBars):
            continue
        if not isinstance(collection, PathCollection):
            raise ValueError(f"figure: expected lines, points and bars, got {collection}")
        offsets = np.asarray(collection.get_offsets(), float)
        yield Drawn(*_name(collection, "points"), offsets[:, 0], offsets[:, 1])
    notes: dict[str, list[tuple[float, float]]] = {}
    for text in axes.texts:
        if isinstance(text, Annotation):
            notes.setdefault(_words(text.get_text()).strip(), []).append(text.xy)
    for note, places in notes.items():
        at = np.array(places, float)
        yield Drawn(note, "text", at[:, 0], at[:, 1])


def _members(container: ErrorbarContainer | None) -> set[int]:
    """The ids of all artists of an error bar."""
    if container is None:
        return set()
    points, caps, bars = container.lines
    return {id(artist) for artist in (points, *caps, *bars)}


def _line(axes: Axes, line: Line2D, bars: ErrorBars | None) -> Drawn:
    x, y = (np.asarray(line.get_data()[i], float).ravel() for i in range(2))
    series, part = _name(line, _kind(line))
    along, across = line.get_transform().contains_branch_seperately(axes.transData)
    # A line across the whole panel has data in one coordinate only.
    if not along:
        return Drawn(series, part, None, y[:1])
    if not across:
        return Drawn(series, part, x[:1], None)
    errors = {} if bars is None else {f"{bars.along}_error": bars.errors}
    return Drawn(series, part, x, y, **errors)


def _kind(line: Line2D) -> str:
    """Whether an artist draws points, a line or both."""
    none = ("None", "", " ")
    joined, marked = line.get_linestyle() not in none, line.get_marker() not in none
    return "points and line" if joined and marked else "line" if joined else "points"


def _errorbars(container: ErrorbarContainer) -> Drawn:
    points, _, bars = container.lines
    if points is None:
        raise ValueError("figure: expected error bars with their points, got bars alone")
    x, y = (np.asarray(points.get_data()[i], float).ravel() for i in range(2))
    names = [n for n, has in (("x", container.has_xerr), ("y", container.has_yerr)) if has]
    halves: dict[str, Array] = {}
    for name, bar in zip(names, bars, strict=True):
        halves[name] = _halves(bar, "xy".index(name))
    return Drawn(*_name(container, _kind(points)), x, y, halves.get("x"), halves.get("y"))


def _bars(container: BarContainer) -> Drawn:
    """Bars by their ends and their positions on the axis."""
    lying = container.orientation == "horizontal"
    values = np.asarray(container.datavalues, float)
    middles = [
        b.get_y() + b.get_height() / 2 if lying else b.get_x() + b.get_width() / 2
        for b in container.patches
    ]
    errors = None
    if container.errorbar is not None:
        errors = _halves(container.errorbar.lines[2][0], 0 if lying else 1)
    series, part = _name(container, "bars")
    if lying:
        return Drawn(series, part, values, np.array(middles), errors, None)
    return Drawn(series, part, np.array(middles), values, None, errors)


def _halves(bars: Artist, axis: int) -> Array:
    """Half the length of each error bar along an axis."""
    if not isinstance(bars, LineCollection):
        raise ValueError(f"figure: expected error bars, got {bars}")
    ends = np.array([np.asarray(segment)[:, axis] for segment in bars.get_segments()])
    return np.asarray((ends[:, 1] - ends[:, 0]) / 2)


def _name(artist: Artist | BarContainer | ErrorbarContainer, kind: str) -> tuple[str, str]:
    """The series and the part of an artist, from its label."""
    label = str(artist.get_label())
    if not label.startswith("_"):
        # The second line of a label is the fitted exponent.
        return _words(label.partition("\n")[0]).removesuffix(":"), kind
    part, colon, series = label[1:].partition(": ")
    if not colon:
        raise ValueError(f"label: expected a name or '_part: series', got {label!r}")
    return _words(series), part


def _words(text: str) -> str:
    """A text on one line, without the markup of formulas."""
    plain = re.sub(r"\\(?:mathrm|mathit|mathdefault)?", "", text.replace("\n", " "))
    return re.sub(r"[${}]", "", plain)


def panels(figure: Figure) -> list[Mapping[str, object]]:
    """Titles, axes, scales, limits and tick names of a figure's panels, for the manifest."""
    return [
        {"title": _words(axes.get_title())}
        | {
            name: {
                "label": _words(getattr(axes, f"get_{name}label")()),
                "scale": getattr(axes, f"get_{name}scale")(),
                "limits": [float(f"{v:.6g}") for v in getattr(axes, f"get_{name}lim")()],
            }
            | _places(getattr(axes, f"{name}axis"))
            for name in ("x", "y")
        }
        for axes in figure.axes
    ]


def _places(axis: Axis) -> dict[str, object]:
    """The places of tick labels on an axis that has words instead of numbers."""
    labels = [_words(tick.get_text()) for tick in axis.get_majorticklabels()]
    if not any(re.match("[A-Za-z]{2}", label) for label in labels):
        return {}
    return {"places": dict(zip(labels, map(float, axis.get_majorticklocs()), strict=True))}

"""Layout of finished figures: wrapped texts, legends below their panels, height of the figure."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from vaetheory._plotting import PANEL, SIZE, SMALLEST

#: The name of the line between a panel and its title.
REMARK = "remark"
#: What separates the parts of a remark on one line.
APART = "\N{NO-BREAK SPACE}· "
# Points between a panel, the remark, the title and the legend.
_SPACE = 6.0
# No line is wrapped to fewer letters.
_FEWEST = 12
# The share of a panel that a text may take, because the panels may still shrink a little.
_SHARE = 0.94


def finish(figure: Figure) -> None:
    """Make a figure readable at the width of a page.

    Texts have at least `SMALLEST` points. Titles, remarks and labels are wrapped to their panel.
    Legends stand below their panels and cover no data. If the figure still has the size `SIZE`, its
    height is fitted, so that each panel has the height `PANEL`.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text) and float(text.get_fontsize()) < SMALLEST:
            text.set_fontsize(SMALLEST)
    legends = [axes.get_legend() for axes in figure.axes]
    long = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, *axes.texts)]
    # What is not yet in its place or too long must not narrow the panels.
    hidden = [artist for artist in (*filter(None, legends), *long) if artist.get_visible()]
    for artist in hidden:
        artist.set_visible(False)
    _lay_out(figure)
    for artist in hidden:
        artist.set_visible(True)
    for axes in figure.axes:
        room = _SHARE * axes.get_window_extent().width
        _wrap_heading(figure, axes, room)
        _wrap(axes.xaxis.label, room)
    for axes, legend in zip(figure.axes, legends, strict=True):
        if legend is not None:
            _move_below(figure, axes, legend)
    _lay_out(figure)
    heights = [axes.get_window_extent().height for axes in figure.axes]
    if tuple(figure.get_size_inches()) == SIZE:
        heights = _fit_height(figure, heights)
    for axes, height in zip(figure.axes, heights, strict=True):
        _wrap(axes.yaxis.label, _SHARE * height)
    _lay_out(figure)


def _lay_out(figure: Figure) -> None:
    """Compute the places of panels and texts without drawing."""
    engine = figure.get_layout_engine()
    if engine is None:
        figure.draw_without_rendering()
    else:
        engine.execute(figure)


def _wrap_heading(figure: Figure, axes: Axes, room: float) -> None:
    """Wrap the title of a panel and the remark below it, and put one above the other."""
    _wrap(axes.title, room)
    for remark in axes.texts:
        if remark.get_gid() == REMARK:
            _wrap(remark, room)
            remark.set_text(remark.get_text().replace(APART.rstrip() + "\n", "\n"))
            height = remark.get_window_extent().height * 72 / figure.dpi
            x, side = axes.title.get_position()[0], axes.title.get_horizontalalignment()
            axes.set_title(axes.get_title(), x=x, ha=side, pad=height + 1.5 * _SPACE)


def _wrap(text: Text, room: float) -> None:
    """Wrap a text into the fewest lines that fit `room` pixels, of about the same length."""
    lines = text.get_text().split("\n")
    most = max(map(len, lines))
    along = 1 if text.get_rotation() == 90 else 0
    while text.get_window_extent().size[along] > room and most > _FEWEST:
        most -= 1
        text.set_text("\n".join(_even(line, most) for line in lines))


def _even(line: str, most: int) -> str:
    """A line wrapped into the fewest lines of at most `most` letters, of about the same length."""
    if len(line) <= most:
        return line

    def wrapped(width: int) -> list[str]:
        return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)

    count = len(wrapped(most))
    return "\n".join(wrapped(next(w for w in range(1, most + 1) if len(wrapped(w)) <= count)))


def _move_below(figure: Figure, axes: Axes, legend: Legend) -> None:
    """Draw a legend below its panel, in as many columns as there is room for."""
    handles, labels = axes.get_legend_handles_labels()[0], [t.get_text() for t in legend.texts]
    title = legend.get_title().get_text() or None
    if len(handles) != len(labels):
        handles = [handle for handle in legend.legend_handles if handle is not None]
    legend.remove()
    outer, frame = axes.get_tightbbox(), axes.get_window_extent()
    if outer is None or not labels:
        return
    # In inches from the lower left corner of the panel, so that the distance survives any layout.
    across, down = (outer.x0 - frame.x0) / figure.dpi, (outer.y0 - frame.y0) / figure.dpi
    place = axes.transAxes + ScaledTranslation(across, down - _SPACE / 72, figure.dpi_scale_trans)
    room = frame.x1 - outer.x0
    for columns in range(len(labels), 0, -1):
        legend = axes.legend(
            handles, [" ".join(label.split("\n")) for label in labels],
            title=title, alignment="left", ncols=columns,
            loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=place,
        )  # fmt: skip
        if legend.get_window_extent().width <= room:
            return
    widest = max(text.get_window_extent().width for text in legend.get_texts())
    beside = legend.get_window_extent().width - widest
    for text, label in zip(legend.get_texts(), labels, strict=True):
        if text.get_window_extent().width + beside > room:
            text.set_text(label)
            _wrap(text, room - beside)


def _fit_height(figure: Figure, heights: list[float]) -> list[float]:
    """Make the panels `PANEL` inches high, by the height of the figure; return their heights."""
    spec = figure.axes[0].get_subplotspec() if figure.axes else None
    if spec is None:
        # Panels at places of their own are shares of the figure.
        share = 2 * PANEL / figure.get_figheight()
        figure.set_figheight(2 * PANEL)
        return [share * height for height in heights]
    missing = PANEL - heights[0] / figure.dpi
    figure.set_figheight(figure.get_figheight() + spec.get_gridspec().nrows * missing)
    return [height + missing * figure.dpi for height in heights]

"""Small SVG pictures of numbers: points over an axis, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaetheory.report._markup import Markup, element

_WIDTH, _HEIGHT = 460, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 14, 12, 40


class _Scale:
    """From numbers to places along one axis, which may be logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool) -> None:
        self.log = log
        self.low, self.high = (math.log10(low), math.log10(high)) if log else (low, high)
        if self.high - self.low <= 1e-12 * (abs(self.high) + abs(self.low)):
            # One number: in the middle.
            room = 0.5 * abs(self.high) or 1.0
            self.low, self.high = self.low - room, self.high + room
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        share = (at - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Four numbers along the axis."""
        if self.log:
            first, last = math.ceil(self.low), math.floor(self.high)
            if last > first:
                return [10.0**p for p in range(first, last + 1, max(1, (last - first) // 3))]
        at = [self.low + (self.high - self.low) * i / 3 for i in range(4)]
        return [10.0**a for a in at] if self.log else at


def points(
    label: str,
    x: Sequence[float],
    y: Sequence[float],
    *,
    names: tuple[str, str],
    ticks: Sequence[float] | None = None,
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
    line: float | None = None,
) -> Markup:
    """Points (x, y), and a horizontal line.

    Parameters
    ----------
    label : str
        What the picture shows, in words.
    x, y : sequence of float
        At least one point; positive y on a logarithmic axis. Those outside of `y_range` are drawn
        at its end.
    names : (str, str)
        The names of the axes.
    ticks : sequence of float, optional
        Numbers along the axis of x.
    log_y : bool
        Whether the axis of y is logarithmic.
    y_range : (float, float), optional
        By default that of the points and the line.
    line : float, optional
        The height of a line.
    """
    extra = [] if line is None else [line]
    low, high = y_range or (min([*y, *extra]), max([*y, *extra]))
    across = _Scale(min(x), max(x), _LEFT, _WIDTH - _RIGHT, log=False)
    up = _Scale(low, high, _HEIGHT - _BOTTOM, _TOP, log=log_y)
    marks = _axes(across, up, names, ticks)
    if line is not None:
        at = up.place(line)
        marks.append(element("path", class_="limit", d=f"M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"))
    marks += [
        element("circle", cx=f"{across.place(a):.1f}", cy=f"{up.place(b):.1f}", r=3)
        for a, b in zip(x, y, strict=True)
    ]
    return _picture(label, marks)


def bars(label: str, values: Sequence[float], *, names: tuple[str, str]) -> Markup:
    """A bar from zero for each value, in their order."""
    across = _Scale(0.5, len(values) + 0.5, _LEFT, _WIDTH - _RIGHT, log=False)
    up = _Scale(min(0.0, *values), max(0.0, *values), _HEIGHT - _BOTTOM, _TOP, log=False)
    marks = _axes(across, up, names, list(range(1, len(values) + 1)))
    width = 0.6 * (across.place(2) - across.place(1))
    for number, value in enumerate(values, 1):
        top, bottom = sorted((up.place(value), up.place(0.0)))
        marks.append(
            element(
                "rect",
                x=f"{across.place(number) - width / 2:.1f}",
                y=f"{top:.1f}",
                width=f"{width:.1f}",
                height=f"{max(bottom - top, 1.0):.1f}",
            )
        )
    return _picture(label, marks)


def _axes(
    across: _Scale, up: _Scale, names: tuple[str, str], ticks: Sequence[float] | None = None
) -> list[Markup]:
    bottom = _HEIGHT - _BOTTOM
    marks = [element("path", class_="axis", d=f"M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}")]
    for value in across.ticks() if ticks is None else ticks:
        x = f"{across.place(value):.1f}"
        marks.append(element("text", f"{value:.3g}", x=x, y=bottom + 14, text_anchor="middle"))
    for value in up.ticks():
        y = f"{up.place(value) + 4:.1f}"
        marks.append(element("text", f"{value:.3g}", x=_LEFT - 5, y=y, text_anchor="end"))
    middle = f"{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}"
    marks.append(element("text", names[0], x=middle, y=_HEIGHT - 8, text_anchor="middle"))
    high = f"{(_TOP + bottom) / 2:.0f}"
    turned = f"rotate(-90 12 {high})"
    marks.append(element("text", names[1], x=12, y=high, text_anchor="middle", transform=turned))
    return marks


def _picture(label: str, marks: Sequence[Markup]) -> Markup:
    return element(
        "svg",
        *marks,
        class_="points",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
    )

"""Small SVG pictures of residuals and their bounds on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vaetheory._numbers_as_text import distinct_texts
from vaetheory.report._markup import Markup, element

_WIDTH, _HEIGHT, _PAD = 220, 22, 8


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis that all rows of a table share.

    Attributes
    ----------
    low, high : int
        Powers of ten at the two ends.
    """

    low: int
    high: int

    @classmethod
    def around(cls, values: Iterable[float]) -> Axis:
        """An axis that shows all positive finite values, with a margin at both ends.

        Examples
        --------
        >>> Axis.around([0.0, 2e-16, 3e-4])
        Axis(low=-17, high=-3)
        """
        powers = [math.log10(v) for v in values if 0 < v < math.inf]
        if not powers:
            return cls(-16, 0)
        return cls(math.ceil(min(powers)) - 2, math.floor(max(powers)) + 1)

    def place(self, value: float) -> float:
        """The distance of a value from the left; 0 is at the left end, infinity at the right."""
        if not value > 0:
            return _PAD
        power = min(max(math.log10(value) if value < math.inf else math.inf, self.low), self.high)
        return _PAD + (power - self.low) / (self.high - self.low) * (_WIDTH - 2 * _PAD)

    def scale(self) -> Markup:
        """A picture of the axis with its powers of ten."""
        step = max(1, math.ceil((self.high - self.low) / 4))
        ticks = [
            element(
                "text",
                f"1e{power}" if power else "1",
                x=f"{self.place(10.0**power):.1f}",
                y=14,
                text_anchor="middle",
            )
            for power in range(self.high - step // 2, self.low, -step)
        ]
        return _picture("scale of the residuals and bounds, powers of ten", *ticks)

    def row(self, residual: float, bound: float) -> Markup:
        """A picture of one residual, a dot, and its bound, the end of a bar."""
        middle = _HEIGHT / 2
        end = self.place(bound)
        at = f"{self.place(residual):.1f}"
        within = residual <= bound
        marks = [
            element(
                "rect",
                class_="allowed",
                x=_PAD,
                y=middle - 4,
                width=f"{max(end - _PAD, 0):.1f}",
                height=8,
            ),
            element("path", class_="bound", d=f"M{end:.1f} 2V{_HEIGHT - 2}"),
        ]
        if residual == 0:
            # A logarithmic axis has no zero: draw an arrow.
            left = element("path", class_="zero", d=f"M{_PAD + 6} 6L{_PAD} 11L{_PAD + 6} 16")
            marks.append(left)
        elif math.isfinite(residual) and within:
            marks.append(element("circle", class_="within", cx=at, cy=middle, r=4))
        elif not math.isnan(residual):
            cross = f"M{float(at) - 4:.1f} 7l8 8m0 -8l-8 8"
            marks.append(element("path", class_="beyond", d=cross))
        label = "residual {}, bound {}".format(*distinct_texts(residual, bound, digits=2))
        return _picture(label, *marks)


def _picture(label: str, *marks: Markup) -> Markup:
    return element(
        "svg",
        *marks,
        class_="margin",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
    )

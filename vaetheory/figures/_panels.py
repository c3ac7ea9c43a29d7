"""Drawing of series in all figures: points, law, computed errors, fitted exponents and key.

Marks are computed, thin lines predicted, dotted lines bounds, and bars computed errors.

An artist without an entry in a legend has a label `_part: series`, for example `_law: parabola`;
the figure's key and its CSV are made from these labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from vaetheory._numbers_as_text import rounded_up
from vaetheory._plotting import COLOURS, DASHES, FAINT, MARKERS, SMALLEST
from vaetheory._validation import Array
from vaetheory.figures._finish import APART, REMARK

#: The fitted exponent of a series and the law's, by the name of the series.
Exponents: TypeAlias = dict[str, tuple[float, float]]
#: A function that draws on empty axes and returns the fitted exponents.
Panel = Callable[[Axes], Exponents]

#: The style of bounds in all figures.
BOUND: Any = {"ls": ":", "lw": 2.2}

# Number of points in a fit, and their greatest relative error.
_FITTED, _RESOLVED = 3, 1e-2
_LAW, _BOUND = "law", "bound"
# Bars longer than these shares of a value on a logarithmic axis, or of a linear one, are seen.
_SEEN = {"log": 0.1, "linear": 0.01}


def style_of(number: int) -> tuple[str, str, Any]:
    """Colour, marker and dashes of the series of that number in a panel, from 0."""
    return tuple(them[number % len(them)] for them in (COLOURS, MARKERS, DASHES))  # type: ignore[return-value]


def fitted_exponent(
    x: ArrayLike, y: ArrayLike, errors: ArrayLike = 0.0, *, limit: float = 0.0
) -> float:
    """Slope of log y against log x over the three resolved points nearest the limit.

    Parameters
    ----------
    x, y : array_like (n,)
        Positive.
    errors : array_like (n,), optional
        Errors of y. Points with a relative error of a hundredth or more are left out.
    limit : {0.0, inf}, optional
        The limit of x in which the law holds.

    Raises
    ------
    ValueError
        If fewer than three points are resolved.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0, 8.0])
    >>> round(fitted_exponent(x, 3 * x**2 + x**6 / 1e9), 4)
    2.0
    """
    abscissae, values = np.asarray(x, float), np.asarray(y, float)
    seen = np.flatnonzero(np.abs(errors) < _RESOLVED * values)
    order = np.argsort(abscissae[seen])
    chosen = seen[order[:_FITTED] if limit == 0 else order[-_FITTED:]]
    if len(chosen) < _FITTED:
        raise ValueError(
            f"y: expected {_FITTED} points of relative error below {_RESOLVED}, got {len(chosen)}"
        )
    return float(np.polyfit(np.log(abscissae[chosen]), np.log(values[chosen]), 1)[0])


def fitted(exponent: float, law: float, *, what: str = "exponent") -> str:
    """The text for a fitted exponent and that of the law.

    Examples
    --------
    >>> fitted(-1.9996, -2)
    'exponent −2.00 (law −2)'
    """
    return f"{what} {_number(exponent, '.2f')} (law {_number(law, '.3g')})"


def _number(value: float, form: str) -> str:
    """A number with a typographic minus sign, and without a sign if it rounds to zero."""
    text = format(value, form)
    return (text if float(text) else text.lstrip("-")).replace("-", "\N{MINUS SIGN}")


class ErrorBars(LineCollection):
    """Computed errors of points, drawn as bars.

    `errors` holds the errors as given, because the ends of a short bar have lost their digits.
    """

    def __init__(self, points: Line2D, errors: ArrayLike, *, along: str = "y") -> None:
        self.points, self.along = points, along
        middles = np.asarray(points.get_xydata(), float)
        self.errors: Array = np.broadcast_to(np.asarray(errors, float), middles.shape[:1])
        half = self.errors[:, None] * (np.array(["x", "y"]) == along)
        ends = np.stack([middles - half, middles + half], axis=1)
        super().__init__(list(ends), colors=[str(points.get_color())], linewidths=1.3)

    @property
    def values(self) -> Array:
        """The coordinates `(n,)` that have these errors."""
        return np.asarray(self.points.get_xydata(), float)[:, "xy".index(self.along)]


def draw_errors(axes: Axes, points: Line2D, errors: ArrayLike, *, along: str = "y") -> None:
    """Draw the computed errors of points as bars, which do not extend the axis."""
    axes.add_collection(ErrorBars(points, errors, along=along), autolim=False)


def draw_series(
    axes: Axes,
    number: int,
    name: str,
    x: ArrayLike,
    y: ArrayLike,
    *,
    law: ArrayLike | tuple[ArrayLike, ArrayLike] | None = None,
    exponent: float | None = None,
    limit: float = 0.0,
    errors: ArrayLike | None = None,
    filled: bool = True,
    colour: str | None = None,
    legend: str | None = None,
) -> Exponents:
    """Draw points, their predicted curve and computed errors, and fit their exponent.

    Parameters
    ----------
    axes : Axes
        The scales must be set.
    number : int
        The position of the series in its panel; it determines colour, marker and dashes.
    name : str
        The name of the series.
    x, y : array_like (n,)
        The points.
    law : array_like (n,) or pair of array_like (m,), optional
        The predicted values at the same x, or x and y of the predicted curve.
    exponent : float, optional
        The exponent of the law. If given, the exponent of the points is fitted, written into the
        legend and returned.
    limit : {0.0, inf}, optional
        The limit of x in which the law holds.
    errors : array_like (n,), optional
        The computed errors of y.
    filled : bool, optional
        Whether the markers are filled.
    colour : str, optional
        Another colour than that of the number.
    legend : str, optional
        A text after the name in the legend. An empty text means no entry.

    Returns
    -------
    dict of str to (float, float)
        The fitted exponent and that of the law, by name; empty without an exponent.
    """
    own, marker, dash = style_of(number)
    colour = colour or own
    exponents: Exponents = {}
    label = name if legend is None else f"{name}:\n{legend}"
    if exponent is not None:
        slope = fitted_exponent(x, y, 0.0 if errors is None else errors, limit=limit)
        exponents[name] = slope, exponent
        label = f"{name}:\n{fitted(slope, exponent)}"
    if legend == "":
        label = f"_points: {name}"
    if law is not None:
        at, values = law if isinstance(law, tuple) else (x, law)
        axes.plot(at, values, color=colour, ls=dash, lw=1, label=f"_{_LAW}: {name}")
    (points,) = axes.plot(
        x, y, marker, ms=4.5, color=colour, mfc=colour if filled else "none", label=label
    )
    if errors is not None:
        draw_errors(axes, points, errors)
    return exponents


def draw_bound(axes: Axes, name: str, x: ArrayLike, y: ArrayLike, *, colour: str = "grey") -> None:
    """Draw a bound in the common style."""
    axes.plot(x, y, color=colour, label=f"_{_BOUND}: {name}", **BOUND)


def head(axes: Axes, labels: str, sentence: str) -> None:
    """Write what a panel shows above it, and the labels of its propositions in small letters."""
    axes.set_title(sentence, x=0, ha="left")
    above = ScaledTranslation(0, 4 / 72, axes.figure.dpi_scale_trans)
    axes.text(
        0, 1, labels, transform=axes.transAxes + above, fontsize=SMALLEST, color=FAINT, gid=REMARK
    )


def draw_panels(figure: Figure, *panels: Panel) -> list[Exponents]:
    """Draw panels on an empty figure, with legends and a key; return each panel's exponents.

    Three panels stand in a row; others in rows of two.
    """
    columns = min(len(panels), 3 if len(panels) == 3 else 2)
    grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False)
    exponents = [panel(axes) for axes, panel in zip(grid.flat, panels, strict=True)]
    for axes in figure.axes:
        if axes.get_legend_handles_labels()[0] and not axes.get_legend():
            axes.legend()
        for remark in axes.texts:
            if remark.get_gid() == REMARK and (size := _size_of_errors(axes)):
                remark.set_text(f"{remark.get_text()}{APART}{size}")
    _draw_key(figure, note=any(exponents))
    return exponents


def _size_of_errors(axes: Axes) -> str:
    """What is said of the computed errors of a panel: their size, or that bars show them."""
    found = [bars for bars in axes.collections if isinstance(bars, ErrorBars)]
    if not found:
        return ""
    logarithmic = getattr(axes, f"get_{found[0].along}scale")() == "log"
    low, high = getattr(axes, f"get_{found[0].along}lim")()
    errors = np.concatenate([bars.errors for bars in found])
    values = np.concatenate([bars.values for bars in found])
    share = errors / (np.abs(values) if logarithmic else high - low)
    if share.max() > _SEEN["log" if logarithmic else "linear"]:
        return "bars: computed errors"
    largest = share.max() if logarithmic else errors.max()
    return f"{errors_within(largest)}{' of the value' if logarithmic else ''}"


def errors_within(value: float, *, what: str = "errors") -> str:
    """The remark that no error exceeds a value, which is rounded up to one digit.

    Examples
    --------
    >>> [errors_within(e).split("\N{NO-BREAK SPACE}")[-1] for e in (3.01e-11, 0.0101, 0.0)]
    ['4e-11', '0.02', '0']
    """
    return f"{what}\N{NO-BREAK SPACE}≤\N{NO-BREAK SPACE}{rounded_up(value, digits=1)}"


def parts(axes: Axes) -> set[str]:
    """The parts of series that a panel shows, from the labels of its artists."""
    labels = [str(line.get_label()) for line in axes.get_lines()]
    return {label[1:].partition(": ")[0] for label in labels if label.startswith("_")}


def _draw_key(figure: Figure, *, note: bool) -> None:
    """Draw the key of markers, lines, bars and dotted lines below the panels."""
    shown = set().union(*(parts(axes) for axes in figure.axes))
    bars = any(isinstance(one, ErrorBars) for axes in figure.axes for one in axes.collections)

    def grey(marker: str = "", line: str = "", width: float = 1.2, size: float = 5) -> Line2D:
        return Line2D([], [], color="grey", marker=marker, ls=line, lw=width, ms=size)

    entries: list[tuple[Any, str]] = []
    if _LAW in shown or bars:
        entries.append((tuple(grey(m) for m in MARKERS[:3]), "computed"))
    if _LAW in shown:
        entries.append(((grey(line="-"), grey(line="--")), "predicted"))
    if _BOUND in shown:
        entries.append((grey(line=":", width=2.2), "bound"))
    if bars:
        entries.append((grey("|", size=11), "computed error"))
    if note:
        entries.append(
            (grey(), f"exponent: fitted to the {_FITTED} resolved points nearest the limit")
        )
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(entries),
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)}, handlelength=2.6,
            borderaxespad=0.8,
        )  # fmt: skip

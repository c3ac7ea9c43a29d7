"""Drawing of series in all figures: points, law, computed errors, fitted exponents and key.

An artist without an entry in a legend has a label `_part: series`, for example `_law: parabola`;
the figure's key and its CSV are made from these labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from vaetheory._plotting import COLOURS, DASHES, MARKERS

#: The fitted exponent of a series and the law's, by the name of the series.
Exponents: TypeAlias = dict[str, tuple[float, float]]
#: A function that draws on empty axes and returns the fitted exponents.
Panel = Callable[[Axes], Exponents]

#: The style of bounds in all figures.
BOUND: Any = {"ls": ":", "lw": 2.2}

_ERROR_MARKS = ("_", "|", "+", "x", "1")
# Number of points in a fit, and their greatest relative error.
_FITTED, _RESOLVED = 3, 1e-2
_LAW, _BOUND, _ERROR = "law", "bound", "computed error"


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
    'fitted exponent −2.00 (law −2)'
    """
    return f"fitted {what} {_number(exponent, '.2f')} (law {_number(law, '.3g')})"


def _number(value: float, form: str) -> str:
    """A number with a typographic minus sign, and without a sign if it rounds to zero."""
    text = format(value, form)
    return (text if float(text) else text.lstrip("-")).replace("-", "\N{MINUS SIGN}")


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
    bars: bool = False,
    legend: str | None = None,
) -> Exponents:
    """Draw points, their predicted curve and computed errors, and fit their exponent.

    Parameters
    ----------
    axes : Axes
        The scales must be set: errors are separate marks on a logarithmic axis and bars on a
        linear one.
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
    bars : bool, optional
        Whether to draw error bars on a logarithmic axis too, if marks would be far below the
        points.
    legend : str, optional
        A text after the name in the legend. An empty text means no entry.

    Returns
    -------
    dict of str to (float, float)
        The fitted exponent and that of the law, by name; empty without an exponent.
    """
    colour, marker, dash = style_of(number)
    exponents: Exponents = {}
    label = name if legend is None else f"{name}\n{legend}"
    if exponent is not None:
        slope = fitted_exponent(x, y, 0.0 if errors is None else errors, limit=limit)
        exponents[name] = slope, exponent
        label = f"{name}\n{fitted(slope, exponent)}"
    if legend == "":
        label = f"_points: {name}"
    if law is not None:
        at, values = law if isinstance(law, tuple) else (x, law)
        axes.plot(at, values, color=colour, ls=dash, lw=1, label=f"_{_LAW}: {name}")
    look: Any = {"ms": 4.5, "color": colour, "mfc": colour if filled else "none", "label": label}
    marked = axes.get_yscale() == "log" and not bars
    if errors is None or marked:
        axes.plot(x, y, marker, **look)
    else:
        axes.errorbar(x, y, errors, fmt=marker, lw=1, **look)
    if errors is not None and marked:
        mark_errors(axes, number, name, x, errors)
    return exponents


def mark_errors(axes: Axes, number: int, name: str, x: ArrayLike, errors: ArrayLike) -> None:
    """Mark the computed errors of a series on a logarithmic axis; zeros are left out."""
    size = np.asarray(errors, float)
    seen = size > 0
    mark = _ERROR_MARKS[number % len(_ERROR_MARKS)]
    axes.plot(
        np.asarray(x, float)[seen], size[seen], mark, ms=5, mew=1, alpha=0.7,
        color=style_of(number)[0], label=f"_{_ERROR}: {name}",
    )  # fmt: skip


def draw_bound(axes: Axes, name: str, x: ArrayLike, y: ArrayLike, *, colour: str = "grey") -> None:
    """Draw a bound in the common style."""
    axes.plot(x, y, color=colour, label=f"_{_BOUND}: {name}", **BOUND)


def draw_panels(
    figure: Figure, *panels: Panel, rows: int = 1, note: str = "exponents:"
) -> list[Exponents]:
    """Draw panels on an empty figure in `rows` rows, with a key; return each panel's exponents.

    `note` is the name of the fitted exponents in the key.
    """
    grid = figure.subplots(rows, len(panels) // rows, squeeze=False)
    exponents = [panel(axes) for axes, panel in zip(grid.flat, panels, strict=True)]
    _draw_key(figure, note=note if any(exponents) else "")
    return exponents


def parts(axes: Axes) -> set[str]:
    """The parts of series that a panel shows, from the labels of its artists."""
    labels = [str(line.get_label()) for line in axes.get_lines()]
    return {label[1:].partition(": ")[0] for label in labels if label.startswith("_")}


def _draw_key(figure: Figure, *, note: str) -> None:
    """Draw the key of markers, lines, error marks and dotted lines below the panels."""
    shown = set().union(*(parts(axes) for axes in figure.axes))

    def grey(marker: str = "", line: str = "", width: float = 1.2) -> Line2D:
        return Line2D([], [], color="grey", marker=marker, ls=line, lw=width, ms=5)

    entries: list[tuple[Any, str]] = []
    if shown & {_LAW, _ERROR}:
        entries.append((tuple(grey(m) for m in MARKERS[:3]), "computed"))
    if _LAW in shown:
        entries.append(((grey(line="-"), grey(line="--")), "predicted"))
    if _BOUND in shown:
        entries.append((grey(line=":", width=2.2), "bound"))
    if _ERROR in shown:
        entries.append((tuple(grey(m) for m in _ERROR_MARKS[:4]), "computed error"))
    if note:
        text = f"{note} fitted to the {_FITTED} resolved points nearest the limit"
        entries.append((grey(), text))
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(entries),
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)}, handlelength=2.6,
        )  # fmt: skip

"""Claim 5: the cost of a constant variance, its rates, and the least of it over coordinates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.claims.constant_variance.constant_metric import (
    curvature_coefficient,
    isometric_coefficient,
)
from vaetheory.claims.constant_variance.coordinates import Distorted, Patch, least_penalty
from vaetheory.claims.constant_variance.exact_correction import exact_coefficient
from vaetheory.claims.constant_variance.flat_coordinates import FlatScene
from vaetheory.claims.constant_variance.ladders import exact_penalties, second_order_penalties
from vaetheory.claims.constant_variance.spherical_cap import Cap, dual_bound, least_over_degrees
from vaetheory.constant_variance import constant_variance_penalty, log_specht_ratio
from vaetheory.figures._panels import (
    BOUND,
    Exponents,
    draw_errors,
    draw_panels,
    draw_series,
    head,
    style_of,
)


def greatest_panel(axes: Axes) -> Exponents:
    """5c: laws on [m, M] and Specht's bound."""
    axes.set(xscale="log", yscale="log")
    ratios = np.geomspace(1.05, 1000, 40)
    bound = 0.5 * log_specht_ratio(ratios)
    axes.plot(ratios, bound, color="black", label="Specht's bound ½ log S(h)", **BOUND)
    axes.plot(ratios, np.log(ratios) ** 2 / 16, color="grey", lw=1, label="small h: (log h)² / 16")
    few = ratios[::4]
    worst = (few - (few - 1) / np.log(few)) / (few - 1)
    laws: dict[str, list[tuple[Array, ArrayLike]]] = {
        "two points of worst weights": [
            (np.array([1.0, h]), [w, 1 - w]) for h, w in _zip(few, worst)
        ],
        "two points of equal weights": [(np.array([1.0, h]), [1.0, 1.0]) for h in few],
        "log-uniform": [(np.geomspace(1, h, 200), np.ones(200)) for h in few],
    }
    for number, (name, members) in enumerate(laws.items()):
        penalties = [constant_variance_penalty(a[:, None], weights=w) for a, w in members]
        values, errors = (
            [float(getattr(f, what)) for f in penalties] for what in ("value", "error")
        )
        draw_series(axes, number, name, few, values, errors=errors)
    axes.set(
        xlabel="h = M / m, ratio of the Hessian's extremes",
        ylabel="penalty of a constant variance (nats)",
    )
    head(axes, "5c", "One variance for all costs at most Specht's bound")
    return {}


def _zip(first: Array, second: Array) -> list[tuple[float, float]]:
    return list(zip(first.tolist(), second.tolist(), strict=True))


def rates_panel(axes: Axes) -> Exponents:
    """5d, 5e: three decoders, three exponents."""
    axes.set(xscale="log", yscale="log")
    parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])
    catenary, circle = decoders.Catenary(1.0), decoders.Circle(1.0)
    Z = np.array([[0.0], [0.5], [1.5]])
    scales = 0.1 / 2.0 ** np.arange(6)
    exact, errors = exact_penalties(parabola, Z, scales)
    second, more = second_order_penalties(parabola, Z, scales)
    wide = 0.3 / 2.0 ** np.arange(5)
    cases = {
        "parabola, exact less 2nd order": (
            scales,
            np.abs(exact - second),
            errors + more,
            abs(exact_coefficient(parabola, Z)[0]),
            2,
        ),
        "catenary, exact": (
            scales[:5],
            *exact_penalties(catenary, Z, scales[:5]),
            curvature_coefficient(catenary, Z),
            4,
        ),
        "circle, 2nd order": (
            wide,
            *second_order_penalties(circle, Z, wide),
            isometric_coefficient(circle, Z),
            8,
        ),
    }
    exponents: Exponents = {}
    numbers = (0, 2, 1)
    for number, (name, (s, values, error, coefficient, power)) in zip(
        numbers, cases.items(), strict=True
    ):
        exponents |= draw_series(
            axes, number, name, s, values,
            law=coefficient * s**power, exponent=power, errors=error,
        )  # fmt: skip
    number = len(cases)
    exponents |= draw_series(
        axes, number, "parabola, 2nd order", scales, second, exponent=0, errors=more
    )
    axes.set(
        xlabel="likelihood scale σ (units of x)",
        ylabel="penalty (nats)",
    )
    sentence = "The cost stays if the decoder's speed varies, and vanishes if it is constant"
    head(axes, "5d, 5e-speed, 5e-curvature, 5e-isometric", sentence)
    return exponents


def coordinates_panel(axes: Axes) -> Exponents:
    """5f: least penalty over polynomial coordinates, against their degree."""
    axes.set(yscale="log")
    degrees = (1, 3, 5, 7)
    cases = {
        "circle": FlatScene(decoders.Circle(1.0), (0.5,)),
        "cylinder": FlatScene(decoders.Cylinder(1.0), (0.5, 0.25, 0.5)),
        "flat torus": FlatScene(decoders.FlatTorus(1.0, 0.5), (0.25, 0.5, -0.25)),
    }
    for number, (name, scene) in enumerate(cases.items(), 1):
        decoder = Distorted(scene.flat, scene.bends)
        coarse, fine = (Patch.of(decoder, *scene.rule(n)) for n in (14, 20))
        penalties = [least_penalty(coarse, fine, degree) for degree in degrees]
        values, errors = [one.value for one in penalties], [one.error for one in penalties]
        _joined(axes, number, f"{name}, distorted", degrees, values, errors)
    cap = Cap(1.0, 2.5, (0.0, 0.0, 0.0))
    caps, _ = least_over_degrees(cap, decoders.SpherePatch(1.0), degrees)
    values = [one.value for one in caps]
    bound, _ = dual_bound(cap.angle, cap.stretch)
    _joined(axes, 0, "cap of a sphere", degrees, values, [one.error for one in caps])
    label = f"bound for the cap, {bound:.4f}"
    axes.axhline(bound, color="black", label=label, **BOUND)
    axes.set(
        xlabel="degree of the reparametrisation",
        ylabel="least penalty found (nats)",
        xticks=degrees,
    )
    head(
        axes,
        "5f, 5f-sphere",
        "Better coordinates remove the cost on flat surfaces, not on a sphere",
    )
    return {}


def _joined(
    axes: Axes, number: int, name: str, x: ArrayLike, y: ArrayLike, errors: ArrayLike
) -> None:
    """Draw points joined by a line."""
    colour, marker, dash = style_of(number)
    (line,) = axes.plot(x, y, color=colour, marker=marker, ls=dash, ms=4.5, label=name)
    draw_errors(axes, line, errors)


def draw(figure: Figure) -> list[Exponents]:
    """Draw what one variance for all data costs: bound, rates, and least over coordinates."""
    return draw_panels(figure, greatest_panel, rates_panel, coordinates_panel)

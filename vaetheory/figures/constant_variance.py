"""Claim 5: the cost of a constant variance, its rates, and the least of it over coordinates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.claims.flat_coordinates import Distorted, FlatScene, Patch, least_penalty
from vaetheory.claims.penalty_rates import (
    curvature_coefficient,
    exact_coefficient,
    exact_penalties,
    isometric_coefficient,
    second_order_penalties,
)
from vaetheory.claims.spherical_cap import Cap, dual_bound, least_over_degrees
from vaetheory.constant_variance import constant_variance_penalty, log_specht_ratio
from vaetheory.plotting import COLOURS, Columns, draw_panels


def greatest_panel(axes: Axes) -> Columns:
    """5c: laws on [m, M] and Specht's bound."""
    columns: Columns = {}
    ratios = np.geomspace(1.05, 1000, 40)
    bound = 0.5 * log_specht_ratio(ratios)
    columns["h"], columns["Specht bound"] = ratios.tolist(), bound.tolist()
    axes.loglog(ratios, bound, color=COLOURS[4], lw=1, label="bound ½ log Specht(h)")
    axes.loglog(ratios, np.log(ratios) ** 2 / 16, color="grey", ls=":", label="(log h)² / 16")
    few = ratios[::4]
    worst = (few - (few - 1) / np.log(few)) / (few - 1)
    laws: dict[str, tuple[str, list[tuple[Array, ArrayLike]]]] = {
        "two points of worst weights": (
            "o",
            [(np.array([1.0, h]), [w, 1 - w]) for h, w in _zip(few, worst)],
        ),
        "two points of equal weights": ("s", [(np.array([1.0, h]), [1.0, 1.0]) for h in few]),
        "log-uniform": ("^", [(np.geomspace(1, h, 200), np.ones(200)) for h in few]),
    }
    columns["h of laws"] = few.tolist()
    for colour, (name, (marker, members)) in zip(COLOURS, laws.items(), strict=False):
        values = [float(constant_variance_penalty(a[:, None], w).value) for a, w in members]
        columns[f"penalty {name}"] = values
        axes.loglog(few, values, marker, ms=4, color=colour, label=name)
    axes.set(
        xlabel="h = M / m, extremes of the Hessian",
        ylabel="penalty of a constant variance (nats)",
        title="Bounded Hessians: no law costs more (d = 1)",
    )
    axes.legend(loc="lower right")
    return columns


def _zip(first: Array, second: Array) -> list[tuple[float, float]]:
    return list(zip(first.tolist(), second.tolist(), strict=True))


def rates_panel(axes: Axes) -> Columns:
    """5d, 5e: three decoders, three exponents."""
    columns: Columns = {}
    parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])
    catenary, circle = decoders.Catenary(1.0), decoders.Circle(1.0)
    Z = np.array([[0.0], [0.5], [1.5]])
    scales = 0.1 / 2.0 ** np.arange(6)
    exact, errors = exact_penalties(parabola, Z, scales)
    second, more = second_order_penalties(parabola, Z, scales)
    wide = 0.3 / 2.0 ** np.arange(5)
    cases = {
        "parabola: exact less 2nd order": (
            scales,
            np.abs(exact - second),
            errors + more,
            abs(exact_coefficient(parabola, Z)[0]),
            2,
        ),
        "catenary: exact": (
            scales[:5],
            *exact_penalties(catenary, Z, scales[:5]),
            curvature_coefficient(catenary, Z),
            4,
        ),
        "circle: 2nd order": (
            wide,
            *second_order_penalties(circle, Z, wide),
            isometric_coefficient(circle, Z),
            8,
        ),
    }
    axes.loglog(scales, second, "-.", color=COLOURS[4], lw=1, label="parabola: 2nd order, constant")
    columns["sigma parabola"], columns["2nd order parabola"] = scales.tolist(), second.tolist()
    for colour, marker, (name, (s, values, error, coefficient, power)) in zip(
        COLOURS, "os^", cases.items(), strict=False
    ):
        slope = float(np.polyfit(np.log(s[-3:]), np.log(values[-3:]), 1)[0])
        axes.loglog(s, coefficient * s**power, color=colour, lw=1)
        axes.loglog(s, values, marker, ms=4, color=colour, label=f"{name}, σ^{slope:.2f}")
        axes.loglog(s, error, "_", ms=6, color=colour, alpha=0.6)
        columns[f"sigma {name}"], columns[f"penalty {name}"] = s.tolist(), values.tolist()
        columns[f"error {name}"] = error.tolist()
        columns[f"law {name}"] = (coefficient * s**power).tolist()
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="penalty (nats)",
        title="Points measured, lines predicted",
        ylim=(1e-36, 10),
    )
    axes.legend(loc="lower right", fontsize=7)
    return columns


def coordinates_panel(axes: Axes) -> Columns:
    """5f: least penalty over polynomial coordinates, against their degree."""
    columns: Columns = {}
    degrees = (1, 3, 5, 7)
    columns["degree"] = degrees
    cases = {
        "circle": FlatScene(decoders.Circle(1.0), (0.5,)),
        "cylinder": FlatScene(decoders.Cylinder(1.0), (0.5, 0.25, 0.5)),
        "flat torus": FlatScene(decoders.FlatTorus(1.0, 0.5), (0.25, 0.5, -0.25)),
    }
    for colour, marker, (name, scene) in zip(COLOURS[1:], "s^v", cases.items(), strict=False):
        decoder = Distorted(scene.flat, scene.bends)
        coarse, fine = (Patch.of(decoder, *scene.rule(n)) for n in (14, 20))
        found = [least_penalty(coarse, fine, degree) for degree in degrees]
        values, errors = [one.value for one in found], [one.error for one in found]
        axes.semilogy(
            degrees, values, f"{marker}--", ms=4, color=colour, label=f"{name}, distorted"
        )
        axes.semilogy(degrees, errors, "_", ms=6, color=colour, alpha=0.6)
        columns[f"least penalty {name}"], columns[f"error {name}"] = values, errors
    cap = Cap(1.0, 2.5, (0.0, 0.0, 0.0))
    caps, _ = least_over_degrees(cap, decoders.SpherePatch(1.0), degrees)
    values = [one.value for one in caps]
    bound, _ = dual_bound(cap.angle, cap.stretch)
    axes.semilogy(degrees, values, "o-", ms=4, color=COLOURS[0], label="cap of the sphere, 1 rad")
    axes.axhline(
        bound, color=COLOURS[0], ls=":", label=f"its bound {bound:.6f} (stretch < {cap.stretch})"
    )
    axes.plot([], [], "_", color="grey", label="computed error")
    columns["least penalty sphere"], columns["bound sphere"] = values, [bound] * len(degrees)
    axes.set(
        xlabel="degree of the reparametrisation",
        ylabel="least penalty found (nats)",
        title="Least penalty over coordinates",
        xticks=degrees,
        ylim=(1e-30, 1),
    )
    axes.legend(loc="lower left", fontsize=7)
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the bound of the penalty, its rates, and the least penalty over coordinates."""
    return draw_panels(figure, greatest_panel, rates_panel, coordinates_panel)

"""The figure of claim 9: the stable step, condition and noise, and the ELBO without bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory.claims.descent import StepScene, second_moment_step
from vaetheory.claims.joint_curvature import (
    JointScene,
    batch_coefficient,
    batch_spread,
    condition_coefficient,
    sampling_spreads,
)
from vaetheory.claims.unbounded import (
    MemoryScene,
    bounded_counterpart,
    memory_limit,
    memory_values,
)
from vaetheory.plotting import COLOURS, MARKERS, Columns, draw_panels

_CODES = ((0.0,), (1.0,), (-1.5,), (0.5,))
_SCENES = {
    "line": StepScene("linear", _CODES, (1.0, 2.0, 0.5, -1.0), 2, 1.0),
    "parabola": StepScene("quadratic", _CODES, (1.0, 2.0, 0.5, 0.0, 1.0, -0.5), 2, 1.0),
    "network": StepScene("network", _CODES, (1.0, 0.5, 1.0, -0.5, 0.0, 0.5), 2, 1.0),
}
_FINEST = (1.0, 1 / 16, 1 / 256)
# The least sigma shown where the ELBO grows.
_LEAST = 1e-6


def step_panel(axes: Axes) -> Columns:
    """9a: the largest stable step, measured, against 2 sigma^2 / lambda_max."""
    columns: Columns = {}
    widest = 0.0
    for colour, marker, (name, scene) in zip(COLOURS, MARKERS, _SCENES.items(), strict=False):
        found = [replace(scene, finest=finest) for finest in _FINEST]
        # A network's optimum is near the parameters that made its data once sigma is small.
        found = found[1:] if name == "network" else found
        sigma = np.concatenate([s.scales for s in found])
        value = np.concatenate([s.measured.value for s in found])
        bracket = np.concatenate([s.measured.bracket for s in found])
        exact = np.concatenate([2 / s.curvature[0][:, -1] for s in found])
        widest = max(widest, float((bracket / value).max()))
        slope = np.polyfit(np.log(sigma[-3:]), np.log(value[-3:]), 1)[0]
        line = np.geomspace(sigma.min(), sigma.max(), 2)
        axes.loglog(line, second_moment_step(scene) * line**2, color=colour, lw=1)
        label = rf"{name}: $\sigma^{{{slope:.3f}}}$"
        axes.loglog(sigma, value, marker, ms=4, color=colour, label=label)
        axes.loglog(sigma, exact, "_", ms=8, color="black", alpha=0.6)
        columns[f"sigma {name}"], columns[f"step {name}"] = sigma, value
        columns[f"bracket {name}"], columns[f"2/lambda {name}"] = bracket, exact
    natural = [replace(_SCENES["parabola"], finest=f) for f in _FINEST]
    sigma = np.concatenate([s.scales for s in natural])
    value = np.concatenate([s.measured_in_its_metric.value for s in natural])
    axes.loglog(sigma, value, MARKERS[3], ms=4, mfc="none", color=COLOURS[3], label="natural: 2")
    columns["sigma natural"], columns["step natural"] = sigma, value
    axes.plot(
        [], [], color="grey", lw=1, label=r"law $2\sigma^2/\lambda_{\max}(E[\varphi\varphi^T])$"
    )
    axes.plot([], [], "_", color="black", label=r"$2/\lambda_{\max}$ of the Hessian")
    axes.set(
        xlabel=r"likelihood deviation $\sigma$",
        ylabel=r"largest stable step $\eta$",
        title=f"Descent on the ELBO (brackets ≤ {widest:.0e} of $\\eta$)",
    )
    axes.legend(fontsize=7)
    return columns


def joint_panel(axes: Axes) -> Columns:
    """9b: condition number and gradient noise of decoder and encoder together."""
    columns: Columns = {}
    plane = ((-2.0, 0.5), (1.0, 0.5), (1.5, -0.5), (-0.5, -0.5))
    line = tuple((a, 0.5 * a) for a, _ in plane)
    scenes = [JointScene(plane, 1 / 2**k) for k in (2, 6, 10)]
    lines = [JointScene(line, 1 / 2**k) for k in (2, 6, 10)]
    top = float(scenes[0].principal[0][0])
    share = float(scenes[0].principal[0].sum()) / top
    sigma = np.concatenate([s.scales for s in scenes])
    values = [np.linalg.eigvalsh(s.hessian) for s in scenes]
    rows = [
        (
            "condition number",
            sigma,
            np.concatenate([v[:, -1] / v[:, 0] for v in values]),
            -2,
            condition_coefficient(top, len(plane)),
        ),
        (
            "noise of sampling",
            sigma,
            np.concatenate([sampling_spreads(s)[0][0] for s in scenes]),
            -2,
            share,
        ),
        (
            "noise of a batch off a line",
            sigma,
            np.concatenate([batch_spread(s)[0] for s in scenes]),
            -4,
            batch_coefficient(scenes[0])[0],
        ),
        (
            "noise of a batch on a line",
            np.concatenate([s.scales for s in lines]),
            np.concatenate([batch_spread(s)[0] for s in lines]),
            0,
            batch_coefficient(lines[0])[0],
        ),
    ]
    for colour, marker, row in zip(COLOURS, MARKERS, rows, strict=False):
        name, scales, found, exponent, coefficient = row
        ends = np.array([scales.min(), scales.max()])
        slope = np.polyfit(np.log(scales[-4:]), np.log(found[-4:]), 1)[0]
        axes.loglog(ends, coefficient * ends**exponent, color=colour, lw=1)
        label = rf"{name}: $\sigma^{{{round(slope, 2) + 0.0:.2f}}}$"
        axes.loglog(scales, found, marker, ms=4, color=colour, label=label)
        columns[f"sigma {name}"], columns[name] = scales, found
        columns[f"law {name}"] = coefficient * scales**exponent
    axes.plot([], [], color="grey", lw=1, label="law with its coefficient")
    axes.set(
        xlabel=r"likelihood deviation $\sigma$",
        ylabel="condition number; variance of $\\partial_w$",
        title="Decoder and encoder together",
    )
    axes.legend(fontsize=7)
    return columns


def growth_panel(axes: Axes) -> Columns:
    """9c: memorised data, the ELBO without bound and the bounded counterpart."""
    columns: Columns = {}
    x, worst = (1.0, 0.5), 0.0
    bounded: list[float] = []
    most = 0.0
    for colour, marker, k in zip(COLOURS, MARKERS, (1, 2, 3), strict=False):
        sigma, found, shown = [], [], []
        for coarsest in (4.0, 1 / 4, 1 / 64):
            scene = MemoryScene(x, k, coarsest)
            scales, values, errors, posteriors = memory_values(scene)
            sigma.append(scales)
            found.append(values)
            worst = max(worst, float(errors[scales > _LEAST].max(initial=0.0)))
            X = np.array([x, tuple(-v for v in x)])
            for posterior in posteriors:
                value, most = bounded_counterpart(scene.decoder, X, posterior)
                shown.append(value)
        scales = np.concatenate(sigma)
        law = memory_limit(scene) - (len(x) - 1 / k) * np.log(scales)
        inside = scales > _LEAST
        axes.semilogx(scales[inside], law[inside], color=colour, lw=1)
        label = f"k = {k}: slope −{len(x) - 1 / k:.2f}"
        values = np.concatenate(found)
        axes.semilogx(scales[inside], values[inside], marker, ms=4, color=colour, label=label)
        shown_values = np.array(shown)
        axes.semilogx(scales[inside], shown_values[inside], marker, ms=4, mfc="none", color=colour)
        columns[f"sigma k={k}"], columns[f"elbo k={k}"] = scales, values
        columns[f"law k={k}"], columns[f"bounded k={k}"] = law, shown_values
        bounded += shown
    axes.axhline(most, color="grey", ls=":", label="its bound (10b), h = 2")
    axes.plot([], [], "o", mfc="none", color="grey", label="BAGGINS − KL, the same posteriors")
    axes.set(
        xlabel=r"likelihood deviation $\sigma$",
        ylabel="nats a datum",
        title=f"Two data memorised, D = 2 (errors ≤ {worst:.0e})",
    )
    axes.legend(fontsize=7)
    columns["bound"] = [most]
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the stable step, the joint problem, and the growth of the ELBO."""
    return draw_panels(figure, step_panel, joint_panel, growth_panel)

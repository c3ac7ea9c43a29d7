"""The figure of claim 24: brackets of the mean log evidence, and estimates that are no bounds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory.bounds import evidence_bracket, simulate
from vaetheory.claims.high_dimensional_evidence.brackets import (
    Blocks,
    chi_square,
    from_above,
    from_below,
    sampled,
    thermodynamic,
)
from vaetheory.figures._panels import Exponents, draw_bound, draw_panels, head, style_of

#: Twelve latents, small noise, and the prior as the proposal.
_HARD = Blocks(12, 0, "Gaussian, 0.5", fitted=False, seed=3)


def width_panel(axes: Axes) -> Exponents:
    """24c: the width of brackets against the number of data, and its slack."""
    scene = Blocks(10, 0, "Bernoulli", fitted=True, seed=1).scene
    counts = 4 ** np.arange(1, 6)
    X, z = simulate(scene.model, int(counts[-1]), seed=2)
    found = [evidence_bracket(scene.model, X[:n], z[:n], draws=256, particles=0) for n in counts]
    widths = np.array([float(bracket.width) for bracket in found])
    slack = np.log(2000) * (1 + 1 / 16) / counts
    colour, marker, _ = style_of(0)
    axes.plot(counts, widths, color=colour, marker=marker, ls="", label="width of the bracket")
    draw_bound(axes, "slack", counts, slack)
    axes.set(
        xscale="log", yscale="log", xlabel="number of data N", ylabel="upper - lower bound (nats)"
    )
    head(axes, "24c", "The bracket of the mean shrinks as 1/N, to what the proposal costs")
    return {}


def estimates_panel(axes: Axes) -> Exponents:
    """24e: estimates of single data minus the exact evidence, sorted, by method."""
    found = sampled(_HARD)
    truth = _HARD.scene.log_evidence(found.target.given).value
    methods = (
        ("through the exact sample", from_above),
        ("mean weight", from_below),
        ("CUBO", chi_square),
        ("thermodynamic sum", thermodynamic),
    )
    share = (np.arange(len(truth)) + 0.5) / len(truth)
    for number, (name, method) in enumerate(methods):
        colour, _, dash = style_of(number)
        axes.plot(np.sort(method(found) - truth), share, color=colour, ls=dash, label=name)
    axes.axvline(0.0, color="black", lw=1, label="_level: exact evidence")
    axes.set(
        xlabel="estimate - exact log evidence (nats)",
        ylabel="share of the data below",
        xlim=(-40, 15),
    )
    head(axes, "24e", "What is called an upper bound may be below the evidence")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the widths of brackets, and what other estimates are."""
    return draw_panels(figure, width_panel, estimates_panel)

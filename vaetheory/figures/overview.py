"""The overview figure, with a panel or two for each claim."""

from __future__ import annotations

import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory.claims import CLAIMS
from vaetheory.figures._panels import Exponents, Panel, draw_panels
from vaetheory.figures.baggins import step_panel
from vaetheory.figures.bilbo import evidence_panel
from vaetheory.figures.constant_variance import coordinates_panel
from vaetheory.figures.flow_limit import divergence_panel
from vaetheory.figures.half_network import lead_panel
from vaetheory.figures.hessian_estimator import variances_panel
from vaetheory.figures.instability import growth_panel
from vaetheory.figures.optimal_decoder import mean_panel
from vaetheory.figures.riemannian_likelihood import repeated_panel
from vaetheory.figures.smooth_decoder import decoder_panel
from vaetheory.figures.stationary_evidence import digits_panel, gap_panel

# The panels with the numbers of their claims; one claim has two panels.
_PANELS: tuple[tuple[int, Panel], ...] = (
    (1, mean_panel),
    (2, decoder_panel),
    (3, gap_panel),
    (3, digits_panel),
    (4, variances_panel),
    (5, coordinates_panel),
    (6, evidence_panel),
    (7, repeated_panel),
    (8, divergence_panel),
    (9, growth_panel),
    (10, step_panel),
    (11, lead_panel),
)


def draw(figure: Figure) -> list[Exponents]:
    """Draw a panel for every claim, in the order of the theory."""
    figure.set_size_inches(14, 11.4)
    exponents = draw_panels(
        figure,
        *(panel for _, panel in _PANELS),
        rows=3,
        note="numbers: exponents (the law's in brackets),",
    )
    names = {claim.number: claim.label for claim in CLAIMS}
    for axes, (number, _) in zip(figure.axes, _PANELS, strict=True):
        axes.set_title(f"{number} {names[number]}\n{axes.get_title()}")
        _shorten(axes)
    return exponents


def _shorten(axes: Axes) -> None:
    """Shorten the entries of the legend to one line each; the key explains them."""
    legend = axes.get_legend()
    if legend is None:
        return
    title = legend.get_title().get_text() or None
    handles, labels = axes.get_legend_handles_labels()
    short = [re.sub(r"\n.*fitted \w+ (\S+) \(law (.*)\)", r": \1 (\2)", label) for label in labels]
    axes.legend(handles, short, loc="upper right", title=title)

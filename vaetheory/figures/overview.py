"""The overview: what the claims look like at a glance."""

from __future__ import annotations

from matplotlib.figure import Figure

from vaetheory.figures.baggins import step_panel
from vaetheory.figures.bilbo import evidence_panel
from vaetheory.figures.constant_variance import coordinates_panel
from vaetheory.figures.flow_limit import divergence_panel
from vaetheory.figures.half_network import lead_panel
from vaetheory.figures.hessian_estimator import variances_panel
from vaetheory.figures.smooth_decoder import decoder_panel
from vaetheory.figures.stationary_evidence import digits_panel, gap_panel
from vaetheory.plotting import Columns, draw_panels


def draw(figure: Figure) -> Columns:
    """Draw one panel or two of most claims, in the order of the theory."""
    figure.set_size_inches(12, 12.6)
    return draw_panels(
        figure,
        decoder_panel,
        gap_panel,
        digits_panel,
        variances_panel,
        coordinates_panel,
        evidence_panel,
        divergence_panel,
        step_panel,
        lead_panel,
        rows=3,
    )

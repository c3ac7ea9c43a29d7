"""The overview: what the claims look like at a glance."""

from __future__ import annotations

from matplotlib.figure import Figure

from vaetheory.figures.bilbo import evidence_panel
from vaetheory.figures.constant_variance import coordinates_panel
from vaetheory.figures.hessian_estimator import variances_panel
from vaetheory.figures.smooth_decoder import decoder_panel
from vaetheory.figures.stationary_evidence import digits_panel, gap_panel
from vaetheory.plotting import Columns, draw_panels


def draw(figure: Figure) -> Columns:
    """Draw decoder, gap law and digits; Hessian estimators, flat coordinates and BILBO."""
    figure.set_size_inches(12, 8.4)
    return draw_panels(
        figure,
        decoder_panel,
        gap_panel,
        digits_panel,
        variances_panel,
        coordinates_panel,
        evidence_panel,
        rows=2,
    )

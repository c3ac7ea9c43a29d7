"""The overview: one panel for the decoder, one for the gap law, one for real data."""

from __future__ import annotations

from matplotlib.figure import Figure

from vaetheory.figures.smooth_decoder import decoder_panel
from vaetheory.figures.stationary_evidence import digits_panel, gap_panel
from vaetheory.plotting import Columns


def draw(figure: Figure) -> Columns:
    """Draw the optimal decoder, the gap law and the digits' gaps side by side."""
    columns: Columns = {}
    panels = (decoder_panel, gap_panel, digits_panel)
    for axes, panel in zip(figure.subplots(1, 3), panels, strict=True):
        columns |= panel(axes)
    return columns

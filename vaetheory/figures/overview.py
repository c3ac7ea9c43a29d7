"""The overview: four results that matter most to those who train VAEs."""

from __future__ import annotations

from matplotlib.figure import Figure

from vaetheory.figures._panels import Exponents, draw_panels
from vaetheory.figures.baggins import step_panel
from vaetheory.figures.half_network import image_panel
from vaetheory.figures.instability import growth_panel
from vaetheory.figures.stationary_evidence import gap_panel


def draw(figure: Figure) -> list[Exponents]:
    """Draw four results: what the ELBO loses, its growth, the stable step, and half-networks."""
    return draw_panels(figure, gap_panel, growth_panel, step_panel, image_panel)

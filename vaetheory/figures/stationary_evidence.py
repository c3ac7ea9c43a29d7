"""The figure of claim 3: the gap between log evidence and stationary ELBO."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders
from vaetheory._plotting import COLOURS, EXACT, UNBOUNDED
from vaetheory.checking.varying_metric import gap_coefficient
from vaetheory.claims.stationary_evidence.digits import digit_gaps
from vaetheory.claims.stationary_evidence.fold import fold_gaps
from vaetheory.claims.stationary_evidence.gap_law import measured_gaps
from vaetheory.figures._panels import Exponents, draw_errors, draw_panels, draw_series, head


def gap_panel(axes: Axes) -> Exponents:
    """3f on a parabola, 3f-isometric on a helix."""
    scales = 1 / 2.0 ** np.arange(2, 9)
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])
    helix = decoders.Helix(1.0, 1.0)
    at = np.array([1.0])
    cases = (
        ("parabola, z = 1", parabola, at, float(gap_coefficient(parabola, at)), 2, UNBOUNDED),
        (
            "helix, of constant metric", helix, np.array([0.0]), helix.curvature**4 / 48, 4,
            COLOURS[0],
        ),
    )  # fmt: skip
    for number, (name, f, z, law, power, colour) in enumerate(cases):
        gaps, errors = measured_gaps(f, z, scales)
        exponents |= draw_series(
            axes, number, name, scales, gaps,
            law=law * scales**power, exponent=power, errors=errors, colour=colour,
        )  # fmt: skip
    axes.set(
        xlabel="likelihood scale σ (units of x)",
        ylabel="log evidence − ELBO (nats)",
    )
    head(
        axes,
        "3f, 3f-isometric",
        "The ELBO loses σ²/12 times the squared slope of the decoder's metric",
    )
    return exponents


def fold_panel(axes: Axes) -> Exponents:
    """3g: with two modes the gap of the best Gaussian tends to log 2."""
    scales = 1 / 2.0 ** np.arange(1, 9)
    gaps, errors = fold_gaps(1.0, scales)
    axes.set(
        xscale="log",
        xlabel="likelihood scale σ (units of x)",
        ylabel="log evidence − ELBO (nats)",
    )
    head(axes, "3g", "If two codes give the same x, the ELBO loses log 2 however small σ is")
    draw_series(axes, 0, "f(z) = z², x = 1", scales, gaps, errors=errors, colour=UNBOUNDED)
    axes.axhline(np.log(2), color=EXACT, lw=1, label="limit, log 2")
    return {}


def digits_panel(axes: Axes) -> Exponents:
    """The gap of each of the 1,797 digits, with its error."""
    digits = digit_gaps(1.0)
    gaps = digits.evidence - digits.elbo
    order = np.argsort(gaps)[::-1]
    errors = (digits.evidence_error + digits.elbo_error)[order]
    gaps = gaps[order]
    rank = np.arange(1, len(gaps) + 1)
    axes.set(yscale="log", xlabel="rank of the digit", ylabel="log evidence − ELBO (nats)")
    (line,) = axes.plot(rank, gaps, color=UNBOUNDED, label="the gap of each digit")
    draw_errors(axes, line, errors)
    mean = float(gaps.mean())
    axes.axhline(mean, color=EXACT, ls="--", lw=1, label=f"mean, {mean:.3f} nats")
    sentence = f"On 1,797 digits the ELBO loses {mean:.3f} nats on average, {gaps[0]:.1f} at worst"
    head(axes, "3-digits", sentence)
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the gap between log evidence and ELBO: its law, a fold, and 1,797 digits."""
    return draw_panels(figure, gap_panel, fold_panel, digits_panel)

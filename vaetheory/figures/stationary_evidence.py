"""Claim 3: the gap between log evidence and stationary ELBO, by law and on real data."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders
from vaetheory.claims.digits import digit_gaps
from vaetheory.claims.gap_law import fold_gaps, measured_gaps, predicted_coefficient
from vaetheory.plotting import COLOURS, MARKERS, Columns, draw_panels


def gap_panel(axes: Axes) -> Columns:
    """3f on a parabola, 3f-isometric on a helix."""
    scales = 1 / 2.0 ** np.arange(2, 9)
    columns: Columns = {"sigma": scales}
    parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])
    helix = decoders.Helix(1.0, 1.0)
    at = np.array([1.0])
    cases = (
        ("parabola (z, z²/2) at z = 1", parabola, at, predicted_coefficient(parabola, at), 2),
        ("helix at unit speed", helix, np.array([0.0]), helix.curvature**4 / 48, 4),
    )
    for colour, marker, (name, f, z, law, power) in zip(COLOURS, MARKERS, cases, strict=False):
        gaps, errors = measured_gaps(f, z, scales)
        fitted = float(np.log2(gaps[2] / gaps[3]))
        axes.loglog(scales, law * scales**power, color=colour, lw=1)
        label = f"{name},\nfitted exponent {fitted:.3f}"
        axes.loglog(scales, gaps, marker, ms=4, color=colour, label=label)
        axes.loglog(scales, errors, "_", ms=6, color=colour, alpha=0.6)
        curve = name.split()[0]
        columns |= {f"gap {curve}": gaps, f"error {curve}": errors}
        columns[f"law {curve}"] = law * scales**power
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="log evidence − ELBO (nats)",
        title="The gap law: points measured, lines predicted",
    )
    axes.set_ylim(None, 100)
    axes.legend(loc="upper left")
    return columns


def fold_panel(axes: Axes) -> Columns:
    """3g: with two modes the gap of the best Gaussian tends to log 2."""
    scales = 1 / 2.0 ** np.arange(1, 9)
    gaps, errors = fold_gaps(1.0, scales)
    axes.semilogx(scales, gaps, MARKERS[0], color=COLOURS[0], label="f(z) = z², x = 1")
    axes.axhline(np.log(2), color="black", lw=1, label="log 2")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="log evidence − ELBO (nats)",
        title=f"Not injective: a gap stays (errors below {errors.max():.0e})",
        ylim=(0, 0.9),
    )
    axes.legend()
    return {"fold sigma": scales, "fold gap": gaps, "fold error": errors}


def digits_panel(axes: Axes) -> Columns:
    """The gap of each of the 1,797 digits, with its error."""
    found = digit_gaps(1.0)
    gaps = found.evidence - found.elbo
    order = np.argsort(gaps)[::-1]
    errors = (found.evidence_error + found.elbo_error)[order]
    gaps = gaps[order]
    rank = np.arange(1, len(gaps) + 1)
    axes.loglog(rank, gaps, color=COLOURS[0], label="gap")
    axes.loglog(rank, errors, color=COLOURS[2], lw=0.5, alpha=0.6, label="computed error")
    mean = float(gaps.mean())
    axes.axhline(mean, color=COLOURS[1], ls="--", label=f"mean gap {mean:.3f} nats")
    axes.set(
        xlabel="rank of the digit",
        ylabel="log evidence − ELBO (nats)",
        title="1,797 digits, exact evidence, 2-d latent",
    )
    axes.legend(loc="center left", bbox_to_anchor=(0, 0.6))
    return {"digit gap": gaps, "digit gap error": errors}


def draw(figure: Figure) -> Columns:
    """Draw the gap law, the fold that breaks it, and the digits."""
    return draw_panels(figure, gap_panel, fold_panel, digits_panel)

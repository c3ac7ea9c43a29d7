"""Draw the overview: one panel a claim. `python figures/overview.py` writes it beside itself.

Left: the closed-form decoder of two data, its slope bound, and the step it tends to. Middle: the
gap between log evidence and stationary ELBO against sigma, with the gap law. Right: the same gap
for each of the 1,797 digits.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from vaetheory import Encoder, OptimalDecoder, decoders, plotting
from vaetheory.claims.digits import digit_gaps
from vaetheory.claims.gap_law import measured_gaps, predicted_coefficient
from vaetheory.plotting import COLOURS

HERE = Path(__file__).parent


def optimal_decoder(axes, columns):
    """Claims 1 and 2: two data at +-1, encoded at +-1."""
    z = np.linspace(-2.5, 2.5, 401)
    columns["z"] = z
    for colour, s in zip(COLOURS, (1.0, 0.5, 0.2), strict=False):
        f = OptimalDecoder([[-1.0], [1.0]], Encoder([[-1.0], [1.0]], [s**2]))
        values = f(z[:, None])[:, 0]
        axes.plot(z, values, color=colour, label=f"f*, s = {s}")
        slope = 1 / s**2
        near = np.abs(z) < 0.9 * s**2
        axes.plot(z[near], slope * z[near], color=colour, ls=":", lw=2.5)
        columns[f"decoder s={s}"] = values
    axes.plot([], [], color="grey", ls=":", lw=2.5, label="bound of the slope")
    axes.set(xlabel="latent z", ylabel="datum x", title="The optimal decoder, and how steep it is")
    axes.legend(loc="upper left")


def gap_law(axes, columns):
    """Claim 3f on a parabola, 3f-isometric on a helix."""
    scales = 1 / 2.0 ** np.arange(2, 9)
    columns["sigma"] = scales
    cases = {
        "parabola (z, z²/2) at z = 1: σ²": (
            decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]]),
            np.array([1.0]),
            2,
        ),
        "helix at unit speed: σ⁴": (decoders.Helix(1.0, 1.0), np.array([0.0]), 4),
    }
    for colour, (name, (f, z, power)) in zip(COLOURS, cases.items(), strict=False):
        gaps, errors = measured_gaps(f, z, scales)
        law = predicted_coefficient(f, z) if power == 2 else f.curvature**4 / 48
        axes.loglog(scales, law * scales**power, color=colour, lw=1)
        axes.loglog(scales, gaps, "o", ms=4, color=colour, label=name)
        axes.loglog(scales, errors, "_", ms=6, color=colour, alpha=0.6)
        curve = name.split()[0]
        columns[f"gap {curve}"], columns[f"error {curve}"] = gaps, errors
        columns[f"law {curve}"] = law * scales**power
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="log evidence − ELBO (nats)",
        title="The gap law: points measured, lines predicted",
    )
    axes.legend(loc="upper left")


def digits(axes, columns):
    """Claim 3 on real data."""
    found = digit_gaps(1.0)
    gaps = np.sort(found.evidence - found.elbo)[::-1]
    columns["digit gap"] = gaps
    axes.loglog(np.arange(1, len(gaps) + 1), gaps, color=COLOURS[0])
    axes.axhline(gaps.mean(), color=COLOURS[1], ls="--", label=f"mean {gaps.mean():.3f} nats")
    axes.set(
        xlabel="rank of the digit",
        ylabel="log evidence − ELBO (nats)",
        title="1,797 digits, exact evidence, 2-d latent",
    )
    axes.legend()


def main():
    """Draw and save."""
    columns = {}
    with plotting.style():
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, draw in zip(panels, (optimal_decoder, gap_law, digits), strict=True):
            draw(axes, columns)
        plotting.save(figure, HERE / "overview.png")
    plotting.save_csv(HERE / "overview.csv", columns)


if __name__ == "__main__":
    main()

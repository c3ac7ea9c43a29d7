"""Claim 8: a flow under noise, what its posterior and its data see of it, and c_IMA."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, flows
from vaetheory.claims.flow_counterexamples import Kinked, kinked_divergence, roughness
from vaetheory.claims.flow_divergence import divergences, mean_square
from vaetheory.claims.flow_scenes import Bend, CouplingLayer, FlowScene, Linear
from vaetheory.claims.posterior_limits import (
    best_posterior,
    contrast,
    elbo_coefficient,
    log_det_coefficient,
)
from vaetheory.claims.smoothing_laws import half_laplacian, manifold_coefficient
from vaetheory.plotting import COLOURS, MARKERS, Columns, draw_panels

_COUPLINGS = FlowScene(
    (CouplingLayer(True, 1.0, 0.5, 0.5, 1.0), CouplingLayer(False, -1.0, 0.0, 0.5, -0.5)),
    (0.5, -0.5),
)


def excess_panel(axes: Axes) -> Columns:
    """8a on a cubic and on coupling layers, 8c on a helix; what is left; the naive difference."""
    scales = np.geomspace(1e-4, 0.2, 17)
    columns: Columns = {"sigma": scales}
    helix = flows.compose(flows.Affine([1.5]), decoders.Helix(1.0, 0.5))
    cases = (
        ("cubic, d = D = 1", flows.Cubic(1), np.array([0.5]), half_laplacian),
        ("couplings, d = D = 2", _COUPLINGS.flow, _COUPLINGS.latent, half_laplacian),
        ("helix, d = 1, D = 3", helix, np.array([0.5]), manifold_coefficient),
    )
    for colour, marker, (name, f, z, coefficient) in zip(COLOURS, MARKERS, cases, strict=False):
        found = flows.smoothed_log_density(f, f.forward(z), scales, latent=z)
        law = coefficient(f, z) * scales**2
        left = np.abs(found.excess - law)
        axes.loglog(scales, np.abs(law), color=colour, lw=1)
        axes.loglog(scales, np.abs(found.excess), marker, ms=4, color=colour, label=name)
        axes.loglog(scales, left, marker, ms=4, color=colour, mfc="none")
        axes.loglog(scales, found.excess_error, "_", ms=6, color=colour, alpha=0.6)
        curve = name.split(",")[0]
        columns |= {f"excess {curve}": found.excess, f"law {curve}": law}
        columns |= {f"left {curve}": left, f"error {curve}": found.excess_error}
    f = flows.Cubic(1)
    # Where the excess is large it is the evidence itself that gives it.
    small = scales[scales < 0.02]
    x = f.forward(np.array([0.5]))
    naive = flows.smoothed_log_density(f, x, small, method="evidence")
    lost = np.abs(naive.excess - np.array(columns["excess cubic"])[: len(small)])
    axes.loglog(small, lost, "x", ms=4, color="grey")
    columns["naive error"] = lost
    axes.plot([], [], color="grey", lw=1, label="law, $c_1σ^2$")
    axes.plot([], [], "o", mfc="none", color="grey", label="excess − law")
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.plot([], [], "x", color="grey", label="error of evidence − density (cubic)")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="log $p_σ$ − its limit (nats)",
        title="Noise on a flow, points computed, lines predicted",
        ylim=(1e-24, 1e3),
    )
    axes.legend(fontsize=7, ncols=2, loc="upper left")
    return columns


def posterior_panel(axes: Axes) -> Columns:
    """8b and 8d: the stationary ELBO and log det S of a bent flow against their limits."""
    scales = 0.1 / 2.0 ** np.arange(8)
    scene = FlowScene((Linear((1.0,), (0.5,)), Bend("sinh", 1)), (0.5,))
    f, z = scene.flow, scene.latent
    found = [best_posterior(f, z, float(s)) for s in scales]
    limit = float(flows.flow_log_density(f, f.forward(z)))
    half = [0.5 * np.linalg.slogdet(q.cov / s**2)[1] for q, s in zip(found, scales, strict=True)]
    rows = (
        (
            "ELBO − log $p_{flow}$ (8b)",
            np.array([float(q.value) for q in found]) - limit,
            np.array([float(q.error) for q in found]),
            elbo_coefficient(f, z),
        ),
        (
            "½ log det(S/σ²) + ½ log det g (8d)",
            np.array(half) + float(f.log_volume(z)),
            np.array([np.sqrt(float(q.deficit)) for q in found]) + 1e-15,
            log_det_coefficient(f, z),
        ),
    )
    columns: Columns = {"posterior sigma": scales}
    for colour, marker, (name, values, errors, law) in zip(COLOURS, MARKERS, rows, strict=False):
        fitted = float(np.log2(values[-3] / values[-2]))
        axes.loglog(scales, np.abs(law) * scales**2, color=colour, lw=1)
        label = f"{name},\nfitted exponent {fitted:.3f}"
        axes.loglog(scales, np.abs(values), marker, ms=4, color=colour, label=label)
        axes.loglog(scales, errors, "_", ms=6, color=colour, alpha=0.6)
        short = "ELBO" if name.startswith("ELBO") else "log det"
        columns |= {f"{short} difference": values, f"{short} error": errors}
        columns[f"{short} law"] = law * scales**2
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="distance from the limit (nats)",
        title="sinh(z + ½): the posterior becomes the flow",
    )
    axes.set_ylim(None, 1e2)
    axes.legend(fontsize=7, loc="upper left")
    return columns


def divergence_panel(axes: Axes) -> Columns:
    """8e on a smooth flow, on one with a kink in its density and on one with a jump."""
    scales = np.geomspace(1e-4, 0.05, 12)
    f = FlowScene((Linear((1.0,), (0.0,)), Bend("sinh", 1)), (0.0,)).flow
    smooth, errors = divergences(f, scales, "quadrature")
    columns: Columns = {
        "divergence sigma": scales,
        "KL smooth": smooth,
        "error smooth": errors,
        "law smooth": mean_square(f)[0] / 8 * scales**4,
    }
    cases = (("kink", Kinked(1.0, 1.0, 1.0)), ("jump", Kinked(1.0, 2.0, 0.0)))
    for name, kinked in cases:
        values = np.array([kinked_divergence(kinked, float(s), 12) for s in scales])
        coarse = np.array([kinked_divergence(kinked, float(s), 9) for s in scales])
        exponent, coefficient = roughness(kinked)
        columns |= {f"KL {name}": values, f"error {name}": np.abs(values - coarse) + 1e-30}
        columns[f"law {name}"] = coefficient * scales**exponent
    names = ("smooth", "kink", "jump")
    labels = ("smooth, σ⁴", "f'' jumps, σ³", "f' jumps, σ")
    for colour, marker, name, label in zip(COLOURS, MARKERS, names, labels, strict=False):
        axes.loglog(scales, columns[f"law {name}"], color=colour, lw=1)
        axes.loglog(scales, columns[f"KL {name}"], marker, ms=4, color=colour, label=label)
        axes.loglog(scales, columns[f"error {name}"], "_", ms=6, color=colour, alpha=0.6)
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="likelihood scale σ",
        ylabel="KL($p_{flow}$ ‖ $p_σ$) (nats)",
        title="Over the flow's own data: points computed, lines predicted",
        ylim=(1e-26, 1e3),
    )
    axes.legend(fontsize=7, loc="upper left", ncols=2)
    return columns


def contrast_panel(axes: Axes) -> Columns:
    """8f: two columns at an angle, the second coordinate bent; full and diagonal posteriors."""
    angles = np.linspace(10, 90, 9)
    scale = 0.01
    curve = np.linspace(8, 90, 60)
    columns: Columns = {"angle": angles}
    lost: dict[bool, list[float]] = {True: [], False: []}
    errors, predicted = [], []
    for degrees in angles:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        f = flows.Composition(flows.Cubic(2), flows.Affine([[1.0, c], [0.0, s]]))
        z = np.array([0.5, -0.5])
        limit = float(flows.flow_log_density(f, f.forward(z)))
        predicted.append(contrast(f, z))
        for diagonal, values in lost.items():
            q = best_posterior(f, z, scale, diagonal=diagonal)
            values.append(limit - float(q.value))
            if diagonal:
                errors.append(float(q.error))
    axes.plot(curve, -np.log(np.sin(np.radians(curve))), color=COLOURS[0], lw=1, label="$c_{IMA}$")
    axes.plot(angles, lost[True], MARKERS[0], ms=4, color=COLOURS[0], label="diagonal posterior")
    axes.plot(angles, lost[False], MARKERS[1], ms=4, color=COLOURS[1], label="full posterior")
    axes.set(
        xlabel="angle between the columns of the Jacobian (degrees)",
        ylabel="log $p_{flow}$ − ELBO (nats)",
        title=f"What a diagonal posterior loses, σ = {scale} (errors ≤ {max(errors):.0e})",
    )
    axes.legend()
    columns |= {"loss diagonal": lost[True], "loss full": lost[False]}
    columns |= {"c_IMA": predicted, "error of the loss": errors}
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the excess, the posterior, the divergence and the contrast."""
    figure.set_size_inches(12, 7.2)
    return draw_panels(
        figure, excess_panel, posterior_panel, divergence_panel, contrast_panel, rows=2
    )

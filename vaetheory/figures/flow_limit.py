"""The figure of claim 8: a flow with noise, its posterior, divergence and IMA contrast."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, flows
from vaetheory._plotting import COLOURS, EXACT, UNBOUNDED
from vaetheory._validation import Array
from vaetheory.claims.flow_limit.change_of_variables import half_laplacian
from vaetheory.claims.flow_limit.diagonal_posteriors import contrast
from vaetheory.claims.flow_limit.divergence import divergences, mean_square
from vaetheory.claims.flow_limit.manifolds import manifold_coefficient
from vaetheory.claims.flow_limit.posterior_covariance import log_det_coefficient
from vaetheory.claims.flow_limit.posteriors import best_posterior
from vaetheory.claims.flow_limit.rough_densities import Kinked, kinked_divergence, roughness
from vaetheory.claims.flow_limit.scenes import Bend, CouplingLayer, FlowScene, Linear
from vaetheory.claims.flow_limit.stationary_elbo import elbo_coefficient
from vaetheory.figures._panels import (
    Exponents,
    draw_panels,
    draw_series,
    fitted,
    fitted_exponent,
    head,
)

_COUPLINGS = FlowScene(
    (CouplingLayer(True, 1.0, 0.5, 0.5, 1.0), CouplingLayer(False, -1.0, 0.0, 0.5, -0.5)),
    (0.5, -0.5),
)


def excess_panel(axes: Axes) -> Exponents:
    """8a on a cubic and on coupling layers, 8c on a helix; remainders; the naive difference."""
    scales = np.geomspace(1e-4, 0.2, 17)
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    excesses: list[Array] = []
    helix = flows.compose(flows.Affine([1.5]), decoders.Helix(1.0, 0.5))
    cases = (
        ("cubic (8a)", flows.Cubic(1), np.array([0.5]), half_laplacian),
        ("couplings (8a)", _COUPLINGS.flow, _COUPLINGS.latent, half_laplacian),
        ("helix in space (8c)", helix, np.array([0.5]), manifold_coefficient),
    )
    lefts = []
    for number, (name, f, z, coefficient) in enumerate(cases):
        smoothed = flows.smoothed_log_density(f, f.forward(z), scales, latent=z)
        law = coefficient(f, z) * scales**2
        left = np.abs(smoothed.excess - law)
        exponents |= draw_series(
            axes, number, name, scales, np.abs(smoothed.excess),
            law=np.abs(law), exponent=2, errors=smoothed.excess_error,
        )  # fmt: skip
        excesses.append(smoothed.excess)
        lefts.append((f"{name}, rest", left, smoothed.excess_error))
    for number, (name, left, error) in enumerate(lefts):
        slope = fitted_exponent(scales, left, error)
        exponents[name] = slope, 4
        draw_series(axes, number, name, scales, left, filled=False, legend=fitted(slope, 4))
    f = flows.Cubic(1)
    # For a large excess the method is the difference itself.
    small = scales[scales < 0.02]
    x = f.forward(np.array([0.5]))
    naive = flows.smoothed_log_density(f, x, small, method="evidence")
    lost = np.abs(naive.excess - excesses[0][: len(small)])
    axes.plot(small, lost, "*", ms=6, color="grey", label="lost by evidence − density")
    axes.set(
        xlabel="likelihood scale σ (units of x)",
        ylabel="log $p_σ$ − its limit (nats)",
    )
    sentence = "Noise moves a flow's log density by the predicted multiple of σ², the rest is σ⁴"
    head(axes, "8a, 8c", sentence)
    return exponents


def posterior_panel(axes: Axes) -> Exponents:
    """8b and 8d: the stationary ELBO and log det S of a bent flow against their limits."""
    scales = 0.1 / 2.0 ** np.arange(8)
    scene = FlowScene((Linear((1.0,), (0.5,)), Bend("sinh", 1)), (0.5,))
    f, z = scene.flow, scene.latent
    posteriors = [best_posterior(f, z, float(s)) for s in scales]
    limit = float(flows.flow_log_density(f, f.forward(z)))
    half = [
        0.5 * np.linalg.slogdet(q.cov / s**2)[1] for q, s in zip(posteriors, scales, strict=True)
    ]
    rows = (
        (
            "ELBO − log $p_{flow}$ (8b)",
            np.array([float(q.value) for q in posteriors]) - limit,
            np.array([float(q.error) for q in posteriors]),
            elbo_coefficient(f, z),
        ),
        (
            "½ log det S/σ² + ½ log det g (8d)",
            np.array(half) + float(f.log_volume(z)),
            np.array([np.sqrt(float(q.deficit)) for q in posteriors]) + 1e-15,
            log_det_coefficient(f, z),
        ),
    )
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    for number, (name, values, errors, law) in enumerate(rows):
        exponents |= draw_series(
            axes, number, name, scales, np.abs(values),
            law=np.abs(law) * scales**2, exponent=2, errors=errors,
            colour=(UNBOUNDED, COLOURS[0])[number],
        )  # fmt: skip
    axes.set(
        xlabel="likelihood scale σ (units of x)",
        ylabel="distance from the limit (nats)",
    )
    head(axes, "8b, 8d", "The VAE becomes the flow: its ELBO and its variance are off by σ²")
    return exponents


def divergence_panel(axes: Axes) -> Exponents:
    """8e on a smooth flow, on one with a kink in its density and on one with a jump."""
    scales = np.geomspace(1e-4, 0.05, 12)
    f = FlowScene((Linear((1.0,), (0.0,)), Bend("sinh", 1)), (0.0,)).flow
    smooth, errors = divergences(f, scales, "quadrature")
    rows: list[tuple[str, Array, Array, float, float]] = [
        ("smooth", smooth, errors, mean_square(f)[0] / 8, 4)
    ]
    cases = (("f'' jumps", Kinked(1.0, 1.0, 1.0)), ("f' jumps", Kinked(1.0, 2.0, 0.0)))
    for name, kinked in cases:
        values = np.array([kinked_divergence(kinked, float(s), 12) for s in scales])
        coarse = np.array([kinked_divergence(kinked, float(s), 9) for s in scales])
        exponent, coefficient = roughness(kinked)
        row = (name, values, np.abs(values - coarse), coefficient, exponent)
        rows.append(row)
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    for number, (name, values, error, coefficient, power) in enumerate(rows):
        exponents |= draw_series(
            axes, number, name, scales, values,
            law=coefficient * scales**power, exponent=power, errors=error,
        )  # fmt: skip
    axes.set(
        xlabel="likelihood scale σ (units of x)",
        ylabel="KL($p_{flow}$ ‖ $p_σ$) (nats)",
    )
    head(axes, "8e, 8e-rough", "Noise costs σ⁴ on a smooth flow, but σ where its density jumps")
    return exponents


def contrast_panel(axes: Axes) -> Exponents:
    """8f: two columns at an angle, the second coordinate bent; full and diagonal posteriors."""
    angles = np.linspace(10, 90, 9)
    scale = 0.01
    curve = np.linspace(8, 90, 60)
    lost: dict[bool, list[float]] = {True: [], False: []}
    errors: dict[bool, list[float]] = {True: [], False: []}
    predicted = []
    for degrees in angles:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        f = flows.Composition(flows.Cubic(2), flows.Affine([[1.0, c], [0.0, s]]))
        z = np.array([0.5, -0.5])
        limit = float(flows.flow_log_density(f, f.forward(z)))
        predicted.append(contrast(f, z))
        for diagonal, values in lost.items():
            q = best_posterior(f, z, scale, diagonal=diagonal)
            values.append(limit - float(q.value))
            errors[diagonal].append(float(q.error))
    # The contrast of these columns is -log sin of their angle for any bend.
    line = -np.log(np.sin(np.radians(curve)))
    axes.plot(curve, line, color=EXACT, lw=1, label="$c_{IMA}$, −log sin of the angle")
    axes.plot(angles, predicted, "x", ms=7, color=EXACT, label="$c_{IMA}$ from the Jacobian")
    for number, (diagonal, name) in enumerate(((True, "diagonal"), (False, "full"))):
        draw_series(
            axes, number, f"{name} posterior", angles, lost[diagonal], errors=errors[diagonal]
        )
    axes.set(
        xlabel="angle between the columns of the Jacobian (degrees)",
        ylabel="log $p_{flow}$ − ELBO (nats)",
    )
    sentence = "A diagonal posterior loses the IMA contrast, a full one nothing"
    head(axes, f"8f, σ = {scale}", sentence)
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw what noise does to a flow: density, posterior, divergence, and diagonal posteriors."""
    return draw_panels(figure, excess_panel, posterior_panel, divergence_panel, contrast_panel)

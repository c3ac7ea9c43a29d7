"""The figure of claim 9: the stable step, condition and noise, and the ELBO without bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import BOUNDED, UNBOUNDED
from vaetheory._validation import Array
from vaetheory.claims.instability.condition_number import condition_coefficient, condition_numbers
from vaetheory.claims.instability.descent import second_moment_step, step_errors
from vaetheory.claims.instability.gradient_noise import (
    batch_coefficient,
    batch_spread,
    sampling_spreads,
)
from vaetheory.claims.instability.growth import bounded_counterpart
from vaetheory.claims.instability.joint_scenes import JointScene
from vaetheory.claims.instability.memorised_data import MemoryScene, memory_limit, memory_values
from vaetheory.claims.instability.step_scenes import StepScene
from vaetheory.figures._panels import (
    BOUND,
    Exponents,
    draw_panels,
    draw_series,
    fitted,
    fitted_exponent,
    head,
    style_of,
)

_CODES = ((0.0,), (1.0,), (-1.5,), (0.5,))
_SCENES = {
    "line": StepScene("linear", _CODES, (1.0, 2.0, 0.5, -1.0), 2, 1.0),
    "parabola": StepScene("quadratic", _CODES, (1.0, 2.0, 0.5, 0.0, 1.0, -0.5), 2, 1.0),
    "network": StepScene("network", _CODES, (1.0, 0.5, 1.0, -0.5, 0.0, 0.5), 2, 1.0),
}
_FINEST = (1.0, 1 / 16, 1 / 256)
# The least sigma in the panel of the growing ELBO.
_LEAST = 1e-6


def step_panel(axes: Axes) -> Exponents:
    """9a: the largest stable step, measured, against 2 sigma^2 / lambda_max."""
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    for number, (name, scene) in enumerate(_SCENES.items()):
        scenes = [replace(scene, finest=finest) for finest in _FINEST]
        # A network's optimum is near the parameters that made its data once sigma is small.
        scenes = scenes[1:] if name == "network" else scenes
        sigma = np.concatenate([s.scales for s in scenes])
        value = np.concatenate([s.measured.value for s in scenes])
        errors = np.concatenate([sum(step_errors(s).values(), 0.0) for s in scenes])
        exact = np.concatenate([2 / s.curvature[0][:, -1] for s in scenes])
        exponents |= draw_series(
            axes, number, name, sigma, value,
            law=second_moment_step(scene) * sigma**2, exponent=2, errors=errors,
        )  # fmt: skip
        axes.plot(
            sigma, exact, "s", ms=9, mfc="none", mew=0.8, color="black", alpha=0.7,
            label=f"_2 / lambda_max of the Hessian: {name}",
        )  # fmt: skip
    natural = [replace(_SCENES["parabola"], finest=f) for f in _FINEST]
    sigma = np.concatenate([s.scales for s in natural])
    value = np.concatenate([s.measured_in_its_metric.value for s in natural])
    bracket = np.concatenate([s.measured_in_its_metric.bracket for s in natural])
    exponents |= draw_series(
        axes, len(_SCENES), "natural gradient", sigma, value,
        law=np.full_like(sigma, 2.0), exponent=0, errors=bracket,
    )  # fmt: skip
    axes.plot([], [], "s", ms=9, mfc="none", mew=0.8, color="black", label="2 / λ of the Hessian")
    axes.set(
        xlabel="likelihood deviation σ (units of x)",
        ylabel="largest stable step η (θ² per nat)",
    )
    head(axes, "9a", "The largest stable step shrinks as σ², a natural gradient's does not")
    return exponents


def joint_panel(axes: Axes) -> Exponents:
    """9b: condition number and gradient noise of decoder and encoder together."""
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    plane = ((-2.0, 0.5), (1.0, 0.5), (1.5, -0.5), (-0.5, -0.5))
    line = tuple((a, 0.5 * a) for a, _ in plane)
    scenes = [JointScene(plane, 1 / 2**k) for k in (2, 6, 10)]
    lines = [JointScene(line, 1 / 2**k) for k in (2, 6, 10)]
    top = float(scenes[0].principal[0][0])
    share = float(scenes[0].principal[0].sum()) / top
    sigma = np.concatenate([s.scales for s in scenes])

    def together(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        values, errors = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(errors)

    spreads = [sampling_spreads(s) for s in scenes]
    rows = [
        (
            "condition number (9b)",
            sigma,
            together([condition_numbers(s) for s in scenes]),
            -2,
            condition_coefficient(top, len(plane)),
        ),
        (
            "noise of sampling (9b-noise)",
            sigma,
            together([(found[0], errors[0]) for found, errors in spreads]),
            -2,
            share,
        ),
        (
            "of a batch off a line (9b-batch)",
            sigma,
            together([batch_spread(s) for s in scenes]),
            -4,
            batch_coefficient(scenes[0])[0],
        ),
        (
            "of a batch on a line (9b-batch)",
            np.concatenate([s.scales for s in lines]),
            together([batch_spread(s) for s in lines]),
            0,
            batch_coefficient(lines[0])[0],
        ),
    ]
    for number, (name, scales, (found, errors), exponent, coefficient) in enumerate(rows):
        exponents |= draw_series(
            axes, number, name, scales, found,
            law=coefficient * scales**exponent, exponent=exponent, errors=errors,
        )  # fmt: skip
    axes.set(
        xlabel="likelihood deviation σ (units of x)",
        ylabel="condition number; variance of $\\partial_w$ (nats²/x²)",
    )
    head(axes, "9b, 9b-noise, 9b-batch", "As σ falls training gets worse conditioned and noisier")
    return exponents


def growth_panel(axes: Axes) -> Exponents:
    """9c: memorised data, the ELBO without bound and the bounded counterpart."""
    axes.set(xscale="log")
    exponents: Exponents = {}
    x, most = (1.0, 0.5), 0.0
    for number, k in enumerate((1, 2, 3)):
        sigma, found, shown, unsure = [], [], [], []
        for coarsest in (4.0, 1 / 4, 1 / 64):
            scene = MemoryScene(x, k, coarsest)
            scales, values, errors, posteriors = memory_values(scene)
            sigma.append(scales)
            found.append(values)
            unsure.append(errors)
            X = np.array([x, tuple(-v for v in x)])
            for posterior in posteriors:
                value, most = bounded_counterpart(scene.decoder, X, posterior)
                shown.append(value)
        scales = np.concatenate(sigma)
        inside = scales > _LEAST
        scales, values = scales[inside], np.concatenate(found)[inside]
        slope = len(x) - 1 / k
        law = memory_limit(scene) - slope * np.log(scales)
        # The ELBO is linear in log sigma: the exponent is that of exp(ELBO).
        name = f"ELBO, k = {k}"
        exponents[name] = fitted_exponent(scales, np.exp(values)), -slope
        draw_series(
            axes, number, name, scales, values, law=law, errors=np.concatenate(unsure)[inside],
            legend=fitted(exponents[name][0], -slope, what="slope"), colour=UNBOUNDED,
        )  # fmt: skip
        marker = style_of(number)[1]
        axes.plot(
            scales, np.array(shown)[inside], marker, ms=4.5, mfc="none", color=BOUNDED,
            label=f"_BAGGINS - KL: {name.removeprefix('ELBO, ')}",
        )  # fmt: skip
    axes.axhline(most, color=BOUNDED, label="bound of BAGGINS (10b)", **BOUND)
    axes.plot([], [], "o", mfc="none", color=BOUNDED, label="BAGGINS − KL instead")
    axes.set(
        xlabel="likelihood deviation σ (units of x)",
        ylabel="ELBO, or its counterpart (nats a datum)",
    )
    sentence = "As σ falls the ELBO of memorised data grows without bound; BAGGINS does not"
    head(axes, "9c-memorised", sentence)
    axes.legend(title="memorised to order k: f − x ∝ (z − code)ᵏ")
    return exponents


def draw(figure: Figure) -> list[Exponents]:
    """Draw the stable step, condition and noise, and the growth of the ELBO, as sigma falls."""
    return draw_panels(figure, step_panel, joint_panel, growth_panel)

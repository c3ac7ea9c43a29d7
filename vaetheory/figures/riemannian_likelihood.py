"""Claim 7: Fisher's metrics, the second derivative of KL, and repeated observations."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import COLOURS, EXACT, MARKERS
from vaetheory._validation import Array
from vaetheory.claims.riemannian_likelihood import repeated_data
from vaetheory.claims.riemannian_likelihood.families import FamilyScene
from vaetheory.claims.riemannian_likelihood.fisher_identities import closed_form
from vaetheory.figures._panels import (
    Exponents,
    draw_errors,
    draw_panels,
    draw_series,
    errors_within,
    fitted,
    fitted_exponent,
    head,
)

_SHOWN: dict[str, tuple[float, ...]] = {
    "Gaussian": (1.0,),
    "Bernoulli": (),
    "Poisson": (),
    "Gamma": (2.0,),
    "Beta": (8.0,),
    "negative binomial": (2.0,),
    "Student-t": (3.0, 1.0),
    "von Mises": (1.0,),
}
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


def _style(k: int) -> dict[str, Any]:
    """Another marker, and hollow ones, when the colours come round again."""
    again = k // len(COLOURS)
    colour = COLOURS[k % len(COLOURS)]
    marker = MARKERS[(k + again) % len(MARKERS)]
    return {"color": colour, "marker": marker, "mfc": "none" if again else colour, "ms": 4.5}


def metrics_panel(axes: Axes) -> Exponents:
    """7a: E[score^2] over the support against the closed form."""
    theta = np.linspace(-1.5, 1.5, 9)
    for k, (name, constants) in enumerate(_SHOWN.items()):
        closed, summed, errors = [], [], []
        for value in theta:
            scene = FamilyScene(name, constants, (float(value),))
            closed.append(float(closed_form(scene)[0, 0]))

            def square(x: Array, scene: FamilyScene = scene) -> Array:
                return scene.likelihood.score(x, np.array(scene.params)) ** 2

            mean, error, _ = scene.expectation(square)
            summed.append(float(mean[0]))
            errors.append(float(error[0]))
        look = _style(k)
        # In the legend the dashes stand with the marker.
        axes.plot([], [], ls=_LINES[k], label=name, **look)
        axes.plot(theta, closed, color=look["color"], ls=_LINES[k], label=f"_law: {name}")
        (points,) = axes.plot(theta, summed, ls="", label=f"_points: {name}", **look)
        draw_errors(axes, points, errors)
    axes.set(
        xlabel="parameter θ",
        ylabel="Fisher information (nats/θ²)",
    )
    head(axes, "7a", "The mean squared score is the Fisher metric of each family")
    return {}


def divergences_panel(axes: Axes) -> Exponents:
    """7a: the deviation of the second difference of KL from F."""
    steps = 2.0 ** -np.arange(0.0, 8.0)
    exponents: Exponents = {}
    exact: list[str] = []
    axes.set(xscale="log", yscale="log")
    for k, (name, constants) in enumerate(_SHOWN.items()):
        scene = FamilyScene(name, constants, (0.5,))
        likelihood, params = scene.likelihood, np.array(scene.params)
        fisher = float(closed_form(scene)[0, 0])

        def both(x: Array, likelihood=likelihood, params=params) -> Array:  # type: ignore[no-untyped-def]
            here = likelihood.log_prob(x, params)
            away = [
                2 * here - likelihood.log_prob(x, params + h) - likelihood.log_prob(x, params - h)
                for h in steps
            ]
            return np.stack(away, axis=-1)

        value, error, _ = scene.expectation(both)
        excess = np.abs(value / steps**2 / fisher - 1)
        bound = error / steps**2 / fisher
        # A Gaussian's divergence is quadratic, so only rounding remains.
        seen = excess > bound
        if seen.sum() < 3:
            exact.append(errors_within(float(bound.max()), what=f"{name}: rest"))
        else:
            h, e = steps[seen], excess[seen]
            look = _style(k)
            exponents[name] = fitted_exponent(h, e, bound[seen]), 2
            (points,) = axes.plot(h, e, ls="", label=name, **look)
            draw_errors(axes, points, bound[seen])
            line = e[-1] * (h / h[-1]) ** 2
            name = f"_order h² through the last point: {name}"
            axes.plot(h, line, color=look["color"], lw=1, ls=_LINES[k], label=name)
    slopes = [slope for slope, _ in exponents.values()]
    least, most = (fitted(slope, 2) for slope in (min(slopes), max(slopes)))
    axes.plot([], [], color="grey", lw=1, label="order h²")
    axes.set(
        xlabel="step h (units of θ)",
        ylabel="|(KL(h) + KL(−h)) / (h² F) − 1| (a ratio)",
    )
    head(axes, "7a", "The second derivative of the KL is the same metric F")
    range_of_slopes = least if least == most else f"{least}\nto {most}"
    axes.legend(title="\n".join([range_of_slopes, *exact]))
    return exponents


def repeated_panel(axes: Axes) -> Exponents:
    """7c: the posterior's precision after n observations minus n g."""
    counts = 16 * 4.0 ** np.arange(6)
    axes.set(xscale="log")
    exponents: Exponents = {}
    for k, family in enumerate(("Gaussian", "Bernoulli", "Poisson")):
        scene = repeated_data.RepeatedScene(family, (1.0, 0.5), (0.0, 1.0), -0.5)
        found, errors, g = repeated_data.measured_precisions(scene, counts)
        law = repeated_data.next_order(scene)
        rest, error = counts * (found - g), counts * errors
        slope = fitted_exponent(counts, np.abs(rest - law), error, limit=np.inf)
        exponents[family] = slope, -1
        draw_series(
            axes, k, family, counts, rest, law=(counts, np.full_like(counts, law)), errors=error,
            legend=f"rest, {fitted(slope, -1)}",
        )  # fmt: skip
    axes.axhline(1, color=EXACT, lw=1, ls="--", label="I, as in I + n g")
    axes.set(
        xlabel="observations n",
        ylabel="posterior precision − n g (nats/z²)",
    )
    head(axes, "7c", "The precision after n observations is n·g+C, not n·g+I")
    return exponents


def draw(figure: Figure) -> list[Exponents]:
    """Draw each family's Fisher metric, the KL's second derivative, and many observations."""
    return draw_panels(figure, metrics_panel, divergences_panel, repeated_panel)

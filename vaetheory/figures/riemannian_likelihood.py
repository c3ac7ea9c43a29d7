"""Claim 7: Fisher's metrics, the second derivative of KL, and repeated observations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._validation import Array
from vaetheory.claims import repeated_data
from vaetheory.claims.families import FamilyScene
from vaetheory.claims.fisher_identities import closed_form
from vaetheory.plotting import COLOURS, MARKERS, Columns, draw_panels

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


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _marker(k: int) -> str:
    """Another one when the colours come round again."""
    return MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]


def metrics_panel(axes: Axes) -> Columns:
    """7a: E[score^2] over the support against the closed form."""
    columns: Columns = {}
    theta = np.linspace(-1.5, 1.5, 9)
    worst = 0.0
    columns["theta"] = theta
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
        axes.plot(theta, closed, color=_colour(k), ls=_LINES[k], label=name)
        axes.plot(theta, summed, _marker(k), ms=4, color=_colour(k))
        worst = max(worst, *errors)
        columns |= {
            f"F {name}": np.array(closed),
            f"E score^2 {name}": np.array(summed),
            f"error {name}": np.array(errors),
        }
    axes.set(
        xlabel="parameter θ",
        ylabel="Fisher information (nats per θ²)",
        title=f"7a: lines closed form, points E[score²] ± {worst:.0e}",
        ylim=(0, 7),
    )
    axes.legend(fontsize=7, ncols=2, loc="upper left")
    return columns


def divergences_panel(axes: Axes) -> Columns:
    """7a: what the second difference of KL is off F by."""
    columns: Columns = {}
    steps = 2.0 ** -np.arange(0.0, 8.0)
    columns["h"] = steps
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
        # A Gaussian's divergence is quadratic: what is left of it is rounding.
        seen = excess > bound
        axes.loglog(steps, bound, "_", ms=6, color=_colour(k), alpha=0.6)
        if seen.sum() > 2:
            h, e = steps[seen], excess[seen]
            label = f"{name}: h^{np.log2(e[-2] / e[-1]):.4f}"
            axes.loglog(h, e, _marker(k), ms=4, color=_colour(k), label=label)
            axes.loglog(h, e[-1] * (h / h[-1]) ** 2, color=_colour(k), lw=1, ls=_LINES[k])
        columns[f"KL excess {name}"], columns[f"KL error {name}"] = excess, bound
    axes.plot([], [], color="grey", lw=1, label="order h²")
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="step h",
        ylabel="|(KL(h) + KL(−h)) / (h² F) − 1|",
        title="7a: the second derivative of KL is F",
    )
    axes.legend(fontsize=7)
    return columns


def repeated_panel(axes: Axes) -> Columns:
    """7c: what the posterior's precision after n observations has beside n g."""
    counts = 16 * 4.0 ** np.arange(6)
    columns: Columns = {"n": counts}
    for k, family in enumerate(("Gaussian", "Bernoulli", "Poisson")):
        scene = repeated_data.RepeatedScene(family, (1.0, 0.5), (0.0, 1.0), -0.5)
        found, errors, g = repeated_data.measured_precisions(scene, counts)
        law = repeated_data.next_order(scene)
        rest, error = counts * (found - g), counts * errors
        slope = float(np.log(np.abs(rest[-3] - rest[-2]) / np.abs(rest[-2] - rest[-1])) / np.log(4))
        axes.axhline(law, color=_colour(k), ls=_LINES[k], lw=1)
        axes.errorbar(
            counts,
            rest,
            error,
            fmt=MARKERS[k],
            ms=4,
            color=_colour(k),
            label=f"{family}, next order n^−{slope:.3f}",
        )
        columns |= {f"precision - n g {family}": rest, f"precision error {family}": error}
        columns[f"C {family}"] = np.array([law])
    axes.axhline(1, color="grey", lw=2.5, alpha=0.5, label="I, as in I + n g")
    axes.set(
        xscale="log",
        xlabel="observations n",
        ylabel="posterior precision − n g (nats per z²)",
        title="7c: points measured, with error bars; lines C",
    )
    axes.legend(fontsize=7)
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the metrics of the families, KL's second derivative, and repeated observations."""
    return draw_panels(figure, metrics_panel, divergences_panel, repeated_panel)

"""The figure of claim 17: the log determinant that the noise is, the variance, and rotations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

from vaetheory.bounds.regulariser import implicit_regulariser
from vaetheory.claims.implicit_regulariser.penalties import smoothed_hessian
from vaetheory.claims.implicit_regulariser.scenes import CurveScene, best_beta_elbo
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head, style_of

_SIGMAS = 2.0 ** np.linspace(0, -7, 8)


def _auto_encoder(scene: CurveScene, noise: float) -> float:
    """The best value of the auto-encoder with the penalty."""

    def loss(m: float) -> float:
        at = np.array([m])
        away = scene.x - scene.decoder(at)
        slopes = scene.decoder.jacobian(at)
        penalty = implicit_regulariser(slopes, variance=noise**2, beta=scene.beta)
        return float(away @ away / (2 * noise**2) + scene.beta * m**2 / 2 + penalty)

    best = minimize_scalar(loss, bounds=(-0.5, 1.5), method="bounded", options={"xatol": 1e-10})
    return -float(best.fun) - float(np.log(2 * np.pi * noise**2))


def penalty_panel(axes: Axes) -> Exponents:
    """17b: a parabola with x = f(1/2), beta = 1 and 1.7."""
    exponents: Exponents = {}
    for number, beta in enumerate((1.0, 1.7)):
        scene = CurveScene(1.0, 0.0, 0.5, beta, 0.5)
        found = [best_beta_elbo(scene.decoder, scene.x, float(s), beta, 1)[1:] for s in _SIGMAS]
        predicted = np.array([_auto_encoder(scene, float(s)) for s in _SIGMAS])
        values, errors = np.array(found).T
        exponents |= draw_series(
            axes, number, f"β = {beta:g}", _SIGMAS, np.abs(values - predicted),
            errors=errors + 1e-13, exponent=2,
        )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="noise σ (units of x)",
        ylabel="|best ELBO − auto-encoder\nwith the penalty| (nats)",
    )  # fmt: skip
    head(axes, "17b", "As σ falls the VAE becomes an auto-encoder with a log determinant")
    return exponents


def variance_panel(axes: Axes) -> Exponents:
    """17a: the same parabola, the variance over that of both forms."""
    exact, slopes, errors = [], [], []
    for noise in _SIGMAS:
        scene = CurveScene(1.0, 0.0, 0.5, 1.0, float(noise))
        q, hessian, error = smoothed_hessian(scene)
        variance = float(q.cov[0, 0])
        slope = float((scene.decoder.jacobian(q.loc) ** 2).sum()) / noise**2
        exact.append(variance * (1 + hessian))
        slopes.append(variance * (1 + slope))
        errors.append(variance * error)
    draw_series(axes, 0, "S (1 + E[−∇² log p])", _SIGMAS, exact, errors=errors)
    draw_series(axes, 1, "S (1 + JᵀJ / σ²)", _SIGMAS, slopes, filled=False)
    axes.axhline(1.0, color="grey", lw=1, label="_level: one")
    axes.set(xscale="log", xlabel="noise σ (units of x)", ylabel="S times a precision")
    head(axes, "17a", "The variance measures the smoothed Hessian, and not the slope")
    return {}


def turn_panel(axes: Axes) -> Exponents:
    """17c and 17d: two columns of lengths 2 and 1, turned, beta sigma^2 = 1/4."""
    angles = np.linspace(0, 180, 73)
    turns = np.stack(
        [[[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]] for t in np.radians(angles)]
    )
    for number, (name, J) in enumerate(
        (("lengths 2 and 1", np.diag([2.0, 1.0])), ("lengths 1.5 and 1", np.diag([1.5, 1.0])))
    ):
        colour, _, dash = style_of(number)
        diagonal = implicit_regulariser(J @ turns, variance=0.25, structure="diagonal")
        axes.plot(angles, diagonal, color=colour, ls=dash, label=f"diagonal S, {name}")
        full = float(implicit_regulariser(J, variance=0.25))
        axes.axhline(full, color=colour, lw=1, ls=":", label=f"_level: full S, {name}")
    axes.plot([], [], color="grey", lw=1, ls=":", label="full S")
    axes.set(xlabel="turn of the latents (degrees)", ylabel="penalty (nats)")
    head(axes, "17c, 17d", "A diagonal S costs nothing more only where columns are orthogonal")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the penalty that the noise is, the posterior's variance, and turns of the latents."""
    return draw_panels(figure, penalty_panel, variance_panel, turn_panel)

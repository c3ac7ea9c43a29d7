"""The figure of claim 12: what a turn costs, where ascents end, and data of lower rank."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import linear_vae, linear_vae_optimum
from vaetheory.checking.strategies import rotation
from vaetheory.claims.linear_vae.ascent import ascend
from vaetheory.claims.linear_vae.local_maxima import starts
from vaetheory.claims.linear_vae.scenes import AxisData, covariance_of
from vaetheory.figures._panels import (
    Exponents,
    draw_bound,
    draw_panels,
    draw_series,
    head,
    style_of,
)

_ANGLES = (30, 45)


def _data(*spectrum: float) -> Array:
    return AxisData(spectrum, _ANGLES[: len(spectrum) - 1], (0.0,) * len(spectrum)).X


def turn_panel(axes: Axes) -> Exponents:
    """12b: two units on the first axes of three, turned in their plane, sigma^2 = 1/4."""
    angles = np.linspace(0, 90, 13)
    for number, second in enumerate((4.0, 2.0, 1.0)):
        X = _data(4.0, second, 0.25)
        best = linear_vae_optimum(X, 2, variance=0.25)
        turns = np.stack([rotation((a,), 2) for a in angles])
        W = best.weight @ turns
        sets = np.broadcast_to(X, (len(angles), *X.shape))
        around = linear_vae(sets, W, variance=0.25)
        M = np.swapaxes(W, -1, -2) @ W + 0.25 * np.eye(2)
        logs = np.log(np.diagonal(M, axis1=-2, axis2=-1)).sum(axis=-1)
        law = -0.5 * (logs - np.linalg.slogdet(M)[1])
        draw_series(
            axes, number, f"λ₁ = 4, λ₂ = {second:g}", angles, around.value - best.value, law=law,
            errors=around.error + best.error,
        )  # fmt: skip
    draw_bound(axes, "likelihood of pPCA", angles, np.zeros_like(angles))
    axes.plot([], [], color="grey", ls=":", lw=2.2, label="likelihood of pPCA")
    axes.set(xlabel="turn of the two columns (degrees)", ylabel="ELBO − its maximum (nats)")
    head(axes, "12b, 12b-equal", "Only the principal axes themselves are best, unlike in pPCA")
    return {}


def ascent_panel(axes: Axes) -> Exponents:
    """12c: coordinate ascents of two units from ten starts, sigma^2 = 1/4."""
    X = _data(3.0, 1.5, 0.5)
    noise = np.full((1, 10), 0.25)
    cov = covariance_of(X)[None, None]
    W = starts(np.zeros((1, 3, 2)), np.array([1.0]))
    sets = np.broadcast_to(X, (1, 10, *X.shape))
    best = linear_vae_optimum(X, 2, variance=0.25)
    counts = np.unique(np.round(np.geomspace(1, 3000, 40)).astype(int))
    below, done = [], 0
    for count in counts:
        W, _ = ascend(cov, W, noise, steps=int(count) - done)
        done = int(count)
        below.append(best.value - linear_vae(sets, W, variance=noise).value[0])
    for number, line in enumerate(np.array(below).T):
        colour, _, dash = style_of(number)
        axes.plot(counts, np.maximum(line, 1e-13), color=colour, ls=dash, label=f"_start: {number}")
    height = 2 * np.log((np.sqrt(3) + np.sqrt(1.5)) / 2) - 0.5 * np.log(4.5)
    axes.axhline(height, color="grey", lw=1, ls="--", label="the saddle of 12c-saddle")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="steps of the ascent",
        ylabel="maximum − ELBO (nats)",
    )
    head(axes, "12c, 12c-saddle", "Ascents may rest at a saddle, but all ten reach the maximum")
    return {}


def rank_panel(axes: Axes) -> Exponents:
    """12d and 12e: the maximum against sigma, D = 5, three units."""
    sigmas = 2.0 ** np.linspace(2, -5, 29)
    spectra = {"rank 2": (4.0, 1.0, 0.0, 0.0, 0.0), "rank 5": (4.0, 1.0, 0.5, 0.25, 0.25)}
    for number, (name, spectrum) in enumerate(spectra.items()):
        X = AxisData(spectrum, (30, 45, 60, 30), (0.0,) * 5).X
        sets = np.broadcast_to(X, (len(sigmas), *X.shape))
        best = linear_vae_optimum(sets, 3, variance=sigmas**2)
        a = np.maximum(np.array(spectrum)[:3], sigmas[:, None] ** 2)
        kept = (np.log(a) + np.array(spectrum)[:3] / a).sum(axis=-1)
        rest = 2 * np.log(sigmas**2) + sum(spectrum[3:]) / sigmas**2
        law = -0.5 * (5 * np.log(2 * np.pi) + kept + rest)
        shown = law > -16
        draw_series(
            axes, number, name, sigmas[shown], best.value[shown], law=law[shown],
            errors=best.error[shown],
        )  # fmt: skip
    learned = linear_vae_optimum(X, 3)
    axes.axvline(
        np.sqrt(float(learned.variance)), color="grey", lw=1, label="σ learned, rank 5 (12d)"
    )
    law = -3 * np.log(sigmas) - 0.5 * (5 * np.log(2 * np.pi) + 2 + np.log(4.0))
    below = sigmas <= 1
    axes.plot(sigmas[below], law[below], color="grey", ls="--", lw=1, label="slope −(D − r) = −3")
    axes.set(xscale="log", xlabel="noise σ (units of x)", ylabel="greatest ELBO (nats a datum)")
    head(axes, "12d, 12e", "For data of rank r the ELBO grows as −(D − r) log σ without bound")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw what a turn of the columns costs, ascents from ten starts, and the noise."""
    return draw_panels(figure, turn_panel, ascent_panel, rank_panel)

"""The figure of claim 16: the curve of linear VAEs, beta with a learned noise, and the digits."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory.bounds.information_terms import (
    linear_beta_vae,
    rate_distortion,
    reverse_water_filling,
)
from vaetheory.claims.rate_distortion.digits import digits_in_the_plane
from vaetheory.encoders import AggregatePosterior
from vaetheory.figures._panels import (
    Exponents,
    draw_bound,
    draw_panels,
    draw_series,
    head,
)
from vaetheory.models import LatentModel

#: Eigenvalues of the data of the first panel, which are two on each axis.
_SPECTRUM = np.array([4.0, 2.0, 1.0, 0.5])
_BETAS = 2.0 ** np.linspace(-2, 3, 11)


def curve_panel(axes: Axes) -> Exponents:
    """16d: sigma^2 = 1/2, beta from 1/4 to 8, four and two units."""
    away = np.diag(np.sqrt(len(_SPECTRUM) * _SPECTRUM))
    X = np.concatenate([away, -away])
    levels = 2.0 ** np.linspace(-3.5, 2.5, 121)
    for number, units in enumerate((4, 2)):
        found = [linear_beta_vae(X, units, beta=float(b), variance=0.5) for b in _BETAS]
        rate, square = reverse_water_filling(_SPECTRUM, levels, latent_dim=units)
        draw_series(
            axes, number, f"{units} units", [f.rate for f in found],
            [f.distortion - 2 * np.log(np.pi) for f in found],
            law=(rate, 2 * np.log(2 * np.pi * 0.5) + square - 2 * np.log(np.pi)),
        )  # fmt: skip
    one = linear_beta_vae(X, 4, beta=1.0, variance=0.5)
    x = np.array([0.5, 2.5])
    axes.plot(
        x, one.distortion - 2 * np.log(np.pi) - (x - one.rate), color="grey", ls="--", lw=1,
        label="slope −β = −1, at β = 1",
    )  # fmt: skip
    axes.set(xlabel="rate R (nats)", ylabel="distortion − (D/2) log 2πσ² (nats)", xlim=(-0.1, 4.6))
    head(axes, "16d", "The distortion falls with the slope −β, as water fills the units")
    return {}


def plane_panel(axes: Axes) -> Exponents:
    """16c: four binary data, codes of growing reach, and the decoder that reads them."""
    reaches = np.linspace(0.0, 3.0, 13)
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    model = LatentModel(
        decoders.TanhNetwork(
            [[[3.0], [3.0], [3.0]], [[0.0, 4.0, 0.0], [3.0, -3.0, 3.0]]],
            [[3.0, 0.0, -3.0], [0.0, 0.0]],
        ),
        likelihoods.Bernoulli(),
        1,
    )
    places = np.array([[-0.75], [-0.25], [0.25], [0.75]])
    found = [rate_distortion(model, X, AggregatePosterior(r * places, scale=0.3)) for r in reaches]
    errors = [f.error for f in found]
    draw_series(axes, 0, "rate R", reaches, [f.rate for f in found], errors=errors)
    draw_series(axes, 1, "information", reaches, [f.information for f in found], errors=errors)
    draw_series(
        axes, 2, "entropy − distortion", reaches, [f.lower or 0.0 for f in found], errors=errors
    )
    draw_bound(axes, "log 4", reaches, np.full_like(reaches, np.log(4)))
    axes.plot([], [], color="grey", ls=":", lw=2.2, label="log 4")
    axes.set(xlabel="reach of the codes", ylabel="nats a datum", ylim=(-1.5, 3.2))
    head(axes, "16a, 16c", "The information is below the rate, and above entropy minus distortion")
    return {}


def digits_panel(axes: Axes) -> Exponents:
    """16-digits: a fitted VAE of two latents, and linear VAEs of the same noise."""
    plane = digits_in_the_plane(1.0)
    noise = plane.linear.variance
    levels = noise * 2.0 ** np.linspace(-2.5, 3.5, 61)
    rate, square = reverse_water_filling(plane.spectrum, levels, latent_dim=2)
    base = 0.5 * len(plane.spectrum) * np.log(2 * np.pi * noise)
    axes.plot(
        rate, base + square / (2 * noise), color="grey", label="linear VAEs, β from 0.2 to 11"
    )
    draw_series(axes, 0, "the best linear VAE", [plane.linear.rate], [plane.linear.distortion])
    draw_series(axes, 1, "the fitted VAE", [plane.found.rate], [plane.found.distortion])
    draw_series(
        axes, 2, "its information", [plane.found.information], [plane.found.distortion],
        filled=False,
    )  # fmt: skip
    x = np.array([2.0, 5.0])
    axes.plot(
        x, plane.found.distortion + plane.found.rate - x, color="grey", ls="--", lw=1,
        label="the fitted VAE's ELBO",
    )  # fmt: skip
    axes.set(xlabel="rate R (nats)", ylabel="distortion (nats a digit)")
    head(axes, "16-digits", "On the digits a bent decoder is better than any linear one")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the curve of linear VAEs, information between its bounds, and the digits."""
    return draw_panels(figure, curve_panel, plane_panel, digits_panel)

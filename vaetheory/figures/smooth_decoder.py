"""The figure of claim 2: the optimal decoder, its slope, and the radius of its Taylor series."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._validation import Array
from vaetheory.encoders import AggregatePosterior
from vaetheory.figures._panels import (
    Exponents,
    draw_bound,
    draw_panels,
    draw_series,
    head,
    style_of,
)
from vaetheory.optimal_decoder import OptimalDecoder


def two_data(s: float) -> OptimalDecoder:
    """The optimal decoder of two data at +-1, encoded at +-1 with deviation s: tanh(z / s^2)."""
    return OptimalDecoder([[-1.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=s))


def decoder_panel(axes: Axes) -> Exponents:
    """The closed-form decoder of two data for three posterior deviations, with its slope bound."""
    z = np.linspace(-2.5, 2.5, 401)
    for number, s in enumerate((1.0, 0.5, 0.2)):
        colour, _, dash = style_of(number)
        values = two_data(s)(z[:, None])[:, 0]
        axes.plot(z, values, color=colour, ls=dash, label=f"f*, s = {s}")
        near = np.abs(z) < 0.9 * s**2
        draw_bound(axes, f"slope, s = {s}", z[near], z[near] / s**2, colour=colour)
    axes.set(
        xlabel="latent z (deviations of the prior)",
        ylabel="f*(z) (units of x)",
    )
    head(axes, "2c", "The best decoder is smooth, and its slope has a bound")
    return {}


def slope_panel(axes: Axes) -> Exponents:
    """2c and 2e: the steepest slope against s, for two data (the bound is sharp) and for five.

    The step between neighbours a gap apart is as steep as gap^2 / (4 s^2) in the limit.
    """
    deviations = 2.0 ** np.linspace(0, -5, 11)
    locs = np.array([[-1.0], [-0.25], [0.1], [0.6], [1.0]])
    halfway = (locs[1:] + locs[:-1]) / 2
    z = np.concatenate([np.linspace(-1.5, 1.5, 20_001)[:, None], halfway])

    def steepest(decoders: list[OptimalDecoder]) -> Array:
        return np.array([np.abs(f.jacobian(z)).max() for f in decoders])

    two = steepest([two_data(s) for s in deviations])
    five = steepest([OptimalDecoder(locs, AggregatePosterior(locs, scale=s)) for s in deviations])
    draw_bound(axes, "diam X diam m / (4 s²)", deviations, 1 / deviations**2)
    exponents: Exponents = {}
    gap = float(np.diff(locs[:, 0]).max())
    cases = (("two data", two, 2.0), ("five data", five, gap))
    for number, (name, values, step) in enumerate(cases):
        law = step**2 / (4 * deviations**2)
        exponents |= draw_series(axes, number, name, deviations, values, law=law, exponent=-2)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="posterior deviation s (units of z)",
        ylabel="steepest slope of f* (units of x/z)",
    )
    head(axes, "2c, 2e", "Its steepest slope grows as 1/s², and two data reach the bound")
    return exponents


def radius_panel(axes: Axes) -> Exponents:
    """2d: error of the Taylor series of tanh(z / s^2) at 0 against |z| over the radius."""
    s, orders = 1.0, (5, 11, 21, 41)
    radius = np.pi * s**2 / 2
    shares = np.linspace(0.05, 1.15, 45)
    for number, order in enumerate(orders):
        colour, _, dash = style_of(number)
        error = np.abs(_tanh_series(order, shares * radius) - np.tanh(shares * radius))
        # Smaller errors are rounding or exactly zero.
        shown = np.maximum(error, 1e-17)
        axes.semilogy(shares, shown, color=colour, ls=dash, label=f"degree {order}")
    axes.axvline(1.0, color="black", lw=1, label="radius")
    rounding = float(np.finfo(float).eps)
    axes.axhline(rounding, color="grey", lw=1, ls="--", label="_level: rounding")
    axes.plot([], [], color="grey", lw=1, ls="--", label="rounding")
    axes.set(
        xlabel="|z| / distance of the nearest zero of q",
        ylabel="error of the polynomial (units of x)",
    )
    head(axes, "2d", "Its Taylor series converges up to the nearest zero of q(z), not beyond")
    return {}


def _tanh_series(order: int, z: Array) -> Array:
    """Taylor polynomial of tanh at 0, from tanh' = 1 - tanh^2."""
    c = np.zeros(order + 1)
    c[1] = 1.0
    for k in range(1, order):
        c[k + 1] = -(c[: k + 1] @ c[k::-1]) / (k + 1)
    return np.polynomial.polynomial.polyval(z, c)


def draw(figure: Figure) -> list[Exponents]:
    """Draw the decoder, its steepest slope, and the reach of its Taylor series."""
    return draw_panels(figure, decoder_panel, slope_panel, radius_panel)

"""Claim 2: the optimal decoder, how steep it can be, and how far its Taylor series reaches."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import Encoder, OptimalDecoder
from vaetheory._validation import Array
from vaetheory.plotting import COLOURS, DASHES, MARKERS, Columns, draw_panels


def two_data(s: float) -> OptimalDecoder:
    """The optimal decoder of two data at +-1, encoded at +-1 with deviation s: tanh(z / s^2)."""
    return OptimalDecoder([[-1.0], [1.0]], Encoder([[-1.0], [1.0]], [s**2]))


def decoder_panel(axes: Axes) -> Columns:
    """The closed-form decoder of two data for three posterior deviations, with its slope bound."""
    z = np.linspace(-2.5, 2.5, 401)
    columns: Columns = {"z": z}
    for colour, dash, s in zip(COLOURS, DASHES, (1.0, 0.5, 0.2), strict=False):
        values = two_data(s)(z[:, None])[:, 0]
        axes.plot(z, values, color=colour, ls=dash, label=f"f*, s = {s}")
        near = np.abs(z) < 0.9 * s**2
        axes.plot(z[near], z[near] / s**2, color=colour, ls=":", lw=2.5)
        columns[f"decoder s={s}"] = values
    axes.plot([], [], color="grey", ls=":", lw=2.5, label="bound of the slope")
    axes.set(xlabel="latent z", ylabel="datum x", title="The optimal decoder, and how steep it is")
    axes.legend(loc="upper left")
    return columns


def slope_panel(axes: Axes) -> Columns:
    """2c and 2e: the steepest slope against s, for two data (sharp) and for five (not)."""
    deviations = 2.0 ** np.linspace(0, -5, 11)
    locs = np.array([[-1.0], [-0.25], [0.1], [0.6], [1.0]])
    z = np.linspace(-1.5, 1.5, 20_001)[:, None]
    columns: Columns = {"s": deviations}

    def steepest(decoders: list[OptimalDecoder]) -> Array:
        return np.array([np.abs(f.jacobian(z)).max() for f in decoders])

    two = steepest([two_data(s) for s in deviations])
    five = steepest([OptimalDecoder(locs, Encoder(locs, [s**2])) for s in deviations])
    bound = 1 / deviations**2
    axes.loglog(deviations, bound, color="black", lw=1, label="bound: diam X diam m / (4 s²)")
    for colour, marker, name, values in zip(
        COLOURS, MARKERS, ("two data", "five data"), (two, five), strict=False
    ):
        axes.loglog(deviations, values, marker, ms=5, color=colour, label=name)
        columns[f"steepest slope {name}"] = values
    exponent = np.log(two[-1] / two[-4]) / np.log(deviations[-1] / deviations[-4])
    columns["bound"] = bound
    axes.set(
        xlabel="posterior deviation s",
        ylabel="steepest slope of f*",
        title=f"Slope bound: sharp for two data (exponent {exponent:.3f})",
    )
    axes.legend()
    return columns


def radius_panel(axes: Axes) -> Columns:
    """2d: error of the Taylor series of tanh(z / s^2) at 0 against |z| over the radius."""
    s, orders = 1.0, (5, 11, 21, 41)
    radius = np.pi * s**2 / 2
    shares = np.linspace(0.05, 1.15, 45)
    columns: Columns = {"z over radius": shares}
    for colour, dash, order in zip(COLOURS, DASHES, orders, strict=False):
        error = np.abs(_tanh_series(order, shares * radius) - np.tanh(shares * radius))
        axes.semilogy(shares, np.maximum(error, 1e-17), color=colour, ls=dash, label=str(order))
        columns[f"error of order {order}"] = error
    axes.axvline(1.0, color="black", lw=1, label="radius")
    rounding = float(np.finfo(float).eps)
    axes.axhline(rounding, color="grey", lw=1, ls=":", label="rounding")
    axes.set(
        xlabel="|z| / distance of the nearest zero of q",
        ylabel="error of the Taylor polynomial",
        title="Analytic exactly up to the nearest zero of q(z)",
    )
    axes.legend(title="degree, bounds", ncols=2, columnspacing=1.0)
    return columns


def _tanh_series(order: int, z: Array) -> Array:
    """Taylor polynomial of tanh at 0, from tanh' = 1 - tanh^2."""
    c = np.zeros(order + 1)
    c[1] = 1.0
    for k in range(1, order):
        c[k + 1] = -(c[: k + 1] @ c[k::-1]) / (k + 1)
    return np.polynomial.polynomial.polyval(z, c)


def draw(figure: Figure) -> Columns:
    """Draw the decoder, its steepest slope, and the reach of its Taylor series."""
    return draw_panels(figure, decoder_panel, slope_panel, radius_panel)

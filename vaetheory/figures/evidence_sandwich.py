"""The figure of claim 15: bounds from below and above, their mid-point, and Renyi's bounds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds import importance_weighted_bound, importance_weighted_upper_bound, renyi_bound
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head, style_of
from vaetheory.models import LatentModel

_COUNTS = 2 ** np.arange(11)
#: A linear model of one latent with the posterior N(0.5, 0.5), and a q that is wider and beside it.
_LINE = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
_X, _Q = [1.0], Posterior([0.9], scale=1.0)
_CIRCLE = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=1.0))


def both() -> tuple[Array, Array]:
    """L_K and U_K minus the log evidence, `(2, K)`, and their errors."""
    exact = linear_log_evidence(_LINE, np.array(_X))
    counts = [int(k) for k in _COUNTS]
    found = [
        bound(_LINE, _X, _Q, counts, rtol=1e-11)
        for bound in (importance_weighted_bound, importance_weighted_upper_bound)
    ]
    values = np.array([f.value - exact.value for f in found])
    return values, np.array([f.error + exact.error for f in found])


def closing_panel(axes: Axes) -> Exponents:
    """15c: both bounds and their mid-point against K."""
    values, errors = both()
    lower, upper = values
    axes.set_xscale("log", base=2)
    draw_series(axes, 0, "U_K, one sample from p(z|x)", _COUNTS, upper, errors=errors[1])
    draw_series(axes, 1, "(L_K + U_K) / 2", _COUNTS, values.mean(axis=0), errors=errors.max(axis=0))
    draw_series(axes, 2, "L_K, all samples from q", _COUNTS, lower, errors=errors[0])
    axes.axhline(0.0, color="black", lw=1, label="_level: log evidence")
    axes.set(xlabel="samples K", ylabel="bound − log evidence (nats)")
    head(axes, "15c", "The bounds close in on the evidence; half-way between them is much nearer")
    return {}


def order_panel(axes: Axes) -> Exponents:
    """15c-midpoint: distances from the evidence against K."""
    values, errors = both()
    seen = slice(2, None)
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    for number, (name, y, slope) in enumerate(
        (
            ("U_K", values[1], -1.0),
            ("mid-point", np.abs(values.mean(axis=0)), -2.0),
            ("L_K", -values[0], -1.0),
        )
    ):
        exponents |= draw_series(
            axes, number, name, _COUNTS[seen], y[seen], errors=errors.max(axis=0)[seen],
            law=y[-1] * (_COUNTS[seen] / _COUNTS[-1]) ** slope, exponent=slope, limit=np.inf,
        )  # fmt: skip
    axes.set(xlabel="samples K", ylabel="distance from log evidence (nats)")
    head(axes, "15c-midpoint", "The mid-point's error falls as 1/K², those of the bounds as 1/K")
    return exponents


def renyi_panel(axes: Axes) -> Exponents:
    """15a, 15a-bounded: Renyi's bounds of a line and of a circle under the same q."""
    orders = np.linspace(-0.9, 2.9, 77)
    q = Posterior([0.4], scale=0.55)
    for number, (name, model, x) in enumerate(
        (("linear decoder", _LINE, [1.0]), ("bounded decoder, a circle", _CIRCLE, [1.0, 0.3]))
    ):
        exact = log_evidence(model, np.array(x))
        found = np.array([float(renyi_bound(model, x, q, float(a)).value) for a in orders])
        known = np.isfinite(found)
        colour, _, dash = style_of(number)
        axes.plot(orders[known], found[known] - exact.value, color=colour, ls=dash, label=name)
        # With n = 1 - a the bound is infinite from n = v / (v - u) on, for variances u of q and v.
        wide = 0.5 if model is _LINE else 1.0
        least = 1 - wide / (wide - 0.55**2)
        axes.axvline(least, color=colour, ls=":", lw=1.5, label=f"_bound: {name}, infinite")
    axes.axhline(0.0, color="black", lw=1, label="_level: log evidence")
    for order, word in ((1.0, "ELBO"), (0.0, "log p(x)")):
        axes.annotate(word, (order + 0.05, -0.42), fontsize="small")
        axes.axvline(order, color="grey", lw=0.5, zorder=0, label=f"_level: {word}")
    axes.set(xlabel="order a", ylabel="V_a − log evidence (nats)", ylim=(-0.45, 0.6))
    head(axes, "15a", "Renyi's bounds rise as the order falls, until they are infinite")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the two bounds closing in, the order of their mid-point, and Renyi's bounds."""
    return draw_panels(figure, closing_panel, order_panel, renyi_panel)

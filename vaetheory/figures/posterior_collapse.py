"""The figure of claim 13: the two thresholds of collapse, and how the rate gets to zero."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._validation import Array
from vaetheory.bounds.collapse import sub_gaussian_proxy
from vaetheory.checking.digits import load
from vaetheory.claims.posterior_collapse.closed_forms import best_code
from vaetheory.claims.posterior_collapse.digits import digit_proxy
from vaetheory.claims.posterior_collapse.scenes import WeightedData, said
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head, style_of

#: Nineteen data at 0 and one at 1.
_RARE = WeightedData(((0.0,), (1.0,)), (19, 1))
_SHARES = np.array([0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.6, 3.0, 3.4])


def _gaussian_gains(codes: Array, share: float) -> tuple[Array, Array]:
    """Gains and rates of Gaussian codes `(I, 4)`: two means and logarithms of two deviations."""
    count = len(codes)
    loc, scale = codes[:, :2], np.exp(codes[:, 2:])
    found = said(
        np.repeat(_RARE.centred[None], count, 0),
        np.repeat(_RARE.weights[None], count, 0),
        loc,
        scale,
    )
    rate = (0.5 * (loc**2 + scale**2 - 1) - codes[:, 2:]) @ _RARE.weights
    return found.explained / (2 * share * _RARE.variance) - rate, rate


@cache
def best_gaussian_codes() -> tuple[Array, Array]:
    """Gains and rates of the best Gaussian codes found at each share, 0 where none gains.

    A pattern search that follows the branch upwards from small noise.
    """
    moves = np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4)])
    at = np.array([-0.13, 2.48, -0.17, -1.56])
    gains, rates = [], []
    for share in _SHARES:
        step = 0.1
        while step > 1e-3:
            trials = at + step * moves
            values, told = _gaussian_gains(trials, float(share))
            best = int(values.argmax())
            at, step = trials[best], step if best else step / 2
        gains.append(max(float(values[0]), 0.0))
        rates.append(float(told[0]) if values[0] > 0 else 0.0)
    return np.array(gains), np.array(rates)


def _thresholds(axes: Axes) -> None:
    proxy = sub_gaussian_proxy(_RARE.data, weights=_RARE.weights)
    axes.axvline(1.0, color="grey", lw=1, label="λ₁: stable from here on (13a)")
    ratio = proxy.value / proxy.variance
    axes.axvline(ratio, color="grey", lw=1, ls="--", label="τ²: best from here on (13d)")


def _linear(shares: Array) -> tuple[Array, Array]:
    ratio = np.maximum(1 / shares, 1.0)
    return 0.5 * (ratio - 1 - np.log(ratio)), 0.5 * np.log(ratio)


def _any_codes(shares: Array) -> tuple[Array, Array]:
    tau2 = sub_gaussian_proxy(_RARE.data, weights=_RARE.weights).value
    found = [best_code(0.05, s * _RARE.variance / tau2, points=1201) for s in shares]
    gains, rates = np.array(found).T
    return np.maximum(gains, 0.0), np.where(gains > 1e-12, rates, 0.0)


def _panel(axes: Axes, which: int) -> None:
    shares = np.linspace(0.7, 3.5, 57)
    for number, (name, rule) in enumerate(
        (("linear decoder (13b)", _linear), ("any encoder (13d)", _any_codes))
    ):
        colour, _, dash = style_of(number)
        axes.plot(shares, rule(shares)[which], color=colour, ls=dash, label=name)
    draw_series(
        axes, 2, "Gaussian codes, best found", _SHARES, best_gaussian_codes()[which], filled=False
    )
    _thresholds(axes)
    axes.set(xlabel="noise σ² / λ₁")


def gain_panel(axes: Axes) -> Exponents:
    """13b, 13d: nineteen data at 0 and one at 1, the greatest gain on collapse."""
    _panel(axes, 0)
    axes.set(ylabel="best ELBO − ELBO of collapse (nats)", ylim=(-0.01, 0.4))
    head(axes, "13a, 13b, 13d", "Collapse is stable from λ₁ on, but only from τ² on is it best")
    return {}


def rate_panel(axes: Axes) -> Exponents:
    """13d-jump: the rates of the same codes."""
    _panel(axes, 1)
    axes.set(ylabel="rate at the best, E KL(q ‖ p) (nats)", ylim=(-0.01, 0.32))
    head(
        axes,
        "13b, 13d-jump",
        "Only with a linear decoder is the rate zero from λ₁ on",
    )
    return {}


def ratio_panel(axes: Axes) -> Exponents:
    """13c, 13-digits: the ratio whose maximum is the proxy, along the ray of the maximum."""
    sizes = np.linspace(0.02, 2.2, 60)
    laws = {
        "one point in twenty": (_RARE.data, _RARE.weights),
        "two equal points": (_RARE.data, np.array([0.5, 0.5])),
        "the digits": (load().images, np.full(len(load().images), 1 / len(load().images))),
    }
    for number, (name, (X, p)) in enumerate(laws.items()):
        found = digit_proxy() if name == "the digits" else sub_gaussian_proxy(X, weights=p)
        away = X - p @ X
        ray = found.tilt if found.tilt.any() else np.array([4.0])
        along = away @ ray
        sums = np.log(np.exp(sizes[:, None] * along) @ p)
        ratio = 2 * sums / (sizes**2 * float(ray @ ray)) / found.variance
        colour, marker, dash = style_of(number)
        axes.plot(sizes, ratio, color=colour, ls=dash, label=name)
        if found.tilt.any():
            axes.plot(
                [1.0], [found.value / found.variance], marker, color=colour, label=f"_peak: {name}"
            )
    axes.axhline(1.0, color="grey", lw=1, label="λ₁")
    axes.set(
        xlabel="length of θ over that of θ*",
        ylabel="2 log E exp θ·(x − mean) / (θ·θ λ₁)",
    )
    head(axes, "13c, 13-digits", "The second threshold τ² is the greatest value of this ratio")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the gain on collapse and the rate against the noise, and the second threshold."""
    return draw_panels(figure, gain_panel, rate_panel, ratio_panel)

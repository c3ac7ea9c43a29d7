"""The figure of claim 14: bounds of K samples, with and without a variance, and those of digits."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory.claims.importance_weighting.digits import COUNTS, encoded_digits
from vaetheory.claims.importance_weighting.scenes import Line
from vaetheory.claims.importance_weighting.without_variance import coefficient
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head

#: Encoders of a Gaussian posterior by their variance, as a share of the posterior's.
_RATIOS = (4.0, 0.6, 0.25, 0.125)
_SAMPLES = tuple(10**k for k in range(7))


def _law(ratio: float, K: np.ndarray) -> np.ndarray:
    """mu_2 / (2 K) where there is a variance, and else the law of 14c."""
    if ratio > 0.5:
        variance = ratio / np.sqrt(2 * ratio - 1) - 1
        return np.asarray(variance / (2 * K))
    power = ratio / (1 - ratio)
    return np.asarray(coefficient(np.array(ratio)) * K**-power / np.sqrt(np.log(K)))


def rising_panel(axes: Axes) -> Exponents:
    """14a: four encoders of one posterior."""
    for number, ratio in enumerate(_RATIOS):
        gaps, errors = Line(0.5, ratio).gaps(_SAMPLES)
        draw_series(axes, number, f"v = {ratio:g} S", _SAMPLES, -gaps, errors=errors)
    axes.axhline(0.0, color="grey", lw=1, label="the evidence")
    axes.set(
        xscale="log", xlabel="samples K", ylabel="bound $L_K$ − log p(x) (nats)", ylim=(-0.9, 0.05)
    )
    head(axes, "14a, 14f", "Every bound converges to the evidence, some much more slowly")
    return {}


def closing_panel(axes: Axes) -> Exponents:
    """14b, 14c: their gaps, and the laws; without a variance these have logarithms as well."""
    many = np.logspace(1, 6, 60)
    axes.set(
        xscale="log", yscale="log", xlabel="samples K", ylabel="log p(x) − $L_K$ (nats)",
        ylim=(1e-8, 3),
    )  # fmt: skip
    exponents: Exponents = {}
    for number, ratio in enumerate(_RATIOS):
        gaps, errors = Line(0.5, ratio).gaps(_SAMPLES)
        exponents |= draw_series(
            axes, number, f"v = {ratio:g} S", _SAMPLES, gaps, law=(many, _law(ratio, many)),
            errors=errors, exponent=-1.0 if ratio > 0.5 else None, limit=np.inf,
        )  # fmt: skip
    head(axes, "14b, 14c", "The gap falls like 1/K only if the weights have a variance: v > S/2")
    return exponents


def digits_panel(axes: Axes) -> Exponents:
    """14-digits: the digits' VAE, its best full and its best diagonal encoder."""
    found = encoded_digits(1.0)
    for number, (name, which) in enumerate(
        (("diagonal encoder", "diagonal"), ("full encoder", "full"))
    ):
        errors = getattr(found, which).error.mean(axis=0) + found.evidence.error.mean()
        draw_series(axes, number, name, COUNTS, found.gaps(which).mean(axis=0), errors=errors)
    first = found.gaps("diagonal").mean()
    many = np.array([1.0, 1e6])
    axes.plot(many, found.gaps("diagonal")[:, 0].mean() / many, color="grey", ls="--", lw=1,
              label="slope −1")  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="samples K",
        ylabel="mean log p(x) − $L_K$ (nats a digit)", ylim=(first * 1e-3, 1),
    )  # fmt: skip
    head(axes, "14-digits", "On digits neither gap falls like 1/K: the weights have no variance")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the bounds of K samples, how fast they close in on the evidence, and digits."""
    return draw_panels(figure, rising_panel, closing_panel, digits_panel)

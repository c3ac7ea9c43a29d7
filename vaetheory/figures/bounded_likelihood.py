"""The figure of claim 18: two data, a certificate, and what the noise allows on many data."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory.bounds.any_vae import likelihood_certificate
from vaetheory.bounds.best_mixture import npmle
from vaetheory.claims.bounded_likelihood.digits import certified_digits
from vaetheory.figures._panels import Exponents, draw_bound, draw_panels, draw_series, head
from vaetheory.likelihoods import Gaussian

_DATA = np.array([[-2.6], [-2.0], [-0.4], [0.3], [2.2]])
_NOISES = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)


def two_panel(axes: Axes) -> Exponents:
    """18b-two: the best likelihood of two data against their distance, less the peak."""
    gaps = np.linspace(0.0, 7.0, 15)[1:]
    found = [npmle(Gaussian(scale=1.0), [[0.0], [g]]) for g in gaps]
    peak = Gaussian(scale=1.0).log_peak(1)
    fine = np.linspace(0.0, 7.0, 200)
    draw_series(
        axes, 0, "any VAE at best", gaps, [f.value - peak for f in found],
        errors=[f.ceiling - f.value for f in found],
    )  # fmt: skip
    axes.plot(fine, -(fine**2) / 8, color="grey", ls="--", lw=1, label="collapsed VAE")
    draw_bound(axes, "log 2", fine, np.full_like(fine, -np.log(2)))
    axes.text(6.9, -np.log(2) - 0.03, "−log 2", ha="right", va="top")
    axes.set(
        xlabel="distance of two data (deviations of the noise)",
        ylabel="mean log likelihood − peak (nats)", ylim=(-1.0, 0.05),
    )  # fmt: skip
    head(axes, "18a, 18b-two", "If data differ, every VAE is below the peak of its noise")
    return {}


def certificate_panel(axes: Axes) -> Exponents:
    """18c, 18d: E_n[p(x_n given eta) / c_n] of the collapsed model and of the best mixture."""
    likelihood = Gaussian(scale=0.8)
    best = npmle(likelihood, _DATA)
    mean = likelihood.log_prob(_DATA, np.full_like(_DATA, _DATA.mean()))
    eta = np.linspace(-4.5, 4.5, 400)[:, None]
    each = likelihood.log_prob(_DATA, eta[:, None])
    for number, (name, logs) in enumerate(
        (("collapsed VAE", mean), ("best VAE", best.log_density))
    ):
        told = likelihood_certificate(likelihood, _DATA, log_evidence=logs)
        curve = np.log(np.exp(each - logs).mean(axis=-1))
        assert told.at is not None
        draw_series(
            axes, number, f"{name}: at most {told.upper:.2f} more", told.at, [told.upper],
            law=(eta[:, 0], curve), errors=[told.upper - told.lower],
        )  # fmt: skip
    axes.plot(_DATA[:, 0], np.full(len(_DATA), -2.6), "k|", ms=9, label="data")
    draw_bound(axes, "nothing to gain", eta[:, 0], np.zeros(len(eta)))
    axes.set(
        xlabel="output η of a decoder", ylabel="log of the mean ratio (nats)", ylim=(-2.8, 4.6)
    )
    head(axes, "18c, 18d", "The highest point of this curve is what any other VAE can gain at most")
    return {}


def digits_panel(axes: Axes) -> Exponents:
    """18-digits: the fitted VAE at several noises, its ceiling, and the peak."""
    found = [certified_digits(noise) for noise in _NOISES]
    base = np.array([f.peak for f in found])
    draw_series(
        axes, 0, "no VAE above", _NOISES, [f.found.ceiling for f in found] - base, filled=False
    )
    draw_series(axes, 1, "some VAE comes to", _NOISES, [f.found.reached for f in found] - base)
    draw_series(axes, 2, "the fitted VAE", _NOISES, [f.evidence for f in found] - base)
    x = np.array([_NOISES[0], _NOISES[-1]])
    draw_bound(axes, "log N", x, np.full(2, -np.log(found[0].count)))
    axes.text(_NOISES[0], -np.log(found[0].count) - 0.8, "−log N", ha="left", va="top")
    axes.set_xscale("log")
    axes.set_xticks(_NOISES, [f"{n:g}" for n in _NOISES])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="noise over the fitted noise", ylabel="nats a digit − peak", ylim=(-62, 1))
    head(axes, "18-digits", "On 25 digits no VAE is better than one that stores them all")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw two data, certificates of two models, and the digits."""
    return draw_panels(figure, two_panel, certificate_panel, digits_panel)

"""The figure of claim 21: a twist of the latents, what encoders see, and what a density says."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtr

from vaetheory import decoders, flows, likelihoods
from vaetheory.bounds import stationary_posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head, style_of
from vaetheory.identifiability import monotone_decoder
from vaetheory.models import LatentModel

_TWIST = flows.Twist(2, 0.25)
_LEVELS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_PLAIN = decoders.Affine([[2.0, 0.0], [0.0, 0.75], [0.0, 0.0]])
_NOISE, _X = likelihoods.Gaussian(scale=0.75), np.array([1.0, 0.5, 0.0])


def plane_panel(axes: Axes) -> Exponents:
    """21a: where the first output has the same value, with and without a twist."""
    along = np.linspace(-3.2, 3.2, 161)
    for number, name in enumerate(("decoder f", "f after a twist")):
        colour, _, dash = style_of(number)
        for level in _LEVELS:
            line = np.stack([np.full_like(along, level), along], axis=-1)
            line = line[np.hypot(*line.T) < 3.2]
            z = _TWIST.inverse(line) if number else line
            label = name if level == 0 else f"_curve: {name}, z₁ = {level:g}"
            axes.plot(z[:, 0], z[:, 1], color=colour, ls=dash, lw=1.3, label=label)
    x = np.array([[1.0, 0.5, 0.0], [-2.0, 1.0, 0.5], [3.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    twisted = LatentModel(decoders.Composed(_PLAIN, _TWIST), _NOISE)
    exact = linear_log_evidence(LatentModel(_PLAIN, _NOISE), x)
    off = float(np.abs(log_evidence(twisted, x).value - exact.value).max())
    axes.text(
        0.02, 0.02, f"four data: log evidences\ndiffer by {off:.0e} at most",
        transform=axes.transAxes, va="bottom", ha="left",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip
    axes.set(xlabel="latent z₁", ylabel="latent z₂", aspect="equal", ylim=(-4.4, 3.5))
    head(axes, "21a, 21d", "A twist moves every level of a decoder, and no datum tells")
    return {}


def turn_panel(axes: Axes) -> Exponents:
    """21a-full, 21a-diagonal, 21a-twist: the best ELBO less the log evidence against a turn."""
    angles = np.arange(0, 181, 15)
    turns = [[[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]] for t in np.radians(angles)]
    exact = linear_log_evidence(LatentModel(_PLAIN, _NOISE), _X)
    fine = np.linspace(0, 180, 181)
    t = np.radians(fine)
    a, b = (1 + (s / 0.75) ** 2 for s in (2.0, 0.75))
    # A = diag(a, b), turned.
    one = a * np.cos(t) ** 2 + b * np.sin(t) ** 2
    two = a * np.sin(t) ** 2 + b * np.cos(t) ** 2
    law = -0.5 * np.log(one * two / (a * b))
    cases = (
        ("full S", "full", _PLAIN, (fine, 0 * fine)),
        ("diagonal S", "diagonal", _PLAIN, (fine, law)),
        ("full S, after a twist", "full", decoders.Composed(_PLAIN, _TWIST), None),
    )
    for number, (name, structure, decoder, curve) in enumerate(cases):
        found = [
            stationary_posterior(
                LatentModel(decoders.Reparametrised(decoder, R), _NOISE), _X, structure=structure
            )
            for R in turns
        ]
        draw_series(
            axes, number, name, angles, [float(q.value - exact.value) for q in found],
            errors=[float(q.error + exact.error) for q in found], law=curve,
        )  # fmt: skip
    axes.set(xlabel="turn of the latents (degrees)", ylabel="best ELBO − log evidence (nats)")
    head(
        axes, "21a-full, 21a-diagonal, 21a-twist",
        "The evidence is the same for all: the encoder's family costs the difference",
    )  # fmt: skip
    return {}


def density_panel(axes: Axes) -> Exponents:
    """21b, 21b-fold: the decoder that is read from the density of a folded one's data."""
    noise, z = 0.2, np.linspace(-2.5, 2.5, 21)
    fine = np.linspace(-2.6, 2.6, 261)

    def log_density(X: np.ndarray) -> np.ndarray:
        x = X[:, 0]
        with np.errstate(divide="ignore"):
            value = np.log(ndtr(x / noise) - ndtr((x - 1) / noise))
            other = np.log(ndtr((1 - x) / noise) - ndtr(-x / noise))
        return np.asarray(np.where(x < 0.5, value, other))

    found = monotone_decoder(log_density, z, noise=noise, interval=(-1.8, 2.8))
    middle, half = 0.5 * (found.lower + found.upper), 0.5 * (found.upper - found.lower)
    draw_series(axes, 0, "read from the density", z, middle, errors=half, law=(fine, ndtr(fine)))
    colour, _, dash = style_of(1)
    axes.plot(
        fine, 1 - np.abs(2 * ndtr(fine) - 1), color=colour, ls=dash, lw=1.3,
        label="a folded decoder of this density",
    )  # fmt: skip
    axes.set(xlabel="latent z", ylabel="f(z)", ylim=(-0.4, 1.4))
    head(axes, "21b, 21b-fold", "A density tells the one monotone decoder, and hides every fold")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw a twist of the latent plane, what encoders lose by a turn, and a decoder read back."""
    return draw_panels(figure, plane_panel, turn_panel, density_panel)

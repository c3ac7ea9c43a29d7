"""The figure of claim 20: which gradient is quieter, the bias, and ratios for many samples."""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._validation import Array
from vaetheory.bounds.gradient_limits import gradient_noise_limits
from vaetheory.bounds.gradient_moments import GradientNoise, gradient_noise
from vaetheory.claims.gradient_estimators.crossing import Line
from vaetheory.claims.gradient_estimators.many_samples import Weighted
from vaetheory.encoders import Posterior
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head

_RATIOS = tuple(2.0**k for k in np.arange(-4.25, 3.0, 0.5))
_SAMPLES = tuple(int(k) for k in 10.0 ** np.arange(0.0, 6.1, 0.5))
#: An encoder wider than its posterior, whose weights have all the moments that are needed.
_WIDE = Weighted(4.0, 1.0, 150, 0.5)
_NAMES = {"total": "total", "path": "path", "dreg": "DReG", "decoder": "decoder, total"}


def crossing_panel(axes: Axes) -> Exponents:
    """20b: variances of the gradient in m against the variance of q."""
    dense = np.geomspace(_RATIOS[0], _RATIOS[-1], 200)
    laws = {"total": dense, "path": (1 - dense) ** 2 / dense, "kl": 0.5625 * dense}
    labels = {"total": "total", "path": "path", "kl": "closed-form divergence (S = 1/4)"}
    scene = Line(4.0, 100, 0.0)
    found = [
        gradient_noise(scene.model, [0.0], Posterior([0.0], scale=0.5 * r**0.5), 1, tuple(labels))
        for r in _RATIOS
    ]
    for number, (name, label) in enumerate(labels.items()):
        values, errors = (
            _of_m(found, name, "variance") / 4,
            _of_m(found, name, "variance_error") / 4,
        )
        draw_series(axes, number, label, _RATIOS, values, law=(dense, laws[name]), errors=errors)
    axes.axvline(0.5, color="grey", lw=1, label="$s^2 = S/2$: the crossing")
    axes.set(
        xscale="log", yscale="log", xlabel="variance of q over the posterior's, $s^2/S$",
        ylabel="variance of the gradient in m, times S", ylim=(1e-3, 30),
    )  # fmt: skip
    head(
        axes, "20b", "The path gradient is the noisier one where q has less than half the variance"
    )
    return {}


def _of_m(found: list[dict[str, GradientNoise]], name: str, field: str) -> Array:
    """A number of the derivative in m, for each of several q."""
    return np.array([getattr(f[name], field)[0] for f in found])


@cache
def _many(scene: Weighted) -> dict[str, GradientNoise]:
    return gradient_noise(
        scene.model, [scene.datum], scene.posterior, list(_SAMPLES), tuple(_NAMES)
    )


def bias_panel(axes: Axes) -> Exponents:
    """20c, 20d: means of the gradient in m against the number of samples."""
    found = _many(_WIDE)
    for number, name in enumerate(("dreg", "path")):
        label = {"dreg": "DReG, and the bound's gradient", "path": "path"}[name]
        own = found[name]
        draw_series(axes, number, label, _SAMPLES, own.mean[:, 0], errors=own.mean_error[:, 0])
    limit = gradient_noise_limits(_WIDE.model, [_WIDE.datum], _WIDE.posterior, ["path"])["path"]
    axes.axhline(
        float(limit.mean[0]), color="grey", lw=1, label="−∂KL(p(z|x) || q)/∂m, the wake phase"
    )
    axes.axhline(0.0, color="grey", lw=0.6, ls="--", label="no gradient")
    axes.set(xscale="log", xlabel="samples K", ylabel="mean of the gradient in m (nats per unit)")
    head(
        axes,
        "20c, 20d",
        "The path gradient is biased: with many samples it is that of the wake phase",
    )
    return {}


def ratio_panel(axes: Axes) -> Exponents:
    """20d: signal to noise ratios and their limits."""
    found = _many(_WIDE)
    limits = gradient_noise_limits(_WIDE.model, [_WIDE.datum], _WIDE.posterior, tuple(_NAMES))
    many = np.geomspace(10, 1e6, 30)
    exponents: Exponents = {}
    for number, (name, label) in enumerate(_NAMES.items()):
        own, end = found[name], limits[name]
        seen = own.snr_error[:, 0] < 0.05 * own.snr[:, 0]
        exponents |= draw_series(
            axes, number, label, np.array(_SAMPLES)[seen], own.snr[seen, 0],
            law=(many, float(end.snr[0]) * many**end.snr_power), errors=own.snr_error[seen, 0],
            exponent=end.snr_power, limit=np.inf,
        )  # fmt: skip
    axes.set(
        xscale="log", yscale="log", xlabel="samples K", ylabel="signal to noise ratio, |mean| / sd"
    )
    head(axes, "20d", "Only the total gradient of the encoder loses its signal (v = 1.5 S)")
    return exponents


def moments_panel(axes: Axes) -> Exponents:
    """20d-moments: DReG for encoders of one posterior with fewer and fewer moments."""
    many = np.geomspace(10, 1e6, 30)
    for number, hundredths in enumerate((150, 90, 70, 58)):
        scene = Weighted(4.0, 1.0, hundredths, 0.0)
        own = gradient_noise(
            scene.model, [scene.datum], scene.posterior, list(_SAMPLES), ("dreg",)
        )["dreg"]
        end = gradient_noise_limits(scene.model, [scene.datum], scene.posterior, ["dreg"])["dreg"]
        seen = own.snr_error[:, 1] < 0.05 * own.snr[:, 1]
        law = (many, float(end.snr[1]) * many**0.5) if end.snr[1] > 0 else None
        draw_series(
            axes, number, f"v = {hundredths / 100:g} S", np.array(_SAMPLES)[seen],
            own.snr[seen, 1], law=law, errors=own.snr_error[seen, 1],
        )  # fmt: skip
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="samples K",
        ylabel="signal to noise ratio in log s, DReG",
    )
    head(axes, "20d-moments", "DReG's ratio grows like √K only with four moments: v > 3S/4")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw variances of gradients, the path's bias, and ratios for many samples."""
    return draw_panels(figure, crossing_panel, bias_panel, ratio_panel, moments_panel)

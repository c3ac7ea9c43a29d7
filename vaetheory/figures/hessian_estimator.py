"""Figure of claim 4: what each estimator of the Hessian costs, and what the variance carries.

Left: deviation of the sampled estimators from the exact smoothed Hessian against the number of
draws, with the exact standard deviation and the bound that chance exceeds once in 10^9. Next:
variance of one draw against the width s, with the leading terms. Then Hutchinson's bias and its
coefficient. Right: S^-1 - I of stationary posteriors against the smoothed Hessian.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory.claims.concentration import LEVEL, mean_deviation
from vaetheory.claims.estimator_variances import (
    ESTIMATORS,
    Sampled,
    Seen,
    exact_moments,
    leading_variance,
    total_variances,
)
from vaetheory.claims.hutchinson import DecoderPoint, bias_terms, expected_excess
from vaetheory.claims.model_scenes import ModelScene
from vaetheory.claims.smoothed_hessian import LOG_LIKELIHOOD, SmoothFunction, by_rules, flat
from vaetheory.claims.stationary_hessian import TrainedPosterior
from vaetheory.claims.strategies import Covariance
from vaetheory.claims.written_decoders import WrittenDecoder
from vaetheory.plotting import COLOURS, Columns, draw_panels

_MARKERS = ("o", "s", "^", "D")
_LINES = ("-", "--", "-.", ":")


def _function(variance: float) -> SmoothFunction:
    """Log likelihood of a tanh decoder at m = 1/2 under variance s^2."""
    decoder = decoders.TanhNetwork([[[1.0], [1.5]], np.eye(2)], [[0.0, 0.5], [0.0, 0.0]])
    scene = ModelScene(
        decoder, likelihoods.Gaussian(scale=0.5), (1.0, 0.0), (0.5,), Covariance((variance,), ())
    )
    return SmoothFunction(scene, LOG_LIKELIHOOD)


def samples_panel(axes: Axes) -> Columns:
    """4b: sampled estimates against the smoothed Hessian."""
    columns: Columns = {}
    function = _function(0.25)
    root = np.sqrt(function.cov)
    mean, _ = by_rules(lambda z: flat(function.hessians(z)), function.loc, function.cov)
    counts = 2 ** np.arange(4, 18, 2)
    noise = np.random.default_rng(0).standard_normal((counts[-1], 1))
    centre = float(function.values(function.loc[None])[0])
    columns["draws"] = counts.astype(float).tolist()
    for colour, marker, line, (name, estimator) in zip(
        COLOURS, _MARKERS, _LINES, ESTIMATORS.items(), strict=False
    ):
        exact = exact_moments(Sampled(function, 0), estimator, mean)
        deviation = float(np.sqrt(exact.variance[0]))
        found = []
        for n in counts:
            seen = Seen.at(function, function.loc + noise[:n] * root[0])
            found.append(abs(estimator(seen, centre, noise[:n], root).value[0, 0] - mean[0]))
        bound = [float(mean_deviation(exact.draw, int(n))[0]) for n in counts]
        axes.loglog(counts, found, marker, color=colour, ms=4, label=name)
        axes.loglog(counts, deviation / np.sqrt(counts), line, color=colour, lw=1)
        axes.loglog(counts, bound, line, color=colour, lw=1, alpha=0.35)
        columns[f"deviation {name}"], columns[f"bound {name}"] = found, bound
        columns[f"standard deviation {name}"] = (deviation / np.sqrt(counts)).tolist()
    axes.plot([], [], color="grey", lw=1, label="exact standard deviation")
    axes.plot([], [], color="grey", lw=1, alpha=0.35, label=f"bound at level {LEVEL:g}")
    axes.set(
        xlabel="draws n",
        ylabel="|estimate − smoothed Hessian| (nats)",
        title="4b: unbiased, in bounds",
    )
    axes.set_ylim(top=3e4)
    axes.legend(fontsize=6, loc="upper right")
    return columns


def variances_panel(axes: Axes) -> Columns:
    """4b-variances: the variance of one draw against the posterior width."""
    columns: Columns = {}
    scales = 1 / 2.0 ** np.arange(1, 8)
    function = _function(1.0)
    columns["width s"] = scales.tolist()
    for colour, marker, line, (name, (values, errors)) in zip(
        COLOURS, _MARKERS, _LINES, total_variances(function, scales).items(), strict=False
    ):
        coefficient, exponent, _ = leading_variance(function, name)
        fitted = np.log2(values[-2] / values[-1])
        axes.loglog(
            scales, values, marker, color=colour, ms=4, label=f"{name}: exponent {fitted:+.3f}"
        )
        axes.loglog(scales, coefficient * scales**exponent, line, color=colour, lw=1)
        axes.loglog(scales, errors, "_", color=colour, alpha=0.5)
        columns[f"variance {name}"], columns[f"error {name}"] = values.tolist(), errors.tolist()
        columns[f"leading term {name}"] = (coefficient * scales**exponent).tolist()
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="posterior width s",
        ylabel="variance of one draw (nats²)",
        title="Estimators of the Hessian, lines predicted",
    )
    axes.set_ylim(top=1e18)
    axes.legend(fontsize=6, loc="upper right")
    return columns


def hutchinson_panel(axes: Axes) -> Columns:
    """4c: what is left of the form beside the norm of the Jacobian."""
    columns: Columns = {}
    scales = 1 / 2.0 ** np.arange(1, 8)
    columns["noise s"] = scales.tolist()
    cases = {
        "tanh": (WrittenDecoder("tanh", (2.0, 1.0), ((1.0,), (0.5,)), (0.0, 0.5)), 1.0),
        "sine": (WrittenDecoder("sine", (1.0, 1.0), ((1.0,), (1.5,)), (0.0, 1.0)), 1.0),
        "polynomial": (
            WrittenDecoder("polynomial", (1.0, 0.5), ((1.0,), (1.5,)), (0.0, 0.0)),
            0.5,
        ),
    }
    for colour, marker, line, (name, (decoder, z)) in zip(
        COLOURS, _MARKERS, _LINES, cases.items(), strict=False
    ):
        point = DecoderPoint(decoder, (z,))
        values, errors = expected_excess(point, scales)
        coefficient = sum(bias_terms(point))
        fitted = np.log2(values[-2] / values[-1])
        axes.loglog(
            scales,
            np.abs(values),
            marker,
            color=colour,
            ms=4,
            label=f"{name}: c = {coefficient:.3g}, exponent {fitted:.3f}",
        )
        axes.loglog(scales, np.abs(coefficient) * scales**2, line, color=colour, lw=1)
        axes.loglog(scales, errors, "_", color=colour, alpha=0.5)
        columns[f"bias {name}"], columns[f"bias error {name}"] = values.tolist(), errors.tolist()
        columns[f"c s^2 {name}"] = (coefficient * scales**2).tolist()
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="noise scale s",
        ylabel="|E‖f(m + sε) − f(m)‖² / s² − ‖J‖²| (units of f²/z²)",
        title="4c: lines are |c| s²",
    )
    axes.legend(fontsize=6)
    return columns


def stationary_panel(axes: Axes) -> Columns:
    """4e: stationary precisions against smoothed Hessians."""
    columns: Columns = {}
    data = {
        "Gaussian": [(x, 0.5) for x in (-1.0, -0.5, 0.0, 0.5, 1.0)],
        "Bernoulli": [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)],
        "Poisson": [(float(x), 1.0) for x in range(5)],
    }
    decoder = WrittenDecoder("tanh", (2.0, 1.0), ((1.0,), (1.5,)), (0.5, -0.5))
    ends: list[float] = []
    for colour, marker, (family, xs) in zip(COLOURS, _MARKERS, data.items(), strict=False):
        smoothed, carried, at_mean = [], [], []
        for x in xs:
            posterior = TrainedPosterior(decoder, family, x, "full")
            smoothed.append(float(posterior.smoothed_curvature[0][0, 0]))
            carried.append(float(1 / posterior.posterior.cov[0, 0] - 1))
            at_mean.append(float(posterior.curvature(posterior.posterior.loc[None])[0, 0, 0]))
        axes.plot(smoothed, carried, marker, color=colour, ms=5, label=family)
        axes.plot(at_mean, carried, marker, color=colour, ms=4, mfc="none", alpha=0.5)
        worst = max(abs(a - b) for a, b in zip(smoothed, carried, strict=True))
        columns[f"smoothed Hessian {family}"], columns[f"S^-1 - 1 {family}"] = smoothed, carried
        columns[f"Hessian at the mean {family}"] = at_mean
        columns[f"worst difference {family}"] = [worst]
        ends += smoothed + carried
    line = [min(ends), max(ends)]
    axes.plot(line, line, color="grey", lw=1, label="equal")
    axes.plot([], [], "o", color="grey", mfc="none", alpha=0.5, label="Hessian at the mean instead")
    axes.set(
        xlabel="E_q[−∂² log p(x|z)] (nats per z²)",
        ylabel="S⁻¹ − 1 at the stationary point (per z²)",
        title="4e: S carries the Hessian",
    )
    axes.legend(fontsize=6)
    return columns


def draw(figure: Figure) -> Columns:
    """Draw samples, variances, Hutchinson's form, and what a stationary variance carries."""
    return draw_panels(figure, samples_panel, variances_panel, hutchinson_panel, stationary_panel)

"""The figure of claim 4: estimators of the Hessian, their variances, and stationary variances.

Its panels show: the deviation of sampled estimators from the exact smoothed Hessian against the
number of draws, with the exact standard deviation and the bound that chance exceeds once in 10^9;
the variance of one draw against the width s, with the leading terms; the bias of Hutchinson's form
and its coefficient; S^-1 - I of stationary posteriors against the smoothed Hessian.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.hessian_estimator.estimators import ESTIMATORS, Seen
from vaetheory.claims.hessian_estimator.hutchinson import DecoderPoint, bias_terms, expected_excess
from vaetheory.claims.hessian_estimator.sampled import Sampled, exact_moments
from vaetheory.claims.hessian_estimator.scenes import WrittenDecoder
from vaetheory.claims.hessian_estimator.smooth_functions import (
    LOG_LIKELIHOOD,
    SmoothFunction,
    by_rules,
    flat,
)
from vaetheory.claims.hessian_estimator.stationary import TrainedPosterior
from vaetheory.claims.hessian_estimator.variances import leading_variance, total_variances
from vaetheory.concentration import LEVEL, mean_deviation
from vaetheory.figures._finish import APART
from vaetheory.figures._panels import (
    BOUND,
    Exponents,
    draw_bound,
    draw_errors,
    draw_panels,
    draw_series,
    errors_within,
    head,
    style_of,
)


def _function(variance: float) -> SmoothFunction:
    """Log likelihood of a tanh decoder at m = 1/2 under variance s^2."""
    decoder = decoders.TanhNetwork([[[1.0], [1.5]], np.eye(2)], [[0.0, 0.5], [0.0, 0.0]])
    scene = ModelScene(
        decoder, likelihoods.Gaussian(scale=0.5), (1.0, 0.0), (0.5,), Covariance((variance,), ())
    )
    return SmoothFunction(scene, LOG_LIKELIHOOD)


def samples_panel(axes: Axes) -> Exponents:
    """4b: sampled estimates against the smoothed Hessian."""
    axes.set(xscale="log", yscale="log")
    function = _function(0.25)
    root = np.sqrt(function.cov)
    mean, _ = by_rules(lambda z: flat(function.hessians(z)), function.loc, function.cov)
    counts = 2 ** np.arange(4, 18, 2)
    noise = np.random.default_rng(0).standard_normal((counts[-1], 1))
    centre = float(function.values(function.loc[None])[0])
    for number, (name, estimator) in enumerate(ESTIMATORS.items()):
        exact = exact_moments(Sampled(function, 0), estimator, mean)
        deviation = float(np.sqrt(exact.variance[0]))
        found = []
        for n in counts:
            seen = Seen.at(function, function.loc + noise[:n] * root[0])
            found.append(abs(estimator(seen, centre, noise[:n], root).value[0, 0] - mean[0]))
        bound = [float(mean_deviation(exact.draw, int(n))[0]) for n in counts]
        deviations = deviation / np.sqrt(counts)
        draw_series(axes, number, name, counts, found, law=deviations)
        draw_bound(axes, name, counts, bound, colour=style_of(number)[0])
    axes.plot([], [], color="grey", lw=1, label="exact standard deviation")
    axes.plot([], [], color="grey", label=f"bound, exceeded with chance {LEVEL:g}", **BOUND)
    axes.set(
        xlabel="draws n",
        ylabel="|estimate − smoothed Hessian| (nats/z²)",
    )
    head(axes, "4b, 4b-sampled", "All four sampled estimates of the Hessian are right on average")
    return {}


def variances_panel(axes: Axes) -> Exponents:
    """4b-variances: the variance of one draw against the posterior width."""
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    scales = 1 / 2.0 ** np.arange(1, 8)
    function = _function(1.0)
    variances = total_variances(function, scales)
    for number, (name, (values, errors)) in enumerate(variances.items()):
        coefficient, exponent, _ = leading_variance(function, name)
        law = coefficient * scales**exponent
        exponents |= draw_series(
            axes, number, name, scales, values, law=law, exponent=exponent, errors=errors
        )
    axes.set(
        xlabel="posterior width s (units of z)",
        ylabel="variance of one draw (nats²/z⁴)",
    )
    head(
        axes, "4b-variances", "All estimates but the Hessians get noisier as the posterior narrows"
    )
    return exponents


def hutchinson_panel(axes: Axes) -> Exponents:
    """4c: the form minus the squared norm of the Jacobian."""
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    scales = 1 / 2.0 ** np.arange(1, 8)
    cases = {
        "tanh": (WrittenDecoder("tanh", (2.0, 1.0), ((1.0,), (0.5,)), (0.0, 0.5)), 1.0),
        "sine": (WrittenDecoder("sine", (1.0, 1.0), ((1.0,), (1.5,)), (0.0, 1.0)), 1.0),
        "polynomial": (
            WrittenDecoder("polynomial", (1.0, 0.5), ((1.0,), (1.5,)), (0.0, 0.0)),
            0.5,
        ),
    }
    for number, (name, (decoder, z)) in enumerate(cases.items()):
        point = DecoderPoint(decoder, (z,))
        values, errors = expected_excess(point, scales)
        coefficient = sum(bias_terms(point))
        sign = "" if coefficient > 0 else " (negative)"
        law = np.abs(coefficient) * scales**2
        exponents |= draw_series(
            axes, number, f"{name}{sign}", scales, np.abs(values),
            law=law, exponent=2, errors=errors,
        )  # fmt: skip
    axes.set(
        xlabel="noise scale s (units of z)",
        ylabel="|E‖f(m + sε) − f(m)‖²/s² − ‖J‖²| (f²/z²)",
    )
    head(axes, "4c", "Noise on the code measures the Jacobian, with an error of order s²")
    return exponents


def stationary_panel(axes: Axes) -> Exponents:
    """4e: stationary precisions against smoothed Hessians."""
    data = {
        "Gaussian": [(x, 0.5) for x in (-1.0, -0.5, 0.0, 0.5, 1.0)],
        "Bernoulli": [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)],
        "Poisson": [(float(x), 1.0) for x in range(5)],
    }
    decoder = WrittenDecoder("tanh", (2.0, 1.0), ((1.0,), (1.5,)), (0.5, -0.5))
    ends: list[float] = []
    worst = 0.0
    for number, (family, xs) in enumerate(data.items()):
        colour, marker, _ = style_of(number)
        smoothed, carried, at_mean, errors = [], [], [], []
        for x in xs:
            posterior = TrainedPosterior(decoder, family, x, "full")
            value, error = posterior.smoothed_curvature
            smoothed.append(float(value[0, 0]))
            errors.append(float(error[0, 0]))
            carried.append(float(1 / posterior.posterior.cov[0, 0] - 1))
            at_mean.append(float(posterior.curvature(posterior.posterior.loc[None])[0, 0, 0]))
        (points,) = axes.plot(smoothed, carried, marker, color=colour, ms=5, label=family)
        draw_errors(axes, points, errors, along="x")
        axes.plot(
            at_mean, carried, marker, color=colour, ms=4, mfc="none", alpha=0.6,
            label=f"_Hessian at the mean: {family}",
        )  # fmt: skip
        worst = max(worst, *(abs(a - b) for a, b in zip(smoothed, carried, strict=True)))
        ends += smoothed + carried
    line = [min(ends), max(ends)]
    axes.plot(line, line, color="grey", lw=1, label="equal")
    axes.plot([], [], "o", color="grey", mfc="none", alpha=0.6, label="the Hessian at the mean")
    axes.set(
        xlabel="smoothed Hessian $E_q$[−∂² log p(x|z)] (nats/z²)",
        ylabel="S⁻¹ − 1 at the stationary point (nats/z²)",
    )
    sentence = "The best variance S tells the Hessian averaged over the posterior"
    head(axes, f"4e{APART}{errors_within(worst, what='differences')}", sentence)
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw sampled Hessians, their variance, the Jacobian from noise, and the best variance."""
    return draw_panels(figure, samples_panel, variances_panel, hutchinson_panel, stationary_panel)

"""The figure of claim 1: the loss of any other decoder, covariance or likelihood parameter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import likelihoods
from vaetheory._plotting import UNBOUNDED
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.encoders import AggregatePosterior
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head
from vaetheory.optimal_decoder import OptimalDecoder, optimal_parameters

_SIZES = 2.0 ** np.arange(-6, 3)
_CODES = np.array([[-1.0], [0.0], [0.5], [1.5]])
_ENCODER = AggregatePosterior(_CODES, scale=0.5)


def _loss(X: Array, change: Callable[[Array, Array], Array]) -> tuple[float, float]:
    """Mean loss of the ELBO in nats, datum by datum, and its error figure."""
    found = gaussian_expectation(
        lambda z, rows: -change(X[rows, None], z), _ENCODER.loc, _ENCODER.cov, rtol=1e-11
    )
    return float(found.value.mean()), float(found.error.mean())


def _panel(
    axes: Axes,
    name: str,
    labels: str,
    title: str,
    losses: Callable[[float], tuple[float, float]],
    law: Callable[[float], tuple[float, float, float]],
    *,
    unit: str,
) -> Exponents:
    measured, errors = np.array([losses(t) for t in _SIZES]).T
    predicted = np.array([law(t)[0] for t in _SIZES])
    axes.set(
        xscale="log",
        yscale="log",
        xlabel=f"size t of the change ({unit})",
        ylabel="loss of the ELBO (nats)",
    )
    head(axes, labels, title)
    return draw_series(
        axes, 0, name, _SIZES, measured, law=predicted, errors=errors, colour=UNBOUNDED
    )


def mean_panel(axes: Axes) -> Exponents:
    """1a: another mean."""
    X = np.array([[-2.0], [1.0], [0.5], [2.0]])
    f, likelihood = OptimalDecoder(X, _ENCODER), likelihoods.Gaussian(scale=1.0)

    def change(t: float) -> Callable[[Array, Array], Array]:
        return lambda x, z: (
            likelihood.log_prob(x, f(z) + t * np.sin(2 * z)) - likelihood.log_prob(x, f(z))
        )

    return _panel(
        axes,
        "mean f* + t sin 2z",
        "1a",
        "A decoder that is off the optimum loses half its mean squared distance",
        lambda t: _loss(X, change(t)),
        lambda t: aggregate_expectation(lambda z: 0.5 * (t * np.sin(2 * z[..., 0])) ** 2, _ENCODER),
        unit="units of x",
    )


def _variance_panel(axes: Axes) -> Exponents:
    """1b: another covariance."""
    X = np.array([[-2.0], [1.0], [0.5], [2.0]])
    f = OptimalDecoder(X, _ENCODER)

    def change(t: float) -> Callable[[Array, Array], Array]:
        def difference(x: Array, z: Array) -> Array:
            best = f.cov(z)[..., 0, 0]
            square = ((x - f(z)) ** 2)[..., 0]
            return -0.5 * (np.log1p(t) + square / best * (1 / (1 + t) - 1))

        return difference

    return _panel(
        axes,
        "variance (1 + t) Λ*",
        "1b",
        "A variance 1 + t times the best loses ½(log(1+t)−t/(1+t))",
        lambda t: _loss(X, change(t)),
        lambda t: (0.5 * (np.log1p(t) - t / (1 + t)), 0.0, 0.0),
        unit="shares of Λ*",
    )


def _family_panel(axes: Axes) -> Exponents:
    """1c: other parameters of a Bernoulli likelihood."""
    X = np.array([[0.0], [1.0], [0.0], [1.0]])
    family = likelihoods.Bernoulli()

    def best(z: Array) -> Array:
        return optimal_parameters(X, _ENCODER, family, z)

    def change(t: float) -> Callable[[Array, Array], Array]:
        return lambda x, z: family.log_prob(x, best(z) + t) - family.log_prob(x, best(z))

    return _panel(
        axes,
        "logits η* + t",
        "1c",
        "Bernoulli logits that are off by t lose their KL from the best",
        lambda t: _loss(X, change(t)),
        lambda t: aggregate_expectation(
            lambda z: family.kl_divergence(best(z), best(z) + t), _ENCODER
        ),
        unit="nats",
    )


def draw(figure: Figure) -> list[Exponents]:
    """Draw what the ELBO loses with another mean, variance or logit than the optimal ones."""
    return draw_panels(figure, mean_panel, _variance_panel, _family_panel)

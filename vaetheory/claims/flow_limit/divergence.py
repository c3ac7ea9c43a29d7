"""Checks of 8e and 8e-best: what noise of scale sigma costs on average over a flow's own data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from vaetheory import flows, likelihoods
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, varying_metric, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.flow_limit.change_of_variables import score
from vaetheory.claims.flow_limit.excess import FINEST
from vaetheory.claims.flow_limit.scenes import (
    FLOW,
    FULL,
    GAUSSIAN,
    OWN_DATA,
    FlowScene,
    Linear,
    flow_scenes,
)
from vaetheory.encoders import Posterior
from vaetheory.flows import Flow
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_FINITE = ("a finite second moment", r"\mathbb E[(\Delta p / p)^2] < \infty,\ p \in C^4")


_REACH, _STEP = 8.0, 0.125


def _gentle(scene: FlowScene) -> bool:
    first = scene.layers[0]
    return isinstance(first, Linear) and first.stretch[0] <= 1


def line_flows() -> st.SearchStrategy[FlowScene]:
    """Flows of one dimension, not affine, with singularities at distance 1 or more from R."""
    return flow_scenes(dims=(1,)).filter(_gentle)


def expm1_less_argument(e: Array) -> Array:
    """exp(e) - 1 - e without cancellation."""
    term, total = e * e / 2, e * e / 2
    for k in range(3, 16):
        term = term * e / k
        total = total + term
    with np.errstate(over="ignore"):
        return np.where(np.abs(e) < 0.5, total, np.expm1(e) - e)


def _average(values: Array, z: Array) -> tuple[float, float]:
    """E_{N(0, 1)} of values on the lattice z, and the difference of the sums over its halves."""
    weighted = values * np.exp(standard_log_prob(z)) * _STEP
    halves = [2 * weighted[k::2].sum() for k in (0, 1)]
    edge = 10 * (np.abs(weighted[:4]).sum() + np.abs(weighted[-4:]).sum())
    return float(weighted.sum()), float(abs(halves[0] - halves[1]) + edge)


def _nodes() -> Array:
    return (_STEP * np.arange(-_REACH / _STEP, _REACH / _STEP + 1))[:, None]


def _bulk_scale(flow: Flow) -> float:
    """The least natural scale within four deviations of the prior."""
    return float(varying_metric.natural_scale(flow, np.linspace(-4, 4, 33)[:, None]).min())


@once
def divergences(flow: Flow, sigma: Array, method: str) -> tuple[Array, Array]:
    """KL(p_flow || p_sigma) for each sigma, and its error.

    With e = log p_sigma - log p_flow it is E[exp(e) - 1 - e], since E[exp(e)] = 1. The integrand is
    of order e^2 at every point, so that nothing cancels.
    """
    z = _nodes()
    density = flows.smoothed_log_density(
        flow, flow.forward(z), sigma[:, None], method=method, rtol=1e-8, latent=z
    )
    values, errors = [], []
    for e, off in zip(density.excess, density.excess_error, strict=True):
        value, error = _average(expm1_less_argument(e), z)
        noise, _ = _average(np.abs(np.expm1(e)) * off, z)
        values.append(value)
        errors.append(error + noise)
    return np.array(values), np.array(errors)


def square_of_the_laplacian(flow: Flow, x: Array) -> Array:
    """(Laplacian p / p)^2."""
    return np.asarray(flows.laplacian_ratio(flow, x) ** 2)


def square_of_the_logs_laplacian(flow: Flow, x: Array) -> Array:
    """(Laplacian log p)^2."""
    gradient = np.array([score(flow, row) for row in x])
    return np.asarray((flows.laplacian_ratio(flow, x) - (gradient**2).sum(axis=-1)) ** 2)


def mean_square(
    flow: Flow, square: Callable[[Flow, Array], Array] = square_of_the_laplacian
) -> tuple[float, float]:
    """E[(Laplacian p / p)^2] over the flow's data, and its error."""
    z = _nodes()
    return _average(square(flow, flow.forward(z)), z)


def divergence_law(
    scene: FlowScene,
    *,
    factor: float = 1 / 8,
    square: Callable[[Flow, Array], Array] = square_of_the_laplacian,
    exponent: float = 4.0,
) -> Comparison:
    """Check exponent 4 and coefficient of KL(p || p_sigma), over three decades of sigma."""
    flow = scene.flow
    mean, error = mean_square(flow, square)
    parts = []
    ladders = {
        "quadrature": _bulk_scale(flow) / 32 / 2.0 ** np.arange(4),
        "series": FINEST * 2.0 ** np.arange(3, -1, -1),
    }
    for method, sigma in ladders.items():
        values, errors = divergences(flow, sigma, method)
        parts.append(
            power_law(
                values,
                errors,
                sigma,
                exponent=exponent,
                coefficient=factor * mean,
                rounding=factor * error + gamma(400) * factor * mean,
            )
        )
    return Comparison.all_of(*parts)


DIVERGENCE = Proposition(
    label="8e",
    title="Over the flow's own data the noise costs sigma^4 / 8 times E[(Lap p / p)^2]",
    statement=(
        r"\mathrm{KL}(p_{\mathrm{flow}}\,\|\,p_\sigma) = \frac{\sigma^4}8"
        r"\,\mathbb E\Big[\Big(\frac{\Delta p}{p}\Big)^2\Big] + O(\sigma^6)"
    ),
    hypotheses=(GAUSSIAN, FLOW, OWN_DATA, _FINITE),
    kind="rate",
    instances=line_flows(),
    check=divergence_law,
    controls=wrong(
        divergence_law,
        {
            "a factor 1/4": {"factor": 0.25},
            "order sigma^2": {"exponent": 2.0},
            "the Laplacian of log p": {"square": square_of_the_logs_laplacian},
        },
    ),
    uses=("8a",),
    figure="flow-limit",
    resolution=5e-2,
    examples=4,
)


def gap_alone(flow: Flow, z: Array) -> Array:
    """The coefficient of the gap law at each z."""
    return varying_metric.gap_coefficient(flow, z)


def half_gap(flow: Flow, z: Array) -> Array:
    """The gap with a factor 1/24 in place of 1/12."""
    return varying_metric.gap_coefficient(flow, z) / 2


@once
def _best(flow: Flow, z: Array, sigma: float) -> StationaryPosterior:
    """The stationary posteriors of the data f(z)."""
    model = LatentModel(flow, likelihoods.Gaussian(scale=sigma), 1)
    precision = (flow.jacobian(z)[:, 0, 0] / sigma) ** 2 + 1
    start = Posterior(z, cov=1 / precision[:, None, None])
    return stationary_posterior(model, flow.forward(z), start=start)


def mean_elbo(
    scene: FlowScene,
    *,
    coefficient: Callable[[Flow, Array], Array] = gap_alone,
    exponent: float = 2.0,
    entropy: float = 0.0,
) -> Comparison:
    """Check that E[ELBO] is below E[log p_flow], and tends to it in proportion to sigma^2."""
    flow, z = scene.flow, _nodes()
    X = flow.forward(z)
    limit = flows.flow_log_density(flow, X, latent=z)
    sigma = _bulk_scale(flow) / 16 / 2.0 ** np.arange(4)
    # On average the excess of 8a is of order sigma^4; on a lattice that holds approximately.
    smoothing, blurred = _average(flows.laplacian_ratio(flow, X) / 2, z)
    smoothing = abs(smoothing) + blurred
    lost, error = _average(coefficient(flow, z), z)
    short, errors = [], []
    for s in sigma:
        q = _best(flow, z, float(s))
        short.append(_average(limit - q.value, z)[0] - entropy)
        off = q.error + gamma(64) * (np.abs(limit) + z[:, 0] ** 2)
        errors.append(_average(off, z)[0] + (smoothing + error) * s**2)
    values, off = np.array(short), np.array(errors)
    law = power_law(
        values,
        off,
        sigma,
        exponent=exponent,
        coefficient=lost,
        rounding=smoothing + error + gamma(400) * lost,
    )
    return Comparison.all_of(
        law, Comparison.at_most(0.0, values, scale=np.abs(values) + off, numerics=off)
    )


MEAN_ELBO = Proposition(
    label="8e-best",
    title="The best ELBO over sigma is approached as sigma tends to 0, and not before",
    statement=(
        r"\mathbb E[\log p_{\mathrm{flow}}] - \mathbb E[\mathrm{ELBO}_\sigma]"
        r" = \frac{\sigma^2}{12}\,\mathbb E\|T\|_g^2 + O(\sigma^4) > 0"
    ),
    hypotheses=(GAUSSIAN, FLOW, OWN_DATA, _FINITE, FULL),
    kind="rate",
    instances=line_flows(),
    check=mean_elbo,
    controls=wrong(
        mean_elbo,
        {
            "order sigma^4": {"exponent": 4.0},
            "half the gap": {"coefficient": half_gap},
            "a limit above the entropy": {"entropy": 0.01},
        },
    ),
    uses=("8b", "8e"),
    resolution=5e-2,
    examples=4,
)

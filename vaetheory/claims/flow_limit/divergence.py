"""Checks of 8e: what noise of scale sigma costs on average over a flow's own data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from vaetheory import flows, likelihoods
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.claims.flow_limit.scenes import FlowScene, Linear, flow_scenes
from vaetheory.claims.flow_limit.smoothing import FINEST, score
from vaetheory.claims.stationary_evidence import gap_law
from vaetheory.encoders import Posterior
from vaetheory.flows import Flow
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_REACH, _STEP = 8.0, 0.125


def _gentle(scene: FlowScene) -> bool:
    first = scene.layers[0]
    return isinstance(first, Linear) and first.stretch[0] <= 1


def line_flows() -> st.SearchStrategy[FlowScene]:
    """Flows of one dimension that are not affine, steep no nearer to the real line than i."""
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
    """E_{N(0, 1)} of values on the lattice z: the sum, and what its two halves differ by."""
    weighted = values * np.exp(standard_log_prob(z)) * _STEP
    halves = [2 * weighted[k::2].sum() for k in (0, 1)]
    edge = 10 * (np.abs(weighted[:4]).sum() + np.abs(weighted[-4:]).sum())
    return float(weighted.sum()), float(abs(halves[0] - halves[1]) + edge)


def _nodes() -> Array:
    return (_STEP * np.arange(-_REACH / _STEP, _REACH / _STEP + 1))[:, None]


def _bulk_scale(flow: Flow) -> float:
    """The least natural scale within four deviations of the prior."""
    return min(gap_law.natural_scale(flow, point) for point in np.linspace(-4, 4, 33)[:, None])


def divergences(flow: Flow, sigma: Array, method: str) -> tuple[Array, Array]:
    """KL(p_flow || p_sigma) for each sigma, and its error.

    With e = log p_sigma - log p_flow it is E[exp(e) - 1 - e], for E[exp(e)] = 1: of the order of
    e^2 point by point, so that nothing cancels.
    """
    z = _nodes()
    found = flows.smoothed_log_density(
        flow, flow.forward(z), sigma[:, None], method=method, rtol=1e-8, latent=z
    )
    values, errors = [], []
    for e, off in zip(found.excess, found.excess_error, strict=True):
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
    """KL(p || p_sigma): order sigma^4 with its coefficient, over three decades of sigma."""
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


# The best ELBO over sigma -----------------------------------------------------------------------


def gap_alone(flow: Flow, z: Array) -> float:
    """The gap law's coefficient."""
    return gap_law.predicted_coefficient(flow, z)


def half_gap(flow: Flow, z: Array) -> float:
    """A factor 1/24."""
    return gap_law.half_coefficient(flow, z)


def mean_elbo(
    scene: FlowScene,
    *,
    coefficient: Callable[[Flow, Array], float] = gap_alone,
    exponent: float = 2.0,
    entropy: float = 0.0,
) -> Comparison:
    """E[ELBO] over the flow's data stays below E[log p_flow], and reaches it as sigma^2 -> 0."""
    flow, z = scene.flow, _nodes()
    X = flow.forward(z)
    limit = flows.flow_log_density(flow, X, latent=z)
    slopes = flow.jacobian(z)[:, 0, 0]
    sigma = _bulk_scale(flow) / 16 / 2.0 ** np.arange(4)
    # On average the excess of 8a is of order sigma^4; on a lattice only nearly so.
    smoothing, blurred = _average(flows.laplacian_ratio(flow, X) / 2, z)
    smoothing = abs(smoothing) + blurred
    lost, error = _average(np.array([coefficient(flow, point) for point in z]), z)
    short, errors = [], []
    for s in sigma:
        model = LatentModel(flow, likelihoods.Gaussian(scale=float(s)), 1)
        precision = (slopes / s) ** 2 + 1
        q = stationary_posterior(model, X, start=Posterior(z, cov=1 / precision[:, None, None]))
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

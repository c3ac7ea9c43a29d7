"""The Laplace family has no metric: what needs none is exact, and what needs one is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.optimize import minimize
from scipy.special import ndtr

from vaetheory import (
    LatentModel,
    Posterior,
    decoders,
    elbo,
    geometry,
    log_evidence,
    posterior_expectation,
    posterior_kl,
    posterior_mode,
    stationary_posterior,
)
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.constant_variance import mode_hessians
from vaetheory.likelihoods import Laplace, NoMetricError, Uniform

DIGITS = 30


def line(weight, bias, scale, x):
    """Evidence and posterior mean of x = w z + b plus Laplace noise, to 30 digits.

    Between its kinks the log joint is a parabola in z, so that every integral is an error function.
    """
    with mp.workdps(DIGITS + 15):
        w, b, x = ([mpf(float(v)) for v in values] for values in (weight, bias, x))
        s = mpf(scale)
        kinks = sorted((xi - bi) / wi for wi, bi, xi in zip(w, b, x, strict=True) if wi)
        mass, first = mpf(0), mpf(0)
        for low, high in pairwise([-mp.inf, *kinks, mp.inf]):
            ends = [v for v in (low, high) if mp.isfinite(v)] or [mpf(0)]
            middle = sum(ends) / len(ends)
            middle += 1 if not mp.isfinite(high) else -1 if not mp.isfinite(low) else 0
            signs = [mp.sign(xi - bi - wi * middle) for wi, bi, xi in zip(w, b, x, strict=True)]
            # The log likelihood is slope z + height there.
            slope = sum(e * wi for e, wi in zip(signs, w, strict=True)) / s
            height = -sum(e * (xi - bi) for e, bi, xi in zip(signs, b, x, strict=True)) / s
            # N(z; 0, 1) exp(slope z) = N(z; slope, 1) exp(slope^2 / 2).
            factor = mp.exp(height + slope**2 / 2 - len(w) * mp.log(2 * s))
            piece = tails(high - slope) - tails(low - slope) if low <= slope else mpf(0)
            piece = piece or tails(slope - low) - tails(slope - high)
            mass += factor * piece
            ends = [density(low - slope), density(high - slope)]
            first += factor * (slope * piece + ends[0] - ends[1])
        return mp.log(mass), first / mass


def tails(v):
    """The normal distribution function; it keeps its digits for negative arguments."""
    return mp.erfc(-v / mp.sqrt(2)) / 2


def density(v):
    return mp.exp(-(v**2) / 2) / mp.sqrt(2 * mp.pi)


def off(found, true):
    with mp.workdps(DIGITS):
        return float(abs(mpf(float(found)) - true))


@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 6, 64]),
    st.sampled_from([1e-3, 0.03, 0.3, 1.0, 10.0]),
    st.sampled_from([0.0, 1.0, 30.0]),
)
@settings(max_examples=40)
@example(0, 1, 1e-3, 0.0)
@example(1, 64, 1e-3, 30.0)
def test_evidences_and_means_of_lines(seed, size, scale, away):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=size), rng.normal(size=size)
    x = weight * rng.normal() + bias + scale * away * rng.laplace(size=size)
    model = LatentModel(decoders.Affine(weight[:, None], bias), Laplace(scale))
    evidence = log_evidence(model, x)
    mean = posterior_expectation(model, x, lambda z: z[..., 0])
    value, first = line(weight, bias, scale, x)
    assert off(evidence.value, value) <= evidence.error, f"evidence {evidence.value}, not {value}"
    assert off(mean.value, first) <= mean.error, f"mean {mean.value}, not {first}"
    assert evidence.error < 1e-9, f"an error of {evidence.error:.2g} on a line"


def panels(model, x, scale):
    """Log evidence on a line by Gauss panels that end at every kink and shrink towards it."""
    places = np.linspace(-10, 10, 8001)
    gap = model.decode(places[:, None]) - x
    at, which = np.nonzero(gap[:-1] * gap[1:] < 0)
    low, high = places[at], places[at + 1]
    for _ in range(60 if len(at) else 0):
        middle = (low + high) / 2
        same = np.sign(model.decode(middle[:, None]) - x)[np.arange(len(at)), which]
        same = same == np.sign(gap[at, which])
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    size = np.abs(gap).sum(axis=-1) / scale + places**2 / 2
    centres = np.concatenate([low, places[np.argsort(size)[:3]]])
    near = 2.0 ** np.arange(-28, 1)
    edges = [places[::20], low, *(centres[:, None] + near).T, *(centres[:, None] - near).T]
    edges = np.unique(np.clip(np.concatenate(edges), -10, 10))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    z = (edges[:-1, None] + half + half * nodes)[..., None]
    joint = model.log_joint(np.broadcast_to(x, (*z.shape[:-1], len(x))), z)
    top = joint.max()
    return top + np.log((np.exp(joint - top) * half * weights).sum())


@pytest.mark.parametrize("scale", [1e-3, 0.05, 1.0])
@pytest.mark.parametrize("size", [1, 6, 64])
def test_evidences_of_curves(size, scale):
    rng = np.random.default_rng(size)
    weights = [2 * rng.normal(size=(8, 1)), rng.normal(size=(size, 8))]
    network = decoders.TanhNetwork(weights, [rng.normal(size=8), rng.normal(size=size)])
    model = LatentModel(network, Laplace(scale))
    X = network(rng.normal(size=(3, 1))) + scale * rng.laplace(size=(3, size)) * [[0], [1], [20]]
    found = log_evidence(model, X)
    true = np.array([panels(model, x, scale) for x in X])
    far = np.abs(found.value - true) - found.error
    # The panels round the log density, which is about as large as the value.
    assert (far <= 1e-13 * (1 + np.abs(true))).all(), f"beyond the error by {far.max():.2g}"
    assert (found.error < 1e-9).all(), f"errors up to {found.error.max():.2g}"


@pytest.mark.parametrize("seed", range(4))
def test_evidences_on_the_plane(seed):
    # In two orthogonal directions the evidence is the product of two of lines.
    rng = np.random.default_rng(seed)
    angle, width, scale = rng.uniform(0, 3), np.exp(rng.normal(size=2)), 10 ** rng.uniform(-1.5, 0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = width * rng.normal(size=2) + scale * rng.laplace(size=2)
    model = LatentModel(decoders.Affine(width[:, None] * turn), Laplace(scale))
    found = log_evidence(model, x, max_nodes=300_000)
    true = sum(line([w], [0.0], scale, [xi])[0] for w, xi in zip(width, x, strict=True))
    assert off(found.value, true) <= found.error, f"{found.value} for {true}, error {found.error}"
    assert found.error < 0.5, f"an error of {found.error:.2g} nats says nothing"
    mean = posterior_expectation(model, x, lambda z: z, max_nodes=300_000)
    each = [line([w], [0.0], scale, [xi])[1] for w, xi in zip(width, x, strict=True)]
    turned = turn.T @ np.array([float(m) for m in each])
    assert (np.abs(mean.value - turned) <= mean.error).all(), f"{mean.value} for {turned}"


def expected_size(loc, deviation):
    """E|y| of a Gaussian y."""
    ratio = loc / deviation
    peak = np.exp(-(ratio**2) / 2) * np.sqrt(2 / np.pi)
    return deviation * peak + loc * (1 - 2 * ndtr(-ratio))


@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_elbos_and_stationary_posteriors(scale):
    rng = np.random.default_rng(3)
    weight, x = rng.normal(size=5), rng.normal(size=5)
    model = LatentModel(decoders.Affine(weight[:, None]), Laplace(scale))

    def bound(loc, deviation):
        size = expected_size(x - weight * loc, np.abs(weight) * deviation).sum()
        rate = (loc**2 + deviation**2 - 1) / 2 - np.log(deviation)
        return -size / scale - 5 * np.log(2 * scale) - rate

    at = Posterior([[0.3]], scale=0.4)
    found = elbo(model, x[None], at)
    assert abs(found.value[0] - bound(0.3, 0.4)) <= found.error[0], "the ELBO is off"
    kl = posterior_kl(model, x[None], at)
    true = float(line(weight, 0 * x, scale, x)[0]) - bound(0.3, 0.4)
    assert abs(kl.value[0] - true) <= kl.error[0] + 1e-13, f"divergence {kl.value}, not {true}"
    best = minimize(lambda t: -bound(t[0], np.exp(t[1])), [0.0, -1.0], tol=1e-10)
    q = stationary_posterior(model, x[None])
    assert abs(q.elbo[0] + best.fun) <= q.error[0] + 1e-9, f"{q.elbo} for {-best.fun}"
    assert q.error[0] < 0.01, f"an error of {q.error[0]:.2g} nats"


@pytest.mark.parametrize("method", ["trapezoid", "cubature", "importance"])
def test_other_methods_take_the_family(method):
    model = LatentModel(decoders.Affine([[1.0]]), Laplace(0.5))
    found = log_evidence(model, [[1.0]], method=method)
    off = abs(found.value[0] - log_evidence(model, [[1.0]]).value[0])
    assert off < 0.05, f"{method} is off by {off:.2g}"


X = np.ones((2, 1))
Z = np.zeros((2, 1))
PULLED = geometry.PullbackMetric


@pytest.mark.parametrize(
    "call",
    [
        lambda model: posterior_mode(model, X),
        lambda model: second_order_elbo(model, X, Posterior(Z, scale=1.0)),
        lambda model: geometry.pullback_metric(model, Z),
        lambda model: geometry.decoder_hessian(model, X, Z),
        lambda model: mode_hessians(model, X, Z),
        lambda model: model.potential_derivatives(X, Z),
        lambda model: geometry.christoffel_symbols(PULLED(model), Z),
        lambda model: geometry.arc_length(PULLED(model), lambda t: t[..., None], 0, 1),
    ],
)
def test_what_needs_a_metric_is_refused(call):
    model = LatentModel(decoders.Affine([[1.0]]), Laplace(0.5))
    with pytest.raises(NoMetricError, match=r"Laplace: E.score score.T. = -E.Hessian. fails"):
        call(model)


def test_a_model_with_a_support_that_moves_is_refused():
    with pytest.raises(NoMetricError, match="moves with the parameter"):
        LatentModel(decoders.Affine([[1.0]]), Uniform())

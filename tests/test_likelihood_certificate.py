"""Certificates of likelihood: brute-force optima, closed forms, other routes, and bad input."""

import re
from itertools import product

import numpy as np
import pytest
from frameworks import framework
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.bounds import likelihood_certificate, npmle, sub_gaussian_proxy
from vaetheory.bounds._mixtures.balls import bound_by_balls, rings
from vaetheory.bounds._mixtures.boxes import _bounds, bound_by_boxes
from vaetheory.bounds._mixtures.climbing import highest, log_sum
from vaetheory.bounds._mixtures.greatest import greatest_sum
from vaetheory.bounds._mixtures.weights import best_weights

RNG = np.random.default_rng(18)


def brute_maximum(y, logs, starts):
    """The greatest log sum of kernels by BFGS from many starts, with its gradient."""

    def negative(point):
        away = y - point
        terms = np.exp(logs - 0.5 * (away**2).sum(axis=-1))
        return -np.log(terms.sum()), -(terms / terms.sum()) @ away

    return max(-minimize(negative, s, jac=True, options={"gtol": 1e-10}).fun for s in starts)


@st.composite
def kernel_sums(draw, dims=(1, 2, 3)):
    dim, count = draw(st.sampled_from(dims)), draw(st.integers(1, 5))
    entry = st.integers(-12, 12).map(lambda k: k / 4)
    data = draw(st.lists(st.tuples(*[entry] * dim), min_size=count, max_size=count))
    logs = draw(st.lists(st.integers(-8, 8).map(lambda k: k / 2), min_size=count, max_size=count))
    return np.array(data), np.array(logs)


@given(kernel_sums())
@settings(max_examples=25)
def test_the_maximum_of_few_kernels_is_enclosed_closely(case):
    y, logs = case
    found = greatest_sum(likelihoods.Gaussian(scale=1.0), y, logs)
    peak = likelihoods.Gaussian(scale=1.0).log_peak(y.shape[1])
    mids = [(a + b) / 2 for a in y for b in y]
    brute = brute_maximum(y, logs, [*mids, y.mean(axis=0)]) + peak
    assert found.lower <= brute + 1e-7, f"more than a search finds: {found.lower - brute}"
    assert brute <= found.upper, f"above the bound by {brute - found.upper}"
    assert found.upper - found.lower <= 1e-7, f"open by {found.upper - found.lower}"
    there = likelihoods.Gaussian(scale=1.0).log_prob(y, found.at)
    assert np.log(np.exp(logs + there).sum()) >= found.lower - 1e-12, "the value is not at `at`"


@given(kernel_sums(dims=(2, 4, 5)), st.sampled_from((0.5, 1.0, 2.0, 6.0)))
@settings(max_examples=25)
def test_bounds_by_distances_are_bounds(case, spread):
    y, logs = case
    y = y * spread
    lower, best, _, points = highest(y, logs, y)
    upper = bound_by_balls(y, logs, lower, 1e-8, best[None])
    mids = np.array([(a + b) / 2 for a in y for b in y])
    noise = np.random.default_rng(len(y)).normal(size=(200, y.shape[1])) * y.std() + y.mean(axis=0)
    tried = log_sum(y, logs, np.concatenate([y, mids, noise, points]))
    assert tried.max() <= upper + 1e-12, f"above the bound by {tried.max() - upper}"
    boxes, _, _ = bound_by_boxes(y, logs, lower, 1e-8)
    assert lower <= boxes + 1e-12, "boxes end below what is attained"
    brute = brute_maximum(y, logs, y)
    assert brute <= min(boxes, upper) + 1e-9, "a search finds more"
    # Told of less than the maximum, the bounds cannot rest on what they were told.
    low = bound_by_balls(y, logs, lower - 2.0, 1e-8, y[:1])
    assert brute <= low + 1e-9, f"by distances: below the maximum by {brute - low}"


@given(kernel_sums(), st.sampled_from((0.01, 0.1, 1.0, 4.0)))
@settings(max_examples=25)
def test_each_box_bounds_the_points_in_it(case, half):
    y, logs = case
    rng = np.random.default_rng(len(y))
    centres = y[rng.integers(len(y), size=6)] + rng.normal(size=(6, y.shape[1]))
    sides = half * rng.uniform(0.2, 1.0, size=y.shape[1])
    values, bounds = _bounds(y, logs, centres, sides)
    moves = sides * np.concatenate([rng.uniform(-1, 1, size=(60, y.shape[1])),
                                    rng.choice([-1.0, 1.0], size=(20, y.shape[1]))])  # fmt: skip
    inside = np.array([log_sum(y, logs, c + moves).max() for c in centres])
    assert np.abs(values - log_sum(y, logs, centres)).max() < 1e-12, "values at the centres"
    assert (inside <= bounds + 1e-12).all(), f"above by {(inside - bounds).max()}"


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_each_ring_bounds_the_points_in_it(scale):
    y, logs = RNG.normal(size=(12, 5)) * scale, RNG.normal(size=12)
    centre = y[0] * 0.5
    radii, bounds = rings(y, logs, 0.0, centre)
    directions = RNG.normal(size=(300, 5))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    inner = np.concatenate([[0.0], radii[:-1]])
    outer = np.where(np.isinf(radii), 2 * inner, radii)
    for share in (0.0, 0.5, 1.0):
        at = inner + share * (outer - inner)
        values = np.array([log_sum(y, logs, centre + r * directions).max() for r in at])
        assert (values <= bounds + 1e-12).all(), f"{share}: above by {(values - bounds).max()}"


def test_data_far_apart_have_the_entropy_below_the_peak_and_equal_data_the_peak():
    for dim in (1, 3, 8):
        X = 30.0 * np.eye(dim + 1)[:, :dim]
        X = np.concatenate([X, X[:1]])
        family = likelihoods.Gaussian(scale=0.5)
        shares = np.unique(X, axis=0, return_counts=True)[1] / len(X)
        told = likelihood_certificate(family, X, log_evidence=np.zeros(len(X)))
        exact = family.log_peak(dim) + float((shares * np.log(shares)).sum())
        assert abs(told.ceiling - exact) < 1e-6, f"D = {dim}: {told.ceiling - exact}"
        assert abs(told.reached - exact) < 1e-6, f"D = {dim}: {told.reached - exact}"
        equal = likelihood_certificate(family, X[[0, 0]], log_evidence=[-3.0, -5.0])
        assert abs(equal.ceiling - equal.floor) < 1e-9, "equal data are not at the peak"
        assert np.isclose(equal.floor, family.log_peak(dim), rtol=1e-12), "another peak"


@pytest.mark.parametrize("seed", range(3))
def test_no_search_over_mixtures_exceeds_the_ceiling_or_beats_the_value(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(6, 1)) * 1.5
    found = npmle(likelihoods.Gaussian(scale=0.7), X)

    def negative(params):
        atoms, logits = params[:5], params[5:]
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        density = np.exp(-0.5 * ((X - atoms) / 0.7) ** 2) @ weights
        return -np.log(density).mean()

    starts = rng.normal(size=(8, 10))
    best = max(-minimize(negative, s).fun for s in starts)
    best += likelihoods.Gaussian(scale=0.7).log_peak(1)
    assert best <= found.ceiling, f"above the ceiling by {best - found.ceiling}"
    assert best <= found.value + 1e-6, f"a search is better by {best - found.value}"
    assert best >= found.value - 1e-4, "five components should be enough"
    assert found.ceiling - found.value <= 1e-6, f"open by {found.ceiling - found.value}"


def test_weights_satisfy_the_conditions_of_the_convex_program():
    density = np.exp(-0.5 * (RNG.normal(size=(9, 1)) - np.linspace(-3, 3, 13)) ** 2)
    weights = best_weights(density)
    gradient = (density / (density @ weights)[:, None]).mean(axis=0)
    assert (gradient <= 1 + 1e-7).all(), f"a weight should grow: {gradient.max() - 1}"
    assert np.abs(weights * (gradient - 1)).max() < 1e-10, "a weight should shrink"


def test_other_covariances_are_the_same_in_other_coordinates():
    X, logs = RNG.normal(size=(7, 2)), RNG.normal(size=7)
    cov = np.array([[0.5, 0.2], [0.2, 0.4]])
    full = likelihoods.Gaussian(cov=cov)
    white = np.linalg.solve(np.linalg.cholesky(cov), X.T).T
    unit = greatest_sum(likelihoods.Gaussian(scale=1.0), white, logs)
    found = greatest_sum(full, X, logs)
    shift = -0.5 * np.linalg.slogdet(cov)[1]
    assert abs(found.upper - unit.upper - shift) < 3e-8, "a full covariance"
    value = np.log(np.exp(logs + full.log_prob(X, found.at)).sum())
    assert abs(value - found.lower) < 1e-9, "the parameters are in other units"
    scales = likelihoods.Gaussian(scale=[0.5, 2.0])
    each = greatest_sum(scales, X, logs)
    other = greatest_sum(likelihoods.Gaussian(scale=1.0), X / [0.5, 2.0], logs)
    assert abs(each.upper - other.upper) < 3e-8, "scales whose product is 1"
    floor = greatest_sum(likelihoods.GaussianMeanScale(least_scale=[0.5, 2.0]), X, logs)
    assert abs(floor.upper - each.upper) < 1e-8, "the floor of learned scales"
    positive = np.exp(X)
    log_normal = greatest_sum(likelihoods.LogNormal(scale=[0.5, 2.0]), positive, logs)
    shifted = greatest_sum(scales, X, logs - X.sum(axis=-1))
    assert abs(log_normal.upper - shifted.upper) < 1e-8, "logarithms"


def test_wider_learned_scales_have_nothing_greater():
    X, logs = RNG.normal(size=(6, 2)), RNG.normal(size=6)
    family = likelihoods.GaussianMeanScale(least_scale=0.3)
    found = greatest_sum(family, X, logs)
    params = np.concatenate(
        [RNG.normal(size=(500, 2)), np.log(0.3) + RNG.exponential(size=(500, 2))], axis=-1
    )
    tried = np.log(np.exp(logs + family.log_prob(X, params[:, None])).sum(axis=-1))
    assert tried.max() <= found.upper, f"above by {tried.max() - found.upper}"


@pytest.mark.parametrize(
    ("family", "X"),
    [
        (likelihoods.Bernoulli(), np.array(list(product((0.0, 1.0), repeat=3)))[[0, 0, 3, 5, 7]]),
        (likelihoods.Categorical(), np.eye(3)[[0, 0, 1, 2, 1]]),
        (likelihoods.Poisson(), np.array([[0.0, 3.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])),
        (likelihoods.Exponential(), np.array([[0.5, 3.0], [2.0, 1.0], [4.0, 0.1]])),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, likelihoods.Likelihood) else "",
)  # fmt: skip
def test_other_families_are_bounded(family, X):
    logs = RNG.normal(size=len(X))
    found = greatest_sum(family, X, logs)
    params = family.typical_params(3 * RNG.normal(size=(2000, X.shape[1])))
    tried = logsumexp(logs + family.log_prob(X, params[:, None]), axis=-1)
    assert tried.max() <= found.upper, f"above the bound by {tried.max() - found.upper}"
    assert found.lower <= found.upper, "an empty enclosure"
    told = likelihood_certificate(family, X, log_evidence=-logs)
    # Any mixture: here of the 2,000, equally likely.
    mixture = logsumexp(family.log_prob(X, params[:, None]), axis=0).mean() - np.log(2000)
    assert mixture <= told.ceiling, f"above the ceiling by {mixture - told.ceiling}"
    assert told.reached <= told.ceiling, "an empty enclosure of the best"


def test_a_collapsed_model_is_the_best_from_the_variance_proxy_on():
    X = np.repeat([[0.0], [1.0]], [9, 1], axis=0)
    tau2 = sub_gaussian_proxy(X).value
    for share, best in ((1.01, True), (0.97, False)):
        scale = float(np.sqrt(share * tau2))
        model = LatentModel(
            decoders.Affine([[0.0]], X.mean(axis=0)), likelihoods.Gaussian(scale=scale), 1
        )
        told = likelihood_certificate(model, X)
        assert (told.gain < 1e-6) == best, f"at {share} tau^2 the gain is {told.gain}"
        assert (told.possible > 1e-9) != best, f"at {share} tau^2 some VAE gains {told.possible}"


def test_many_data_of_many_dimensions():
    """Random pictures: a bound that is an enclosure, in any regime of the noise."""
    X = RNG.normal(size=(150, 20)) + 4 * RNG.normal(size=(3, 20))[RNG.integers(3, size=150)]
    for scale in (0.5, 2.0, 30.0):
        family = likelihoods.Gaussian(scale=scale)
        logs = family.log_prob(X, X.mean(axis=0))
        told = likelihood_certificate(family, X, log_evidence=logs)
        assert told.lower <= told.upper, f"{scale}: an empty enclosure"
        assert told.reached <= told.ceiling + 1e-9, f"{scale}: {told.reached - told.ceiling}"
        stored = np.log(np.exp(family.log_prob(X, X[:, None])).mean(axis=0)).mean()
        assert stored <= told.ceiling, f"{scale}: storing the data is above the ceiling"
        assert told.mean <= told.ceiling, f"{scale}: the model is above the ceiling"
    assert told.gain < 1e-6, "with this noise nothing beats collapse"


def test_any_numbers_give_bounds_that_agree():
    X = np.array([[-1.0], [0.5], [2.0]])
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=0.5), 1)
    exact = likelihood_certificate(model, X, log_evidence=log_evidence(model, X).value)
    bound = likelihood_certificate(model, X)
    assert abs(exact.mean - bound.mean) < 1e-9, "a linear model has no gap"
    logs = np.array([-1.0, -2.0, -1.5])
    before, kept = logs.copy(), X.copy()
    told = likelihood_certificate(model, X, log_evidence=logs)
    moved = likelihood_certificate(model, X, log_evidence=logs - 7.0)
    assert abs(told.mean + told.upper - moved.mean - moved.upper) < 1e-7, "a factor counts"
    assert abs(told.ceiling - exact.ceiling) < 1e-9, "the ceiling depends on the numbers"
    assert np.array_equal(logs, before), "an argument was changed"
    assert np.array_equal(X, kept), "an argument was changed"


def test_other_frameworks_models():
    torch = framework("torch")
    layer = torch.nn.Linear(1, 2, dtype=torch.float64)
    model = LatentModel(layer, likelihoods.Gaussian(scale=0.5), 1)
    X = RNG.normal(size=(5, 2))
    ours = LatentModel(
        decoders.Affine(layer.weight.detach().numpy(), layer.bias.detach().numpy()),
        likelihoods.Gaussian(scale=0.5), 1,
    )  # fmt: skip
    found, expected = likelihood_certificate(model, X), likelihood_certificate(ours, X)
    assert abs(found.mean - expected.mean) < 1e-9, "another ELBO"
    assert abs(found.ceiling - expected.ceiling) < 1e-9, "another ceiling"


def test_a_function_of_jax():
    jax = framework("jax")
    from vaetheory.jax import JaxDecoder

    family, X = likelihoods.Gaussian(scale=0.5), RNG.normal(size=(5, 2))
    function = JaxDecoder(lambda z: jax.numpy.concatenate([z, 2 * z], axis=-1))
    ours = LatentModel(decoders.Affine([[1.0], [2.0]]), family, 1)
    found = likelihood_certificate(LatentModel(function, family, 1), X)
    expected = likelihood_certificate(ours, X)
    assert abs(found.mean - expected.mean) < 1e-6, "another ELBO"
    assert abs(found.ceiling - expected.ceiling) < 1e-9, "another ceiling"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, [[0.0]]), {}, "model: expected a LatentModel or a Likelihood, got int"),
        ((likelihoods.Bernoulli(), [[0.0]]), {},
         "log_evidence: expected numbers if only a likelihood is given, got None"),
        ((likelihoods.Bernoulli(), [[0.5]]), {"log_evidence": [0.0]}, "zeros and ones"),
        ((likelihoods.Bernoulli(), [0.0]), {"log_evidence": [0.0]}, "X: expected"),
        ((likelihoods.Bernoulli(), [[0.0]]), {"log_evidence": [0.0, 1.0]}, "log_evidence: "),
        ((likelihoods.Bernoulli(), [[0.0]]), {"log_evidence": [-np.inf]}, "log_evidence: "),
        ((likelihoods.Bernoulli(), [[0.0]]), {"log_evidence": [0.0], "steps": 0}, "steps: "),
    ],
)  # fmt: skip
def test_bad_input_of_a_certificate(arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        likelihood_certificate(*arguments, **options)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        (likelihoods.Bernoulli(), {}, "likelihood: expected a Gaussian of fixed covariance"),
        (3, {}, "likelihood: expected"),
        (likelihoods.Gaussian(scale=1.0), {"atol": 0.0}, "atol: expected"),
        (likelihoods.Gaussian(scale=1.0), {"steps": 0}, "steps: expected"),
    ],
)
def test_bad_input_of_a_best_mixture(family, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        npmle(family, [[0.0], [1.0]], **options)

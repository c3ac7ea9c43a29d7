"""Exact evidences of piecewise linear decoders: 40 digits, invariances, other roads, refusals."""

import gc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from pieces import ACTIVATIONS, line_log_evidence, networks
from scipy.integrate import quad_vec
from scipy.linalg import block_diag

from vaetheory import LatentModel, Posterior, likelihoods, log_evidence, posterior_kl
from vaetheory._piecewise_linear import evidence as by_pieces
from vaetheory._piecewise_linear import plane, prepared, summation
from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.line import LinePieces
from vaetheory._piecewise_linear.network import network_of
from vaetheory._piecewise_linear.polygons import Polygons
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory.decoders import (
    Affine,
    Circle,
    ElementwisePieces,
    LastLayer,
    LinearMap,
    PiecewiseLinear,
    Reparametrised,
)
from vaetheory.evidence import linear_log_evidence

NAME = "piecewise-linear"


def exact_sum(decoder, likelihood, X, **options):
    return log_evidence(LatentModel(decoder, likelihood), X, method=NAME, **options)


def require_within(result, right, what, other=0.0):
    """Each error is within the stated one (and the other road's); numbers of mpmath are allowed."""
    with mp.workdps(40):
        off = np.array(
            [
                float(abs(mpf(float(v)) - r))
                for v, r in zip(result.value.ravel(), np.ravel(right), strict=True)
            ]
        )
    allowed = result.error.ravel() + other
    assert (off <= allowed).all(), f"{what}: off by {off}, {allowed} allowed"


# Forty digits ------------------------------------------------------------------------------------


@st.composite
def noises(draw, size):
    """A Gaussian likelihood, and the arguments of the reference for it."""
    scale = 10.0 ** draw(st.integers(-4, 0))
    kind = draw(st.sampled_from(["scale", "scales", "cov"]))
    if kind == "scale":
        return likelihoods.Gaussian(scale=scale), {"scale": scale}, scale
    if kind == "scales":
        scales = scale * 10.0 ** np.array(
            draw(st.lists(st.integers(-1, 1), min_size=size, max_size=size))
        )
        return likelihoods.Gaussian(scale=scales), {"scale": scales}, scale
    root = np.array([[1.0 + (i == j) - 0.25 * (i - j) for j in range(size)] for i in range(size)])
    cov = scale**2 * (root @ root.T + 0.1 * np.eye(size))
    likelihood = likelihoods.Gaussian(cov=0.5 * (cov + cov.T))
    return likelihood, {"cov": likelihood.cov}, scale


AWAY = st.sampled_from([0.0, 1.0, 40.0, 1e3, 1e6])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_on_the_line_to_forty_digits(data):
    weights, biases, name = data.draw(networks(dim=1))
    if data.draw(st.booleans()):
        weights = [np.float32(w / 3) for w in weights]
    f = PiecewiseLinear.network(weights, biases, name)
    likelihood, reference, scale = data.draw(noises(len(biases[-1])))
    z = np.array([[data.draw(st.integers(-12, 12)) / 4]])
    x = f(z)[0] + scale * data.draw(AWAY) * np.cos(np.arange(len(biases[-1])) + 1.0)
    result = exact_sum(f, likelihood, x)
    right = line_log_evidence(f.layers, x, **reference)
    require_within(result, [right], f"{f}, {likelihood}, x = {x.tolist()}")


@pytest.mark.parametrize("steep", [1e3, 1e5, 1e7, 1e9])
def test_flat_pieces_beside_steep_ones(steep):
    # The edges are rounded, and the decoder is steep beyond them.
    weights = [[[0.7 * steep], [-0.3 * steep]], [[1.1, 0.3], [-0.5, 0.9], [0.25, -1.3]]]
    biases = [[-0.3 * steep, -0.1 * steep], [0.0, 0.1, 0.2]]
    f = PiecewiseLinear.network(weights, biases, "hard_tanh")
    X = f(np.array([[-1.0], [0.1], [0.7]])) + np.array([0.5, -0.25, 0.125])
    result = exact_sum(f, likelihoods.Gaussian(scale=0.03), X)
    right = [line_log_evidence(f.layers, x, scale=0.03) for x in X]
    require_within(result, right, f"slopes of {steep}")


def beside(one, other):
    """Two networks of the line, each of a latent of its own, as one of the plane."""
    weights = [block_diag(*w) for w in zip(one[0], other[0], strict=True)]
    biases = [np.concatenate(b) for b in zip(one[1], other[1], strict=True)]
    return PiecewiseLinear.network(weights, biases, "hard_tanh")


@pytest.mark.parametrize("steep", [1e4, 1e6, 1e8, 1e14, 1e20])
@pytest.mark.parametrize("inside", [0.0, 0.9, 1.0])
def test_on_the_plane_a_flight_of_steep_steps(steep, inside):
    # From 1e14 on the step is narrower than the plane's corners can be told apart: a datum in the
    # middle of the step has all its evidence there, and the error has to say that it may be lost.
    root = np.sqrt(steep)
    one = [[[0.25]], [[1.0]], [[1.0], [-0.5]]], [[0.1], [0.0], [0.0, 0.2]]
    step = [[[root]], [[root]], [[1.3], [-0.7]]], [[-0.3 * root], [0.0], [0.0, 0.1]]
    f = beside(one, step)
    x = np.array([0.2, 0.1, 1.3 * inside, 0.1 - 0.7 * inside])
    with np.errstate(all="ignore"):
        result = exact_sum(f, likelihoods.Gaussian(scale=0.01), x)
    lines = [PiecewiseLinear.network(*n, "hard_tanh") for n in (one, step)]
    parts = zip(lines, (x[:2], x[2:]), strict=True)
    right = sum(line_log_evidence(line.layers, part, scale=0.01) for line, part in parts)
    off = abs(result.value - float(right))
    assert off <= result.error, f"slope {steep}, off by {off}, stated {result.error}"
    assert steep > 1e8 or result.error < 1e-5, f"slope {steep}, stated {result.error}"


@pytest.mark.parametrize("far", [1.0, 1e6, 1e10, 1e12])
def test_the_nearest_point_of_a_polygon_far_from_the_origin(far):
    square = np.array([[[far, -8.0], [far + 1.0, -8.0], [far + 1.0, 8.0], [far, 8.0]]])
    place, depth = Polygons(square, np.array([4])).nearest(np.array([[0.0, 3.0]]))
    assert place.tolist() == [[far, 3.0]], f"expected the point beside the target, got {place}"
    assert depth == 0, f"the target is outside, got a depth of {depth}"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_on_the_plane_products_of_two_lines_to_forty_digits(data):
    # f(z) = (f1(u1), f2(u2)), where u is z turned: the evidence is a product of two on the line.
    name = data.draw(st.sampled_from(ACTIVATIONS))
    depth = data.draw(st.integers(1, 3))
    halves = []
    for _ in range(2):
        sizes = [1, *(data.draw(st.integers(1, 4)) for _ in range(depth)), 1]
        number = st.integers(-4, 4).map(lambda n: n / 2)
        halves.append(
            [
                np.array(data.draw(st.lists(number, min_size=a * b, max_size=a * b)))
                for b, a in pairwise(sizes)
            ]
        )
        halves[-1] = (
            [w.reshape(n, -1) for w, n in zip(halves[-1], sizes[1:], strict=True)],
            [0.5 * np.sin(3.0 * np.arange(n) + len(halves)) for n in sizes[1:]],
        )
    (w1, b1), (w2, b2) = halves
    if data.draw(st.booleans()):
        # All kinks of the first layer pass through the origin.
        b1[0], b2[0] = 0 * b1[0], 0 * b2[0]
    both = PiecewiseLinear.network(
        [block_diag(a, b) for a, b in zip(w1, w2, strict=True)],
        [np.concatenate([a, b]) for a, b in zip(b1, b2, strict=True)],
        name,
    )
    angle = data.draw(st.integers(0, 12)) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    scale = 10.0 ** data.draw(st.integers(-4, 0))
    z = np.array([[data.draw(st.integers(-12, 12)) / 4 for _ in range(2)]])
    x = both(z)[0] + scale * data.draw(AWAY) * np.array([0.6, -0.8])
    result = exact_sum(Reparametrised(both, turn), likelihoods.Gaussian(scale=scale), x)
    right = sum(
        line_log_evidence(PiecewiseLinear.network(w, b, name).layers, x[i : i + 1], scale=scale)
        for i, (w, b) in enumerate(halves)
    )
    require_within(result, [right], f"{both} turned by {angle}, scale {scale}, x = {x.tolist()}")


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_affine_decoders_have_their_closed_form(d, scale, size):
    rng = np.random.default_rng([d, size])
    model = LatentModel(
        Affine(rng.standard_normal((size, d)), rng.standard_normal(size)),
        likelihoods.Gaussian(scale=scale),
    )
    noise = rng.standard_normal((3, size)) * np.array([[1.0], [40.0], [1e5]])
    X = model.decode(rng.standard_normal((3, d))) + scale * noise
    result, right = log_evidence(model, X, method=NAME), linear_log_evidence(model, X)
    require_within(result, right.value, f"d = {d}, scale {scale}, D = {size}", right.error)
    constant = Affine(np.zeros((size, d)), np.ones(size))
    likelihood = likelihoods.Gaussian(scale=scale)
    found = exact_sum(constant, likelihood, X)
    require_within(found, likelihood.log_prob(X, np.ones(size)), "a constant decoder", found.error)


# Other roads on the plane ------------------------------------------------------------------------

GENERIC = PiecewiseLinear.network(
    [
        [[1.0, 0.5], [-0.5, 1.25], [0.75, -1.0], [0.25, 0.25]],
        [[1.0, -1.0, 0.5, 0.0], [0.5, 1.0, -1.0, 2.0], [-1.0, 0.25, 1.0, 0.5]],
        [[1.0, 0.5, -1.0], [0.5, -1.0, 0.25]],
    ],
    [[0.25, -0.5, 0.1, -0.3], [0.2, -0.7, 0.4], [0.0, 0.5]],
    "leaky_relu",
)


def test_on_the_plane_quadrature_of_sums_on_lines():
    likelihood = likelihoods.Gaussian(scale=0.2)
    X = GENERIC(np.array([[0.3, -0.4], [1.5, 1.0]])) + np.array([[0.1, -0.1], [0.5, 0.3]])
    result = exact_sum(GENERIC, likelihood, X)

    def on_line(t):
        # Of the line of latents (., t), all pieces.
        hidden = (LinearMap([[1.0], [0.0]], [0.0, t]), *network.hidden)
        pieces = LinePieces(replace(network, latent_dim=1, hidden=hidden), Budget(100))
        n, k = np.divmod(np.arange(2 * len(pieces)), len(pieces))
        logs = pieces.peaks(reduction.data[n], k).upper.reshape(2, -1)
        logs = np.logaddexp.reduce(logs, axis=1) + reduction.offset - result.value
        return np.exp(logs - 0.5 * t**2) / (2 * np.pi)

    network = network_of(LatentModel(GENERIC, likelihood), GENERIC)
    reduction = network.reduce(X)
    ratio, error = quad_vec(on_line, -9.0, 9.0, epsabs=1e-10, epsrel=1e-11, limit=50, norm="max")
    off = np.abs(np.log(ratio))
    assert error <= 1e-8, f"the quadrature states {error:.3g}"
    assert (off <= result.error + 3 * error).all(), f"off by {off}, the quadrature by {error:.3g}"


@pytest.mark.filterwarnings("ignore::vaetheory.evidence.KinksWarning")
def test_on_the_plane_the_engine():
    likelihood = likelihoods.Gaussian(scale=1.0)
    X = GENERIC(np.array([[0.3, -0.4], [1.5, 1.0]])) + 0.2
    model, unknown = (LatentModel(f, likelihood, 2) for f in (GENERIC, lambda z: GENERIC(z)))
    exactly = log_evidence(model, X)
    engine = log_evidence(unknown, X, rtol=1e-3, max_nodes=100_000)
    off = np.abs(exactly.value - engine.value)
    assert (off <= exactly.error + engine.error).all(), f"off by {off}, {engine.error} stated"
    assert exactly.nodes < engine.nodes / 100, f"{exactly.nodes} pieces, {engine.nodes} nodes"
    assert exactly.reached.all(), f"status {exactly.status}, error {exactly.error}"


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("d", [1, 2])
def test_the_density_of_the_data_integrates_to_one(name, d):
    f = PiecewiseLinear.network(
        [np.cos(np.arange(5.0 * d)).reshape(5, d), np.sin(np.arange(1.0, 6.0))[None]],
        [0.5 * np.sin(np.arange(5.0)), [0.25]],
        name,
    )
    x = np.linspace(-14, 14, 561)
    result = exact_sum(f, likelihoods.Gaussian(scale=0.5), x[:, None])
    # The density is smooth because of the noise: the trapezoid rule is exact to rounding.
    total = (x[1] - x[0]) * np.exp(result.value).sum()
    assert abs(total - 1) <= 1e-12 + result.error.max(), f"{name}, d = {d}: total {total!r}"


# Invariances -------------------------------------------------------------------------------------


def changed(f, rng):
    """Pairs of a name and a network with the same outputs, written in other ways."""
    weights = [layer.weight for layer in f.layers[::2]]
    biases = [layer.bias for layer in f.layers[::2]]
    act, h = f.layers[1], len(biases[0])
    first, second = weights[0], weights[1]

    def again(w0, b0, w1, activation=act):
        return PiecewiseLinear.network([w0, w1, *weights[2:]], [b0, *biases[1:]], activation)

    order = rng.permutation(h)
    yield "permuted units", again(first[order], biases[0][order], second[:, order])
    # Units without any weight on their outputs, whose lines nearly coincide with others.
    near = first[0] + np.array([[0.0], [1e-14], [1e-9], [0.0]])
    offset = biases[0][0] + np.array([0.0, 0.0, 0.0, 1e-12])
    stacked = np.concatenate([first, near, 0 * first[:1]]), np.concatenate([biases[0], offset, [0]])
    yield "idle units", again(*stacked, np.concatenate([second, np.zeros((len(second), 5))], 1))
    # Halves of a unit. Adding the halves is exact.
    doubled = np.concatenate([first, first[:1]]), np.append(biases[0], biases[0][0])
    halves = np.concatenate([second, 0.5 * second[:, :1]], axis=1)
    halves[:, 0] *= 0.5
    yield "a unit in two halves", again(*doubled, halves)
    # Homogeneity of ReLU and |x|; powers of two are exact.
    sizes = 2.0 ** rng.integers(-3, 4, h)
    yield "rescaled units", again(sizes[:, None] * first, sizes * biases[0], second / sizes)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2), st.sampled_from(["relu", "absolute"]))
def test_networks_with_the_same_outputs_have_the_same_evidence(seed, d, name):
    rng = np.random.default_rng(seed)
    sizes = [d, *rng.integers(2, 6, 2), rng.integers(1, 4)]
    weights = [rng.standard_normal((b, a)) for a, b in pairwise(sizes)]
    biases = [rng.integers(0, 2) * rng.standard_normal(b) for b in sizes[1:]]
    f = PiecewiseLinear.network(weights, biases, name)
    scale = 10.0 ** rng.integers(-3, 1)
    likelihood = likelihoods.Gaussian(scale=scale)
    X = f(rng.standard_normal((3, d))) + 3 * scale * rng.standard_normal((3, sizes[-1]))
    result = exact_sum(f, likelihood, X)
    for what, other in changed(f, rng):
        found = exact_sum(other, likelihood, X)
        require_within(result, found.value, f"{what}, seed {seed}", found.error)


@settings(max_examples=15, deadline=None)
@given(networks(dim=2), st.integers(1, 12), st.integers(-3, 0))
def test_turning_the_latents_changes_nothing(case, angle, log_scale):
    f, scale = PiecewiseLinear.network(*case), 10.0**log_scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    X = f(np.array([[0.5, -0.25], [2.0, 1.0]])) + 2 * scale
    likelihood = likelihoods.Gaussian(scale=scale)
    result = exact_sum(f, likelihood, X)
    # The matrix is orthogonal only up to rounding, which moves latents by a few units of 1e-16.
    found = exact_sum(Reparametrised(f, turn), likelihood, X)
    require_within(result, found.value, f"turned by {angle}", found.error + 1e-13)


def test_a_nearly_singular_change_of_the_latent():
    f = PiecewiseLinear.network([[[1.0, 2.0], [-1.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.5], [0.0]])
    likelihood = likelihoods.Gaussian(scale=0.1)
    line = Reparametrised(f, [[1.0], [1.0]], [0.25, 0.0])
    for small in (1e-3, 1e-8, 1e-160, 0.0):
        change = [[1.0, 1.0], [1.0, 1.0 + small]]
        found = exact_sum(Reparametrised(f, change, [0.25, 0.0]), likelihood, [0.7])
        assert np.isfinite(found.value), f"{change}"
    # The sum of two standard normals is sqrt(2) times one.
    twice = Reparametrised(f, [[np.sqrt(2)], [np.sqrt(2)]], [0.25, 0.0])
    right = exact_sum(twice, likelihood, [0.7])
    require_within(found, [right.value], "a singular change", right.error + 1e-14)
    assert line.piecewise_linear() is not None, "expected the layers behind the change"


# What is left out --------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(networks(dim=2), st.sampled_from([0.5, 0.1, 1e-3]), st.integers(-1, 0))
def test_what_is_left_out_is_within_its_bound(case, share, log_scale):
    f, scale = PiecewiseLinear.network(*case), 10.0**log_scale
    model = LatentModel(f, likelihoods.Gaussian(scale=scale))
    X = f(np.array([[0.5, -0.25], [2.0, 1.0], [-1.0, 0.0]])) + scale
    found = prepared.prepared(model, 10**6, True)
    data, pieces = found.network.reduce(X).data, found.pieces
    bounds = pieces.bounds(data)
    # Every piece, and pieces chosen with a share that is much too large.
    whole = summation.integrate(pieces, data, bounds, np.full(3, -np.inf), share)
    level = summation.lower_bounds(pieces, data, bounds, share)
    assert (level <= whole.log_total + 1e-9).all(), f"lower bounds {level}, {whole.log_total}"
    some = summation.integrate(pieces, data, bounds, level, share)
    lost = -np.expm1(some.log_total - whole.log_total)
    assert (lost >= -1e-12).all(), f"more mass with fewer pieces: {lost}"
    allowed = some.bound + whole.bound + 1e-12
    assert (lost <= allowed).all(), f"lost {lost}, bound {some.bound}"


def test_data_far_out_get_pieces_far_out():
    # The posterior is near z = 500; squares of half-width 8, 32, 128, 512, 2048 are used.
    f = PiecewiseLinear.network([np.eye(2), np.eye(2)], [[0.0, 0.0], [0.0, 0.0]])
    model = LatentModel(f, likelihoods.Gaussian(scale=1e-3))
    x = np.array([[500.0, 0.25], [1.0, 0.25]])
    result = log_evidence(model, x)
    pieces = prepared.prepared(model, 10**6, True).pieces
    assert isinstance(pieces, plane.PlanePieces), f"got {pieces}"
    assert pieces.radius >= 512, f"half-width {pieces.radius}"
    right = [
        sum(
            line_log_evidence(
                [LinearMap([[1.0]]), ElementwisePieces.relu(), LinearMap([[1.0]])],
                np.array([v]),
                scale=1e-3,
            )
            for v in row
        )
        for row in x
    ]
    require_within(result, right, "far out")
    assert np.array_equal(log_evidence(model, x[1:]).value, result.value[1:]), (
        "a datum has another evidence without the far one"
    )


# Where it applies --------------------------------------------------------------------------------

RELU = PiecewiseLinear.network([[[1.0], [-1.0]], [[1.0, 0.5]]], [[0.0, 1.0], [0.0]])
DEEP = PiecewiseLinear.network([np.ones((2, 3)), np.ones((1, 2))], [np.zeros(2), np.zeros(1)])
GAUSSIAN = likelihoods.Gaussian(scale=0.5)


@pytest.mark.filterwarnings("ignore::vaetheory.evidence.KinksWarning")
@pytest.mark.parametrize(
    ("decoder", "likelihood", "message"),
    [
        (DEEP, GAUSSIAN, "method: expected a latent dimension of at most 2, got 3"),
        (Circle(1.0), GAUSSIAN, "method: expected a decoder that knows its linear layers.*Circle"),
        (RELU, likelihoods.Poisson(), "method: expected a Gaussian likelihood.*got Poisson"),
        (RELU, likelihoods.LogNormal(scale=1.0), "method: expected a Gaussian like.*LogNormal"),
    ],
)
def test_refusals_name_the_reason(decoder, likelihood, message):
    model = LatentModel(decoder, likelihood)
    x = np.ones(model.data_dim)
    with pytest.raises(ValueError, match=message):
        log_evidence(model, x, method=NAME)
    # By itself the engine takes over.
    assert np.isfinite(log_evidence(model, x, rtol=1e-3, max_nodes=10_000).value), f"{decoder}"


def test_too_many_pieces_are_refused():
    model = LatentModel(RELU, GAUSSIAN)
    assert log_evidence(model, [0.3], method=NAME, max_nodes=3).reached, "three pieces"
    for _ in range(2):
        with pytest.raises(ValueError, match="method: expected a decoder of at most 2 linear pi"):
            log_evidence(model, [0.3], method=NAME, max_nodes=2)
    with pytest.raises(
        ValueError, match=r"method: expected a decoder of at most \d+ linear pieces"
    ):
        log_evidence(LatentModel(RELU, GAUSSIAN), [0.3], method=NAME, max_nodes=2)
    # In a square of half-width 8 the decoder has few enough pieces, but not in the next one.
    few, square = LatentModel(GENERIC, GAUSSIAN), ring(0.0, 8.0)
    count = len(subdivided(GENERIC.layers, square, Budget(10**6)))
    assert log_evidence(few, [0.3, 0.2], method=NAME, max_nodes=10 * count).reached, "enough"
    for _ in range(2):
        with pytest.raises(ValueError, match=f"a decoder of at most {count} linear pieces, got mo"):
            log_evidence(few, [3e3, 0.0], method=NAME, max_nodes=count)
    assert log_evidence(few, [3e3, 0.0], method=NAME, max_nodes=100 * count).nodes, "enough again"


def test_numbers_beyond_float64_go_to_the_engine():
    huge = PiecewiseLinear.network([[[1.0]], [[1e160]]], [[0.0], [0.0]])
    model = LatentModel(huge, likelihoods.Gaussian(scale=1.0))
    with pytest.raises(ValueError, match="method: expected numbers whose squares fit"):
        log_evidence(model, [0.0], method=NAME)
    deep = PiecewiseLinear.network([[[1.0]], [[1.0]]], [[1e200], [0.0]])
    model = LatentModel(deep, likelihoods.Gaussian(scale=1.0))
    with pytest.raises(ValueError, match="method: expected a log joint in the range of float64"):
        log_evidence(model, [1.0], method=NAME)
    result = log_evidence(model, [1.0], max_nodes=1000)
    assert not np.isnan(result.value), f"the engine gave {result}"


def test_an_affine_decoder_without_kinks_stays_with_the_engine():
    model = LatentModel(Affine([[1.0], [2.0]]), GAUSSIAN)
    engine, pieces = log_evidence(model, [1.0, 2.0]), log_evidence(model, [1.0, 2.0], method=NAME)
    assert pieces.nodes == 1, f"one piece, got {pieces.nodes}"
    assert engine.nodes > 10, f"the engine used {engine.nodes} nodes"
    require_within(pieces, [engine.value], "an affine decoder", engine.error)


def test_last_layers_and_final_activations():
    hidden = PiecewiseLinear.network([[[1.0], [-1.0]]], [[0.0, 1.0]])
    wrapped = LastLayer(PiecewiseLinear([*hidden.layers, ElementwisePieces.relu()]), [[1.0, 0.5]])
    X = np.array([[0.3], [2.0]])
    result = exact_sum(RELU, GAUSSIAN, X)
    found = exact_sum(wrapped, GAUSSIAN, X)
    require_within(result, found.value, "a last layer around a network", found.error)
    ends = PiecewiseLinear([LinearMap([[1.0], [-2.0]]), ElementwisePieces.hard_tanh()])
    x = np.array([0.5, -0.25])
    require_within(
        exact_sum(ends, GAUSSIAN, x), [line_log_evidence(ends.layers, x, scale=0.5)], "hard tanh"
    )


class Lying(Circle):
    """Layers that are not those of the decoder."""

    def piecewise_linear(self):
        return PiecewiseLinear.network([[[1.0]], [[1.0], [1.0]]], [[0.0], [0.0, 0.0]])


class Narrow(Circle):
    """Layers with another number of outputs."""

    def piecewise_linear(self):
        return RELU


class OfThePlane(Circle):
    """Layers with another number of latents."""

    def piecewise_linear(self):
        return GENERIC


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (Lying(1.0), r"piecewise_linear\(\): expected layers with the values of the decoder"),
        (Narrow(1.0), r"piecewise_linear\(\): expected layers with 2 outputs"),
        (OfThePlane(1.0), r"piecewise_linear\(\): expected layers of 1 latents"),
    ],
)
def test_layers_that_are_not_those_of_the_decoder_are_refused(decoder, message):
    with pytest.raises(ValueError, match=message):
        log_evidence(LatentModel(decoder, GAUSSIAN), [0.3, 0.3])


# The result --------------------------------------------------------------------------------------


def test_shapes_statuses_and_numbers_of_pieces():
    model = LatentModel(GENERIC, likelihoods.Gaussian(scale=0.2))
    X = np.arange(12.0).reshape(2, 3, 2) / 6
    result = log_evidence(model, X)
    assert result.value.shape == result.error.shape == result.status.shape == (2, 3), f"{result}"
    assert result.reached.all(), f"status {result.status}, error {result.error}"
    count = len(prepared.prepared(model, 10**6, True).pieces)
    assert 6 <= result.nodes <= 6 * count, f"{result.nodes} pairs of 6 data and {count} pieces"
    alone = log_evidence(model, X[1, 2])
    assert alone.value.shape == (), f"one datum, got shape {alone.value.shape}"
    require_within(alone, [result.value[1, 2]], "a datum alone", 1e-14)
    strict = log_evidence(model, 1e7 + X)
    assert (strict.status == "not reached").all(), f"{strict.status} with {strict.error}"


def test_the_divergence_of_a_posterior_uses_it():
    model = LatentModel(RELU, GAUSSIAN)
    X, q = np.array([[0.3], [0.8]]), Posterior([[0.2], [0.4]], cov=[[[0.3]], [[0.2]]])
    gap = posterior_kl(model, X, q)
    assert (gap.value > 0).all(), f"a divergence is positive, got {gap.value}"
    unknown = posterior_kl(LatentModel(lambda z: RELU(z), GAUSSIAN, 1), X, q)
    off = np.abs(gap.value - unknown.value)
    assert (off <= gap.error + unknown.error).all(), f"off by {off}"


def test_progress_is_reported_and_an_interruption_leaves_nothing_half_done(monkeypatch):
    monkeypatch.setattr(by_pieces, "_PAIRS", 1)
    model = LatentModel(GENERIC, likelihoods.Gaussian(scale=0.2))
    X = np.random.default_rng(0).standard_normal((12, 2))
    seen = []
    result = log_evidence(model, X, progress=seen.append)
    assert len(seen) > 1, f"reported {seen}"
    assert seen == sorted(seen), f"progress went back: {seen}"
    assert seen[-1] == 1.0, f"ended at {seen[-1]}"

    def stop(done):
        raise KeyboardInterrupt

    other = LatentModel(GENERIC, likelihoods.Gaussian(scale=0.2))
    with pytest.raises(KeyboardInterrupt):
        log_evidence(other, X, progress=stop)
    again = log_evidence(other, X)
    assert np.array_equal(again.value, result.value), "other values after an interruption"


def test_pieces_are_made_once_and_go_with_their_model(monkeypatch):
    made = []
    real = plane.subdivided
    monkeypatch.setattr(plane, "subdivided", lambda *a: made.append(1) or real(*a))
    model = LatentModel(GENERIC, likelihoods.Gaussian(scale=0.2))
    first = log_evidence(model, [[0.1, 0.2]])
    count, kept = len(made), len(prepared._KEPT)
    again = log_evidence(model, [[0.1, 0.2]])
    assert len(made) == count, "the pieces were made again"
    assert np.array_equal(first.value, again.value), "another value from kept pieces"
    log_evidence(LatentModel(GENERIC, likelihoods.Gaussian(scale=0.3)), [[0.1, 0.2]])
    assert len(made) > count, "another model has its own pieces"
    del model
    gc.collect()
    assert len(prepared._KEPT) < kept, "the pieces of a model that is gone were kept"


class Changing(RELU.__class__):
    """A decoder whose layers the user exchanges."""

    def __init__(self, layers):
        super().__init__(layers)
        self.__dict__["box"] = [layers]

    def __call__(self, z):
        return PiecewiseLinear(self.box[0])(z)

    def piecewise_linear(self):
        return PiecewiseLinear(self.box[0])


def test_a_decoder_that_changes_has_its_new_evidence():
    f = Changing(list(RELU.layers))
    model = LatentModel(f, GAUSSIAN)
    before = log_evidence(model, [0.3])
    other = PiecewiseLinear.network([[[2.0], [-1.0]], [[1.0, 0.5]]], [[0.0, 1.0], [0.0]])
    f.box[0] = list(other.layers)
    after = log_evidence(model, [0.3])
    require_within(after, [exact_sum(other, GAUSSIAN, [0.3]).value], "after the change")
    assert after.value != before.value, "the former layers were used"


def test_many_data_are_summed_in_blocks(monkeypatch):
    model = LatentModel(GENERIC, likelihoods.Gaussian(scale=0.2))
    X = GENERIC(np.random.default_rng(3).standard_normal((30, 2)))
    whole = log_evidence(model, X)
    for module, name in ((by_pieces, "_PAIRS"), (by_pieces, "_NUMBERS"), (summation, "_BLOCK")):
        monkeypatch.setattr(module, name, 50)
    parts = log_evidence(model, X)
    require_within(parts, whole.value, "in blocks", 1e-14)
    assert parts.nodes == whole.nodes, f"{parts.nodes} pairs in blocks, {whole.nodes} at once"

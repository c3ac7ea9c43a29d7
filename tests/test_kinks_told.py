"""Decoders that tell where their kinks are: integrals of every likelihood end their cells there."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import DECODERS

from vaetheory import LatentModel, likelihoods, log_evidence, posterior_expectation
from vaetheory._piecewise_linear.limits import Budget, DoesNotApply
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory._quadrature import engine
from vaetheory._quadrature.cells import _acceptable
from vaetheory._quadrature.noticed_kinks import kink
from vaetheory._quadrature.triangles import Triangles
from vaetheory.decoders import Decoder, ElementwisePieces, LinearMap, PiecewiseLinear, TanhNetwork
from vaetheory.evidence import Integral, KinksWarning

ACTIVATIONS = {
    "relu": ElementwisePieces.relu(),
    "absolute": ElementwisePieces.absolute(),
    "hard_tanh": ElementwisePieces.hard_tanh(-0.5, 1.0),
}
FAMILIES = {
    "Bernoulli": likelihoods.Bernoulli(),
    "Poisson": likelihoods.Poisson(),
    "StudentT": likelihoods.StudentT(dof=3.0, scale=0.3),
    "VonMises": likelihoods.VonMises(concentration=20.0),
    "Gaussian": likelihoods.Gaussian(scale=0.2),
}
#: On a plane the reference resolves nothing narrow.
BROAD = {
    "Bernoulli": likelihoods.Bernoulli(),
    "StudentT": likelihoods.StudentT(dof=3.0, scale=1.0),
    "VonMises": likelihoods.VonMises(concentration=2.0),
    "Gaussian": likelihoods.Gaussian(scale=1.0),
}
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)


class Ended(Decoder):
    """Piecewise linear layers, then a sigmoid; or anything that tells of some layers."""

    runs_user_code = True

    def __init__(self, layers, told=None, ended=True):
        self.layers, self.ended = layers, ended
        self.told = layers if told is None else told
        self.latent_dim = layers.latent_dim

    def __call__(self, z):
        return 1 / (1 + np.exp(-self.layers(z))) if self.ended else self.layers(z)

    def jacobian(self, z):
        p = self(z)[..., None]
        return self.layers.jacobian(z) * (p * (1 - p) if self.ended else 1.0)

    def hessian(self, z):
        p, slope = self(z)[..., None, None], self.layers.jacobian(z)
        bend = p * (1 - p) * (1 - 2 * p) if self.ended else 0 * p
        return bend * slope[..., :, None] * slope[..., None, :]

    def kinks(self):
        return self.told or None


class Silent(Ended):
    """The same without a word about its kinks."""

    def kinks(self):
        return None


def panels(edges, step):
    """Nodes and log weights between edges `(..., K)`, no wider than a step apart."""
    fine = [np.linspace(a, b, 2 + int((b - a) / step)) for a, b in itertools.pairwise(edges)]
    ends = np.unique(np.concatenate(fine))
    half = np.diff(ends) / 2
    z = ((ends[:-1] + half)[:, None] + half[:, None] * NODES).ravel()
    return z, np.log((half[:, None] * WEIGHTS).ravel())


def thresholds(layers):
    """All lines w . z = t at which layers with one activation have their kinks."""
    first, bent, *_ = layers.layers
    places = bent.thresholds[:, None] - first.bias
    return np.tile(first.weight, (len(places), 1)), places.ravel()


def nodes_on_the_line(layers, step=0.1, radius=10.0):
    weight, places = thresholds(layers)
    used = weight[:, 0] != 0
    kinks = places[used] / weight[used, 0]
    kinks = kinks[np.abs(kinks) < radius]
    z, log_weight = panels(np.unique(np.concatenate([kinks, [-radius, radius]])), step)
    return z[:, None], log_weight


def nodes_on_the_plane(layers, step=0.5, radius=8.0):
    """Lines across the plane between kinks, which end where two kinks cross."""
    weight, places = thresholds(layers)
    crossings = [-radius, radius]
    for i, j in itertools.combinations(range(len(places)), 2):
        pair = weight[[i, j]]
        if abs(np.linalg.det(pair)) > 1e-9:
            crossings.append(np.linalg.solve(pair, places[[i, j]])[1])
    level = [-places[i] / -w[1] for i, w in enumerate(weight) if w[0] == 0 and w[1] != 0]
    crossings = np.array([c for c in [*crossings, *level] if abs(c) <= radius])
    # Where a kink leaves the square, too.
    steep = weight[:, 1] != 0
    for side in (-radius, radius):
        out = (places[steep] - weight[steep, 0] * side) / weight[steep, 1]
        crossings = np.concatenate([crossings, out[np.abs(out) < radius]])
    rows, log_rows = panels(np.unique(crossings), step)
    z, log_weight = [], []
    for row, log_row in zip(rows, log_rows, strict=True):
        used = weight[:, 0] != 0
        kinks = (places[used] - weight[used, 1] * row) / weight[used, 0]
        kinks = kinks[np.abs(kinks) < radius]
        across, log_across = panels(np.unique([*kinks, -radius, radius]), step)
        z.append(np.stack([across, np.full_like(across, row)], axis=-1))
        log_weight.append(log_across + log_row)
    return np.concatenate(z), np.concatenate(log_weight)


def reference(model, x, z, log_weight, h=None):
    logs = np.concatenate([model.log_joint(x, z[i : i + 50_000]) for i in range(0, len(z), 50_000)])
    logs += log_weight
    top = logs.max()
    share = np.exp(logs - top)
    if h is not None:
        return (share @ h(z)) / share.sum()
    return top + np.log(share.sum())


def numbers(low, high):
    return st.integers(4 * low, 4 * high).map(lambda k: k / 4)


@st.composite
def networks(draw, dim, most=4, data=3):
    units = draw(st.integers(1, most))
    weight = draw(st.lists(numbers(-2, 2), min_size=units * dim, max_size=units * dim))
    bias = draw(st.lists(numbers(-1, 1), min_size=units, max_size=units))
    out = draw(st.lists(numbers(-2, 2), min_size=data * units, max_size=data * units))
    shift = draw(st.lists(numbers(-1, 1), min_size=data, max_size=data))
    name = draw(st.sampled_from(sorted(ACTIVATIONS)))
    return PiecewiseLinear(
        [
            LinearMap(np.reshape(weight, (units, dim)), bias),
            ACTIVATIONS[name],
            LinearMap(np.reshape(out, (data, units)), shift),
        ]
    )


@st.composite
def cases(draw, dim, most=4):
    layers = draw(networks(dim, most))
    families = FAMILIES if dim == 1 else BROAD
    decoder = Ended(layers) if draw(st.booleans()) else layers
    model = LatentModel(decoder, families[draw(st.sampled_from(sorted(families)))])
    at = draw(st.lists(numbers(-2, 2), min_size=dim, max_size=dim))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return model, layers, model.likelihood.sample(model.decode(np.array([at])), rng)


def assert_within(result, true, model, reached=True):
    off = np.abs(np.ravel(result.value)[0] - np.ravel(true)[0])
    stated = np.ravel(result.error)[0]
    # References are rounded, and so are sums over the panels.
    assert off <= stated + 1e-13 * (1 + abs(true)), (
        f"off by {off:.2g}, stated {stated:.2g}: {model}"
    )
    if reached:
        assert result.reached.all(), f"{result.status.tolist()}, stated {stated:.2g}: {model}"


def run(model, X, **options):
    """The engine, whether or not there is an exact sum."""
    options = {"rtol": 1e-10, "max_nodes": 5_000_000, **options}
    outcome = engine.run(model, X, **options)
    status = outcome.status(outcome.error, options["rtol"])
    return Integral(outcome.value, outcome.error, status, outcome.nodes)


@settings(max_examples=40)
@given(cases(1))
def test_evidences_on_a_line_end_their_cells_at_kinks(case):
    model, layers, X = case
    true = reference(model, X[0], *nodes_on_the_line(layers))
    result = run(model, X)
    assert_within(result, true, model)
    assert result.nodes < 20_000, f"{result.nodes} evaluations: {model}"


@settings(max_examples=10)
@given(cases(2, most=3))
def test_evidences_on_a_plane_end_their_cells_at_kinks(case):
    model, layers, X = case
    true = reference(model, X[0], *nodes_on_the_plane(layers))
    assert_within(run(model, X), true, model)


@settings(max_examples=20)
@given(cases(1))
def test_posterior_means_on_a_line(case):
    model, layers, X = case
    true = reference(model, X[0], *nodes_on_the_line(layers), h=lambda z: z[:, 0])
    result = posterior_expectation(model, X, lambda z: z[..., 0], max_nodes=5_000_000)
    assert_within(result, true, model)


@settings(max_examples=5)
@given(cases(2, most=2))
def test_posterior_means_on_a_plane(case):
    model, layers, X = case

    def h(z):
        return z[..., 0] + z[..., 1] ** 2

    true = reference(model, X[0], *nodes_on_the_plane(layers), h=h)
    result = posterior_expectation(model, X, h, max_nodes=5_000_000)
    assert_within(result, true, model)


def network(*sizes, seed=0, gain=1.6):
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(sizes))
    weights = [rng.normal(size=(b, a)) * gain / np.sqrt(a) for a, b in pairs]
    return PiecewiseLinear.network(weights, [rng.normal(size=b) for _, b in pairs])


@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-3])
@pytest.mark.parametrize("away", [1.0, 60.0])
def test_on_a_plane_the_engine_agrees_with_the_exact_sum(scale, away):
    layers = network(2, 12, 12, 20)
    model = LatentModel(layers, likelihoods.Gaussian(scale=scale))
    rng = np.random.default_rng(1)
    X = layers(rng.normal(size=(3, 2))) + scale * away * rng.normal(size=(3, 20))
    found, exact = run(model, X), log_evidence(model, X)
    off = np.abs(found.value - exact.value)
    assert (off <= found.error + exact.error).all(), f"off by {off}, stated {found.error}"
    # Far data at a small scale have rounding errors of this size.
    least = 1e-10 + 1e-13 * np.abs(found.value)
    assert (found.error < least).all(), f"stated {found.error} for {found.value}"


def test_many_outputs_and_two_layers_cost_little_on_a_line():
    layers = network(1, 32, 32, 100)
    model = LatentModel(layers, likelihoods.Bernoulli())
    rng = np.random.default_rng(0)
    X = model.likelihood.sample(layers(rng.normal(size=(5, 1))), rng)
    result = log_evidence(model, X)
    assert result.reached.all(), result.status
    silent = log_evidence(LatentModel(Silent(layers, ended=False), model.likelihood), X)
    off = np.abs(result.value - silent.value)
    assert (off <= result.error + silent.error).all(), f"two answers, {off.max():.2g} apart"
    assert 5 * result.nodes < silent.nodes, f"{result.nodes} of {silent.nodes} evaluations"


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.filterwarnings("ignore::vaetheory.evidence.KinksWarning")
def test_kinks_that_are_not_told_are_in_the_error(dim):
    # Half of the units are not told, and one that does not exist is.
    layers = network(dim, 6, 3, seed=3)
    first, bent, _ = layers.layers
    wrong = LinearMap(np.r_[first.weight[:3], np.ones((1, dim))], np.r_[first.bias[:3], 0.123])
    told = PiecewiseLinear([wrong, bent])
    for likelihood in (likelihoods.Gaussian(scale=0.6), likelihoods.Bernoulli()):
        model = LatentModel(Ended(layers, told, ended=False), likelihood)
        X = likelihood.sample(layers(np.full((1, dim), 0.4)), np.random.default_rng(0))
        nodes = nodes_on_the_line if dim == 1 else nodes_on_the_plane
        true = reference(model, X[0], *nodes(layers))
        assert_within(run(model, X, max_nodes=400_000), true, model, reached=dim == 1)


def test_too_many_pieces_are_left_to_boxes(monkeypatch):
    monkeypatch.setattr("vaetheory._quadrature.told_kinks.MOST_PIECES", 3)
    for dim in (1, 2):
        layers = network(dim, 5, 2, seed=1)
        X = np.array([[1.0, 0.0]])
        model = LatentModel(layers, likelihoods.Bernoulli())
        silent = LatentModel(Silent(layers, ended=False), likelihoods.Bernoulli())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KinksWarning)
            one, other = (run(m, X, max_nodes=50_000) for m in (model, silent))
        assert one.value == other.value, f"{one.value} and {other.value} in {dim} dimensions"
        assert one.nodes == other.nodes, "another road"


def test_what_is_told_may_change():
    decoder = Ended(network(1, 4, 2), ended=False)
    model = LatentModel(decoder, likelihoods.Bernoulli())
    X = [[1.0, 0.0]]
    first = log_evidence(model, X)
    decoder.layers = decoder.told = network(1, 4, 2, seed=5)
    fresh = LatentModel(Ended(decoder.layers, ended=False), likelihoods.Bernoulli())
    second, expected = log_evidence(model, X), log_evidence(fresh, X)
    assert second.value == expected.value, "kinks of the former layers were used"
    assert second.nodes == expected.nodes, "kinks of the former layers were used"
    assert first.value != second.value, "the case lost its point"


@pytest.mark.parametrize("dim", [1, 2])
def test_a_small_budget_is_kept_and_said(dim):
    model = LatentModel(network(dim, 16, 16, 4), likelihoods.Bernoulli())
    result = run(model, np.ones((2, 4)), max_nodes=100)
    assert (result.status == "gave up").all(), result.status
    assert result.nodes <= 2 * 10_000, f"{result.nodes} evaluations of a budget of 100"
    assert (result.error > 1e-10).all(), f"an error of {result.error} from almost nothing"


def test_errors_of_one_datum_do_not_round_away_those_of_another():
    # In one sum over all data, 1e-9 and 1e-12 disappeared beside 1e8.
    datum = np.array([0, 0, 1, 1, 1])
    error = np.array([1e8, 1e7, 1e-9, 1e-14, 1e-12])
    accepted = _acceptable(datum, error, np.array([1e-3, 1e-11]))
    assert accepted.tolist() == [False, False, False, True, True], accepted.tolist()
    odd = np.array([np.nan, 0.0, np.inf, 0.0, 1e-20])
    accepted = _acceptable(datum, odd, np.array([0.0, 1e-11]))
    assert accepted.tolist() == [False, True, False, True, True], accepted.tolist()


@pytest.mark.parametrize("axes", [(False, True), (True, False), (True, True), (False, False)])
def test_triangles_are_halved_into_their_parts(axes):
    rng = np.random.default_rng(0)
    whole = Triangles.of(rng.normal(size=(7, 3, 2)))
    parts, parent = whole.halved(np.tile(axes, (7, 1)))
    assert len(parts) == 7 << sum(axes), f"{len(parts)} parts"
    areas = np.bincount(parent, parts.area())
    assert np.allclose(areas, whole.area(), rtol=1e-13), "areas do not add up"
    # The integrals of a polynomial do, too, by the rule of the square.
    nodes, weights = np.polynomial.legendre.leggauss(4)
    places = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    both = np.outer(weights, weights).ravel()

    def integrals(cells):
        z = cells.centre[:, None] + cells.steps(places)
        values = z[..., 0] ** 2 * z[..., 1] + z[..., 0] + 3
        return cells.scale() * (values * cells.density(places) @ both)

    summed = np.bincount(parent, integrals(parts))
    assert np.allclose(summed, integrals(whole), rtol=1e-12), "integrals do not add up"


@pytest.mark.parametrize("name", DECODERS)
def test_smooth_decoders_have_no_kinks(name):
    made, dim, _ = DECODERS[name]
    model = LatentModel(made, likelihoods.Gaussian(scale=1.0), dim)
    told = model.decoder.kinks()
    bent = told is not None and any(isinstance(one, ElementwisePieces) for one in told.layers)
    assert (kink(model) is not None) == bent, f"{name}: {kink(model)}"


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_kinks_are_noticed(dim, ended):
    layers = network(dim, 5, 4)
    place = kink(LatentModel(Ended(layers, ended=ended), likelihoods.Gaussian(scale=1.0)))
    first = layers.layers[0]
    distance = np.abs(first.weight @ place + first.bias) / np.linalg.norm(first.weight, axis=-1)
    assert distance.min() < 0.01, f"{distance.min():.2g} from the next kink"


def test_a_decoder_that_is_silent_about_its_kinks_is_named_once():
    layers = network(2, 8, 3)
    model = LatentModel(Silent(layers, ended=False), likelihoods.Gaussian(scale=0.3))
    X = layers(np.array([[0.3, -0.2], [1.0, 0.5]]))
    with pytest.warns(KinksWarning, match="the decoder has a kink or a jump near z = "):
        coarse = run(model, X, rtol=1e-3)
    # Once a model; and what is asked is spent.
    fine = run(model, X, rtol=1e-5)
    assert 10 * coarse.nodes < fine.nodes, f"{coarse.nodes} and {fine.nodes} evaluations"
    exact = log_evidence(LatentModel(layers, model.likelihood), X).value
    for result in (coarse, fine):
        off = np.abs(result.value - exact)
        assert (off <= result.error).all(), f"off by {off}, stated {result.error}"
        assert result.reached.all(), f"{result.status} with {result.error}"


@pytest.mark.parametrize("steep", [1.0, 30.0, 1e3, 1e4])
def test_steep_but_smooth_decoders_have_no_kinks(steep):
    decoder = TanhNetwork([[[steep, 0.3 * steep]], [[1.0], [2.0]]], [[0.1], [0.0, 1.0]])
    model = LatentModel(decoder, likelihoods.Gaussian(scale=1.0))
    assert kink(model) is None, f"taken for a kink: {kink(model)}"


class Waved(Ended):
    """Waves after few kinks, so that the pieces are far larger than a wave."""

    def __init__(self, layers, often):
        super().__init__(layers)
        self.often = often

    def __call__(self, z):
        return np.sin(self.often * self.layers(z))

    def jacobian(self, z):
        return self.often * np.cos(self.often * self.layers(z))[..., None] * self.layers.jacobian(z)

    def hessian(self, z):
        slope = self.often * self.layers.jacobian(z)
        return -self(z)[..., None, None] * slope[..., :, None] * slope[..., None, :]


@pytest.mark.parametrize("often", [1.0, 2.5])
@pytest.mark.parametrize("dim", [1, 2])
def test_waves_between_kinks_are_not_missed(dim, often):
    first = LinearMap(np.array([[1.0, 0.3], [0.2, -1.0]])[:, :dim], [0.5, 0.2])
    layers = PiecewiseLinear([first, ACTIVATIONS["relu"], LinearMap([[1.0, 0.5], [-0.5, 1.0]])])
    model = LatentModel(Waved(layers, often), likelihoods.Gaussian(scale=0.3))
    X = model.decode(np.full((1, dim), 0.7)) + 0.2
    nodes = nodes_on_the_line if dim == 1 else nodes_on_the_plane
    true = reference(model, X[0], *nodes(layers, 0.125 if dim == 1 else 0.2))
    assert_within(run(model, X, max_nodes=20_000_000), true, model)


def test_layers_of_other_latents_are_rejected():
    model = LatentModel(Ended(network(2, 3, 2), told=network(1, 3, 2)), likelihoods.Bernoulli())
    with pytest.raises(ValueError, match=r"kinks\(\): expected layers of 2 latents, got 1"):
        log_evidence(model, [[1.0, 0.0]])


def first_layer(units, bias):
    rng = np.random.default_rng(0)
    first = LinearMap(rng.normal(size=(units, 2)), bias * rng.normal(size=units))
    return (first, ACTIVATIONS["relu"], LinearMap(rng.normal(size=(1000, units))))


def test_crossings_of_many_lines_are_counted_before_anything_is_cut(monkeypatch):
    def never(*_):
        raise AssertionError("cut in spite of it")

    monkeypatch.setattr("vaetheory._piecewise_linear.subdivision._crossed", never)
    with pytest.raises(DoesNotApply):
        subdivided(first_layer(1500, 1.0), ring(0.0, 8.0), Budget(200_000))


def test_lines_through_one_point_make_few_pieces():
    found = subdivided(first_layer(80, 0.0), ring(0.0, 8.0), Budget(400))
    # 80 lines through the centre make 160 sectors, and hardly more by rounding.
    assert 160 <= len(found) <= 320, f"{len(found)} pieces"

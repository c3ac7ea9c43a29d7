"""Streams, targets and proposals of the sampling routines, each against another road."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import qmc

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling import target as targets
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams, _scrambled_points, lattice_points
from vaetheory._sampling.target import Target

#: A test that is right fails with this probability.
LEVEL = 1e-9


def network(width=20, hidden=6, dim=3, seed=0):
    r = np.random.default_rng(seed)
    weights = [r.normal(size=(hidden, dim)), r.normal(size=(width, hidden))]
    return decoders.TanhNetwork(weights, [r.normal(size=hidden), r.normal(size=width)])


LIKELIHOODS = {
    "Gaussian": likelihoods.Gaussian(scale=0.1),
    "Gaussian of a covariance": likelihoods.Gaussian(cov=np.eye(20) + 0.5),
    "Bernoulli": likelihoods.Bernoulli(),
    "Poisson": likelihoods.Poisson(),
    "learned scales": likelihoods.GaussianMeanScale(least_scale=1e-2),
}


def drawn(name, count=5):
    """A model, data and latents `(N, K, d)`."""
    model = LatentModel(network(), LIKELIHOODS[name])
    r = np.random.default_rng(1)
    z = r.normal(size=(count, model.latent_dim))
    X = model.likelihood.sample(model.decode(z), r)
    return model, model.check_data(X), z[:, None] + 0.1 * r.normal(size=(count, 40, 3))


# Streams -----------------------------------------------------------------------------------------

KINDS = {
    "uniforms": lambda s: s.uniforms("trial", 8, 3),
    "normals": lambda s: s.normals("trial", 8, 3),
    "words": lambda s: s.words("trial", 8, 3),
    "sobol": lambda s: s.sobol("trial", 8, 3),
    "lattice": lambda s: s.lattice("trial", 8, 3),
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**40), rows=st.lists(st.integers(0, 11), min_size=1, max_size=5))
def test_numbers_belong_to_their_datum(kind, seed, rows):
    whole, some = Streams.of(seed, 12), Streams.of(seed, 12).take(np.array(rows))
    found, expected = KINDS[kind](some), KINDS[kind](whole)[rows]
    assert np.array_equal(found, expected), "numbers depend on the batch"


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_purposes_and_data_have_different_numbers(kind):
    first, other = Streams.of(3, 4), Streams.of(4, 4)
    numbers = [KINDS[kind](first), KINDS[kind](other)]
    assert not (numbers[0] == numbers[1]).all(axis=(1, 2)).any(), "two seeds, one stream"
    assert len(np.unique(numbers[0].reshape(4, -1), axis=0)) == 4, "two data, one stream"
    assert (first.uniforms("a", 9) != first.uniforms("b", 9)).all(), "two purposes, one stream"


@pytest.mark.parametrize("dim", [1, 5, 129])
def test_without_a_scramble_the_points_are_those_of_scipy(dim):
    nothing = np.zeros((1, 6, dim), dtype=np.uint64)
    found = _scrambled_points(64, dim, nothing)[0] / 2.0**64
    expected = qmc.Sobol(dim, scramble=False).random(64)
    assert np.array_equal(found, expected), "other points"


def test_scrambled_points_are_a_net_and_each_is_uniform():
    points = Streams.of(5, 2000).sobol("net", 64, 3)
    cells = np.sort(np.floor(64 * points), axis=1)
    assert (cells == np.arange(64)[None, :, None]).all(), "a coordinate misses an interval"
    for place in (0, 1, 37):
        for j in range(3):
            found = stats.kstest(points[:, place, j], "uniform").pvalue
            assert found > LEVEL, f"point {place}, coordinate {j}: p = {found:.2g}"
    # Two coordinates: each of 8 x 8 cells has one point (the first two Sobol coordinates).
    pairs = np.floor(8 * points[..., :2]) @ [8, 1]
    assert (np.sort(pairs, axis=1) == np.arange(64)).all(), "not a net of the first coordinates"


def test_scrambled_points_integrate_better_than_independent_ones():
    streams = Streams.of(1, 400)

    def spread(points):
        values = np.prod(1 + 0.5 * (points - 0.5), axis=-1).mean(axis=-1)
        assert abs(values.mean() - 1) < 6 * values.std() / 20, "a biased rule"
        return values.std()

    plain = spread(streams.uniforms("a", 512, 6))
    assert spread(streams.sobol("b", 512, 6)) < plain / 20, "Sobol points are no better"
    assert spread(streams.lattice("c", 512, 6)) < plain / 3, "lattice points are no better"


@pytest.mark.parametrize("kind", ["sobol_through", "lattice_through"])
def test_points_through_a_uniform_point_have_the_law_of_the_others(kind):
    streams = Streams.of(2, 3000)
    point = streams.uniforms("point", 2)
    place = (streams.uniforms("place") * 16).astype(np.intp)
    purpose = ("net",) if kind == "sobol_through" else ()
    points = getattr(streams, kind)(*purpose, 16, place, point, 2)
    held = points[np.arange(3000), place]
    assert np.abs(held - point).max() < 2.0**-52, "the point was moved"
    for other in range(16):
        for j in range(2):
            found = stats.kstest(points[:, other, j], "uniform").pvalue
            assert found > LEVEL, f"point {other}, coordinate {j}: p = {found:.2g}"
    if kind == "lattice_through":
        moved = (points - lattice_points(16, 2) + 1) % 1
        off = np.abs(moved - moved[:, :1])
        assert np.minimum(off, 1 - off).max() < 1e-12, "not a shifted lattice"
    else:
        cells = np.sort(np.floor(16 * points), axis=1)
        assert (cells == np.arange(16)[None, :, None]).all(), "a coordinate misses an interval"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.sobol("a", 12, 2), "count: expected a power of two"),
        (lambda s: s.sobol("a", 2**21, 2), "count: expected a power of two of at most"),
        (lambda s: s.sobol("a", 8, 0), "coordinates: expected 1 to"),
        (lambda s: s.sobol("a", 8, 1001), "coordinates: expected 1 to"),
    ],
)
def test_what_has_no_points_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(Streams.of(0, 1))


# Targets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_log_joint_and_its_gradient_are_those_of_the_model(name):
    model, X, z = drawn(name)
    target = Target.of(model, X, 0)
    value, gradient = target.with_gradient(z)
    bound = target.rounding(z, value)
    expected = model.log_joint(X[:, None], z)
    assert (np.abs(value - expected) <= 2 * bound).all(), "another value"
    assert np.array_equal(target.log_joint(z), value), "two values"
    slope = -model.potential_derivatives(X[:, None], z)[0]
    off = np.abs(gradient - slope).max() / np.abs(slope).max()
    assert off < 1e-11, f"the gradient is off by {off:.2g} of its size"
    fisher = target.fisher(z)
    assert np.allclose(fisher, model.gauss_newton(X[:, None], z)[1], rtol=1e-9), "another matrix"


@pytest.mark.parametrize("name", ["Gaussian", "Bernoulli"])
def test_memory_is_bounded_and_parts_make_the_whole(name, monkeypatch):
    model, X, z = drawn(name)
    whole = Target.of(model, X, 0)
    expected = whole.with_gradient(z), whole.fisher(z)
    sizes = []
    inner = type(whole.model).decode
    monkeypatch.setattr(
        type(whole.model), "decode", lambda m, z: sizes.append(z.size // 3) or inner(m, z)
    )
    monkeypatch.setattr(targets, "_NUMBERS", 20 * whole.model.param_dim)
    parts = Target.of(model, X, 0)
    found = parts.with_gradient(z), parts.fisher(z)
    assert max(sizes) <= 20, f"parts of {max(sizes)} latents"
    for mine, its in zip((*found[0], found[1]), (*expected[0], expected[1]), strict=True):
        assert np.allclose(mine, its, rtol=1e-12, atol=1e-9), "parts differ from the whole"
    few = whole.take(np.array([3, 1]))
    assert np.allclose(few.log_joint(z[[3, 1]]), expected[0].value[[3, 1]], rtol=1e-13), "rows"


def test_calls_of_the_decoder_are_counted():
    model, X, z = drawn("Bernoulli")
    target = Target.of(model, X, 0)
    target.log_joint(z)
    assert target.count.calls == 200, "a value is one call"
    target.take(np.array([0])).with_gradient(z[:1])
    assert target.count.calls == 200 + 3 * 40, "a gradient is two calls more"
    target.fisher(z[:, :1])
    assert target.count.calls == 320 + 4 * 5, "a Jacobian is d calls"


# Proposals ---------------------------------------------------------------------------------------


def mixture(df, components=3, count=2, dim=3, seed=0):
    r = np.random.default_rng(seed)
    weights = r.dirichlet(np.ones(components), size=count)
    roots = 0.4 * r.normal(size=(count, components, dim, dim)) + 2 * np.eye(dim)
    return Mixture(weights, r.normal(size=(count, components, dim)), roots, df)


def density(q, z):
    """Densities `(N, K)` by SciPy."""
    out = np.zeros(z.shape[:2])
    for n in range(len(q)):
        for m in range(q.components):
            cov = q.roots[n, m] @ q.roots[n, m].T
            if q.student:
                law = stats.multivariate_t(q.means[n, m], cov, df=q.df)
            else:
                law = stats.multivariate_normal(q.means[n, m], cov)
            out[n] += q.weights[n, m] * law.pdf(z[n])
    return out


@pytest.mark.parametrize("df", [3.0, 30.0, np.inf])
@pytest.mark.parametrize("components", [1, 3])
def test_log_densities_are_those_of_scipy(df, components):
    q = mixture(df, components)
    z = 3 * np.random.default_rng(2).normal(size=(2, 9, 3))
    off = np.abs(q.log_density(z) - np.log(density(q, z)))
    assert (off <= q.rounding(z) + 1e-12).all(), f"off by {off.max():.2g}"


def test_padding_changes_nothing():
    q = mixture(5.0, 2)
    padded = Mixture(
        np.concatenate([q.weights, np.zeros((2, 2))], axis=1),
        np.concatenate([q.means, np.zeros((2, 2, 3))], axis=1),
        np.concatenate([q.roots, np.tile(np.eye(3), (2, 2, 1, 1))], axis=1),
        q.df,
    )
    streams = Streams.of(0, 2)
    u = streams.uniforms("a", 50, q.coordinates)
    z = q.draw(u)
    assert np.array_equal(padded.draw(u), z), "other draws"
    assert np.allclose(padded.log_density(z), q.log_density(z), rtol=1e-14), "other densities"
    assert (padded.responsibilities(z)[..., 2:] == 0).all(), "padding is responsible"


@pytest.mark.parametrize("df", [3.0, np.inf])
@pytest.mark.parametrize("components", [1, 3])
def test_draws_have_the_density(df, components):
    # Of weights density / density over draws: those of another mixture have the mean one.
    q, other = mixture(df, components), mixture(30.0, components, seed=1)
    z = q.draw(Streams.of(0, 2).uniforms("a", 40_000, q.coordinates))
    inside = np.linalg.norm(z, axis=-1) < 2
    weights = np.exp(other.log_density(z) - q.log_density(z)) * inside
    again = other.draw(Streams.of(0, 2).uniforms("b", 40_000, other.coordinates))
    share = np.linalg.norm(again, axis=-1) < 2
    error = np.hypot(weights.std(axis=1), share.std(axis=1)) / 200
    off = np.abs(weights.mean(axis=1) - share.mean(axis=1))
    assert (off < 6.5 * error).all(), f"off by {(off / error).max():.2g} standard errors"


@pytest.mark.parametrize("df", [3.0, np.inf])
@pytest.mark.parametrize("components", [1, 3])
def test_undrawn_numbers_are_drawn_to_the_same_latents_and_uniform(df, components):
    one = mixture(df, components, count=1)
    q = Mixture(*(np.repeat(a, 4000, axis=0) for a in (one.weights, one.means, one.roots)), df)
    streams = Streams.of(1, 4000)
    z = q.draw(streams.uniforms("a", 1, q.coordinates))
    back = q.undrawn(z[:, 0], streams, "back")
    off = np.abs(q.draw(back[:, None]) - z).max()
    assert off < 1e-10, f"another latent, off by {off:.2g}"
    for j in range(q.coordinates):
        found = stats.kstest(back[:, j], "uniform").pvalue
        assert found > LEVEL, f"coordinate {j} is not uniform: p = {found:.2g}"

"""Estimates of evidences: their parts, and the whole held against exact evidences."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy.stats import genpareto, multivariate_normal

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory._sampling import (
    annealing,
    bridging,
    estimation,
    fitting,
    gates,
    mode_search,
    replicates,
)
from vaetheory._sampling.mode_search import Modes
from vaetheory._sampling.proposals import Mixture, put
from vaetheory._sampling.target import Target
from vaetheory.bounds import estimated_evidence, evidence_estimate, simulate
from vaetheory.checking.block_products import BlockModel

#: A fold of one latent: z and -z give the same data.
FOLD = decoders.Polynomial([[2]], [[1.0, 0.5]])


def bent(seed):
    r = np.random.default_rng(seed)
    weights = [r.normal(size=(4, 2)), r.normal(size=(3, 4))]
    return decoders.TanhNetwork(weights, [0.5 * r.normal(size=4), np.zeros(3)])


@cache
def scene(name):
    """A model of blocks, four of its data, and their exact evidences."""
    blocks, likelihood = {
        "tanh": ([bent(i) for i in range(3)], likelihoods.Gaussian(scale=0.3)),
        "Bernoulli": ([bent(i) for i in range(4)], likelihoods.Bernoulli()),
        "folds": ([FOLD, FOLD, bent(1), bent(2)], likelihoods.Gaussian(scale=0.3)),
    }[name]
    made = BlockModel.of(blocks, likelihood, seed=1)
    X, _ = simulate(made.model, 4, seed=2)
    exact = made.log_evidence(X, rtol=1e-7)
    assert exact.reached.all(), "expected exact evidences to compare with"
    return made.model, X, exact.value


@cache
def linear(d=5, count=3):
    """A linear model, its data, and their evidences by SciPy's density of the data."""
    r = np.random.default_rng(d)
    weight, bias = r.normal(size=(d + 2, d)), r.normal(size=d + 2)
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=0.5))
    X, _ = simulate(model, count, seed=3)
    cov = weight @ weight.T + 0.25 * np.eye(d + 2)
    return model, X, multivariate_normal(bias, cov).logpdf(X)


# The whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "Bernoulli", "folds"])
def test_estimates_are_within_their_errors(name):
    model, X, exact = scene(name)
    found = evidence_estimate(model, X, particles=256, seed=5)
    assert (found.status == "estimated").all(), found.diagnostics["reason"]
    off = np.abs(found.value - exact)
    assert (off <= found.error).all(), f"off by {off}, stated {found.error}"
    assert (found.error < 0.2).all(), f"errors of {found.error} say little"
    assert (found.lower <= exact).all(), f"bounds {found.lower} above {exact}"
    assert (found.lower > exact - 0.3).all(), f"bounds {found.lower} far below {exact}"
    assert np.isinf(found.upper).all(), "an upper bound of any data is not known"


def test_two_latents_agree_with_quadrature():
    model = LatentModel(bent(3), likelihoods.Poisson())
    X, _ = simulate(model, 3, seed=0)
    found, exact = evidence_estimate(model, X, particles=128), log_evidence(model, X)
    assert (np.abs(found.value - exact.value) <= found.error).all(), found


def test_all_modes_of_folds_are_found():
    model, X, _ = scene("folds")
    found = evidence_estimate(model, X, particles=256, seed=5)
    assert (found.diagnostics["modes"] >= 3).all(), found.diagnostics["modes"]


@pytest.mark.parametrize("d", [2, 16, 128])
def test_linear_models_are_in_closed_form(d):
    model, X, exact = linear(d)
    found = evidence_estimate(model, X)
    assert (found.status == "bracketed").all(), found.status
    off = np.abs(found.value - exact).max()
    assert off < 1e-9, f"off by {off:.3g}"
    assert (found.error < 1e-9).all(), found.error
    turned = decoders.Reparametrised(model.decoder, 2 * np.eye(d)[::-1])
    same = LatentModel(turned, model.likelihood)
    cov = 4 * model.decoder.weight @ model.decoder.weight.T + 0.25 * np.eye(d + 2)
    exact = multivariate_normal(model.decoder.bias, cov).logpdf(X)
    off = np.abs(evidence_estimate(same, X).value - exact).max()
    assert off < 1e-9, f"a linear decoder of another class is off by {off:.3g}"


def test_what_only_says_that_it_is_affine_is_not_taken_for_it():
    class Liar(decoders.Affine):
        def __call__(self, z):
            return np.tanh(super().__call__(z))

        def jacobian(self, z):
            return (1 - self(z) ** 2)[..., None] * super().jacobian(z)

        def hessian(self, z):
            first = super().jacobian(z)
            bend = -2 * self(z) * (1 - self(z) ** 2)
            return bend[..., None, None] * first[..., :, None] * first[..., None, :]

        def vjp(self, z, weights):
            return np.einsum("...i,...ij->...j", weights, self.jacobian(z))

        def weighted_hessian(self, z, weights):
            return np.einsum("...i,...ijk->...jk", weights, self.hessian(z))

    model = LatentModel(Liar([[1.0, 0.0], [0.0, 1.0]]), likelihoods.Gaussian(scale=0.5))
    X = np.array([[0.3, -0.2]])
    found, exact = evidence_estimate(model, X, particles=128), log_evidence(model, X)
    assert abs(found.value - exact.value) <= found.error, f"{found} of {exact}"


def test_quadrature_names_this_function_and_does_not_switch():
    with pytest.raises(ValueError, match="evidence_estimate"):
        log_evidence(linear()[0], linear()[1])


def test_the_word_is_unresolved_where_the_tolerance_is_not_reached():
    model, X, exact = scene("tanh")
    found = evidence_estimate(model, X, particles=64, tolerance=1e-6, max_evaluations=1)
    assert (found.status == "unresolved").all(), found.status
    reasons = found.diagnostics["reason"]
    late = reasons == "tolerance"
    assert late.any(), f"expected some that only lack the tolerance, got {reasons}"
    assert (np.abs(found.value - exact)[late] <= found.error[late]).all(), "a wrong error"
    assert np.isnan(found.value[~late]).all(), "a value where a check failed"


def corners():
    """A target of two folds behind a rotation, with four modes, and three of these `(1, 3, 2)`."""
    # Two curvatures, so that the principal axes are those of the folds.
    steep = decoders.Polynomial([[2]], [[2.0, 0.5]])
    made = BlockModel.of([FOLD, steep], likelihoods.Gaussian(scale=0.1), seed=0)
    z = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]) @ made.model.decoder.rotation.T
    return Target.of(made.model, np.array([[1.0, 0.5, 2.0, 0.5]]), seed=0), z[None]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_mode_that_the_proposal_lacks_is_seen(count):
    target, z = corners()
    scout = estimation.scouted(target, 128)
    modes = mode_search.find_modes(target, z[:, :count], 4)
    assert modes.known.sum() == count, f"{modes.known.sum()} modes"
    q = fitting.at_modes(target, modes, 10.0)
    found = estimation._measured(target, scout, modes, q, "some", 256)
    words = [estimation.REASONS[r] for r in found.reason]
    assert words == ["coverage"], f"{count} of four modes gave {words}"
    assert abs(found.excess[0] - (1 - count / 4)) < 0.2, f"excess {found.excess} of {count}"


def test_a_small_mode_that_only_the_particles_have_is_added(monkeypatch):
    # A fold that leans: the mode that is left out has a few hundredths of the posterior.
    leaning = decoders.Polynomial([[1], [2]], [[0.0, 0.13], [1.0, 0.0]])
    made = BlockModel.of([leaning, bent(1)], likelihoods.Gaussian(scale=0.1), seed=0)
    X = np.concatenate([[1.0, 0.13], bent(1)(np.zeros(2))])[None]
    exact = made.log_evidence(X).value[0]
    inner = estimation.modes_near

    def first_only(target, scout):
        modes = inner(target, scout)
        assert modes.known.sum() >= 2, "the scene has no second mode"
        return modes.chosen(np.zeros((1, 1), dtype=int), np.zeros((1, 1), dtype=int))

    monkeypatch.setattr(estimation, "MORE", 1024)
    target = Target.of(made.model, X, seed=0)
    full = estimation.estimated(target, 256, 0.25, 5e6)
    monkeypatch.setattr(estimation, "modes_near", first_only)
    with monkeypatch.context() as once:
        once.setattr(estimation, "_AGAIN", 0)
        lacking = estimation.estimated(target, 256, 0.25, 1)
    missing = -np.expm1(lacking.value[0] - exact)
    assert 0.005 < missing < 0.1, f"{missing} is missing: no small mode"
    assert lacking.hole[0], "the particles in the mode are not noticed"
    found = estimation.estimated(target, 256, 0.25, 5e6)
    for name, some in (("all modes", full), ("the first mode", found)):
        off = abs(some.value[0] - exact)
        assert some.reason[0] == 0, f"{name}: {estimation.REASONS[some.reason[0]]}"
        assert off <= some.error[0] < 0.02, f"{name}: off by {off}, stated {some.error}"


def test_the_numbers_of_a_datum_do_not_depend_on_its_neighbours(monkeypatch):
    monkeypatch.setattr(estimation, "MORE", 512)
    # A posterior of one mode beside one of several.
    alone = bent(5)
    with_one = np.concatenate([np.zeros(4), alone(np.zeros(2))])
    made = BlockModel.of([FOLD, FOLD, alone], likelihoods.Gaussian(scale=0.3), seed=1)
    data = np.stack([with_one, simulate(made.model, 1, seed=4).X[0]])
    both = evidence_estimate(made.model, data, particles=32, seed=3)
    first = evidence_estimate(made.model, data[:1], particles=32, seed=3)
    counts = both.diagnostics["modes"]
    assert counts[0] != counts[1], f"expected different numbers of modes, got {counts}"
    for name in ("estimate", "spread", "modes"):
        near = np.isclose(both.diagnostics[name][0], first.diagnostics[name][0], rtol=1e-7)
        assert near, f"{name}: {both.diagnostics[name][0]} of {first.diagnostics[name][0]}"


def test_any_leading_axes():
    model, X, _ = scene("tanh")
    found = evidence_estimate(model, X.reshape(2, 2, -1), particles=32)
    flat = evidence_estimate(model, X, particles=32)
    assert found.value.shape == found.diagnostics["modes"].shape == (2, 2), found.value.shape
    assert np.array_equal(found.value.ravel(), flat.value, equal_nan=True), "other numbers"


def test_twins_are_estimated_and_bracketed():
    model, X, _ = scene("tanh")
    found = evidence_estimate(model, X[:1], particles=128, twins=12)
    twins = found.diagnostics["twins"]
    assert twins["count"] == 12, twins
    assert twins["lower"] <= twins["value"] <= twins["upper"], twins
    assert twins["estimated"] >= 10, twins
    assert twins["silent"] == 0, twins
    assert found.value.shape == (1,), "the twins are not among the data"


# Parts of the data -------------------------------------------------------------------------------


class OnlyMap:
    """An executor that begins at the end."""

    def map(self, function, tasks):
        return [function(task) for task in tasks[::-1]][::-1]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(estimated_evidence, "_MOST", 1)
    monkeypatch.setattr(estimation, "MORE", 512)


def test_executors_give_the_same_numbers(small_parts):
    model, X, _ = scene("tanh")
    alone = evidence_estimate(model, X, particles=32, seed=1)
    with ThreadPoolExecutor(3) as threads:
        for executor in (threads, OnlyMap()):
            other = evidence_estimate(model, X, particles=32, seed=1, executor=executor)
            assert other == alone, f"{type(executor).__name__} gave other numbers"


def test_a_model_that_other_processes_cannot_have_is_refused():
    model = LatentModel(lambda z: z**2, likelihoods.Gaussian(scale=0.5), 2)
    told = "executor: expected a model that can be pickled"
    with ProcessPoolExecutor(1) as processes, pytest.raises(ValueError, match=told):
        evidence_estimate(model, [[0.5, 0.5]], executor=processes)


def test_a_run_goes_on_where_it_was_interrupted(small_parts, tmp_path, monkeypatch):
    model, X, _ = scene("tanh")
    whole = evidence_estimate(model, X, particles=32)
    path = tmp_path / "run.npz"

    def stop(done):
        if done >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evidence_estimate(model, X, particles=32, checkpoint=path, progress=stop)
    seen, inner = [], estimated_evidence.estimate_part
    monkeypatch.setattr(
        estimated_evidence, "estimate_part", lambda part: seen.append(part) or inner(part)
    )
    told = []
    again = evidence_estimate(model, X, particles=32, checkpoint=path, progress=told.append)
    assert len(seen) == 2, f"{len(seen)} parts were computed, two were missing"
    assert told == [0.75, 1.0], told
    assert again == whole, "other numbers"
    for changed in ({"seed": 1}, {"tolerance": 0.1}, {"particles": 64}):
        with pytest.raises(ValueError, match="checkpoint: expected results of the same"):
            evidence_estimate(model, X, **{"particles": 32, "checkpoint": path, **changed})
    path.write_bytes(b"no results")
    with pytest.raises(ValueError, match="checkpoint: expected a file"):
        evidence_estimate(model, X, particles=32, checkpoint=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, "tolerance: expected"),
        ({"confidence": 1.0}, "confidence: expected"),
        ({"max_evaluations": 0}, "max_evaluations: expected"),
        ({"particles": 8}, "particles: expected"),
        ({"twins": -1}, "twins: expected"),
        ({"seed": 0.5}, "seed: expected"),
        ({"executor": "none"}, "executor: expected an object with a method"),
    ],
)
def test_bad_options_are_refused(options, message):
    model, X, _ = scene("tanh")
    with pytest.raises(ValueError, match=message):
        evidence_estimate(model, X, **options)


# The scout ---------------------------------------------------------------------------------------


def test_the_frozen_run_is_unbiased():
    # The mean of many independent estimates, over the evidence, is one.
    model, X, exact = linear(3, 1)
    target = Target.of(model, np.repeat(X, 400, axis=0), seed=1)
    one = Target.of(model, X, seed=2)
    schedule, _, _ = annealing.pilot(one, 32)
    wide = annealing.Schedule(
        *(
            np.repeat(a, 400, axis=1)
            for a in (schedule.temperatures, schedule.frames, schedule.steps)
        )
    )
    found, particles = annealing.frozen(target, wide, 32)
    ratio = np.exp(found - exact)
    error = ratio.std() / 20
    assert abs(ratio.mean() - 1) < 5 * error, f"{ratio.mean()} +- {error}"
    weight = model.decoder.weight / 0.5
    cov = np.linalg.inv(np.eye(3) + weight.T @ weight)
    mean = cov @ weight.T @ ((X[0] - model.decoder.bias) / 0.5)
    # The estimates weigh the particles of each run.
    share = ratio / ratio.sum()
    off = share @ (particles.mean(axis=1) - mean) / np.sqrt(np.diagonal(cov))
    assert np.abs(off).max() < 0.1, f"particles are off by {off} standard deviations"


def offset_proposal(count=3):
    """A linear model, its data and a mixture of two Student t that are off its posteriors."""
    model, X, exact = linear(3, count)
    weight = model.decoder.weight / 0.5
    cov = np.linalg.inv(np.eye(3) + weight.T @ weight)
    mean = (X - model.decoder.bias) / 0.5 @ weight @ cov
    root = np.linalg.cholesky(cov)
    means = np.stack([mean + root[:, 0], mean - 1.5 * root[:, 1]], axis=1)
    roots = np.stack([np.stack([0.8 * root, 1.2 * root])] * count)
    q = Mixture(np.full((count, 2), [0.7, 0.3]), means, roots, 8.0)
    return Target.of(model, X, seed=1), q, exact


def test_annealing_from_a_proposal_is_unbiased_and_evens_out_the_weights():
    target, q, exact = offset_proposal()
    by_steps, arrived = bridging.bridged(target, q, "trial", 32, 64)
    plain = replicates.replicated(target, q, "trial", 32, 64)
    assert arrived.all(), "the pilot did not arrive"
    ratio = np.exp(by_steps.log_means - exact[:, None])
    z = (ratio.mean(axis=1) - 1) / (ratio.std(axis=1, ddof=1) / np.sqrt(32))
    assert np.abs(z).max() < 5, f"means of {ratio.mean(axis=1)}, off by {z} standard errors"
    assert (np.abs(by_steps.value - exact) <= by_steps.error).all(), by_steps.value - exact
    spreads = [np.std(np.exp(r.log_weights - exact[:, None])) for r in (by_steps, plain)]
    assert spreads[0] < 0.8 * spreads[1], f"spreads of weights {spreads}"


def test_the_slope_of_a_mixture_is_that_of_its_log_density():
    _, q, _ = offset_proposal()
    z = q.means[:, :1] + np.random.default_rng(0).normal(size=(3, 5, 3))
    for df in (8.0, np.inf):
        some = Mixture(q.weights, q.means, q.roots, df)
        h = 1e-6 * np.eye(3)
        slope = [(some.log_density(z + e) - some.log_density(z - e)) / 2e-6 for e in h]
        off = np.abs(some.slope(z) - np.stack(slope, axis=-1)).max()
        assert off < 1e-6, f"df {df}: off by {off}"


def test_moves_keep_the_tempered_posterior():
    # Exact draws of the law at a temperature keep its mean and covariance.
    model, X, _ = linear(2, 1)
    target = Target.of(model, X, seed=3)
    weight = model.decoder.weight / 0.5
    cov = np.linalg.inv(np.eye(2) + 0.3 * weight.T @ weight)
    mean = cov @ (0.3 * weight.T @ ((X[0] - model.decoder.bias) / 0.5))
    z = mean + np.random.default_rng(0).normal(size=(1, 20000, 2)) @ np.linalg.cholesky(cov).T
    at = annealing._evaluated(target, z)
    frame, step = np.array([[[1.0, 0.0], [0.5, 0.7]]]) * 0.3, np.array([0.9])
    moved, rate = annealing._moved(
        target, at, annealing.PRIOR, np.array([0.3]), frame, step, "trial"
    )
    assert 0.3 < rate[0] < 0.999, f"acceptance {rate[0]} tests nothing"
    e = np.linalg.solve(np.linalg.cholesky(cov), (moved.z[0] - mean).T)
    assert np.abs(e.mean(axis=1)).max() < 5 / np.sqrt(20000), e.mean(axis=1)
    assert np.abs(e @ e.T / 20000 - np.eye(2)).max() < 0.05, e @ e.T / 20000


def test_resampling_draws_each_particle_as_often_as_its_weight_says():
    weights = np.array([[0.5, 0.25, 0.25, 0.0], [0.1, 0.2, 0.3, 0.4]])
    at = annealing.Particles(
        np.arange(8.0).reshape(2, 4, 1), *[np.zeros((2, 4)), np.zeros((2, 4, 1))] * 2
    )
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    ticks = (np.arange(1000) + 0.5) / 1000
    counts = np.zeros((2, 4))
    for tick in ticks:
        drawn = annealing._resampled(at, logs, np.full(2, tick)).z[..., 0] - [[0.0], [4.0]]
        counts += [np.bincount(row.astype(int), minlength=4) for row in drawn]
    assert np.abs(counts / 4000 - weights).max() < 2e-3, counts / 4000


# Modes and proposals -----------------------------------------------------------------------------


def test_modes_of_a_fold_are_two_and_crossing_finds_the_fourth():
    target, z = corners()
    modes = mode_search.find_modes(target, np.concatenate([z, z + 0.01], axis=1), 8)
    assert modes.known.sum() == 3, f"{modes.known.sum()} modes of three corners"
    starts = mode_search.crossed(target, modes, 4)
    more = mode_search.pooled(modes, mode_search.find_modes(target, starts, 8), 8)
    assert more.known.sum() == 4, f"{more.known.sum()} modes of four"
    signs = np.sign(more.z[0][more.known[0]] @ target.model.decoder.rotation)
    assert len(np.unique(signs, axis=0)) == 4, signs


def test_modes_that_differ_on_one_axis_are_found_from_one_of_them():
    target, z = corners()
    one = mode_search.find_modes(target, z[:, :1], 8)
    starts = mode_search.jumped(one, 6)
    turned = (starts - one.z)[0] @ np.linalg.eigh(one.information[0, 0])[1]
    assert ((np.abs(turned) > 1e-9).sum(axis=1) <= 1).all(), "more than one axis was changed"
    more = mode_search.pooled(one, mode_search.find_modes(target, starts, 8), 8)
    signs = np.sign(more.z[0][more.known[0]] @ target.model.decoder.rotation)
    first = np.sign(one.z[0, 0] @ target.model.decoder.rotation)
    apart = (signs != first).sum(axis=1)
    assert sorted(apart) == [0, 1, 1], f"modes that differ from the first one in {apart} folds"


def test_the_greatest_elbo_of_a_gaussian_posterior_is_that_posterior():
    model, X, exact = linear(5, 2)
    target = Target.of(model, X, seed=0)
    weight = model.decoder.weight / 0.5
    cov = np.linalg.inv(np.eye(5) + weight.T @ weight)
    mean = (X - model.decoder.bias) / 0.5 @ weight @ cov
    root = np.linalg.cholesky(cov) * np.linspace(0.5, 2.0, 5)
    start = Mixture(
        np.ones((2, 1)), (mean + root.sum(axis=1))[:, None], np.stack([root[None]] * 2), np.inf
    )
    found = fitting.greatest_elbo(target, start, "trial")
    near = found.draw(np.random.default_rng(1).random((2, 200, found.coordinates)))
    weights = target.log_joint(near) - found.log_density(near)
    assert np.abs(weights - exact[:, None]).max() < 0.05, "log weights differ at its draws"


def test_moments_are_those_of_the_weights():
    # From a proposal that is off, EM comes to the mean and the covariance of the posterior.
    model, X, _ = linear(3, 1)
    target = Target.of(model, X, seed=0)
    weight = model.decoder.weight / 0.5
    cov = np.linalg.inv(np.eye(3) + weight.T @ weight)
    mean = cov @ weight.T @ ((X[0] - model.decoder.bias) / 0.5)
    root = 1.5 * np.linalg.cholesky(cov)
    q = Mixture(np.ones((1, 1)), (mean + root[:, 0])[None, None], root[None, None], np.inf)
    for i in range(3):
        q = fitting.adapted(target, q, f"trial {i}")
    assert np.abs(np.linalg.solve(root, q.means[0, 0] - mean)).max() < 0.05, q.means - mean
    ratio = np.linalg.solve(cov, q.roots[0, 0] @ q.roots[0, 0].T)
    assert np.abs(ratio - np.eye(3)).max() < 0.15, ratio


def test_weights_are_tempered_to_the_effective_size_and_no_further():
    logs = np.random.default_rng(0).normal(size=(3, 1000)) * np.array([[0.1], [3.0], [8.0]])
    p = fitting.tempered(logs, 100.0)
    size = 1 / (p**2).sum(axis=1)
    plain = np.exp(logs[0]) / np.exp(logs[0]).sum()
    assert np.allclose(p[0], plain, rtol=1e-12), "weights that are good enough were changed"
    assert np.allclose(size[1:], 100.0, rtol=0.01), size


def test_padding_of_components_and_modes_changes_nothing():
    r = np.random.default_rng(0)
    wide = Mixture(
        np.array([[0.25, 0.75]] * 2),
        r.normal(size=(2, 2, 2)),
        np.eye(2) + 0 * r.normal(size=(2, 2, 1, 1)),
        5.0,
    )
    thin = Mixture(np.ones((1, 1)), r.normal(size=(1, 1, 2)), 2 * np.eye(2)[None, None], 5.0)
    both, z = put(wide, np.array([1]), thin), r.normal(size=(2, 7, 2))
    for i, own in ((0, wide.take(np.array([0]))), (1, thin)):
        assert np.allclose(both.log_density(z)[i], own.log_density(z[i : i + 1])[0], rtol=1e-12), i
    modes = Modes(
        z[:, :1],
        np.zeros((2, 1)),
        np.eye(2)[None, None] * np.ones((2, 1, 1, 1)),
        np.ones((2, 1), dtype=bool),
    )
    new = Modes(
        z[:1, :3],
        np.zeros((1, 3)),
        np.eye(2)[None, None] * np.ones((1, 3, 1, 1)),
        np.ones((1, 3), dtype=bool),
    )
    found = estimation._put_modes(modes, np.array([1]), new)
    assert found.known.tolist() == [[True, False, False], [True, True, True]], found.known


# Replicates and gates ----------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "degree"), [(1, 3), (2, 3), (3, 2)])
def test_control_variates_have_the_means_that_are_subtracted(d, degree):
    # Sums over a grid, with the density of the Student t in SciPy's words.
    from scipy.stats import multivariate_t

    axis = np.linspace(-9, 9, 61)
    e = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(1, -1, d)
    density = multivariate_t(np.zeros(d), np.eye(d), df=10.0).pdf(e[0]).reshape(-1)
    features = replicates._features(e, 10.0, degree)[0]
    means = (axis[1] - axis[0]) ** d * density @ features
    assert np.abs(means - np.eye(len(means))[0]).max() < 1e-9, means


def test_control_variates_help_where_the_posterior_is_nearly_normal():
    made = BlockModel.of([bent(i) for i in range(2)], likelihoods.Gaussian(scale=0.02), seed=1)
    X, _ = simulate(made.model, 3, seed=2)
    target = Target.of(made.model, X, seed=0)
    modes = mode_search.find_modes(target, np.zeros((3, 1, 4)), 1)
    q = fitting.at_modes(target, modes, 10.0)
    found = replicates.replicated(target, q, "trial", 32, 256)
    plain = found.log_means.std(axis=1) / np.sqrt(32)
    helped = found.spread < 0.5 * plain
    assert helped.any(), f"spreads {found.spread}, without variates {plain}"


def test_errors_cover_where_the_weights_have_a_heavy_tail():
    # Pareto weights of shape 0.6 have a mean and no variance: what no draw has shown matters.
    u = np.random.default_rng(1).random((400, 32, 64))
    found = replicates.Replicates.of(-0.6 * np.log(u), np.zeros((400, 32, 1)))
    off = np.abs(found.value - np.log(1 / (1 - 0.6)))
    missed = (off > found.error).mean()
    without = (off > found.error - found.greatest / (1 - found.shape) + found.greatest).mean()
    assert missed <= 0.02, f"{missed:.3f} of the means are outside their errors"
    assert without > 2 * missed, f"{without:.3f} without the tail, {missed:.3f} with it"


def test_shapes_of_tails_are_those_of_pareto_laws():
    u = np.random.default_rng(0).random(40000)
    shapes = np.array([0.2, 0.5, 1.0])
    logs = np.log([genpareto(k).ppf(u) for k in shapes])
    found = gates.pareto_shape(logs)
    assert np.abs(found - shapes).max() < 0.15, found


def test_coverage_is_calibrated():
    # Posterior N(0, 1), draws of N(0, s): right draws give no alarm, a missing half does.
    r = np.random.default_rng(0)
    z, draws = r.normal(size=(1, 400)), 1.5 * r.normal(size=(1, 4000))
    logs = [-0.5 * a**2 + 0.5 * (a / 1.5) ** 2 + np.log(1.5) for a in (z, draws)]
    look = gates.uncovered(logs[0], logs[1], logs[1], np.zeros(1), 1.2)
    assert not look.alarm[0], f"seen {look.seen}, predicted {look.predicted}"
    # Ten particles of 400 where no draw is: a share of 0.025, which may be 0.05 as well.
    few = np.where(np.arange(400) < 10, 20.0, -1.0)[None]
    look = gates.uncovered(few, logs[1], logs[1], np.zeros(1), 10.0)
    assert look.hole[0], "ten particles are no hole"
    assert 0.045 < look.most[0] < 0.06, f"at most {look.most} is missing"
    half = np.where(np.arange(400) % 2 == 0, 20.0, logs[0])
    assert gates.uncovered(half, logs[1], logs[1], np.zeros(1), 10.0).alarm[0], (
        "half of it is missing"
    )

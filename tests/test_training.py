"""Networks, Adam, runs and checkpoints: against autograd, against a plain loop, and bit for bit."""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import elbo, log_evidence
from vaetheory.claims.half_network.gradient import gradient_by_hand
from vaetheory.claims.half_network.scale import scale_equivariance
from vaetheory.claims.half_network.scenes import TinyRun, pattern, tiny_runs
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma
from vaetheory.training import (
    OBJECTIVES,
    Network,
    Objective,
    Settings,
    Split,
    Units,
    Vae,
    confidence_interval,
    density_of,
    exact_evidence,
    lattice_evidence,
    sampled_measures,
    train,
)
from vaetheory.training._adam import Adam
from vaetheory.training._checkpoints import load, save
from vaetheory.training.runs import BUDGET, DIVERGED, EARLY, validation_elbo


def tiny(objective="half", **changes):
    return TinyRun((1, 3), objective, 2, 1.0, 0).instead(**changes)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple), st.integers(1, 4))
def test_reverse_mode_is_autograd(sizes, batch):
    network = Network(sizes)
    params, x = pattern(network.count), pattern(batch * sizes[0]).reshape(batch, -1)
    slope = pattern(batch * sizes[-1], 2.0).reshape(batch, -1)
    decoder = network.decoder(params)

    def output(p, inputs):
        at = 0
        for k in range(len(sizes) - 1):
            end = at + sizes[k] * sizes[k + 1]
            inputs = anp.dot(inputs, anp.reshape(p[at:end], (sizes[k + 1], sizes[k])).T)
            inputs = inputs + p[end : end + sizes[k + 1]]
            inputs = anp.tanh(inputs) if k < len(sizes) - 2 else inputs
            at = end + sizes[k + 1]
        return anp.sum(inputs * slope)

    layers, found = network.layers(params), np.empty(network.count)
    values = network.forward(layers, x)
    assert np.array_equal(values[-1], decoder(x)), "the library's decoder is another network"
    inner = network.backward(layers, network.layers(found), values, slope.copy(), inner=True)
    size = gamma(1000) * (1 + batch) * max(sizes)
    off = np.abs(found - grad(output)(params, x)).max()
    assert off <= size, f"in the parameters off by {off:.3g}"
    off = np.abs(inner - grad(output, 1)(params, x)).max()
    assert off <= size, f"in the inputs off by {off:.3g}"


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0), (2, -1)])
def test_networks_need_sizes(sizes):
    with pytest.raises(ValueError, match="sizes: expected"):
        Network(sizes)


def test_adam_is_the_published_algorithm():
    params, adam = np.array([1.0, -2.0, 0.5]), Adam(3, rate=0.1)
    plain, first, second = params.copy(), np.zeros(3), np.zeros(3)
    for t in range(1, 30):
        slope = np.array([1.0, 1e-3, 1e6]) * np.cos(t)
        adam.step(params, slope)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        corrected = np.sqrt(second / (1 - 0.999**t)) + 1e-8
        plain = plain - 0.1 * first / (1 - 0.9**t) / corrected
        off = np.abs(params - plain).max()
        assert off <= gamma(1000) * t, f"step {t}: off by {off:.3g}"


@settings(max_examples=30)
@given(tiny_runs())
def test_gradients_of_all_objectives(scene):
    certificate = gradient_by_hand(scene)
    assert certificate.residual <= certificate.bound, f"{scene.objective}: {certificate}"


@pytest.mark.parametrize(
    "objective",
    [
        Objective(
            "constant variances under a floating prior", "constant", "baggins", floating=True
        ),
        Objective("learned variances, BAGGINS", "learned", "baggins"),
        Objective("constant variances, learned likelihood", "constant", "learned"),
    ],
)
def test_gradients_of_other_combinations(objective, monkeypatch):
    from vaetheory.claims.half_network import scenes

    monkeypatch.setattr(scenes, "OBJECTIVES", {"other": objective})
    certificate = gradient_by_hand(tiny("other"))
    assert certificate.residual <= certificate.bound, f"{objective.title}: {certificate}"


def test_objectives_are_checked():
    with pytest.raises(ValueError, match="posterior: expected one of learned, constant, unit"):
        Objective("", "free", "one")
    with pytest.raises(ValueError, match="likelihood: expected one of"):
        Objective("", "unit", "two")
    with pytest.raises(ValueError, match="expected constant variances under a floating prior"):
        Objective("", "learned", "one", floating=True)


def test_objectives_begin_with_the_same_hidden_layers():
    units = Units(np.zeros(5), np.array(1.0))
    vaes = [Vae(o, 5, 2, (7, 6), units) for o in OBJECTIVES.values()]
    starts = [v.encoder.layers(v.split(v.initial(3))[0]) for v in vaes]
    for layers in starts[1:]:
        for (weight, _), (other, _) in zip(layers[:-1], starts[0][:-1], strict=True):
            assert np.array_equal(weight, other), "hidden layers differ between objectives"
        rows = min(len(layers[-1][0]), len(starts[0][-1][0]))
        assert np.array_equal(layers[-1][0][:rows], starts[0][-1][0][:rows]), "means differ"


def test_training_raises_the_validation_elbo_of_every_objective():
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((120, 1))
    X = np.hstack([latent, latent**2, np.sin(latent)]) + 0.1 * rng.standard_normal((120, 3))
    data = Split(X[:80], X[80:100], X[100:])
    plan = Settings(latent_dim=1, hidden=(8,), batch=20, epochs=250, every=20, rate=0.01)
    # What no latent can do: the independent Gaussians of the training data.
    loc, var = data.train.mean(axis=0), data.train.var(axis=0)
    terms = np.log(2 * np.pi * var) + (data.validation - loc) ** 2 / var
    plain = -0.5 * terms.sum(axis=1).mean()
    for name, objective in OBJECTIVES.items():
        vae = plan.model(objective, data.train, 2.0)
        run = train(vae, data, plan, seed=1)
        best = run.best_validation
        assert best > plain, f"{name}: {best:.2f} nats, independent Gaussians {plain:.2f}"
        again = validation_elbo(vae, run.best, data, seed=1)
        assert again == best, f"{name}: not the best parameters"
        assert run.validation[0] < best == max(run.validation), f"{name}: {run.validation}"


def test_runs_stop_early_or_at_their_budget():
    scene = tiny("ordinary")
    plan = Settings(latent_dim=2, hidden=(3,), batch=4, epochs=4, every=2, patience=9, rate=1e-4)
    run = train(scene.vae(), scene.data(), plan, seed=0)
    assert (run.ended, run.epoch) == (BUDGET, 4), f"{run.ended} after {run.epoch}"
    # A huge rate makes everything worse at once.
    wild = Settings(latent_dim=2, hidden=(3,), batch=4, epochs=90, every=2, patience=3, rate=1.0)
    run = train(tiny("one-sigma").vae(), scene.data(), wild, seed=0)
    assert run.ended == EARLY, f"{run.ended} after {run.epoch} epochs"
    assert len(run.validation) - 1 - int(np.argmax(run.validation)) == 3, f"{run.validation}"


def test_an_overflow_ends_a_run_with_what_it_had():
    scene = tiny("one-sigma")
    vae, data = scene.vae(0.01), scene.data(0.01)
    # Validation data so far out that their squares over a sigma^2 that shrinks overflow.
    far = Split(data.train, 1e155 * data.validation, data.test)
    plan = Settings(
        latent_dim=2, hidden=(3,), batch=4, epochs=200, every=2, patience=999, rate=0.05
    )
    run = train(vae, far, plan, seed=0)
    assert run.ended == DIVERGED, run.ended
    assert np.isfinite(run.best).all(), "parameters that are not finite"
    with pytest.raises(ValueError, match="an overflow at the initial parameters"):
        train(vae, Split(data.train, 1e157 * data.validation, data.test), plan, seed=0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_resuming_is_exact(name, tmp_path):
    scene = tiny(name)

    def go(epochs, path):
        plan = Settings(
            latent_dim=2, hidden=(3,), batch=4, epochs=epochs, every=2, patience=9, rate=0.02
        )
        return plan, path

    whole = train(scene.vae(), scene.data(), go(7, None)[0], seed=2)
    path = tmp_path / "run.ckpt"
    seen = []

    class Kill(Exception):
        pass

    def kill(done):
        seen.append(done)
        if len(seen) in (2, 5):
            raise Kill

    for _ in range(2):
        with pytest.raises(Kill):
            train(scene.vae(), scene.data(), go(7, None)[0], seed=2, checkpoint=path, progress=kill)
    found = train(scene.vae(), scene.data(), go(7, None)[0], seed=2, checkpoint=path)
    assert np.array_equal(found.best, whole.best), "other parameters"
    assert found.validation == whole.validation, "another history"
    assert (found.epoch, found.ended, found.best_epoch) == (
        whole.epoch, whole.ended, whole.best_epoch,
    ), "another ending"  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"], "a draft was left"
    # A run that has ended is not trained again.
    again = train(scene.vae(), scene.data(), go(7, None)[0], seed=2, checkpoint=path)
    assert np.array_equal(again.best, whole.best), "an ended run was trained on"


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    scene, path = tiny(), tmp_path / "run.ckpt"
    train(scene.vae(), scene.data(), scene.settings, seed=0, checkpoint=path)
    for other, data, seed in (
        (tiny("bilbo"), scene.data(), 0),
        (tiny(information=2.0), scene.data(), 0),
        (scene, scene.data(2.0), 0),
        (scene, scene.data(), 1),
    ):
        with pytest.raises(ValueError, match=r"run.ckpt: expected a checkpoint of this run"):
            train(other.vae(), data, other.settings, seed=seed, checkpoint=path)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_one_flipped_bit_is_noticed(where, tmp_path):
    path = tmp_path / "a.ckpt"
    save(path, {"x": np.arange(50.0)}, {"epoch": 3})
    arrays, values = load(path)
    assert np.array_equal(arrays["x"], np.arange(50.0)), "not what was saved"
    assert values == {"epoch": 3}, "not what was saved"
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.ckpt: expected (a|the) checkpoint"):
        load(path)


@pytest.mark.parametrize("length", [0, 10, 100, -1])
def test_a_cut_checkpoint_is_named(length, tmp_path):
    path = tmp_path / "a.ckpt"
    save(path, {"x": np.arange(50.0)}, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"a.ckpt: expected (a|the) checkpoint"):
        load(path)


def test_units():
    X = np.array([[0.0, 10.0], [2.0, 10.0], [4.0, 16.0]])
    pooled, each = Units.of(X, "pooled"), Units.of(X, "each")
    assert np.allclose(pooled.loc, [2.0, 12.0]), f"{pooled}"
    assert np.allclose(each.scale**2, [8 / 3, 8.0]), f"{each}"
    assert np.isclose(pooled.scale**2, 16 / 3), f"{pooled}"
    plain = Units.of(X, "plain")
    assert (plain.scale == 1, (plain.loc == 0).all()) == (True, True), f"{plain}"
    with pytest.raises(ValueError, match="spread of the training data: expected positive numbers"):
        Units.of(np.ones((3, 2)), "pooled")
    with pytest.raises(ValueError, match="spread of the training data: expected finite numbers"):
        Units.of(X * 1e200, "pooled")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 1}, "batch: expected an integer of at least 2"),
        ({"epochs": 0}, "epochs: expected an integer of at least 1"),
        ({"hidden": (3, 0)}, "hidden: expected"),
        ({"rate": 2.0}, "rate: expected a number in"),
        ({"units": "metres"}, "units: expected one of pooled, each, plain"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


# Densities --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTIVES)
def test_measures_of_a_density_by_the_library(name):
    scene = tiny(name)
    vae, data = scene.vae(), scene.data()
    params = vae.initial(0) + pattern(vae.count, 0.3)
    density = density_of(vae, params, data.train, seed=0)
    X = data.test
    found = sampled_measures(density, X, draws=4000, rng=np.random.default_rng(5))
    lattice, error = lattice_evidence(density, X)
    assert error.max() < 1e-6, f"the lattices are off by {error.max():.3g}"
    excess = (found.importance - lattice).max()
    assert excess <= np.log(1e6), f"importance-weighted bound {excess:.3g} above the evidence"
    rest = found.elbo + found.rate + found.distortion
    assert np.abs(rest).max() <= gamma(100) * 1e3, "ELBO is not minus rate and distortion"
    model = density.latent_model()
    z = np.random.default_rng(6).standard_normal((len(X), 5, 2))
    own, other = (
        density.log_likelihood(X, z * density.prior_scale),
        model.log_likelihood(X[:, None], z),
    )
    off = np.abs(own - other).max()
    assert off <= gamma(100) * np.abs(own).max(), f"another likelihood in the model: {off:.3g}"
    evidence = log_evidence(model, X)
    off = np.abs(evidence.value - lattice)
    assert (off <= evidence.error + error).all(), f"two routes differ by {off.max():.3g}"
    loc, scale = density.encode(X)
    posterior = Posterior(loc / density.prior_scale, scale=scale / density.prior_scale)
    exact = elbo(model, X, posterior)
    # Six standard errors: one chance in 10^9 were they known.
    off = np.abs(exact.value - found.elbo)
    assert (off <= 6 * found.elbo_error + exact.error).all(), f"{off} and {found.elbo_error}"


def test_learned_variances_without_a_floor_make_no_model():
    vae, data = tiny("ordinary").vae(), tiny("ordinary").data()
    vae = dataclasses.replace(vae, hidden=())
    density = density_of(vae, vae.initial(0), data.train, seed=0)
    with pytest.raises(ValueError, match="hidden: expected at least one layer"):
        density.latent_model()


def test_lattices_need_two_dimensions():
    scene = tiny().instead(latent_dim=1)
    density = density_of(scene.vae(), scene.vae().initial(0), scene.data().train, seed=0)
    with pytest.raises(ValueError, match="latent_dim: expected 2 for a lattice, got 1"):
        lattice_evidence(density, scene.data().test)


def test_the_invariance_is_exact_only_with_its_hypotheses():
    from vaetheory.claims.half_network.scale import ScaledRun

    for power in (1, -7, 40):
        held = scale_equivariance(ScaledRun(tiny(), power))
        assert held.residual <= held.bound, f"2^{power}: {held}"
        lost = scale_equivariance(ScaledRun(tiny(), power), objective="one-sigma")
        assert lost.residual > lost.bound, f"2^{power}: one sigma took the same path"


def test_intervals_against_known_quantiles():
    found = confidence_interval([1.0, 3.0])
    assert np.isclose(found.high - 2, 12.706204736), f"{found}"
    wide = confidence_interval([1.0, 3.0], overlap=0.5)
    assert np.isclose((wide.high - 2) / (found.high - 2), np.sqrt(2)), f"{wide}"
    alone = confidence_interval([4.0])
    assert (alone.mean, alone.low, alone.high) == (4.0, -np.inf, np.inf), f"{alone}"
    for values in ([], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="values: expected"):
            confidence_interval(values)


@pytest.mark.parametrize("sigma", [1e-1, 1e-2, 1e-4])
def test_narrow_posteriors_are_resolved_or_said_not_to_be(sigma):
    scene = tiny()
    vae, data = scene.vae(), scene.data()
    params = vae.initial(0) + pattern(vae.count, 0.3)
    density = density_of(vae, params, data.train, seed=0)
    density = dataclasses.replace(density, log_sigma=np.full(2, np.log(sigma)))
    # Data that the model has made: their posteriors are about sigma wide.
    X = density.decoder()(np.array([[0.3, -0.4], [1.2, 0.7], [-0.8, 0.1]]))
    model = density.latent_model()
    engine, (lattice, error) = log_evidence(model, X), lattice_evidence(density, X)
    known = np.isfinite(error)
    off = np.abs(lattice - engine.value)[known]
    assert (off <= (error + engine.error)[known]).all(), f"off by {off}, said {error}"
    assert known.all() or sigma < 0.1, f"a posterior of width {sigma} was not resolved: {error}"
    value, rest, _ = exact_evidence(density, X)
    off = np.abs(value - engine.value)
    assert (off <= rest + engine.error).all(), f"off by {off}, said {rest}"
    assert rest.max() < 1e-3, f"unresolved: {rest}"


def pushed(monkeypatch, where, shift):
    """A density and data, and lattices that find `shift` more of datum `where` than there is."""
    from vaetheory.training import measures

    scene = tiny()
    vae, data = scene.vae(), scene.data()
    density = density_of(vae, vae.initial(0) + pattern(vae.count, 0.3), data.train, seed=0)
    value, error = lattice_evidence(density, data.test)
    value = value.copy()
    value[where] += shift
    monkeypatch.setattr(measures, "lattice_evidence", lambda *a, **k: (value.copy(), error))
    return density, data.test


def test_a_peak_that_lattices_missed_is_found(monkeypatch):
    density, X = pushed(monkeypatch, 0, -40.0)
    engine = log_evidence(density.latent_model(), X)
    value, error, apart = exact_evidence(density, X)
    off = np.abs(value - engine.value)
    assert (off <= error + engine.error).all(), f"lattices were believed: off by {off}"
    assert abs(apart - 40) < 1e-3, f"the difference of the routes is not told: {apart}"


def test_an_evidence_that_only_lattices_have_is_none(monkeypatch):
    density, X = pushed(monkeypatch, 0, 40.0)
    _, error, _ = exact_evidence(density, X)
    assert np.isinf(error[0]), f"one of two routes was believed: {error}"
    assert np.isfinite(error[1:]).all(), f"the others were given up: {error}"


def test_lattices_follow_posteriors_far_out():
    scene = tiny()
    vae, data = scene.vae(), scene.data()
    density = density_of(vae, vae.initial(0) + pattern(vae.count, 0.3), data.train, seed=0)
    # The encoder of the scene pushed out; a decoder of wide sigma leaves the posterior in reach.
    params = density.params.copy()
    bias = vae.encoder.layers(vae.split(params)[0])[-1][1]
    bias[...] = 12.0
    density = dataclasses.replace(density, params=params, prior_scale=np.ones(2))
    value, error = lattice_evidence(density, data.test)
    engine = log_evidence(density.latent_model(), data.test)
    off = np.abs(value - engine.value)
    assert (off <= error + engine.error).all(), f"off by {off}, said {error}"
    assert error.max() < 1e-3, f"unresolved: {error}"


def test_data_without_an_evidence_are_named():
    from vaetheory.training import Measures
    from vaetheory.training._summaries import summary

    one, error = np.zeros(4), np.array([0.0, np.inf, 0.0, 1.0])
    found = Measures(one, one, one, one, one, one, one + 1, one, error)
    told = summary(found, 0.0)
    assert (told["unresolved"], told["unresolved_data"]) == (2, [1, 3]), f"{told}"
    assert "evidence" not in told, "a mean over the others"

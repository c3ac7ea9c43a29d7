"""False claims fail: bugs put into training and measuring one at a time, noticed by claim 11."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed, scale_result

from vaetheory.claims.half_network import held_out_bounds, quick_experiment
from vaetheory.training import Network, Objective, Units, measures, runs, statistics, vae
from vaetheory.training.density import Density


@pytest.fixture
def fresh():
    """Nothing that was computed before the bug, and nothing of it afterwards."""
    caches = (held_out_bounds._trained, held_out_bounds._bounds, quick_experiment.quick_table)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def test_a_network_with_an_output_too_many(monkeypatch):
    original = Objective.outputs

    def outputs(self, **dims):
        encoder, decoder = original(self, **dims)
        return encoder, decoder + (self.likelihood == "baggins")

    monkeypatch.setattr(Objective, "outputs", outputs)
    assert_noticed("11a", bug="one sigma among the outputs")


@pytest.mark.parametrize("name", ["bilbo", "baggins", "profile_likelihood"])
def test_an_objective_off_by_a_millionth(monkeypatch, name):
    original = getattr(vae, name)

    def off(*a, **k):
        found = original(*a, **k)
        return dataclasses.replace(found, value=found.value * (1 + 1e-6))

    monkeypatch.setattr(vae, name, off)
    assert_noticed("11b", bug=f"{name} off by 1e-6", examples=60)


def test_a_slope_of_tanh_that_is_off(monkeypatch):
    original = Network.backward

    def backward(self, layers, slopes, values, slope, *, inner):
        bent = [values[0], *(v * (1 + 1e-6) for v in values[1:-1]), values[-1]]
        return original(self, layers, slopes, bent, slope, inner=inner)

    monkeypatch.setattr(Network, "backward", backward)
    assert_noticed("11b", bug="activations off by 1e-6 on the way back")


def test_ends_that_forget_the_scale(monkeypatch):
    original = Units.of
    monkeypatch.setattr(
        Units, "of", lambda X, kind: dataclasses.replace(original(X, kind), scale=np.array(1.0))
    )
    assert_noticed("11c", bug="ends of a fixed scale")
    assert_noticed("11c-step", bug="ends of a fixed scale")


def test_a_likelihood_in_fixed_units(monkeypatch):
    original = vae.baggins

    def fixed(x, xhat, **options):
        found = original(x, xhat, **options)
        return dataclasses.replace(found, _scale=np.sqrt(found.scale**2 + 1e-4))

    monkeypatch.setattr(vae, "baggins", fixed)
    assert_noticed("11c", bug="a least variance in fixed units", examples=60)
    assert_noticed("11c-step", bug="a least variance in fixed units", examples=60)


@pytest.mark.usefixtures("fresh")
def test_importance_weights_without_their_number(monkeypatch):
    original = measures.sampled_measures

    def summed(density, X, *, draws, rng):
        found = original(density, X, draws=draws, rng=rng)
        return dataclasses.replace(found, importance=found.importance + np.log(draws))

    monkeypatch.setattr(held_out_bounds, "sampled_measures", summed)
    assert_noticed("11d", bug="a sum of weights for their mean", examples=1)


@pytest.mark.usefixtures("fresh")
def test_an_evidence_that_is_slightly_off(monkeypatch):
    original = held_out_bounds.lattice_evidence

    def shifted(density, X):
        value, error = original(density, X)
        return value + 1e-4, error

    monkeypatch.setattr(held_out_bounds, "lattice_evidence", shifted)
    assert_noticed("11d", bug="evidence off by 1e-4 nats", examples=1)


@pytest.mark.usefixtures("fresh")
def test_a_prior_that_does_not_float_in_the_model(monkeypatch):
    from hypothesis import strategies as st

    original = Density.decoder

    def decoder(self):
        return original(dataclasses.replace(self, prior_scale=np.ones_like(self.prior_scale)))

    monkeypatch.setattr(Density, "decoder", decoder)
    floating = st.builds(held_out_bounds.HeldOut, st.just("half"), st.integers(0, 9))
    assert_noticed("11d", bug="the evidence under N(0, I)", examples=1, instances=floating)


@pytest.mark.parametrize("field", ["prior_scale", "log_sigma"])
def test_a_density_that_is_fixed_a_little_wrong(monkeypatch, field):
    original = Density.of

    def of(*a, **k):
        found = original(*a, **k)
        return dataclasses.replace(found, **{field: getattr(found, field) * (1 + 1e-6) + 1e-9})

    monkeypatch.setattr(Density, "of", of)
    assert_noticed("11e", bug=f"{field} off by 1e-6")


def test_a_rate_without_its_half(monkeypatch):
    scale_result(monkeypatch, Density, "divergence", 2.0)
    assert_noticed("11e", bug="no factor 1/2 in the rate")


@pytest.mark.parametrize("what", ["rng", "best", "validation"])
def test_a_resumed_run_that_forgets(monkeypatch, what):
    original = runs._resume

    def forgetful(path, task, learner, rng):
        run = original(path, task, learner, rng)
        if what == "rng":
            rng.standard_normal()
        elif what == "best":
            run.best = 0 * run.best
        else:
            run.validation = run.validation[:1]
        return run

    monkeypatch.setattr(runs, "_resume", forgetful)
    assert_noticed("11f", bug=f"{what} forgotten", examples=60)


def test_an_interval_of_the_wrong_degrees_of_freedom(monkeypatch):
    original = statistics.stdtrit
    monkeypatch.setattr(statistics, "stdtrit", lambda df, q: original(df + 1, q))
    assert_noticed("11g", bug="n for n - 1 degrees of freedom")


@pytest.mark.usefixtures("fresh")
def test_a_half_network_whose_sigma_is_a_hundredfold(monkeypatch):
    original = Density.of

    def of(vae_, *a, **k):
        found = original(vae_, *a, **k)
        if vae_.objective.likelihood == "baggins":
            found = dataclasses.replace(found, log_sigma=found.log_sigma + np.log(100))
        return found

    monkeypatch.setattr(Density, "of", of)
    assert_noticed("11-digits", bug="sigma a hundred times too large")

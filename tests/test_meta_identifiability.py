"""False claims fail: bugs put into the library one at a time, which claim 21 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory import decoders, flows
from vaetheory.claims.identifiability import (
    encoders,
    environments,
    maps,
    one_latent,
    twists,
    variances,
)
from vaetheory.identifiability import monotone


def off(monkeypatch, module, name, change):
    """Pass what `module.name` returns through `change(found)`, which returns the changed fields."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, **change(found))

    monkeypatch.setattr(module, name, broken)


def test_a_twist_by_another_angle(monkeypatch):
    original = flows.Twist._turned
    monkeypatch.setattr(
        flows.Twist, "_turned", lambda self, z, sign: original(self, z, sign * (1 + 1e-6))
    )
    assert_noticed("21a-maps", bug="an angle off by 1e-6", examples=8)


def test_a_twist_with_a_wrong_slope(monkeypatch):
    original = flows.Twist.jacobian
    monkeypatch.setattr(
        flows.Twist, "jacobian", lambda self, z: original(self, z) * (1 + 1e-6 * self.rate)
    )
    assert_noticed("21a-maps", bug="a Jacobian off by 1e-6", examples=8)


@pytest.mark.parametrize(
    ("module", "label"), [(maps, "21a"), (one_latent, "21b-fold"), (variances, "21d")]
)
def test_an_evidence_that_is_off(monkeypatch, module, label):
    off(monkeypatch, module, "log_evidence", lambda f: {"value": f.value - 1e-6})
    assert_noticed(label, bug="an evidence off by 1e-6", examples=1)


@pytest.mark.parametrize("label", ["21a-full", "21a-axes", "21a-diagonal", "21a-twist"])
def test_a_best_elbo_that_is_off(monkeypatch, label):
    module = twists if label == "21a-twist" else encoders

    def wrong(found):
        # Of the moved decoder alone, so that two errors do not cancel.
        return {"value": found.value + 1e-6 * np.tanh(found.loc[..., 0])}

    off(monkeypatch, module, "stationary_posterior", wrong)
    assert_noticed(label, bug="a best ELBO off by up to 1e-6", examples=5)


def test_an_elbo_that_forgets_the_turn(monkeypatch):
    original = decoders.Composed.__call__
    monkeypatch.setattr(
        decoders.Composed, "__call__", lambda self, z: original(self, z) + 1e-6 * z[..., :1]
    )
    assert_noticed("21a-full", bug="a decoder that adds 1e-6 z", examples=2)


def test_a_decoder_read_from_too_few_frequencies(monkeypatch):
    original = monotone._Frequencies.around

    def sharp(self, c):
        low, high = original(self, c)
        middle, half = 0.5 * (low + high), 0.25 * (high - low)
        return middle - half + 0.1, middle + half + 0.1

    monkeypatch.setattr(monotone._Frequencies, "around", sharp)
    assert_noticed("21b", bug="bounds that are too sharp", examples=5)


def test_noise_that_is_divided_out_twice(monkeypatch):
    original = monotone._nodes

    def twice(top, panels, count):
        s, w, grown, smooth = original(top, panels, count)
        return s, w, grown**0.5, smooth

    monkeypatch.setattr(monotone, "_nodes", twice)
    assert_noticed("21b-noise", bug="half of the noise is left in", examples=2)


def test_latents_that_are_off(monkeypatch):
    name = "latents_from_environments"
    off(monkeypatch, environments, name, lambda f: {"value": f.value * (1 + 1e-6)})
    assert_noticed("21c", bug="latents off by 1e-6", examples=4)
    assert_noticed("21c-rigid", bug="latents off by 1e-6", examples=4)
    assert_noticed("21c-noise", bug="latents off by 1e-6", examples=4)


def test_means_that_say_nothing_and_are_taken(monkeypatch):
    original = environments.latents_from_environments

    def lenient(logs, means, **options):
        return original(logs, np.asarray(means) + 1e-3 * np.tri(*np.shape(means)), **options)

    monkeypatch.setattr(environments, "latents_from_environments", lenient)
    assert_noticed("21c-hyperplane", bug="a hyperplane that is not noticed")


@pytest.mark.parametrize("label", ["21c", "21d-length", "21d-axes"])
def test_a_density_without_its_volume(monkeypatch, label):
    monkeypatch.setattr(
        flows.Affine, "log_det", lambda self, z: self._log_det * 0.5 + 0 * z.sum(axis=-1)
    )
    assert_noticed(label, bug="half of an affine map's volume")

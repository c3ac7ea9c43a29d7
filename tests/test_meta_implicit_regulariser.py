"""False claims fail: bugs put into the penalty one at a time, which claim 17 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed, bend_by_gauss_newton, scale_result

from vaetheory.claims.implicit_regulariser import penalties, rotations, scenes


def test_variances_of_the_slope_alone(monkeypatch):
    bend_by_gauss_newton(monkeypatch)
    assert_noticed("17a", bug="the residual's part of the Hessian is left out")


@pytest.mark.parametrize("label", ["17b", "17c"])
def test_a_penalty_off_by_a_thousandth(monkeypatch, label):
    scale_result(monkeypatch, penalties, "implicit_regulariser", 1.001)
    assert_noticed(label, bug="a penalty off by 1e-3")


def test_a_penalty_of_the_wrong_structure(monkeypatch):
    original = penalties.implicit_regulariser
    monkeypatch.setattr(
        penalties,
        "implicit_regulariser",
        lambda J, **options: original(J, **(options | {"structure": "full"})),
    )
    assert_noticed("17c", bug="a diagonal structure that is ignored")


@pytest.mark.parametrize("label", ["17b", "17c"])
def test_a_beta_that_is_not_in_the_noise(monkeypatch, label):
    original = scenes.wider_model

    def narrow(decoder, noise, beta, dim):
        return original(decoder, noise, 1.0, dim)

    monkeypatch.setattr(scenes, "wider_model", narrow)
    assert_noticed(label, bug="beta forgotten in the noise")


def test_a_turn_of_the_decoder_alone(monkeypatch):
    original = rotations.elbo

    def shifted(model, X, q, **options):
        found = original(model, X, q, **options)
        return dataclasses.replace(found, value=found.value + 1e-4 * q.loc[:, 0])

    monkeypatch.setattr(rotations, "elbo", shifted)
    assert_noticed("17e", bug="an ELBO that knows its axes")


def test_a_descent_that_stops_early(monkeypatch):
    monkeypatch.setattr(rotations, "_newton", lambda first, off, total: np.zeros_like(first))
    monkeypatch.setattr(rotations, "_SWEEPS", 1)
    assert_noticed("17d", bug="a descent of one sweep on a grid")

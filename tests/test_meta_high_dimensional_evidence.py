"""False claims fail: bugs put into the brackets one at a time, which claim 24 must notice."""

import numpy as np
import pytest
from noticing import assert_noticed, scale_result

from vaetheory._sampling import importance, laplace_mixtures
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory.bounds import betting
from vaetheory.claims.high_dimensional_evidence import brackets, exact_sample, linear, slack, wagers


def shift_result(monkeypatch, owner, name, by):
    """Add a number to what a method returns."""
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **more: original(*args, **more) + by)


@pytest.mark.parametrize("label", ["24a", "24a-shift", "24d"])
@pytest.mark.parametrize(("owner", "name"), [(Target, "log_joint"), (Mixture, "log_density")])
def test_a_density_off_by_a_millionth(monkeypatch, owner, name, label):
    shift_result(monkeypatch, owner, name, 1e-6)
    assert_noticed(label, bug=f"{name} off by 1e-6")


@pytest.mark.parametrize("label", ["24a", "24a-shift"])
def test_the_sample_is_left_out(monkeypatch, label):
    original = importance.through

    def broken(target, proposal, z, **more):
        found = original(target, proposal, z, **more)
        logs = found.log_weights[..., 1:]
        return importance.Estimates(importance._log_mean(logs), found.log_weights, found.rounding)

    monkeypatch.setattr(exact_sample, "through", broken)
    assert_noticed(label, bug="the exact sample is left out of the mean")


def test_the_sample_is_beside_the_rule(monkeypatch):
    original = Mixture.undrawn
    monkeypatch.setattr(Mixture, "undrawn", lambda q, z, s, p: (original(q, z, s, p) + 0.25) % 1)
    assert_noticed("24a-shift", bug="the rule is moved to another point")


@pytest.mark.parametrize("label", ["24b", "24b-bound"])
def test_a_wealth_too_large(monkeypatch, label):
    shift_result(monkeypatch, betting, "log_wealth", 0.5)
    monkeypatch.setattr(wagers, "log_wealth", betting.log_wealth)
    assert_noticed(label, bug="more wealth than there is")


def test_a_wealth_off_by_a_millionth(monkeypatch):
    shift_result(monkeypatch, wagers, "log_wealth", 1e-6)
    assert_noticed("24b", bug="wealth off by 1e-6")


def test_a_slack_too_small(monkeypatch):
    scale_result(monkeypatch, slack, "slack", 0.97)
    assert_noticed("24c", bug="a slack that is 3 % too small")


def test_a_proposal_with_half_the_precision(monkeypatch):
    scale_result(monkeypatch, laplace_mixtures, "roots_of", np.sqrt(2))
    assert_noticed("24d", bug="twice the posterior covariance")
    assert linear.laplace_mixture is laplace_mixtures.laplace_mixture, "another proposal"


@pytest.mark.parametrize("name", ["from_above", "from_below"])
def test_an_estimate_off_by_a_nat(monkeypatch, name):
    change = -0.5 if name == "from_above" else 0.5
    original = importance._log_mean
    monkeypatch.setattr(importance, "_log_mean", lambda logs: original(logs) + 4 * change)
    assert_noticed("24e", bug="a log mean off by two nats")
    assert callable(getattr(brackets, name)), "the estimate has another name"


def test_draws_that_do_not_belong_to_their_density(monkeypatch):
    original = Mixture.draw
    monkeypatch.setattr(Mixture, "draw", lambda q, u, c=None: original(q, 0.5 + 0.9 * (u - 0.5), c))
    assert_noticed("24e", bug="draws that are too near to the centre")

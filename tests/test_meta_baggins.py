"""False claims fail: bugs put into BAGGINS one at a time, which claim 10 must notice."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import strategies as st
from noticing import PROPOSITIONS, assert_noticed, scale_result

from vaetheory import decoders
from vaetheory.checking.batches import Batch
from vaetheory.checking.runner import run_proposition
from vaetheory.claims.baggins import (
    change_of_units,
    noisy_evidence,
    relative_variances,
    scenes,
    stable_step,
)

# The attribute `baggins` of its package is the function, not its module.
BAGGINS = sys.modules["vaetheory.bounds.bounded_likelihood"]
# One instance each where a check is not cheap to shrink.
SCENES = {
    "10a-evidence": noisy_evidence.BoundScene(
        decoders.Polynomial([[0], [1], [2]], [[0.0, 0.5], [1.0, 0.5], [0.5, -0.5]]),
        ((-1.0, 0.0), (1.0, 1.5)),
        Batch(((-1.0,), (0.5,)), (0.5,)),
        0.5,
    ),
    "10c": change_of_units.ScaledScene(
        scenes.FitScene(
            ((0.0, 1.0), (1.0, -1.0), (2.0, 0.5)),
            ((0.5, 1.0), (0.5, -0.5), (1.0, 1.0)),
            (1.0, 2.0),
            False,
        ),
        (-6, 3),
        (1.0, -1.0),
        (3.0, -20.0),
    ),
    "10e-step": stable_step.FitLadder(
        (-1.0, 0.0, 0.5, 1.5), (1.0, 2.0), (1.0, 0.0, 0.0, 0.0), 1.0, 1 / 16, 1e-6
    ),
}


def assert_caught(label, bug):
    changes = {}
    if label in SCENES:
        # Anew, without what another test has cached in it.
        scene = dataclasses.replace(SCENES[label])
        changes = {"instances": st.just(scene), "examples": 1}
    assert_noticed(label, bug=bug, **changes)


@pytest.mark.parametrize("label", ["10a", "10a-evidence", "10b", "10e", "10e-step", "10f"])
def test_exp_of_minus_h(monkeypatch, label):
    scale_result(monkeypatch, BAGGINS, "_information", 0.5)
    assert_caught(label, "exp(-h) for exp(-2 h)")


@pytest.mark.parametrize("label", ["10a", "10a-evidence", "10b", "10e", "10f"])
def test_a_spread_divided_by_b_less_one(monkeypatch, label):
    original = BAGGINS._spread

    def unbiased(data, weights, pooled):
        away, power = original(data, weights, pooled)
        return away * np.sqrt(len(data) / (len(data) - 1)), power

    monkeypatch.setattr(BAGGINS, "_spread", unbiased)
    assert_caught(label, "N - 1 variance")


@pytest.mark.parametrize("label", ["10a", "10b", "10c", "10e"])
def test_a_spread_that_is_not_centred(monkeypatch, label):
    monkeypatch.setattr(
        BAGGINS,
        "_spread",
        lambda data, weights, pooled: (data, np.zeros(1 if pooled else data.shape[1])),
    )
    assert_caught(label, "second moment for variance")


@pytest.mark.parametrize("label", ["10a", "10a-evidence", "10b", "10d", "10f"])
def test_a_term_without_two_pi(monkeypatch, label):
    monkeypatch.setattr(BAGGINS, "LOG_2PI", 0.0)
    assert_caught(label, "dropped 2 pi")


@pytest.mark.parametrize("label", ["10a", "10b", "10d"])
def test_moments_off_by_a_millionth(monkeypatch, label):
    scale_result(monkeypatch, BAGGINS, "_moment", 1 + 1e-6)
    assert_caught(label, "moments off by 1e-6")


@pytest.mark.parametrize("label", ["10a", "10b", "10c", "10d", "10e"])
def test_residuals_with_a_floor(monkeypatch, label):
    # The absolute epsilon of much code: not free of scale, and it flattens what is left.
    original = BAGGINS._term

    def floored(variance, power, *rest):
        return original(variance + 1e-8 * 4.0**-power, power, *rest)

    monkeypatch.setattr(BAGGINS, "_term", floored)
    assert_caught(label, "an absolute floor of 1e-8")


@pytest.mark.parametrize("label", ["10a", "10a-evidence", "10b", "10c", "10d", "10f"])
def test_a_value_of_standard_deviations(monkeypatch, label):
    original = BAGGINS._term

    def doubled(*arguments):
        value, log_scale, size, scale = original(*arguments)
        return 2 * value, log_scale, size, scale

    monkeypatch.setattr(BAGGINS, "_term", doubled)
    assert_caught(label, "no factor 1/2")


@pytest.mark.parametrize("label", ["10b", "10c"])
def test_an_information_of_twice_the_size(monkeypatch, label):
    original = BAGGINS._all
    monkeypatch.setattr(BAGGINS, "_all", lambda found, dim: original(found, dim) + 1e-3 * found)
    assert_caught(label, "a thousandth too much")


def test_a_constant_column_that_passes(monkeypatch):
    original = BAGGINS._spread

    def lenient(data, weights, pooled):
        try:
            return original(data, weights, pooled)
        except ValueError:
            ones = np.where(np.arange(len(data))[:, None] % 2, 1.0, -1.0) * np.ones_like(data)
            return ones, np.zeros(1 if pooled else data.shape[1])

    monkeypatch.setattr(BAGGINS, "_spread", lenient)
    assert_caught("10f", "a spread of one for none")


def test_an_evidence_that_is_slightly_off(monkeypatch):
    original = noisy_evidence.log_evidence

    def shifted(*arguments, **options):
        result = original(*arguments, **options)
        return dataclasses.replace(result, value=result.value + 1e-4)

    monkeypatch.setattr(noisy_evidence, "log_evidence", shifted)
    assert_caught("10a-evidence", "evidence off by 1e-4 nats")


def test_another_floating_prior_is_no_bug(monkeypatch):
    # The certificate holds for the centred form as well: it must not cry wolf.
    original = noisy_evidence.bilbo
    monkeypatch.setattr(
        noisy_evidence, "bilbo", lambda terms, loc, scale: original(terms, loc, scale, "centred")
    )
    result = run_proposition(PROPOSITIONS["10a-evidence"])
    assert result.confirmed, f"another floating prior: {result.verdict}, {result.message}"


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_stable_step_off_by_two_percent(monkeypatch, factor):
    original = stable_step.largest_stable_step

    def off(gradient, optimum, **options):
        found = original(gradient, optimum, **options)
        return dataclasses.replace(found, lower=factor * found.lower, upper=factor * found.upper)

    monkeypatch.setattr(stable_step, "largest_stable_step", off)
    assert_caught("10e-step", f"thresholds times {factor}")


def test_a_sampled_term_that_presumes_too_much(monkeypatch):
    scale_result(monkeypatch, BAGGINS, "_information", 1.1)
    assert_caught("10a-sampled", "a tenth too much presumed")


@pytest.mark.parametrize("factor", [0.5, -1.0])
def test_relative_variances_of_another_size(monkeypatch, factor):
    original = relative_variances.with_relative_variances
    monkeypatch.setattr(
        relative_variances,
        "with_relative_variances",
        lambda x, xhat, g: original(x, xhat, factor * g),
    )
    assert_caught("10g", f"g times {factor}")


def test_absolute_variances(monkeypatch):
    monkeypatch.setattr(
        relative_variances,
        "with_relative_variances",
        lambda x, xhat, g: x - (x - xhat) * np.exp(-g / 2),
    )
    assert_caught("10g", "g that is not centred")

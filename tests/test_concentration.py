"""The bound of statistical propositions: Markov's inequality on the moments of a sample's mean."""

from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import CLAIMS
from vaetheory.checking.runner import PROFILES, run_proposition
from vaetheory.concentration import (
    FALSE_ALARM,
    LEVEL,
    counting,
    log_mean_excess,
    mean_deviation,
)

STATISTICAL = [p for c in CLAIMS for p in c.propositions if p.kind == "statistical"]


def central_moments(values, weights, order):
    """Central moments of orders 2, ..., `order` of a discrete law."""
    away = values - weights @ values
    return np.array([weights @ away**r for r in range(2, order + 1)])


def gaussian_moments(scale, order):
    """Central moments of N(0, scale^2)."""
    return [scale**r * prod(range(r - 1, 0, -2)) * (r % 2 == 0) for r in range(2, order + 1)]


@st.composite
def laws(draw):
    """A law on the integers 0, ..., k with rational weights."""
    weights = np.array(draw(st.lists(st.integers(0, 9), min_size=2, max_size=5)), dtype=float)
    weights[0] += 1
    return weights / weights.sum()


@given(laws(), st.integers(1, 60), st.sampled_from((0.5, 1e-2, 1e-4, 1e-9)), st.integers(1, 8))
@settings(max_examples=60)
def test_the_exact_tail_of_a_discrete_law_is_at_most_the_level(weights, count, level, half):
    values = np.arange(len(weights), dtype=float)
    bound = mean_deviation(central_moments(values, weights, 2 * half), count, level=level)
    # The law of the sum by enumeration: repeated convolution of the weights.
    law = np.ones(1)
    for _ in range(count):
        law = np.convolve(law, weights)
    away = np.abs(np.arange(len(law)) / count - weights @ values)
    # Strictly beyond the bound, up to the rounding of the places.
    tail = law[away > bound + 1e-12].sum()
    assert tail <= level, f"P(beyond the bound) = {tail:.3g}, stated {level:.3g}"


@given(st.sampled_from((1e-3, 1.0, 7.5)), st.integers(1, 10**6), st.integers(1, 10))
def test_a_gaussian_has_its_closed_form(scale, count, half):
    found = mean_deviation(gaussian_moments(scale, 2 * half), count)
    orders = np.arange(2, 2 * half + 1, 2)
    double = np.array([prod(range(r - 1, 0, -2)) for r in orders], dtype=float)
    wanted = scale / np.sqrt(count) * ((double / LEVEL) ** (1 / orders)).min()
    assert wanted <= found, "a bound below its closed form"
    assert abs(found / wanted - 1) < 1e-12, f"{found} is not ((2p - 1)!! / level)^(1/2p) = {wanted}"


def by_cumulants(raw_cumulants, count, order):
    """Even moments of the centred mean by cumulants in 40 digits: they add over the draws."""
    kappa = [mpf(0), mpf(0)] + [
        mpf(k) / mpf(count) ** (r - 1) for r, k in enumerate(raw_cumulants[2:], 2)
    ]
    moments = [mpf(1), mpf(0)]
    for r in range(2, order + 1):
        moments.append(
            mp.fsum(mp.binomial(r - 1, j - 1) * kappa[j] * moments[r - j] for j in range(2, r + 1))
        )
    return moments


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000, 2**20])
@pytest.mark.parametrize("half", [1, 4, 8])
def test_the_exponential_law_by_cumulants_in_mpmath(count, half):
    order = 2 * half
    with mp.workdps(40):
        cumulants = [0, 1] + [factorial(r - 1) for r in range(2, order + 1)]
        single = by_cumulants(cumulants, 1, order)[2:]
        mean = by_cumulants(cumulants, count, order)
        wanted = min((mean[r] / mpf(LEVEL)) ** (mpf(1) / r) for r in range(2, order + 1, 2))
        found = mean_deviation([float(m) for m in single], count)
        assert found >= wanted, f"{found} is below {wanted}"
        assert found / wanted - 1 < 1e-12, f"{found} is looser than {wanted}"


@given(laws(), st.integers(1, 500))
def test_the_bound_grows_with_every_moment(weights, count):
    moments = np.abs(central_moments(np.arange(len(weights), dtype=float), weights, 8))
    base = mean_deviation(moments, count)
    for r in range(len(moments)):
        larger = moments.copy()
        larger[r] = 1.5 * larger[r] + 0.1
        found = mean_deviation(larger, count)
        assert found >= base * (1 - 1e-12), f"a larger moment of order {r + 2} made it smaller"


@given(laws(), st.integers(1, 500), st.sampled_from((1e-150, 1e-9, 3.0, 1e18)))
def test_the_bound_scales_with_the_unit(weights, count, unit):
    moments = central_moments(np.arange(len(weights), dtype=float), weights, 8)
    scaled = mean_deviation(moments[:1] * unit**2, count)
    assert np.isclose(scaled, unit * mean_deviation(moments[:1], count), rtol=1e-12), "not in units"
    if unit in (1e-9, 3.0, 1e18):
        whole = mean_deviation(moments * unit ** np.arange(2.0, 9.0), count)
        wanted = unit * mean_deviation(moments, count)
        assert np.isclose(whole, wanted, rtol=1e-12), "not in units"


def test_entries_are_bounded_one_by_one():
    batch = np.array([gaussian_moments(s, 6) for s in (1.0, 2.0, 0.0)]).reshape(3, 1, 5)
    found = mean_deviation(batch, 7)
    assert found.shape == (3, 1), f"shape {found.shape}"
    for row, moments in zip(found, batch, strict=True):
        alone = mean_deviation(moments[0], 7)
        assert row[0] == alone, f"{row[0]} in a batch, {alone} alone"
    assert found[2, 0] == 0, "a constant deviates"


@pytest.mark.parametrize("value", [1e-308, 1e300])
def test_extreme_units_neither_overflow_nor_vanish(value):
    found = mean_deviation([value, 0.0, value], 100)
    assert np.isfinite(found), f"{found} of moments {value}"
    assert found > 0, f"{found} of moments {value}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 0.0], 10), r"central_moments: expected orders 2, 3, ..., 2 p.*shape \(2,\)"),
        (([-1.0], 10), "central_moments: expected even moments of at least 0, got -1"),
        (([1.0, 0.0, -3.0], 10), "even moments"),
        (([np.inf], 10), "central_moments: expected finite numbers"),
        ((1.0, 10), "central_moments: expected at least 1 axis"),
        ((np.zeros((0, 3)), 10), "central_moments"),
        (([1.0], 0), "count: expected an integer of at least 1, got"),
        (([1.0], 2.5), "count: expected an integer"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_deviation(*arguments)


@pytest.mark.parametrize("level", [0.0, -1.0, 1.5])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(ValueError, match="level: expected a number in"):
        mean_deviation([1.0], 10, level=level)


def test_counting_is_undone_and_nests():
    with counting() as outer:
        mean_deviation([1.0], 3)
        with counting() as inner:
            mean_deviation(np.ones((4, 2, 1)), 3)
        mean_deviation([1.0], 3)
    mean_deviation([1.0], 3)
    assert (outer.count, inner.count) == (2, 8), f"counted {outer.count} and {inner.count}"


def test_a_mean_of_nonnegative_draws_by_markov():
    with counting() as made:
        bound = log_mean_excess((3, 2), level=0.01)
    assert made.count == 6, f"counted {made.count}"
    assert np.allclose(bound, np.log(100)), f"{bound}"
    # Attained: one draw in a hundred is a hundred times its expectation.
    draws = np.array([100.0] + 99 * [0.0])
    share = (draws / draws.mean() >= np.exp(bound[0, 0]) * (1 - 1e-12)).mean()
    assert share == 0.01, f"{share}"
    with pytest.raises(ValueError, match="level: expected a number in"):
        log_mean_excess(level=0.0)


def comparisons(proposition):
    """The most comparisons of the largest profile: the worst instance, times their number."""
    most = 0

    def counted(instance):
        nonlocal most
        with counting() as made:
            certificate = proposition.check(instance)
        most = max(most, made.count)
        return certificate

    run_proposition(
        type(proposition)(**{**vars(proposition), "check": counted, "controls": ()}),
    )
    return most * proposition.examples * max(PROFILES.values())


def test_the_registry_raises_a_false_alarm_less_than_once_in_a_thousand_runs():
    counts = {p.label: comparisons(p) for p in STATISTICAL}
    silent = [label for label, count in counts.items() if not count]
    assert not silent, f"statistical propositions without a stated level: {silent}"
    total = sum(counts.values())
    assert total * LEVEL < FALSE_ALARM, (
        f"{total} comparisons at level {LEVEL} can raise more than {FALSE_ALARM} alarms: {counts}"
    )

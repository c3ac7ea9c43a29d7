"""Thresholds of collapse: the variance proxy against other routes, hard laws and bad input."""

import re

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

from vaetheory.bounds import collapse_thresholds, sub_gaussian_proxy


def two_points(p):
    """Kearns and Saul's proxy with 40 digits."""
    with mpmath.workdps(40):
        q = mpmath.mpf(p)
        return (1 - 2 * q) / (2 * mpmath.log((1 - q) / q))


def ratio(theta, X, p):
    """2 log E exp(theta . (x - mean)) / (theta . theta), with 50 digits."""
    with mpmath.workdps(50):
        w = [mpmath.mpf(float(v)) for v in p]
        total = mpmath.fsum(w)
        w = [v / total for v in w]
        t = [mpmath.mpf(float(v)) for v in np.atleast_1d(theta)]
        along = [
            mpmath.fsum(a * mpmath.mpf(float(b)) for a, b in zip(t, x, strict=True)) for x in X
        ]
        mean = mpmath.fsum(a * b for a, b in zip(w, along, strict=True))
        terms = mpmath.fsum(a * mpmath.exp(b - mean) for a, b in zip(w, along, strict=True))
        return 2 * mpmath.log(terms) / mpmath.fsum(v**2 for v in t)


@pytest.mark.parametrize("p", [0.4999, 0.3, 0.05, 1e-4, 1e-12, 1e-100])
@pytest.mark.parametrize("gap", [1.0, 1e-8, 1e8])
def test_two_points_are_enclosed(p, gap):
    found = sub_gaussian_proxy([[0.0], [gap]], weights=[1 - p, p])
    exact = float(two_points(p)) * gap**2
    assert found.value <= exact + found.error, f"{found.value} is above {exact}"
    assert found.upper >= exact, f"{found.upper} is below {exact}"
    assert found.upper - found.value <= 1.1e-6 * exact + found.error, "a wide enclosure"


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-8])
def test_laws_on_a_line_are_enclosed_as_closely_as_asked(rtol):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, p = rng.normal(size=(6, 1)) ** 3, rng.uniform(0.01, 1, 6)
        found = sub_gaussian_proxy(X, weights=p, rtol=rtol)
        grid = np.concatenate([s * np.geomspace(1e-4, 1e4, 400) for s in (1, -1)]) / np.ptp(X)
        most = max(float(ratio(t, X, p)) for t in grid)
        assert most <= found.upper, f"seed {seed}: a ratio of {most} above {found.upper}"
        assert found.upper <= found.value * (1 + 1.01 * rtol) + found.error, f"seed {seed}"
        if found.tilt.any():
            own = float(ratio(found.tilt, X, p))
            assert abs(own - found.value) <= found.error, f"seed {seed}: off by {own - found.value}"


def test_the_tilted_law_and_its_equation():
    rng = np.random.default_rng(3)
    X, p = rng.exponential(size=(30, 3)), rng.uniform(0.1, 1, 30)
    found = sub_gaussian_proxy(X, weights=p)
    q = p / p.sum()
    tilted = q * np.exp((X - q @ X) @ found.tilt)
    assert np.allclose(found.weights, tilted / tilted.sum(), rtol=1e-10), "another law"
    moved = found.weights @ X - q @ X
    assert np.allclose(moved, found.value * found.tilt, rtol=0, atol=1e-5), "no stationary point"
    divergence = found.weights @ np.log(found.weights / q)
    assert np.isclose(moved @ moved, 2 * found.value * divergence, rtol=1e-6), "13d is missed"
    for seed in range(5):
        start = np.random.default_rng(seed).normal(size=3)
        other = minimize(lambda t: -_double(t, X, q), start, method="Nelder-Mead")
        assert -other.fun <= found.upper, f"a ratio of {-other.fun} above the upper bound"
        assert -other.fun <= found.value * (1 + 1e-9), f"the search missed {-other.fun}"


def _double(theta, X, p):
    return 2 * np.log(p @ np.exp((X - p @ X) @ theta)) / (theta @ theta)


def test_symmetric_data_have_their_variance_and_no_tilt():
    for X in ([[-1.0], [1.0]], [[-1.0], [0.0], [1.0]], [[3.0, 0.0], [-3.0, 0.0]]):
        found = sub_gaussian_proxy(X)
        assert found.value == found.variance, f"{X}: {found.value} is not {found.variance}"
        assert not found.tilt.any(), f"{X}: tilted by {found.tilt}"
        assert np.allclose(found.weights, 1 / len(X)), "a law that is tilted"
        assert found.upper <= found.value * (1 + 1e-5), f"{X}: an upper bound of {found.upper}"


def test_equal_points_apart_are_known_exactly_in_any_position():
    for count in (3, 8, 20):
        turn = np.linalg.qr(np.random.default_rng(count).normal(size=(count, count)))[0]
        found = sub_gaussian_proxy(5 * turn + 7)
        exact = 25 * (1 - 2 / count) / (2 * np.log(count - 1)) / (1 - 1 / count)
        assert abs(found.value - exact) <= 1e-12 * exact + found.error, f"{count} points"
        assert exact <= found.upper <= exact * (1 + 1e-10), f"{count} points: {found.upper}"


def test_it_neither_moves_nor_turns_with_the_data_and_scales_with_their_square():
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(12, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = sub_gaussian_proxy(X)
    for other, factor in ((X @ turn.T, 1), (X + 100, 1), (1e-6 * X, 1e-12), (X[::-1], 1)):
        again = sub_gaussian_proxy(other)
        assert np.isclose(again.value, factor * found.value, rtol=1e-9), f"factor {factor}"
        assert np.isclose(again.upper, factor * found.upper, rtol=1e-9), f"factor {factor}"
    doubled = sub_gaussian_proxy(np.repeat(X, 2, axis=0))
    counted = sub_gaussian_proxy(np.concatenate([X, [[50.0, 0.0]]]), weights=[*[1.0] * 12, 0.0])
    for again in (doubled, counted):
        assert np.isclose(again.value, found.value, rtol=1e-9), "weights are not counts"
    assert counted.weights[-1] == 0, "a datum of weight 0 in the tilted law"


def test_a_plane_of_data_in_space_is_the_plane():
    X = np.random.default_rng(2).exponential(size=(15, 2))
    deep = np.concatenate([X, np.zeros((15, 3))], axis=1)
    flat, found = sub_gaussian_proxy(X), sub_gaussian_proxy(deep)
    assert np.isclose(found.value, flat.value, rtol=1e-10), "three empty axes change it"
    line = sub_gaussian_proxy(np.outer(X[:, 0], [3.0, 4.0]))
    on_it = sub_gaussian_proxy(X[:, :1])
    assert np.isclose(line.value, 25 * on_it.value, rtol=2e-6), "a line in the plane"


def test_beta_divides_the_thresholds():
    one = collapse_thresholds([[0.0], [1.0], [5.0]])
    for beta in (0.5, 4.0):
        found = collapse_thresholds([[0.0], [1.0], [5.0]], beta=beta)
        for name in ("local", "everywhere", "everywhere_upper"):
            assert np.isclose(beta * getattr(found, name), getattr(one, name), rtol=1e-14), name
    assert one.local < one.everywhere <= one.everywhere_upper, "out of order"


@pytest.mark.parametrize(
    ("X", "options", "words"),
    [
        ([1.0, 2.0], {}, "X: expected a non-empty data set of shape (N, D), got (2,)"),
        ([[1.0], [np.nan]], {}, "X: expected finite numbers, got nan"),
        ([[1.0], [1.0]], {}, "X: expected data that differ, got equal ones only"),
        ([[1.0], [2.0]], {"weights": [0.0, 1.0]}, "X: expected data that differ"),
        ([[1.0], [2.0]], {"weights": [1.0]}, "weights: expected shape (2,), got (1,)"),
        ([[1.0], [2.0]], {"weights": [-1.0, 1.0]}, "weights: expected weights of at least 0"),
        ([[1.0], [2.0]], {"rtol": 0.5}, "rtol: expected a number in [1e-09, 0.1], got 0.5"),
        ([[1e200], [0.0]], {}, "X: expected numbers of at most 1e+150 in size, got 1e+200"),
    ],
)
def test_bad_input_is_named(X, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        sub_gaussian_proxy(X, **options)


def test_a_bad_beta_is_named():
    with pytest.raises(ValueError, match=re.escape("beta: expected positive numbers, got 0.0")):
        collapse_thresholds([[0.0], [1.0]], beta=0.0)

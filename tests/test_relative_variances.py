"""Reconstructions that give BAGGINS and the profile likelihood variances of each datum."""

import numpy as np
import pytest
from autograd import grad
from mpmath import mp, mpf
from scipy import stats

from vaetheory.bounds import baggins, profile_likelihood, with_relative_variances

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 3))
FIT = X + 0.3 * RNG.normal(size=X.shape)
G = 2 * RNG.normal(size=X.shape)


def test_thirty_digits():
    with mp.workdps(30):
        x, fit, g = ([[mpf(float(v)) for v in row] for row in part] for part in (X, FIT, G))
        spread = [sum(c) / 6 for c in zip(*x, strict=True)]
        spread = [sum((r[i] - spread[i]) ** 2 for r in x) / 6 for i in range(3)]
        mean = [sum(c) / 6 for c in zip(*g, strict=True)]
        total = mpf(0)
        for i in range(3):
            away = [(x[n][i] - fit[n][i]) ** 2 * mp.exp(mean[i] - g[n][i]) for n in range(6)]
            total -= mp.log(2 * mp.pi * mp.e * (sum(away) / 6 + spread[i] * mp.exp(-3))) / 2
    value = baggins(X, with_relative_variances(X, FIT, G), information=1.5).value
    assert abs(value - float(total)) < 1e-13, f"{value} for {total}"


def test_the_profile_likelihood_is_the_mean_of_the_densities():
    term = profile_likelihood(X, with_relative_variances(X, FIT, G))
    scale = term.scale * np.exp((G - G.mean(axis=0)) / 2)
    expected = stats.norm.logpdf(X, FIT, scale).sum(axis=1).mean()
    assert abs(term.value - expected) < 1e-12, f"{term.value} for {expected}"


def test_one_for_each_datum_weights_and_what_counts_for_nothing():
    one = with_relative_variances(X, FIT, G[:, :1])
    same = with_relative_variances(X, FIT, np.tile(G[:, :1], (1, 3)))
    assert np.array_equal(one, same), "another variance of a datum"
    assert np.array_equal(with_relative_variances(X, FIT, 0 * G + 3), FIT), "a constant counts"
    counts = np.array([2, 1, 1, 1, 3, 1])
    rows = np.repeat(np.arange(6), counts)
    repeated = with_relative_variances(X[rows], FIT[rows], G[rows])
    weighted = with_relative_variances(X, FIT, G, weights=counts)
    assert np.allclose(repeated, weighted[rows], rtol=0, atol=1e-14), "a weight is no count"


def test_gradients():
    def value(g):
        return baggins(X, with_relative_variances(X, FIT, g), information=1.0).value

    slope = grad(value)(G)
    way = RNG.normal(size=G.shape)
    step = 1e-5
    numeric = (value(G + step * way) - value(G - step * way)) / (2 * step)
    assert abs((slope * way).sum() - numeric) < 1e-8, "another gradient"
    assert np.abs(slope.sum(axis=0)).max() < 1e-14, "the mean of g counts"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_variances": G[:, :2]}, r"log_variances: expected shape \(6, 3\) or \(6, 1\), got"),
        ({"log_variances": G[0]}, "log_variances: expected shape"),
        ({"log_variances": np.full_like(G, np.nan)}, "log_variances: expected finite"),
        ({"log_variances": 1e4 * G}, "log_variances: expected those with which residuals fit"),
        ({"xhat": FIT[:2]}, r"xhat: expected shape \(6, 3\)"),
        ({"x": X[0]}, "x: expected"),
        ({"weights": np.ones(5)}, "weights: expected"),
        ({"weights": -np.ones(6)}, "weights: expected"),
    ],
)
def test_bad_input(change, message):
    arguments = {"x": X, "xhat": FIT, "log_variances": G} | change
    with pytest.raises(ValueError, match=message):
        with_relative_variances(**arguments)


def test_the_arguments_are_left_alone():
    before = [a.copy() for a in (X, FIT, G)]
    with_relative_variances(X, FIT, G)
    for a, b in zip((X, FIT, G), before, strict=True):
        assert np.array_equal(a, b), "an argument was changed"


def test_what_does_not_count_may_be_anything():
    weights = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 0.0])
    g = G.copy()
    g[5] = -2000.0
    value = baggins(
        X, with_relative_variances(X, FIT, g, weights=weights), information=1.0, weights=weights
    ).value
    kept = weights > 0
    moved = with_relative_variances(X[kept], FIT[kept], G[kept], weights=weights[kept])
    other = baggins(X[kept], moved, information=1.0, weights=weights[kept]).value
    assert abs(value - other) < 1e-13, f"{value} with it, {other} without"
    g = G.copy()
    g[0, 0] = -2000.0
    exact = FIT.copy()
    exact[0, 0] = X[0, 0]
    assert np.isfinite(with_relative_variances(X, exact, g)).all(), "a residual of zero overflows"

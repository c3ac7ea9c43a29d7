"""The penalty of a constant variance, Specht's ratio, and posteriors of one covariance."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.constant_variance.ladders import exact_penalties, second_order_penalties
from vaetheory.constant_variance import (
    constant_variance_penalty,
    exact_penalty,
    log1pmx,
    log_specht_ratio,
    mode_hessians,
    specht_ratio,
)
from vaetheory.rounding import EPS

DIGITS = 60
RATIOS = np.unique(
    np.concatenate(
        [
            1 + 2.0 ** -np.arange(1, 53),
            1 - 2.0 ** -np.arange(1, 53),
            1 + np.array([1e-12, 1e-8, 1e-4]),
            10.0 ** np.linspace(-300, 300, 121),
            np.linspace(0.05, 30, 200),
        ]
    )
)


def exact_log_specht(h):
    h = mpmath.mpf(float(h))
    r = mpmath.log(h) / (h - 1)
    return r - 1 - mpmath.log(r)


def test_specht_ratio_to_a_few_units_in_the_last_place():
    ratios = RATIOS[RATIOS != 1]
    with mpmath.workdps(DIGITS):
        logs = [exact_log_specht(h) for h in ratios]
        wrong = [
            (float(abs(got - want) / want), h)
            for got, want, h in zip(log_specht_ratio(ratios).tolist(), logs, ratios, strict=True)
        ]
        plain = [
            (float(abs(got - mpmath.exp(want)) / mpmath.exp(want)), h)
            for got, want, h in zip(specht_ratio(ratios).tolist(), logs, ratios, strict=True)
        ]
    # r enters squared, by a chain of some ten operations.
    assert max(wrong)[0] <= 20 * EPS, f"log Specht: relative error {max(wrong)}"
    assert max(plain)[0] <= 10 * EPS, f"Specht: relative error {max(plain)}"


def test_specht_ratio_at_one_and_its_symmetry():
    assert specht_ratio(1.0) == 1.0, "Specht(1) is not 1"
    assert log_specht_ratio(1.0) == 0.0, "log Specht(1) is not 0"
    h = 2.0 ** np.arange(1, 60)
    np.testing.assert_allclose(
        log_specht_ratio(1 / h), log_specht_ratio(h), rtol=20 * EPS, err_msg="Specht(1/h)"
    )
    assert specht_ratio(np.ones((2, 3))).shape == (2, 3), "the shape is not kept"


def test_two_and_ten_cost_what_the_theory_says():
    half = 0.5 * log_specht_ratio([2.0, 10.0])
    assert half.round(4).tolist() == [0.0298, 0.3095], f"got {half}"


@given(st.one_of(st.floats(1e-20, 1e6), st.floats(-0.999, -1e-20)))
def test_log1pmx_has_full_relative_accuracy(x):
    with mpmath.workdps(DIGITS):
        want = mpmath.log1p(mpmath.mpf(x)) - mpmath.mpf(x)
        off = float(abs(log1pmx(x).item() - want) / abs(want))
    assert off <= 16 * EPS, f"relative error {off:.3g} at {x}"


def exact_penalty_of(A, weights):
    """Penalty and best covariance to 60 digits."""
    A = [mpmath.matrix(a.tolist()) for a in A]
    total = mpmath.fsum(mpmath.mpf(float(w)) for w in weights)
    weights = [mpmath.mpf(float(w)) / total for w in weights]
    mean = A[0] * weights[0]
    for a, w in zip(A[1:], weights[1:], strict=True):
        mean += a * w
    value = mpmath.log(mpmath.det(mean))
    value -= mpmath.fsum(
        w * mpmath.log(mpmath.det(a)) for a, w in zip(A, weights, strict=True) if w
    )
    return value / 2, mean**-1


def spectral(dim, exponents):
    """Symmetric matrices by their spectrum, entries formed once so that they are exact floats."""
    return strategies.covariances(dim, tuple(10.0**e for e in exponents)).map(
        lambda c: (c.matrix + c.matrix.T) / 2
    )


@st.composite
def hessians(draw):
    """Up to five Hessians: tame, of very different sizes, or all but equal; with weights."""
    dim, count = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(("tame", "sizes", "near", "graded")))
    size = st.sampled_from((1e-12, 1.0, 1e12) if kind == "sizes" else (1.0,))
    A = np.array([draw(size) * draw(spectral(dim, (0.0, 0.3, -0.5, 1.0))) for _ in range(count)])
    if kind == "near":
        spread = draw(st.sampled_from((1e-4, 1e-8, 1e-12)))
        A = A[:1] + spread * (A - A[:1])
    if kind == "graded":
        axes = 10.0 ** np.array(draw(st.tuples(*[st.sampled_from((-6, 0, 6))] * dim)))
        A = A * axes[:, None] * axes
    weights = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.25))] * count))
    return (A + np.swapaxes(A, -1, -2)) / 2, np.array(weights)


@given(hessians())
def test_penalty_against_sixty_digits(instance):
    A, weights = instance
    found = constant_variance_penalty(A, weights)
    with mpmath.workdps(DIGITS):
        value, cov = exact_penalty_of(A, weights)
        off = float(abs(value - mpmath.mpf(float(found.value))))
        away = cov - mpmath.matrix(found.cov.tolist())
        relative = max(
            abs(away[i, j]) / mpmath.sqrt(cov[i, i] * cov[j, j])
            for i in range(cov.rows)
            for j in range(cov.rows)
        )
    assert off <= found.error + 1e-50, f"off by {off:.3g}, error figure {float(found.error):.3g}"
    assert relative < 1e-10, f"the best covariance is off by {float(relative):.3g}"
    assert 0 <= found.value <= found.sharp_bound * (1 + 1e-9) + found.error, "above its bound"
    assert found.sharp_bound <= found.specht_bound, "the sharp bound is the looser one"


@pytest.mark.parametrize("spread", [1e-3, 1e-8, 1e-12, 1e-14])
def test_penalty_keeps_its_digits_where_the_hessians_are_nearly_equal(spread):
    base = np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.25], [0.5, 0.25, 1.0]])
    tilt = np.array([[[1.0, 2, 0], [2, -1, 0], [0, 0, 1]], [[0, 1, 1], [1, 2, 0], [1, 0, -2]]])
    A = np.concatenate([base[None], base + spread * tilt])
    found = constant_variance_penalty(A)
    with mpmath.workdps(DIGITS):
        value = exact_penalty_of(A, np.ones(3))[0]
        off = float(abs(value - mpmath.mpf(float(found.value))) / value)
    assert off < 1e-13, f"relative error {off:.3g} at spread {spread}"
    assert found.error < 1e-10 * found.value, "the error figure hides the digits that are there"
    third = float(abs(found.value / found.second_order - 1))
    assert third < 2 * spread + 1e-12, f"small variations: relative remainder {third:.3g}"


def test_equal_hessians_cost_nothing_at_all():
    A = np.broadcast_to([[2.0, 0.3], [0.3, 1.0]], (7, 2, 2))
    found = constant_variance_penalty(A)
    assert found.value == 0.0, f"got {found.value}"
    assert found.second_order == 0.0, f"got {found.second_order}"
    assert found.sharp_bound < 1e-15, f"got {found.sharp_bound}"


def test_diagonals_batches_and_weights():
    diagonals = np.array([[1.0, 2.0], [3.0, 0.5], [2.0, 2.0]])
    matrices = diagonals[..., None] * np.eye(2)
    one, other = constant_variance_penalty(diagonals), constant_variance_penalty(matrices)
    assert one.value == other.value, "diagonals are not the matrices they stand for"
    closed = 0.5 * (np.log(diagonals.mean(axis=0)) - np.log(diagonals).mean(axis=0)).sum()
    assert abs(one.value - closed) <= one.error + 8 * EPS, "the diagonal closed form"
    batch = constant_variance_penalty(np.stack([matrices, 7 * matrices]), [1.0, 2.0, 1.0])
    repeated = constant_variance_penalty(diagonals[[0, 1, 1, 2]])
    assert batch.value.shape == (2,), f"leading axes: {batch.value.shape}"
    assert batch.cov.shape == (2, 2, 2), f"leading axes: {batch.cov.shape}"
    off = np.abs(batch.value - repeated.value).max()
    assert off <= batch.error.max() + repeated.error, f"weights, or scale: off by {off:.3g}"
    without = constant_variance_penalty(diagonals, [1.0, 0.0, 1.0])
    assert abs(without.value - constant_variance_penalty(diagonals[[0, 2]]).value) < 1e-15, (
        "a datum of no weight counts"
    )


def test_two_points_attain_the_known_mean_bound():
    found = constant_variance_penalty([[1.0], [5.0]], [3.0, 1.0])
    assert abs(found.value - found.sharp_bound) < 1e-15, "the chord of a two-point law"
    assert found.sharp_bound < found.specht_bound, "Specht's law has other weights"


def test_a_congruence_changes_the_ratio_and_not_the_penalty():
    A = np.array([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 3.0]]])
    T = np.array([[1.0, 30.0], [0.0, 1.0]])
    one, other = constant_variance_penalty(A), constant_variance_penalty(T.T @ A @ T)
    assert abs(one.value - other.value) <= one.error + other.error, "not invariant"
    assert other.specht_bound > 10 * one.specht_bound, "the plain ratio is not invariant"
    assert abs(one.sharp_bound - other.sharp_bound) < 1e-9, "the sharp bound is"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: constant_variance_penalty([1.0, 2.0]), "A: expected at least 2 axes"),
        (lambda: constant_variance_penalty([[1.0], [-2.0]]), "A .diagonals.: expected positive"),
        (lambda: constant_variance_penalty(np.ones((2, 2, 3))), "A: expected square matrices"),
        (lambda: constant_variance_penalty(np.ones((2, 2, 2))), "A: expected positive-definite"),
        (lambda: constant_variance_penalty([[[1.0, 1.0], [0.0, 1.0]]]), "A: expected symmetric"),
        (lambda: constant_variance_penalty([[np.nan]]), "A: expected finite"),
        (lambda: constant_variance_penalty(np.ones((0, 2))), "A .diagonals.: expected positive"),
        (lambda: constant_variance_penalty([[1.0]], [1.0, 1.0]), r"weights: expected shape \(1,\)"),
        (lambda: constant_variance_penalty([[1.0], [1]], [1.0, -1.0]), "weights: expected weights"),
        (lambda: constant_variance_penalty([[1.0], [1]], [0.0, 0.0]), "weights: expected weights"),
        (lambda: specht_ratio(0.0), "h: expected positive"),
        (lambda: specht_ratio([2.0, -1.0]), "h: expected positive"),
        (lambda: log_specht_ratio(np.inf), "h: expected finite"),
        (lambda: exact_penalty("model", [[0.0]]), "model: expected a LatentModel"),
        (lambda: exact_penalty(PARABOLA, [0.0, 1.0]), "X: expected a non-empty data set"),
        (lambda: mode_hessians(PARABOLA, np.zeros((2, 2)), np.zeros((3, 1))), "X and modes"),
        (lambda: mode_hessians(PARABOLA, [9.0, 9.0], [0.0]), "A at the modes: expected positive"),
    ],
)
def test_bad_input_is_a_value_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Posteriors of one covariance --------------------------------------------------------------------

PARABOLA = LatentModel(
    decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]]), likelihoods.Gaussian(scale=0.3), 1
)
SADDLE = LatentModel(
    decoders.Polynomial([[1, 0], [0, 1], [1, 1]], [[1, 0, 0], [0, 1.5, 0], [0, 0, 1]]),
    likelihoods.Gaussian(scale=0.4),
    2,
)
CASES = {
    "curve": (PARABOLA, PARABOLA.decode(np.array([[-1.0], [0.25], [1.5]]))),
    "surface": (SADDLE, SADDLE.decode(np.array([[-1.0, 0.5], [1.0, 1.0], [0.5, -1.5]]))),
    "far from it": (SADDLE, np.array([[3.0, 0.0, -2.0], [0.0, 0.0, 1.0]])),
}


@pytest.mark.parametrize("name", CASES)
def test_a_shared_covariance_is_stationary_for_the_mean_elbo(name):
    model, X = CASES[name]
    q = stationary_posterior(model, X, structure="shared")
    assert (q.status == "reached").all(), f"ended with {q.status}"
    assert (q.cov == q.cov[0]).all(), "the covariances differ"
    best = float(q.value.mean())
    count, d = q.loc.shape
    root = np.linalg.cholesky(q.cov[0])
    rng = np.random.default_rng(0)
    for step in (0.05, 0.2):
        for _ in range(4):
            tilt = np.eye(d) + step * rng.normal(size=(d, d))
            shift = step * rng.normal(size=(count, d)) @ root.T
            cov = root @ tilt @ tilt.T @ root.T
            other = elbo(model, X, Posterior(q.loc + shift, cov=cov))
            lower = float(other.value.mean())
            assert lower < best + float(other.error.mean()), f"a neighbour gains {lower - best:.3g}"


@pytest.mark.parametrize("name", CASES)
def test_sets_do_not_meet_and_one_datum_shares_with_nobody(name):
    model, X = CASES[name]
    together = stationary_posterior(model, np.stack([X, X[::-1]]), structure="shared")
    alone = stationary_posterior(model, X, structure="shared")
    np.testing.assert_allclose(together.cov[1], alone.cov, rtol=1e-6, err_msg="another set's data")
    off = np.abs(together.value.mean(axis=-1) - alone.value.mean()).max()
    assert off <= 2 * float(alone.error.mean()), f"the mean ELBO is off by {off:.3g}"
    single = stationary_posterior(model, X[0], structure="shared")
    free = stationary_posterior(model, X[0])
    assert single.value == free.value, "one datum alone: the free posterior"


@pytest.mark.parametrize("name", CASES)
def test_the_exact_penalty_is_not_negative_and_near_the_second_order_one(name):
    model, X = CASES[name]
    found = exact_penalty(model, X)
    assert found.value >= -found.error, f"a constant variance gains {-found.value:.3g}"
    assert found.error < 1e-10, f"an error figure of {found.error:.3g}"
    again = exact_penalty(model, X, start=found.shared)
    assert abs(again.value - found.value) <= again.error + found.error, "another start"


@pytest.mark.parametrize(
    ("decoder", "latents"),
    [
        (decoders.Circle(1.0), [[0.0], [1.0], [1.5]]),
        (decoders.Helix(1.0, 1.0), [[0.0], [1.0], [1.5]]),
        (decoders.Cylinder(1.0), [[0.0, 1.0], [1.0, 0.5]]),
        (decoders.FlatTorus(1.0, 2.0), [[0.0, 1.0], [1.0, 2.0]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_at_constant_metric_and_curvature_the_exact_penalty_is_the_second_order_one(
    decoder, latents
):
    # Both are of order sigma^8 with the same coefficient; where the curvature varies see 5e.
    scales, Z = 0.35 / 2.0 ** np.arange(3), np.array(latents)
    exact, errors = exact_penalties(decoder, Z, scales)
    second, more = second_order_penalties(decoder, Z, scales)
    ratio, left, noise = extrapolate(exact / second, (errors + more) / second)
    assert abs(ratio - 1) <= left + noise < 0.2, f"a ratio of {ratio} +- {left + noise}"

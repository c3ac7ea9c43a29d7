"""Estimators of Hessians and Jacobian norms, and the identities of claim 4 in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import decoders, likelihoods
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance, EncodedData
from vaetheory.claims.hessian_estimator.averaged_residual import (
    NoisyPoint,
    averaged_curvature,
    metric,
)
from vaetheory.claims.hessian_estimator.covariance_derivative import derivative_in_covariance
from vaetheory.claims.hessian_estimator.estimators import ESTIMATORS as NAMED
from vaetheory.claims.hessian_estimator.hutchinson import DecoderPoint, bias_terms, expected_excess
from vaetheory.claims.hessian_estimator.sampled import Sampled, exact_moments
from vaetheory.claims.hessian_estimator.scenes import KINDS, WrittenDecoder, written_decoders
from vaetheory.claims.hessian_estimator.smooth_functions import SmoothFunction
from vaetheory.claims.hessian_estimator.variances import SCALES
from vaetheory.hessian_estimators import jacobian_norm, price_hessian, stein_hessian
from vaetheory.rounding import gamma

ENTRIES = st.integers(-4, 4).map(lambda k: k / 2)


@st.composite
def quadratics(draw):
    """A quadratic c + b.z + z^T A z / 2, a mean, and a lower triangular L."""
    d = draw(st.integers(1, 3))

    def array(*shape):
        size = int(np.prod(shape))
        return np.array(draw(st.lists(ENTRIES, min_size=size, max_size=size))).reshape(shape)

    half, b, m = array(d, d), array(d), array(d)
    root = np.tril(array(d, d), -1) + np.diag([draw(st.sampled_from((1.0, 0.5, 2.0))) for _ in b])
    return float(draw(ENTRIES)), b, half + half.T, m, root


def mean_and_variance(estimate, dim, order=8):
    """Expectation and variance of one draw, exact for polynomials, by a Gauss-Hermite rule."""
    nodes, weights = hermite_rule(order, dim)
    draws = estimate(nodes)
    mean = np.einsum("m,mij->ij", weights, draws)
    return mean, np.einsum("m,mij->ij", weights, (draws - mean) ** 2)


@given(quadratics(), ENTRIES)
def test_one_draw_is_unbiased_for_quadratics(instance, baseline):
    c, b, a, m, root = instance
    d = len(b)

    def by_values(eps):
        z = m + eps @ root.T
        g = c + z @ b + 0.5 * np.einsum("mi,ij,mj->m", z, a, z)
        return stein_hessian(
            g[:, None], eps[:, None], root, baseline=np.full(len(g), baseline)
        ).value

    def by_gradients(eps):
        z = m + eps @ root.T
        return price_hessian((b + z @ a)[:, None], eps[:, None], root).value

    inverse = np.linalg.norm(np.linalg.inv(root), 2) ** 2
    size = (1 + np.abs(a).max() + abs(c) + np.abs(b).max()) * (1 + np.linalg.norm(root) ** 2)
    allowed = gamma(4000) * size * (1 + inverse) * (1 + np.linalg.norm(m) ** 2)
    for name, estimate in (("values", by_values), ("gradients", by_gradients)):
        mean, _ = mean_and_variance(estimate, d)
        off = np.abs(mean - a).max()
        assert off <= allowed, f"{name}: the mean of one draw is off by {off:.3g}"


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("s", [1e-3, 0.5, 20.0])
def test_variance_of_a_constant_and_of_a_plane(dim, s):
    # The leading terms of claim 4b-variances are all there is, whatever s.
    root, a = s * np.eye(dim), np.arange(1.0, dim + 1)

    def constant(eps):
        return stein_hessian(np.full((len(eps), 1), 3.0), eps[:, None], root).value

    def plane(eps):
        return stein_hessian((s * eps @ a)[:, None], eps[:, None], root).value

    def slopes(eps):
        return price_hessian(np.broadcast_to(a, (len(eps), 1, dim)), eps[:, None], root).value

    wanted = (
        (constant, (dim**2 + dim) * 9 / s**4),
        (plane, ((dim + 2) ** 2 + dim) * (a @ a) / s**2),
        (slopes, (dim + 1) / 2 * (a @ a) / s**2),
    )
    for estimate, exact in wanted:
        _, variance = mean_and_variance(estimate, dim)
        found = variance.sum()
        assert abs(found / exact - 1) < gamma(5000), f"{estimate.__name__}: {found}, not {exact}"


def test_a_baseline_can_cost_variance_where_the_posterior_is_broad():
    # g = z^2 - 1 under N(0, 1): 56 without a baseline, 74 with the baseline g(0) = -1.
    variances = []
    for baseline in (0.0, -1.0):

        def estimate(eps, baseline=baseline):
            values = eps**2 - 1
            return stein_hessian(
                values, eps[:, None], [[1.0]], baseline=np.full(len(eps), baseline)
            ).value

        variances.append(mean_and_variance(estimate, 1)[1][0, 0])
    assert np.allclose(variances, [56, 74], rtol=1e-12), f"variances {variances}"


def sample(n=5000, dim=2, batch=(), seed=0):
    return np.random.default_rng(seed).standard_normal((*batch, n, dim))


ROOT = np.array([[0.5, 0.0], [0.3, 2.0]])


def test_the_mean_of_many_draws_is_the_mean_of_single_ones():
    noise = sample(200)
    values, gradients = np.sin(noise.sum(axis=-1)), np.cos(noise)
    for name, many, single in (
        (
            "values",
            stein_hessian(values, noise, ROOT),
            stein_hessian(values[:, None], noise[:, None], ROOT),
        ),
        (
            "gradients",
            price_hessian(gradients, noise, ROOT),
            price_hessian(gradients[:, None], noise[:, None], ROOT),
        ),
    ):
        assert np.allclose(many.value, single.value.mean(axis=0), rtol=0, atol=1e-12), name
        spread = single.value.std(axis=0, ddof=1) / np.sqrt(200)
        assert np.allclose(many.error, spread, rtol=1e-10), f"{name}: standard error"
        assert np.isinf(single.error).all(), f"{name}: one draw tells its own error"
        assert many.draws == 200, f"{name}: {many.draws} draws"
        assert np.array_equal(many.value, many.value.T), f"{name}: not symmetric"


def test_leading_axes_are_independent_estimates():
    noise = sample(50, batch=(3, 4))
    values, level = noise[..., 0] ** 2, np.arange(12.0).reshape(3, 4)
    batch = stein_hessian(values, noise, ROOT, baseline=level)
    norms = jacobian_norm(noise, level[..., None] * np.ones(2), 0.5)
    assert batch.value.shape == (3, 4, 2, 2), f"shape {batch.value.shape}"
    for i, j in np.ndindex(3, 4):
        alone = stein_hessian(values[i, j], noise[i, j], ROOT, baseline=level[i, j])
        assert np.allclose(batch.value[i, j], alone.value, rtol=1e-12), "mixed up estimates"
        norm = jacobian_norm(noise[i, j], np.full(2, level[i, j]), 0.5)
        assert np.isclose(norms.value[i, j], norm.value, rtol=1e-12), "mixed up norms"


@pytest.mark.parametrize("small", [1.0, 1e-4, 1e-8])
def test_a_nearly_singular_covariance_in_mpmath(small):
    root = np.array([[1.0, 0.0], [1.0, small]])
    noise, value, slope = np.array([[0.75, -1.5]]), np.array([2.5]), np.array([[0.5, -2.0]])
    by_values = stein_hessian(value, noise, root).value
    by_slopes = price_hessian(slope, noise, root).value
    with mp.workdps(50):
        inverse = mp.inverse(mp.matrix([[mpf(float(v)) for v in row] for row in root]))
        eps = mp.matrix(noise[0].tolist())
        score, grad = inverse.T * eps, mp.matrix(slope[0].tolist())
        stein = (score * score.T - inverse.T * inverse) * mpf(2.5)
        price = (score * grad.T + grad * score.T) / 2
    for found, wanted in ((by_values, stein), (by_slopes, price)):
        exact = np.array(wanted.tolist(), dtype=float)
        off = np.abs(found - exact).max() / np.abs(exact).max()
        assert off < gamma(60), f"relative error {off:.3g}"


@given(st.sampled_from((1e-150, 1e-6, 1.0, 1e6)), st.integers(0, 99))
def test_the_norm_of_a_linear_map_has_no_bias_whatever_the_scale(s, seed):
    noise, weight = sample(40, seed=seed), np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 0.0]])
    found = jacobian_norm(s * noise @ weight.T, np.zeros(3), s)
    wanted = ((noise @ weight.T) ** 2).sum(axis=-1).mean()
    assert np.isclose(found.value, wanted, rtol=1e-12), f"{found.value}, not {wanted}"


@pytest.mark.parametrize("s", [0.5, 0.05])
@pytest.mark.parametrize("m", [0.0, 1.0])
def test_hutchinson_of_a_sine_in_closed_form(s, m):
    # E sin = sin(w m) exp(-w^2 s^2 / 2), E sin^2 = (1 - cos(2 w m) exp(-2 w^2 s^2)) / 2.
    w = 1.5
    point = DecoderPoint(WrittenDecoder("sine", (1.0, 0.5), ((w,), (0.0,)), (0.0, 0.0)), (m,))
    values, errors = expected_excess(point, np.array([s]))
    with mp.workdps(40):
        wm, q = mpf(w) * mpf(m), (mpf(w) * mpf(s)) ** 2
        square = (1 - mp.cos(2 * wm) * mp.exp(-2 * q)) / 2
        moved = square - 2 * mp.sin(wm) ** 2 * mp.exp(-q / 2) + mp.sin(wm) ** 2
        exact = float(moved / mpf(s) ** 2 - (mpf(w) * mp.cos(wm)) ** 2)
    assert abs(values[0] - exact) <= errors[0] + 1e-15, f"{values[0]} +- {errors[0]}, not {exact}"


@given(st.integers(1, 2).flatmap(written_decoders), st.tuples(ENTRIES, ENTRIES))
def test_the_formula_is_the_decoder(decoder, point):
    z = np.array(point[: decoder.latent_dim])
    found, wanted = decoder.formula(z), decoder.decoder(z)
    size = 1 + np.abs(decoder.amplitude).max() * (1 + np.abs(decoder.weight).max() * 4) ** 3
    assert np.allclose(found, wanted, rtol=0, atol=gamma(100) * size), f"{found} and {wanted}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_laplacian_in_mpmath(kind):
    bias = (0.0, 0.0) if kind == "polynomial" else (0.5, -0.25)
    decoder = WrittenDecoder(kind, (1.5, -0.5), ((1.0, 0.5), (-0.5, 1.5)), bias)
    point = (0.75, -0.5)
    phi = {"tanh": mp.tanh, "sine": mp.sin, "polynomial": lambda t: t**2 / 2 + t**3 / 4}[kind]
    found = decoder.laplacian_gradient(np.array(point))
    with mp.workdps(40):
        for a, (amplitude, w, b) in enumerate(
            zip(decoder.amplitude, decoder.weight, bias, strict=True)
        ):
            t = mp.fsum(mpf(u) * mpf(v) for u, v in zip(w, point, strict=True)) + mpf(b)
            third = mp.diff(phi, t, 3) * mpf(amplitude) * mp.fsum(mpf(u) ** 2 for u in w)
            wanted = [float(third * mpf(u)) for u in w]
            assert np.allclose(found[a], wanted, rtol=1e-12), f"output {a}: {found[a]}, {wanted}"


def test_the_three_terms_of_a_cubic_by_hand():
    # f = t^2/2 + t^3/4 at t = 2: f' = 5, f'' = 4, f''' = 3/2.
    point = DecoderPoint(
        WrittenDecoder("polynomial", (1.0, 1.0), ((1.0,), (0.0,)), (0.0, 0.0)), (2.0,)
    )
    assert np.allclose(bias_terms(point), [8.0, 4.0, 7.5]), f"{bias_terms(point)}"


def product_scene():
    """g = z_1 z_2 at (1, 2) under a full covariance."""
    scene = ModelScene(
        decoders.Polynomial([[1, 1]], [[1.0]]),
        likelihoods.Gaussian(scale=1.0),
        (0.0,),
        (1.0, 2.0),
        Covariance((1.5, 0.5), (45,)),
    )
    return SmoothFunction(scene, 0)


def test_the_convention_of_the_derivative_in_a_symmetric_matrix():
    # E[z_1 z_2] = m_1 m_2 + S_12: moving S_12 and S_21 together by h moves it by h, and
    # 1/2 tr(Hess B) = 1 for B = e_1 e_2^T + e_2 e_1^T.
    certificate = derivative_in_covariance(product_scene())
    assert certificate.residual <= certificate.bound, "the convention is another one"
    once = derivative_in_covariance(product_scene(), pairs_once=True)
    assert abs(once.residual - 0.5) < 1e-9, f"counted once it should be off by 1/2: {once.residual}"


def test_exact_moments_of_a_square_by_hand():
    # Price's draw of g = t^2 / 2 at m = 0, S = 1/4, is eps^2: mean 1, variance 2, third moment 8.
    scene = ModelScene(
        decoders.Polynomial([[2]], [[0.5]]),
        likelihoods.Gaussian(scale=1.0),
        (0.0,),
        (0.0,),
        Covariance((0.25,), ()),
    )
    found = exact_moments(Sampled(SmoothFunction(scene, 0), 0), NAMED["gradients"], np.array([1.0]))
    assert np.allclose(found.variance, 2.0, rtol=1e-12), f"variance {found.variance}"
    wanted = [2.0, 8.0, 60.0, 544.0]
    assert np.allclose(found.draw[0, :4], wanted, rtol=1e-10), f"moments {found.draw[0, :4]}"
    # Var[(eps^2 - 1)^2] = 60 - 4.
    assert np.allclose(found.square[0, 0], 56.0, rtol=1e-10), f"of the square {found.square[0, 0]}"
    assert len(SCALES) >= 4, "too few scales to extrapolate"


def two_data(z, scale=0.5):
    """Data +-1 encoded at +-1 with variance 1: f*(z) = tanh z."""
    scene = EncodedData(((-1.0,), (1.0,)), ((-1.0,), (1.0,)), (Covariance((1.0,), ()),))
    return NoisyPoint(scene, Covariance((scale**2,), ()), (z,))


@given(st.integers(-12, 12).map(lambda k: k / 4))
def test_two_data_keep_the_metric_alone(z):
    slope = 1 / np.cosh(z) ** 2
    found = averaged_curvature(two_data(z), np.zeros(1))[0, 0]
    assert np.isclose(found, slope**2 / 0.25, rtol=1e-9, atol=1e-13), (
        f"{found}, not sech^4 z / Lambda"
    )
    assert np.isclose(metric(two_data(z))[0, 0], slope**2 / 0.25, rtol=1e-9), "the metric is off"


@given(st.integers(-8, 8).map(lambda k: k / 4), st.integers(1, 4).map(lambda k: k / 4))
def test_two_data_off_the_optimum_keep_the_residual(z, h):
    # Hess tanh = -2 tanh sech^2, times h / Lambda.
    left = averaged_curvature(two_data(z), np.array([h]))[0, 0] - metric(two_data(z))[0, 0]
    wanted = -2 * np.tanh(z) / np.cosh(z) ** 2 * h / 0.25
    assert np.isclose(left, wanted, rtol=1e-9, atol=1e-12), f"{left}, not {wanted}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: stein_hessian([1.0], [[1.0]], [[-1.0]]),
            "scale_tril: expected a lower",
        ),
        (
            lambda: stein_hessian([1.0], [[1.0, 2.0]], [[1.0, 1.0], [0.0, 1.0]]),
            r"scale_tril: .*up to 1 above",
        ),
        (lambda: stein_hessian([1.0], [[1.0]], [1.0]), r"scale_tril: expected shape \(1, 1\)"),
        (lambda: stein_hessian([1.0, 2.0], [[1.0]], [[1.0]]), r"values: expected shape \(1,\)"),
        (lambda: stein_hessian([np.nan], [[1.0]], [[1.0]]), "values: expected finite numbers"),
        (lambda: stein_hessian([1.0], [1.0], [[1.0]]), "noise: expected at least 2 axes"),
        (lambda: stein_hessian([], np.zeros((0, 1)), [[1.0]]), "noise: expected at least one draw"),
        (
            lambda: stein_hessian([1.0], [[1.0]], [[1.0]], baseline=[1.0]),
            r"baseline: expected a number or shape \(\)",
        ),
        (lambda: price_hessian([1.0], [[1.0]], [[1.0]]), "gradients: expected at least 2 axes"),
        (
            lambda: price_hessian([[1.0, 2.0]], [[1.0]], [[1.0]]),
            r"gradients: expected shape \(1, 1\) to go with noise, got \(1, 2\)",
        ),
        (lambda: jacobian_norm([[1.0]], [1.0], 0.0), "scale: expected positive numbers"),
        (lambda: jacobian_norm([[1.0]], [1.0, 2.0], 1.0), "values and centre: expected shapes"),
        (lambda: jacobian_norm(np.zeros((0, 1)), [1.0], 1.0), "at least one draw"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Scores, informations, denoisers and natural gradients: other routes, far data, bad input."""

from fractions import Fraction

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from autograd.extend import defjvp, defvjp, primitive
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, stationary_posterior
from vaetheory.certify._checker import Checker
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.likelihoods import NoMetricError
from vaetheory.scores import (
    ParametricModel,
    data_curvature,
    data_score,
    denoise,
    elbo_score,
    em_rates,
    evidence_information,
    evidence_score,
    linear_estimation_error,
    natural_gradient_step,
    ppca_em_rates,
    robbins,
    van_trees_bound,
)

CIRCLE = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.5))


def line(theta, z):
    """Theta_1 z + theta_2."""
    return theta[..., :1] * z + theta[..., 1:]


def bowl(theta, z):
    """A curve that bends in its parameters."""
    return anp.concatenate([anp.sin(theta[..., :1] * z), theta[..., 1:] * z**2], axis=-1)


@primitive
def hidden(theta):
    """The square, of which autograd is told another derivative."""
    return theta**2


defvjp(hidden, lambda ans, t: lambda g: g)
defjvp(hidden, lambda g, ans, t: g)


def constant_in_theta(theta, z):
    """A function with a wrong derivative in its parameters."""
    return hidden(theta[..., :1]) * z


def within(found, told, error, what):
    """Demand that values are as near to those of another route as their errors say."""
    off = np.abs(np.asarray(found) - told)
    assert (off <= error).all(), f"{what}: off by {off.max():.2e}, said {np.max(error):.2e}"


# Parameters --------------------------------------------------------------------------------------


def log_student(theta, x, nu, scale):
    """Log p(x; theta) of sin(theta_1 z), theta_2 z^2 under a Student t, to 20 digits."""
    a, b = (mpmath.mpf(t) for t in theta)
    peak = (mpmath.gamma((nu + 1) / 2) / mpmath.gamma(nu / 2)) ** 2 / (nu * mpmath.pi * scale**2)

    def density(z):
        first, second = (x[0] - mpmath.sin(a * z)) / scale, (x[1] - b * z**2) / scale
        heavy = ((1 + first**2 / nu) * (1 + second**2 / nu)) ** (-(nu + 1) / 2)
        return peak * mpmath.npdf(z) * heavy

    return mpmath.log(mpmath.quad(density, [-9, -2.5, 0, 2.5, 9]))


def test_a_family_that_no_proposition_draws():
    # Student's t is no exponential family, and its log density is not concave.
    theta, x = (0.8, 0.6), (0.3, 1.1)
    with mpmath.workdps(20):
        nu, scale, h = mpmath.mpf(3), mpmath.mpf("0.5"), mpmath.mpf("1e-4")
        steps = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)]
        logs = [log_student((theta[0] + p * h, theta[1] + q * h), x, nu, scale) for p, q in steps]
        pairs = [(logs[2 * k + 1], logs[2 * k + 2]) for k in range(3)]
        slope = [float((up - down) / (2 * h)) for up, down in pairs]
        bend = [float((up + down - 2 * logs[0]) / h**2) for up, down in pairs]
    cross = (bend[2] - bend[0] - bend[1]) / 2
    family = ParametricModel(bowl, likelihoods.StudentT(3.0, 0.5), theta, 1)
    found = evidence_information(family, x)
    # Differences of second order: their remainder is of the order of h^2.
    within(found.score, slope[:2], found.score_error + 1e-6, "score")
    told = -np.array([[bend[0], cross], [cross, bend[1]]])
    within(found.observed, told, found.error + 1e-6, "information")
    assert found.reached.all(), f"{found.status}"
    assert found.error.max() < 1e-8, f"errors of {found.error}"


@pytest.mark.parametrize(("far", "scale"), [(1.0, 1.0), (1e3, 1.0), (1.0, 1e-3), (1e4, 1e-2)])
def test_scores_of_a_line_far_out_and_with_little_noise(far, scale):
    # The evidence is N(theta_2, theta_1^2 + s^2) in closed form.
    theta, x = np.array([1.5, 0.25]), np.array([[0.7 * far], [-far], [0.3]])
    family = ParametricModel(line, likelihoods.Gaussian(scale=scale), theta, 1)
    total, away = theta[0] ** 2 + scale**2, x[:, 0] - theta[1]
    first = theta[0] * (away**2 / total - 1) / total
    told = np.stack([first, away / total], axis=-1)
    found = evidence_score(family, x)
    within(found.value, told, found.error + 1e-15 * np.abs(told), "score")
    assert (found.error < 1e-7 * (1 + np.abs(told))).all(), f"errors of {found.error}"
    # Minus the second derivatives of the log density in theta.
    a = theta[0]
    n11 = -(away**2 / total - 1) / total + a**2 * (4 * away**2 / total - 2) / total**2
    n12, n22 = 2 * a * away / total**2, np.full(3, 1 / total)
    info = evidence_information(family, x)
    told = np.stack([np.stack([n11, n12], -1), np.stack([n12, n22], -1)], -1)
    within(info.observed, told, info.error + 1e-14 * np.abs(told), "information")
    size = np.abs(info.complete).max(axis=(1, 2), keepdims=True)
    assert (info.error < 1e-6 * size).all(), f"errors of {info.error.max()} for {size.max()}"


def test_the_elbo_has_the_slope_of_its_differences():
    family = ParametricModel(bowl, likelihoods.Gaussian(scale=0.5), [0.8, 0.6], 1)
    X, q = [[0.3, 1.1], [-0.5, 2.0]], Posterior([[0.4], [-1.0]], scale=[[0.5], [0.3]])
    found, h = elbo_score(family, X, q), 1e-3
    for k in range(2):
        step = h * np.eye(2)[k]
        ups = [elbo(family.at(family.theta + c * step).model, X, q).value for c in (1, -1, 2, -2)]
        slope = (8 * (ups[0] - ups[1]) - (ups[2] - ups[3])) / (12 * h)
        within(found.value[:, k], slope, found.error[:, k] + 1e-9, f"parameter {k}")
    exact = stationary_posterior(
        ParametricModel(line, likelihoods.Gaussian(scale=0.5), [1.0, 0.0], 1).model, [[1.0]]
    )
    of_line = ParametricModel(line, likelihoods.Gaussian(scale=0.5), [1.0, 0.0], 1)
    own, lower = evidence_score(of_line, [[1.0]]), elbo_score(of_line, [[1.0]], exact)
    within(own.value, lower.value, own.error + lower.error + 1e-12, "with the exact posterior")


def test_leading_axes_and_data_of_a_batch_by_themselves():
    rng = np.random.default_rng(5)
    family = ParametricModel(bowl, likelihoods.Gaussian(scale=0.5), [0.8, 0.6], 1)
    X = rng.normal(size=(3, 4, 2))
    score, info = evidence_score(family, X), evidence_information(family, X)
    q = Posterior(rng.normal(size=(3, 4, 1)), scale=0.4)
    lower = elbo_score(family, X, q)
    assert score.value.shape == lower.value.shape == (3, 4, 2), f"{score.value.shape}"
    assert info.observed.shape == info.error.shape == (3, 4, 2, 2), f"{info.observed.shape}"
    for at in ((0, 0), (2, 3)):
        alone = evidence_score(family, X[at])
        within(score.value[at], alone.value, score.error[at] + alone.error, f"datum {at}")
        one = evidence_information(family, X[at])
        within(info.observed[at], one.observed, info.error[at] + one.error, f"datum {at}")


@pytest.mark.parametrize(
    ("function", "theta", "dim", "message"),
    [
        (line, [[1.0, 0.0]], 1, "theta: expected 1 axes"),
        (line, [np.nan, 0.0], 1, "theta: expected finite numbers"),
        (line, [], 1, "theta: expected at least one parameter"),
        (3, [1.0], 1, "function: expected a callable"),
        (lambda t, z: np.array(t.tolist()) * z, [1.0], 1, "function: expected one written"),
        (constant_in_theta, [1.0], 1, "function of theta: expected `jacobian`"),
        (lambda t, z: anp.sum(t) * z, [1.0, 2.0], 1, "expected to work row by row"),
        (lambda t, z: t[0] * z, [1.0, 2.0], 1, "function of theta: expected `jacobian`"),
        (line, [1.0, 0.0], 0, "latent_dim: expected"),
    ],
)  # fmt: skip
def test_families_that_are_refused(function, theta, dim, message):
    with pytest.raises(ValueError, match=message):
        ParametricModel(function, likelihoods.Gaussian(scale=1.0), theta, dim)


def test_what_the_functions_of_families_refuse():
    family = ParametricModel(line, likelihoods.Gaussian(scale=1.0), [1.0, 0.0], 1)
    for function in (evidence_score, evidence_information, em_rates):
        with pytest.raises(ValueError, match="model: expected a ParametricModel, got LatentModel"):
            function(CIRCLE, [[1.0, 0.0]])
        with pytest.raises(ValueError, match=r"X: expected shape \(\.\.\., 1\)"):
            function(family, [[1.0, 0.0]])
        with pytest.raises(ValueError, match="rtol: expected"):
            function(family, [[1.0]], rtol=0.5)
    with pytest.raises(ValueError, match=r"theta: expected shape \(2,\)"):
        family.at([1.0])
    with pytest.raises(ValueError, match="posterior: expected a Posterior"):
        elbo_score(family, [[1.0]], 3)
    wide = ParametricModel(
        lambda t, z: t * anp.sum(anp.tanh(z), axis=-1, keepdims=True),
        likelihoods.Gaussian(scale=1.0),
        [1.0],
        5,
    )
    with pytest.raises(ValueError, match=r"latent_dim: expected at most 4 .* unless .* linear"):
        evidence_score(wide, [[1.0]])


def test_many_latents_whose_outputs_are_affine_only_at_this_theta():
    # The derivative in theta_2 is a power of z, which no rule of degree five integrates.
    def curved(power):
        def function(theta, z):
            total = anp.sum(z, axis=-1, keepdims=True)
            return theta[..., :1] * total + theta[..., 1:] * (total / 3) ** power

        return ParametricModel(function, likelihoods.Gaussian(scale=1.0), [1.0, 0.0], 6)

    # The sum of six latents is one latent of deviation sqrt 6: E (y - s) (s / 3)^p given y.
    y, s = 2.0, np.linspace(-30, 30, 20001)
    weights = np.exp(-0.5 * (s**2 / 6 + (y - s) ** 2))
    weights /= weights.sum()
    for power, exact in ((1, True), (3, True), (9, False)):
        found = evidence_score(curved(power), [y])
        told = weights @ ((y - s) * (s / 3) ** power)
        within(found.value[1], told, found.error[1] + 1e-12, f"power {power}")
        assert found.reached[1] == exact, f"power {power}: {found.status}, {found.error}"


# EM ----------------------------------------------------------------------------------------------


def test_two_columns_stand_still_along_a_rotation():
    # The maximum of probabilistic PCA with two columns: its rates from Louis' identity by the
    # engine, and in closed form; the greatest is 1, though the evidence converges.
    lam, noise = np.array([4.0, 2.25]), 1.0
    X = np.sqrt(2 * lam) * np.concatenate([np.eye(2), -np.eye(2)])
    W = np.diag(np.sqrt(lam - noise))

    def times(theta, z):
        a, b = z[..., :1], z[..., 1:]
        return anp.concatenate(
            [theta[..., :1] * a + theta[..., 1:2] * b, theta[..., 2:3] * a + theta[..., 3:] * b], -1
        )

    family = ParametricModel(times, likelihoods.Gaussian(scale=1.0), W.ravel(), 2)
    found = em_rates(family, X, rtol=1e-8)
    told = ppca_em_rates(lam, 2, variance=noise)
    within(found.value, told, found.error, "rates")
    within(found.score, 0.0, found.score_error + 1e-12, "the score at the maximum")
    assert abs(found.value[0] - 1) < 1e-6, f"a rotation has the rate {found.value[0]}"
    assert found.value[1] < 0.9, f"the others: {found.value[1:]}"
    assert found.error < 1e-6, f"an error of {found.error}"


def test_em_for_a_line_converges_at_the_closed_rate():
    lam, noise = 3.0, 0.5
    w, distances = 1.0, []
    for _ in range(60):
        distances.append(abs(w - np.sqrt(lam - noise)))
        shrink = w / (w**2 + noise)
        w = shrink * lam / (noise / (w**2 + noise) + shrink**2 * lam)
    measured = (distances[55] / distances[45]) ** 0.1
    (rate,) = ppca_em_rates([lam], 1, variance=noise)
    assert abs(measured - rate) < 1e-6, f"measured {measured}, told {rate}"
    assert abs(rate - (1 - 2 * noise * (lam - noise) / lam**2)) < 1e-15, f"{rate}"


def test_a_parameter_that_the_data_say_nothing_of():
    idle = ParametricModel(
        lambda t, z: t[..., :1] * z + 0 * t[..., 1:], likelihoods.Gaussian(scale=1.0), [1.0, 2.0], 1
    )
    with pytest.raises(ValueError, match="expected a positive-definite complete information"):
        em_rates(idle, [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("values", "dim", "variance", "message"),
    [
        ([-1.0, 2.0], 1, 0.5, "eigenvalues: expected numbers of at least 0"),
        ([[1.0]], 1, 0.5, "eigenvalues: expected 1 axes"),
        ([1.0], 2, 0.5, "latent_dim: expected at most D = 1"),
        ([1.0], 0, 0.5, "latent_dim: expected an integer"),
        ([2.0, 1.0], 2, 1.0, "variance: expected less than the eigenvalue 1"),
        ([2.0, 1.0], 2, -1.0, "variance: expected positive"),
    ],
)
def test_rates_that_are_refused(values, dim, variance, message):
    with pytest.raises(ValueError, match=message):
        ppca_em_rates(values, dim, variance=variance)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(2, 40), min_size=2, max_size=6),
    st.integers(1, 6),
    st.sampled_from((0.25, 3.0, 1e6)),
    st.fractions(Fraction(1, 50), Fraction(9, 10)),
)
def test_rates_do_not_depend_on_units_and_lie_between_zero_and_one(values, dim, unit, share):
    lam = np.array(values) / 4
    dim = min(dim, len(lam))
    noise = float(share) * np.sort(lam)[-dim]
    rates = ppca_em_rates(lam, dim, variance=noise)
    other = ppca_em_rates(unit * lam[::-1], dim, variance=unit * noise)
    assert np.allclose(rates, other, rtol=1e-12), f"{rates} became {other} in other units"
    assert (rates >= 0).all(), f"{rates}"
    assert (rates <= 1).all(), f"{rates}"
    assert len(rates) == len(lam) * dim, f"{len(rates)} rates of {len(lam)} x {dim} parameters"


# Data --------------------------------------------------------------------------------------------


def test_the_curvature_of_a_surface_is_that_of_its_evidence():
    noise = np.array([[0.5, 0.1, 0.0], [0.1, 0.4, -0.1], [0.0, -0.1, 0.6]])
    model = LatentModel(decoders.SpherePatch(1.5), likelihoods.Gaussian(cov=noise))
    x, h = np.array([0.7, -0.2, 1.4]), 4e-3
    bend, slope = data_curvature(model, x), data_score(model, x)
    shifts = h * np.concatenate([np.eye(3), -np.eye(3), 2 * np.eye(3), -2 * np.eye(3)])
    logs = log_evidence(model, x + shifts).value.reshape(4, 3)
    told = (8 * (logs[0] - logs[1]) - (logs[2] - logs[3])) / (12 * h)
    within(slope.value, told, slope.error + 1e-7, "score")
    slopes = data_score(model, x + shifts).value.reshape(4, 3, 3)
    told = (8 * (slopes[0] - slopes[1]) - (slopes[2] - slopes[3])) / (12 * h)
    within(bend.value, told, bend.error + 1e-7, "curvature")
    mean = denoise(model, x)
    within(mean.value, x + noise @ slope.value, mean.error + slope.error.sum(), "denoised")


def test_outputs_that_are_constant_leave_no_noise_to_integrate():
    # The second output is zero: its deviations are rounding, zero near the mode and not far out.
    noise = np.diag([1 / 64, 1 / 64]) + 1e-18
    model = LatentModel(
        decoders.Polynomial([[1], [2]], [[1.0, 0.0], [-1.0, 0.0]]), likelihoods.Gaussian(cov=noise)
    )
    found = data_curvature(model, [[1.0, 1.0]])
    assert found.reached.all(), f"errors of {found.error}"
    assert found.error.max() < 1e-9, f"errors of {found.error}"
    within(found.value[0, 1, 1], -64.0, found.error[0, 1, 1], "the constant output")
    still = ParametricModel(
        lambda t, z: anp.concatenate([t[..., :1] * z, t[..., 1:] + 0 * z], axis=-1),
        likelihoods.Gaussian(scale=0.3),
        [1.1, 0.7],
        1,
    )
    info = evidence_information(still, [[1.0, 1.0]])
    within(info.observed[0, 1, 1], 1 / 0.09, info.error[0, 1, 1], "the constant's information")
    assert info.reached.all(), f"errors of {info.error}"


@pytest.mark.parametrize("far", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_engine_and_the_closed_form_of_a_line(far, scale):
    weight, bias = np.array([[1.5], [-0.5]]), np.array([0.3, 0.1])
    x = np.array([[0.7, -0.2], [-1.0, 2.0]]) * far
    family = likelihoods.Gaussian(scale=scale)
    closed = LatentModel(decoders.Affine(weight, bias), family)
    curved = LatentModel(lambda z: z @ weight.T + bias, family, 1)
    C = weight @ weight.T + scale**2 * np.eye(2)
    with mpmath.workdps(40):
        rows = [mpmath.lu_solve(mpmath.matrix(C.tolist()), mpmath.matrix(r)) for r in x - bias]
        # C itself is rounded: for small noise that counts.
        exact = np.array([[float(-v) for v in row] for row in rows])
    own, other = data_score(closed, x), data_score(curved, x)
    rounded = 4e-16 * np.linalg.cond(C) * np.abs(exact).max()
    within(own.value, exact, own.error + rounded, "closed form")
    # So far out that float64 has no digits for the posterior, the engine says so.
    seen = np.isfinite(other.error)
    assert seen.all() or far / scale > 1e6, f"errors of {other.error}"
    within(other.value[seen], own.value[seen], (other.error + own.error)[seen], "engine")
    pair = denoise(closed, x), denoise(curved, x)
    allowed = pair[0].error + pair[1].error
    within(pair[0].value[seen], pair[1].value[seen], allowed[seen], "denoised")


def test_wide_linear_models_are_in_closed_form():
    rng = np.random.default_rng(2)
    weight, bias = rng.normal(size=(14, 12)), rng.normal(size=14)
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=0.3))
    X = rng.normal(size=(2, 3, 14))
    score, mean = data_score(model, X), denoise(model, X)
    told = -np.linalg.solve(weight @ weight.T + 0.09 * np.eye(14), (X - bias)[..., None])[..., 0]
    within(score.value, told, score.error + 1e-10, "score")
    within(mean.value, X + 0.09 * score.value, mean.error + 0.09 * score.error, "denoised")
    assert score.error.max() < 1e-9, f"errors of {score.error.max()}"
    h = 1e-4
    up, down = (linear_log_evidence(model, X + s * h * np.eye(14)[3]).value for s in (1, -1))
    within(score.value[..., 3], (up - down) / (2 * h), 1e-6, "differences")


def test_other_families_are_denoised_or_refused():
    bits = LatentModel(decoders.Affine([[1.0], [-2.0]]), likelihoods.Bernoulli())
    found = denoise(bits, [[1.0, 0.0]])
    z = np.linspace(-9, 9, 4001)[:, None]
    weights = np.exp(bits.log_joint(np.array([1.0, 0.0]), z))
    told = (weights @ (1 / (1 + np.exp(-bits.decoder(z))))) / weights.sum()
    within(found.value[0], told, found.error[0] + 1e-12, "bits")
    student = LatentModel(decoders.Affine([[1.0]]), likelihoods.StudentT(3.0, 0.5))
    for function in (denoise, linear_estimation_error):
        with pytest.raises(ValueError, match="model: expected Gaussian noise or a family with nat"):
            function(student, *([[1.0]] if function is denoise else []))
    for function in (data_score, data_curvature):
        with pytest.raises(ValueError, match="model: expected a Gaussian likelihood"):
            function(bits, [[1.0, 0.0]])
    with pytest.raises(ValueError, match="model: expected a Poisson likelihood"):
        robbins(bits, [[1.0, 0.0]])
    with pytest.raises(ValueError, match="model: expected a LatentModel"):
        denoise(3, [[1.0]])


@pytest.mark.parametrize("count", [0.0, 7.0, 1000.0, 1e6])
def test_rates_of_counts_by_evidences_and_by_posteriors(count):
    model = LatentModel(decoders.Affine([[0.8], [0.2]], [1.0, 0.5]), likelihoods.Poisson())
    x = [[count, 2.0], [3.0, 0.0]]
    ratio, mean = robbins(model, x), denoise(model, x)
    within(ratio.value, mean.value, ratio.error + mean.error, "rates")
    assert (mean.error < 1e-7 * mean.value).all(), f"errors of {mean.error}"


# Steps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family", [likelihoods.Gaussian(scale=0.5), likelihoods.StudentT(4.0, 0.5)]
)
def test_a_stationary_posterior_stays_where_it_is(family):
    model = LatentModel(decoders.Circle(1.0), family)
    x = np.array([[0.8, 0.5], [0.9, -0.6]])
    q = stationary_posterior(model, x)
    for step in (1.0, 0.3):
        found = natural_gradient_step(model, x, q, step)
        within(found.loc, q.loc, found.loc_error + 1e-6, "mean")
        within(found.cov, q.cov, found.cov_error + 1e-6, "covariance")
        assert found.reached.all(), f"{found.status}"


def test_steps_at_a_kink_are_those_of_values():
    # The Hessian of |z| is a spike at zero that derivatives at nodes do not see. E[A] is exact:
    # 1 + (1 - 2 x phi(0) / s + ...) for f = |z|, with E sign, E |z| of a Gaussian in closed form.
    model = LatentModel(decoders.PiecewiseLinear.network([[[1.0], [-1.0]], [[1.0, 1.0]]],
                                                         [[0.0, 0.0], [0.0]]),
                        likelihoods.Gaussian(scale=1.0))  # fmt: skip
    x, s = 0.3, 0.8
    found = natural_gradient_step(model, [[x]], Posterior([[0.0]], scale=s), 0.5, rtol=1e-4)
    # U = (x - |z|)^2 / 2 + z^2 / 2: U'' = 2 - 2 x delta(z), with q(0) = phi(0) / s.
    bend = 2 - 2 * x / (s * np.sqrt(2 * np.pi))
    told = 1 / (0.5 / s**2 + 0.5 * bend)
    within(found.cov[0, 0, 0], told, found.cov_error[0, 0, 0], "covariance")
    assert found.cov_error.max() < 0.05, f"an error of {found.cov_error}"


def test_steps_of_batches_and_steps_that_leave_the_gaussians():
    rng = np.random.default_rng(1)
    X, q = rng.normal(size=(2, 3, 2)), Posterior(rng.normal(size=(2, 3, 1)), scale=0.3)
    found = natural_gradient_step(CIRCLE, X, q, 0.25)
    assert found.cov.shape == found.cov_error.shape == (2, 3, 1, 1), f"{found.cov.shape}"
    one = natural_gradient_step(CIRCLE, X[1, 2], Posterior(q.loc[1, 2], scale=0.3), 0.25)
    within(found.loc[1, 2], one.loc, one.loc_error + found.loc_error[1, 2], "alone")
    same = natural_gradient_step(CIRCLE, X, q, 0.0)
    within(same.cov, q.cov, same.cov_error, "no step")
    # On the far side of the circle U is concave.
    with pytest.raises(ValueError, match="step: expected one that leaves the precision positive"):
        natural_gradient_step(CIRCLE, [[3.0, 0.0]], Posterior([[3.1]], scale=0.2), 1.0)
    for step in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="step: expected"):
            natural_gradient_step(CIRCLE, X, q, step)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 359), st.sampled_from((1.0, 0.5, 0.125)))
def test_a_step_turns_with_the_latents(angle, step):
    # f(R z) with q turned back by R: a natural gradient does not depend on coordinates.
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s], [s, c]])
    decoder, family = decoders.FlatTorus(1.0, 2.0), likelihoods.Gaussian(scale=1.5)
    x, loc = np.array([0.8, 0.6, 1.0, -0.5]), np.array([0.4, -0.3])
    cov = np.array([[0.3, 0.1], [0.1, 0.2]])
    plain = natural_gradient_step(LatentModel(decoder, family), x, Posterior(loc, cov=cov), step)
    turned = LatentModel(decoders.Reparametrised(decoder, turn), family)
    q = Posterior(turn.T @ loc, cov=turn.T @ cov @ turn)
    found = natural_gradient_step(turned, x, q, step)
    allowed = 1e-14 + found.loc_error.sum() + plain.loc_error.sum()
    within(turn @ found.loc, plain.loc, allowed, "mean")
    allowed = 1e-14 + 2 * (found.cov_error.sum() + plain.cov_error.sum())
    within(turn @ found.cov @ turn.T, plain.cov, allowed, "covariance")


def test_expectations_that_no_rule_finds_have_infinite_errors():
    rng = np.random.default_rng(3)
    network = decoders.TanhNetwork(
        [3 * rng.normal(size=(5, 6)), rng.normal(size=(3, 5))], [rng.normal(size=5), np.zeros(3)]
    )
    model = LatentModel(network, likelihoods.Gaussian(scale=1.0))
    q = Posterior(0.3 * rng.normal(size=6), scale=0.5)
    found = natural_gradient_step(model, rng.normal(size=3), q, 0.25)
    assert not found.reached, f"{found.status}"
    assert np.isinf(found.cov_error).all() or found.cov_error.max() > 1e-3, f"{found.cov_error}"


# Latents -----------------------------------------------------------------------------------------


def test_bounds_of_three_latents_hold_a_linear_posterior_between_them():
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(2, 3))
    line_of = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.7))
    bent = LatentModel(lambda z: z @ weight.T, likelihoods.Gaussian(scale=0.7), 3)
    exact = np.linalg.inv(np.eye(3) + weight.T @ weight / 0.49)
    for bound in (van_trees_bound, linear_estimation_error):
        for model in (line_of, bent):
            found = bound(model)
            within(found.value, exact, found.error, bound.__name__)
            assert found.reached, f"{found.status}"
            assert found.error < 1e-9, f"an error of {found.error}"


def test_models_without_a_bound():
    laplace = LatentModel(decoders.Affine([[1.0]]), likelihoods.Laplace(1.0))
    with pytest.raises(NoMetricError):
        van_trees_bound(laplace)
    # E exp(2 z^2) under the prior is infinite, and so are the metric and the data's variance.
    steep = LatentModel(lambda z: anp.exp(z**2), likelihoods.Gaussian(scale=1.0), 1)
    with pytest.raises(ValueError, match="model: expected a finite mean metric"):
        van_trees_bound(steep)
    with pytest.raises(ValueError, match="model: expected finite moments"):
        linear_estimation_error(steep)


@pytest.mark.parametrize("number", [0, 1])
def test_certificates_are_of_the_same_numbers(number):
    inputs = PROPOSITIONS["19d-linear"].instances[number]
    proved = PROPOSITIONS["19d-linear"].prove(Checker(), inputs, {})
    W, noise = (np.array(inputs[n], dtype=float) for n in ("W", "Lambda"))
    model = LatentModel(decoders.Affine(W), likelihoods.Gaussian(cov=noise))
    found = van_trees_bound(model)
    entries = [float(proved[f"S_{i + 1}{j + 1}"]) for i in range(len(W[0])) for j in range(i + 1)]
    within(found.value[np.tril_indices(len(W[0]))], entries, found.error, "van Trees")
    inputs = PROPOSITIONS["19e-linear"].instances[number]
    proved = PROPOSITIONS["19e-linear"].prove(Checker(), inputs, {})
    W, noise, S = (np.array(inputs[n], dtype=float) for n in ("W", "Lambda", "S"))
    q = Posterior(np.array(inputs["m"], float), cov=S)
    model = LatentModel(decoders.Affine(W), likelihoods.Gaussian(cov=noise))
    step = [1.0, 1 / 3][number]
    new = natural_gradient_step(model, np.array(inputs["x"], float), q, step)
    means = [float(proved[f"m_{k + 1}"]) for k in range(len(W[0]))]
    within(new.loc, means, new.loc_error, "the step's mean")
    averaged = PROPOSITIONS["19d-average"]
    inputs = averaged.instances[number]
    proved = averaged.prove(Checker(), inputs, averaged.prepare(inputs))
    a, b, variance = (float(inputs[n]) for n in ("height", "frequency", "variance"))
    family = likelihoods.Gaussian(scale=np.sqrt(variance))
    wave = LatentModel(lambda z: z + a * anp.sin(b * z), family, 1)
    lower, upper = van_trees_bound(wave), linear_estimation_error(wave)
    within(lower.value, float(proved["van_trees"].mid), lower.error, "van Trees")
    within(upper.value, float(proved["linear_error"].mid), upper.error, "the linear estimator")
    inputs = PROPOSITIONS["19f-spectrum"].instances[number]
    proved = PROPOSITIONS["19f-spectrum"].prove(Checker(), inputs, {})
    lengths, rest = (np.array(inputs[n], dtype=float) for n in ("lengths", "rest"))
    lam = np.concatenate([lengths**2 + float(inputs["variance"]), rest])
    rates = ppca_em_rates(lam, len(lengths), variance=float(inputs["variance"]))
    moving = rates[rates < 1 - 1e-12]
    assert len(moving) == proved["rates"], f"{rates}"
    ends = float(proved["slowest"]), float(proved["fastest"])
    within((moving[0], moving[-1]), ends, 1e-15, "rates")


@pytest.mark.parametrize("step", [1.0, 0.3])
def test_natural_steps_where_data_and_outputs_share_a_large_offset(step):
    weight, bias, x = np.array([[0.1], [-0.07]]), np.array([3e6, -1e6]), (3e6 + 0.3, -1e6 + 0.2)
    scale, q = 0.003, Posterior([0.4], scale=0.5)
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=scale))
    found = natural_gradient_step(model, x, q, step)
    rate, variance = Fraction(step), Fraction(float(q.cov[0, 0]))
    slopes = [Fraction(float(w)) / Fraction(scale) for w in weight[:, 0]]
    away = [(Fraction(a) - Fraction(b)) / Fraction(scale) for a, b in zip(x, bias, strict=True)]
    curve = 1 + sum(w**2 for w in slopes)
    precision = (1 - rate) / variance + rate * curve
    mean = Fraction(float(q.loc[0]))
    gradient = curve * mean - sum(w * a for w, a in zip(slopes, away, strict=True))
    told = mean - rate * gradient / precision
    within(found.loc[0], float(told), found.loc_error[0] + 1e-16, "mean")
    within(found.cov[0, 0], float(1 / precision), found.cov_error[0, 0] + 1e-16, "variance")
    assert found.loc_error[0] < 1e-11, f"an error of {found.loc_error[0]:.2e}"

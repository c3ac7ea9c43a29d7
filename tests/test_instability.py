"""The largest stable step, measured; and the instability of claim 9 in plain runs."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import LatentModel, baggins, elbo, likelihoods
from vaetheory.checking.strategies import rotation
from vaetheory.claims.instability.condition_number import condition_coefficient
from vaetheory.claims.instability.growth import bounded_counterpart, growth
from vaetheory.claims.instability.joint_scenes import JointScene
from vaetheory.claims.instability.memorised_data import MemoryScene, memory_limit, memory_values
from vaetheory.claims.instability.step_scenes import StepScene
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma
from vaetheory.stability import largest_stable_step

CODES = ((0.0,), (1.0,), (-1.5,), (0.5,))
PARABOLA = StepScene("quadratic", CODES, (1.0, 2.0, 0.5, 0.0, 1.0, -0.5), 2, 1 / 16)


NETWORK = StepScene("network", CODES, (1.0, 0.5, 1.0, -0.5, 0.25, 0.0), 2, 1 / 8)
PLANE = StepScene(
    "linear", ((0.0, 0.0), (1.0, 0.5), (-1.0, 1.0)), (1.0, 2.0, 0.5, 0.0, 1.0, -0.5), 2, 1 / 16
)


@pytest.mark.parametrize("scene", [PARABOLA, NETWORK, PLANE], ids=lambda scene: scene.kind)
def test_gradients_are_those_of_the_objective(scene):
    steps = np.linspace(-1, 1, 3)[:, None] * np.cos(np.arange(len(scene.parameters)))
    theta = np.array(scene.parameters) + steps * np.ones((len(scene.scales), 1, 1))
    by_autograd = elementwise_grad(scene.objective)(theta)
    off = np.abs(scene.gradient(theta) - by_autograd).max(axis=(1, 2))
    assert (off <= 1e-11 * np.abs(by_autograd).max(axis=(1, 2))).all(), f"off by {off}"


@st.composite
def quadratics(draw):
    dim = draw(st.integers(1, 4))
    spectrum = draw(st.tuples(*[st.sampled_from((1.0, 0.9, 0.5, 1e-3, 1e-6))] * dim))
    angles = draw(st.tuples(*[st.sampled_from((0, 30, 45, 60))] * (dim - 1)))
    turn = rotation(angles, dim)
    return spectrum, (turn * np.array(spectrum)) @ turn.T


@given(instance=quadratics(), unit=st.sampled_from((1.0, 1e-3, 300.0)))
def test_on_quadratics_it_is_two_over_the_greatest_curvature(instance, unit):
    spectrum, matrix = instance
    found = largest_stable_step(
        lambda t: t @ matrix, np.zeros((1, len(spectrum))), unit=unit / max(spectrum)
    )
    truth = 2 / max(spectrum)
    # What had not emerged: a start of which less than a ten-thousandth lay along the top.
    late = truth / (4 * found.steps)
    assert found.lower[0] - late <= truth <= found.upper[0] * (1 + gamma(1000)), (
        f"{truth} is not within {found.lower[0]}..{found.upper[0]}"
    )
    assert found.bracket[0] <= 2e-3 * truth, f"a bracket of {found.bracket[0]}"


def test_objectives_of_different_size_are_measured_together():
    sizes = np.array([1.0, 1e-8, 1e6])
    found = largest_stable_step(
        lambda t: sizes[:, None, None] * t * [1.0, 0.5], np.zeros((3, 2)), unit=1 / sizes
    )
    off = np.abs(found.value * sizes / 2 - 1).max()
    assert off <= 1e-3, f"off by {off}"
    assert np.abs(found.direction[:, 0]).min() > 0.99, f"it diverges along {found.direction}"


def test_away_from_a_quadratic_the_reach_matters():
    # log cosh has curvature 1 at its minimum and less elsewhere.
    near = largest_stable_step(np.tanh, [[0.0]], reach=1e-3)
    far = largest_stable_step(np.tanh, [[0.0]], reach=1.0)
    assert abs(near.value[0] - 2) < 2e-3, f"{near.value} near the minimum"
    assert far.value[0] > 2.1, f"{far.value} far from it"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((lambda t: t, [0.0]), {}, r"optimum: expected shape \(L, P\), got \(1,\)"),
        ((lambda t: t, [[np.nan]]), {}, "optimum: expected finite numbers"),
        ((lambda t: t, [[0.0]]), {"unit": -1.0}, "unit: expected positive numbers"),
        ((lambda t: t, [[0.0]]), {"reach": 0.0}, "reach: expected positive numbers"),
        ((lambda t: t, [[0.0]]), {"steps": 0}, "steps: expected an integer of at least 1"),
        ((lambda t: t, [[0.0]]), {"sections": 1}, "sections: expected an integer of at least 4"),
        ((lambda t: t[..., 0], [[0.0]]), {}, r"gradient: expected shape \(1, 25, 1\), got"),
        ((lambda t: 1e-12 * t, [[0.0]]), {}, "unit: expected a step within a factor 2"),
        ((lambda t: 1e12 * t, [[0.0]]), {}, "unit: expected a step within a factor 2"),
        ((lambda t: t + np.nan, [[0.0]]), {}, "gradient: expected finite numbers"),
    ],
)
def test_bad_input_is_a_value_error(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        largest_stable_step(*arguments, **options)


@pytest.mark.parametrize("lane", [0, 3])
def test_descent_on_the_elbo_diverges_just_beyond(lane):
    # A plain run with the library's ELBO as the objective, one step size below and one beyond.
    scene = PARABOLA
    eta = scene.measured.value[lane]
    losses = {}
    for factor in (0.97, 1.03):
        theta = scene.optimum[lane] + 0.1
        start = scene.objective(theta * np.ones((4, 1, 1)))[lane, 0]
        for _ in range(400):
            theta = theta - factor * eta * scene.gradient(theta * np.ones((4, 1, 1)))[lane, 0]
        model = LatentModel(
            scene.with_parameters(theta), likelihoods.Gaussian(scale=scene.scales[lane]), 1
        )
        posterior = posterior_of(scene, lane)
        losses[factor] = -elbo(model, scene.data, posterior).value.mean() - start
    assert losses[0.97] < 0, f"below the threshold the ELBO fell, by {losses[0.97]}"
    assert losses[1.03] > 1e3 * abs(losses[0.97]), f"beyond it the ELBO did not fall: {losses}"


def posterior_of(scene, lane):
    return Posterior(np.array(scene.codes), cov=scene.covs[lane])


def test_9a_a_normalised_step_neither_diverges_nor_converges():
    # Adam's limit without memory, theta - eta sign(gradient): any eta is stable, at its own size.
    scene, eta = PARABOLA, 1e-3
    theta = np.broadcast_to(scene.optimum[:, None], (4, 1, 6)).copy() + 0.0103
    for _ in range(200):
        theta = theta - eta * np.sign(scene.gradient(theta))
    away = np.abs(theta[:, 0] - scene.optimum).max(axis=-1)
    assert (away < 20 * eta).all(), f"it went away: {away}"
    excess = (scene.objective(theta) - scene.objective(scene.optimum[:, None]))[:, 0]
    # What it keeps above the optimum grows as sigma^-2 instead.
    assert (np.diff(np.log2(excess)) > 1.5).all(), f"excesses {excess}"


@pytest.mark.parametrize("sigma", [1e-2, 1e-4])
def test_the_condition_number_against_thirty_digits(sigma):
    X = ((-2.0, 0.5), (1.0, 0.5), (1.0, -1.0))
    scene = JointScene(X, 1.0)
    scene = JointScene(X, sigma / np.sqrt(scene.principal[0][0]))
    values = np.linalg.eigvalsh(scene.hessian)[0]
    with mp.workdps(40):
        data = mp.matrix([[mpf(v) for v in row] for row in X])
        for j in range(2):
            mean = mp.fsum(data[:, j]) / 3
            for i in range(3):
                data[i, j] -= mean
        spectrum, axes = mp.eigsy(data.T * data / 3)
        top, u = spectrum[1], axes[:, 1]
        square = mpf(float(scene.scales[0])) ** 2
        w = mp.sqrt(top - square) * u
        m = data * w / top
        s2, count, dim = square / top, 3, 2
        whole = mp.zeros(dim + 2 * count)
        length = (w.T * w)[0] / square
        second = mp.fsum(v**2 for v in m) / count + s2
        for i in range(dim):
            whole[i, i] = second / square
        for n in range(count):
            a, b = dim + n, dim + count + n
            whole[a, a] = (1 + length) / count
            whole[b, b] = 2 * s2 * (1 + length) / count
            for i in range(dim):
                cross = (2 * w[i] * m[n] - data[n, i]) / (count * square)
                whole[a, i] = whole[i, a] = cross
                whole[b, i] = whole[i, b] = 2 * w[i] * s2 / (count * square)
        exact = mp.eigsy(whole, eigvals_only=True)
        truth = float(exact[len(exact) - 1] / exact[0])
    found = values[-1] / values[0]
    assert abs(found / truth - 1) <= gamma(800) * truth, f"{found}, not {truth}"
    law = condition_coefficient(float(top), 3)
    assert abs(truth * sigma**2 / law - 1) < 2 * sigma, f"{truth * sigma**2}, law {law}"


@pytest.mark.parametrize("k", [1, 2, 3])
def test_9c_memorising_unbounds_the_elbo_though_d_is_the_data_dimension(k):
    # D = d = 1: the literal coefficient D - d is zero, which holds for k = 1 only.
    scales, values, _, posteriors = memory_values(MemoryScene((1.0,), k, 1 / 16))
    gain = np.diff(values) / np.log(scales[:-1] / scales[1:])
    assert abs(gain[-1] - (1 - 1 / k)) < 1e-3, f"k = {k}: {gain} nats an e-fold"
    X = np.array([[1.0], [-1.0]])
    for posterior in posteriors:
        value, most = bounded_counterpart(MemoryScene((1.0,), k, 1.0).decoder, X, posterior)
        assert value <= most, f"BAGGINS less the divergence, {value}, above {most}"


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_constant_of_memorised_data_in_closed_form(k):
    # log-odds of the leading term alone, maximised with 30 digits.
    with mp.workdps(30):
        bend, moment = {1: 1, 2: mpf(-3) / 2, 3: mpf(5) / 2}[k], mp.fac2(2 * k - 1)
        sigma = mpf(10) ** -40
        s = (sigma**2 / (k * bend**2 * moment)) ** (mpf(1) / (2 * k))
        value = -mp.log(2 * mp.pi * sigma**2) / 2 - bend**2 * moment * s ** (2 * k) / (2 * sigma**2)
        value += -mpf(1) / 2 - s**2 / 2 + mpf(1) / 2 + mp.log(s)
        truth = float(value + (1 - mpf(1) / k) * mp.log(sigma))
    found = memory_limit(MemoryScene((1.0,), k, 1.0))
    assert abs(found - truth) <= gamma(200) * 10, f"{found}, not {truth}"


def test_growth_tells_slopes_apart():
    scales = 0.1 / 2.0 ** np.arange(4)
    values = 3.0 - 2 * np.log(scales) + scales**2
    right = growth(values, np.full(4, 1e-14), scales, slope=2.0, constant=3.0)
    assert right.residual <= right.bound, f"{right.residual} above {right.bound}"
    for slope, constant in ((1.0, 3.0), (2.0, 3.1)):
        wrong = growth(values, np.full(4, 1e-14), scales, slope=slope, constant=constant)
        assert wrong.margin > 10, f"slope {slope} and constant {constant} pass"


def test_learning_sigma_on_memorised_data_runs_away_and_baggins_does_not():
    # Gradient ascent in log sigma at a perfect fit, in nats: no end; BAGGINS has nothing to learn.
    x = np.array([[-1.0, 0.5], [1.0, -0.5]])

    def value(log_sigma):
        return -2 * log_sigma - np.log(2 * np.pi) - anp.sum((x - x) ** 2) * anp.exp(-2 * log_sigma)

    log_sigma = 0.0
    for _ in range(50):
        log_sigma = log_sigma + 0.5 * grad(value)(log_sigma)
    assert log_sigma < -40, f"stopped at {log_sigma}"
    term = baggins(x, x, information=2.0)
    assert value(log_sigma) > term.value + 50, "the ELBO did not pass the bound of BAGGINS"


def test_nearly_equal_curvatures_are_told_apart_by_no_short_run():
    # 1 and 1 + 1e-6: the runs stay where they began, half outside; the threshold hardly moves.
    matrix = np.diag([1.0, 1 + 1e-6])
    found = largest_stable_step(lambda t: t @ matrix, [[0.0, 0.0]])
    late = found.overlooked(*(a[None] for a in np.linalg.eigh(matrix)))
    assert late[0] < 1e-5, f"{late[0]} overlooked, though both diverge alike"
    off = abs(found.value[0] - 2 / (1 + 1e-6))
    assert off <= found.bracket[0] + late[0], f"off by {off:.3g}"
    # One that is half as curved does count, by its share.
    half = np.array([[0.5, 1.0]])
    away = np.array([[[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]])
    seen = type(found)(found.lower, found.upper, np.array([[0.0, 1.0]]), 10)
    share = np.sin(0.1) ** 2
    expected = 2 * -np.log1p(-share) / 40
    assert abs(seen.overlooked(half, away)[0] - expected) <= gamma(100), "another share"

"""The counterexamples of docs/corrections.md: what fails outside the hypotheses."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import erf

from vaetheory import (
    AggregatePosterior,
    LatentModel,
    OptimalDecoder,
    decoders,
    likelihoods,
    log_evidence,
    stationary_posterior,
)
from vaetheory.bounds import (
    gap_split,
    gradient_noise,
    importance_weighted_bound,
    observed_log_evidence,
)
from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.half_network.scale import ScaledRun, scale_equivariance
from vaetheory.claims.half_network.scenes import TinyRun
from vaetheory.claims.stationary_evidence.laplace import (
    laplace_is_second_order,
    moving_expansion_point,
)
from vaetheory.encoders import Posterior
from vaetheory.scores import ppca_em_rates


def test_1a_the_mean_is_not_best_under_heavy_tails():
    X = np.array([[0.0], [0.0], [3.0]])
    f = OptimalDecoder(X, AggregatePosterior(np.zeros((3, 1)), scale=1.0))
    mean = f([[0.7]])
    assert np.allclose(mean, 1.0, rtol=1e-15), f"f* is the mean of the data, not {mean}"
    likelihood = likelihoods.StudentT(2.0, 0.5)
    # One code for all data: the ELBO differs by the mean log likelihood alone.
    at_mean, at_zero = (likelihood.log_prob(X, np.full((3, 1), c)).mean() for c in (1.0, 0.0))
    assert at_zero > at_mean + 0.3, f"the mean is no worse: {at_mean} against {at_zero}"


def test_1b_without_spread_there_is_no_best_variance():
    f = OptimalDecoder([[2.0]], AggregatePosterior([[0.0]], scale=1.0))
    with pytest.raises(ValueError, match="expected a non-singular covariance"):
        f.cov([[0.3]])
    found = [
        float(likelihoods.Gaussian(scale=s).log_prob(np.array([2.0]), f([[0.3]])[0]))
        for s in (1.0, 1e-3, 1e-6)
    ]
    assert np.allclose(np.diff(found), np.log(1e3), rtol=1e-12), f"it does not grow: {found}"


def test_2d_a_zero_of_q_without_a_pole():
    # q(z) for codes +-2 of variance 1 has a zero at distance pi / 4 from the origin.
    z = np.linspace(-2, 2, 9)[:, None]
    encoder = AggregatePosterior([[-2.0], [2.0]], scale=1.0)
    constant = OptimalDecoder([[3.0], [3.0]], encoder)
    for order in (1, 2, 3):
        worst = np.abs(constant.derivative(z, order=order)).max()
        assert worst == 0, f"equal data: f* is constant, yet its derivative {order} is {worst}"


@pytest.mark.parametrize("z0", [np.pi, 1.0, 4.0])
def test_3f_a_closed_curve_keeps_a_gap(z0):
    f = decoders.Circle(1.0)
    turns = z0 + 2 * np.pi * np.arange(-4, 5)
    heights = -(turns**2) / 2
    limit = np.logaddexp.reduce(heights) - heights.max()
    gaps = []
    for sigma in (1 / 8, 1 / 16, 1 / 32):
        model = LatentModel(f, likelihoods.Gaussian(scale=sigma), 1)
        x = f([z0])
        start = Posterior([turns[heights.argmax()]], scale=sigma)
        best = stationary_posterior(model, x, start=start)
        gaps.append(float(log_evidence(model, x).value - best.value))
    left = abs(np.array(gaps) - limit)
    assert left[-1] < 1e-3, f"the gap {gaps[-1]} does not tend to {limit}"
    assert left[2] < left[1] / 3 < left[0] / 9, f"not of order sigma^2: {left}"
    assert limit > 1e-9, "the limit of the gap is not above zero"


def test_3f_an_injective_immersion_can_come_back_to_its_start():
    def six(z):
        angle = 2 * np.pi * erf(z)
        radius = anp.where(z < 0, 1 + angle**4, 1.0)
        return anp.concatenate([radius * anp.cos(angle), radius * anp.sin(angle)], axis=-1)

    gaps = []
    for sigma in (0.1, 0.03, 0.01):
        model = LatentModel(six, likelihoods.Gaussian(scale=sigma), 1)
        x = [1.0, 0.0]
        speed = 4 * np.sqrt(np.pi)
        near = stationary_posterior(model, x, start=Posterior([0.0], scale=sigma / speed))
        evidence = log_evidence(model, x)
        assert evidence.error < 1e-8, f"the evidence is not known: {evidence}"
        gaps.append(float(evidence.value - near.value))
    assert 1 < gaps[0] < gaps[1] < gaps[2], f"the gap does not grow as sigma falls: {gaps}"


def test_3e_a_moving_expansion_point_is_not_stationary_at_the_mode():
    scene = ModelScene(
        decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 1.0]]),
        likelihoods.Gaussian(scale=0.5),
        (1.0, 1.0),
        (0.5,),
        Covariance((0.25,), ()),
    )
    fixed = laplace_is_second_order(scene)
    assert fixed.residual <= fixed.bound, "with a fixed expansion point the identity fails"
    moving = moving_expansion_point(scene)
    assert moving.residual > 100 * moving.bound, "the moving expansion point looks stationary"


def test_plain_networks_are_not_invariant_under_baggins():
    # 11: the objective is, the network that takes and gives x itself is not.
    for power, fails in ((0, False), (10, True), (-10, True)):
        scene = ScaledRun(TinyRun((1, 3), "half", 2, 1.0, 0), power)
        with_ends = scale_equivariance(scene)
        assert with_ends.residual <= with_ends.bound, f"2^{power}: not equivariant with its ends"
        plain = scale_equivariance(scene, units="plain")
        assert (plain.residual > plain.bound) == fails, f"2^{power}, plain ends: {plain}"


def test_19d_averaging_local_covariances_gives_no_bound():
    z = np.linspace(-9, 9, 721)[:, None]
    prior = np.exp(-0.5 * z[:, 0] ** 2)
    prior /= prior.sum()
    found = {}
    for name, f, slope, variance in (
        ("wave", z + np.sin(2 * z) / 2, 1 + np.cos(2 * z), 1.0),
        ("fold", z**2, 2 * z, 0.1),
    ):
        step = np.sqrt(variance) / 8
        x = np.arange(f.min() - 8 * variance**0.5, min(f.max(), 40.0) + 8 * variance**0.5, step)
        mass = prior * np.exp(-((x[:, None] - f[:, 0]) ** 2) / (2 * variance))
        total = mass.sum(axis=-1)
        means, squares = mass @ z[:, 0], mass @ z[:, 0] ** 2
        error = (squares - means**2 / total).sum() * step / np.sqrt(2 * np.pi * variance)
        local = prior @ (1 / (1 + slope[:, 0] ** 2 / variance))
        bound = 1 / (1 + prior @ (slope[:, 0] ** 2 / variance))
        found[name] = bound, error, local
    bound, error, local = found["wave"]
    assert abs(local - 0.5101) < 1e-4, f"the average of local variances is {local}"
    assert bound < error - 0.05, f"van Trees' bound {bound} is not below the error {error}"
    assert error < local - 0.05, f"the average {local} is below the error {error}"
    # Of a fold the average happens to be below the error: it does not show the mistake.
    bound, error, local = found["fold"]
    assert bound < local < 0.2, f"the average is {local}, the bound {bound}"
    assert abs(error - 1) < 1e-6, f"the error is {error}: no branch is known"


def test_19f_a_rotation_has_the_rate_one_though_em_converges():
    rates = ppca_em_rates([4.0, 2.0, 0.5], 2, variance=0.5)
    assert rates[0] == 1, f"the largest rate is {rates[0]}"
    lam, W = np.diag([4.0, 2.0, 0.5]), np.array([[1.0, 0.5], [-0.5, 1.0], [0.3, 0.2]])
    for _ in range(400):
        inner = np.linalg.solve(W.T @ W + 0.5 * np.eye(2), W.T @ lam @ W)
        W = lam @ W @ np.linalg.inv(0.5 * np.eye(2) + inner)
    spread = np.linalg.eigvalsh(W.T @ W)
    assert np.allclose(spread, [1.5, 3.5], atol=1e-9), f"not at the maximum: {spread}"


def test_22a_the_amortisation_gap_is_no_divergence_from_the_best_diagonal_gaussian():
    weight = np.array([[1.0, 1.5], [0.0, 0.0]])
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=1.0))
    # P = [[2, 1.5], [1.5, 3.25]] and a datum with m* = 0; best variances, and a shift of one.
    best = 1 / np.sqrt([2.0, 3.25])
    for sign in (1.0, -1.0):
        shift = np.array([1.0, sign]) / np.sqrt(2)
        found = gap_split(model, [0.0, 0.0], Posterior(shift, scale=best))
        divergence = 0.5 * shift**2 @ [2.0, 3.25]
        off = float(found.amortisation) - divergence
        assert abs(off - 0.75 * sign) < 1e-9, f"amortisation differs by {off}"


def test_22c_zeros_for_missing_values_are_above_or_below():
    excess = {}
    for noise in (1 / 16, 1.0):
        model = LatentModel(
            decoders.Affine([[1.0], [0.5], [-0.5]]), likelihoods.Gaussian(scale=noise)
        )
        whole = log_evidence(model, [0.1, 0.0, 0.0])
        part = observed_log_evidence(model, [0.1, np.nan, np.nan])
        excess[noise] = float(whole.value - part.value)
    assert abs(excess[1 / 16] - 3.1) < 0.05, f"by {excess[1 / 16]} nats above"
    assert abs(excess[1.0] + 1.9) < 0.1, f"by {excess[1.0]} nats below"


def test_20b_20c_the_path_gradient_is_neither_always_quieter_nor_unbiased():
    # The posterior at 0 is N(0, 1/2).
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    found = gradient_noise(model, [0.0], Posterior([0.3], cov=[[0.125]]), [1, 2])
    path, total = found["path"].variance[0], found["total"].variance[0]
    assert (path > 2 * total).all(), f"no noisier for a narrow q: {path}, {total}"
    bounds = [
        importance_weighted_bound(model, [0.0], Posterior([0.3 + h], cov=[[0.125]]), 2).value
        for h in (-1e-3, 1e-3)
    ]
    slope = (bounds[1] - bounds[0]) / 2e-3
    means = [float(found[name].mean[1, 0]) for name in ("total", "dreg", "path")]
    assert np.allclose(means[:2], slope, rtol=1e-4), f"the slope of L_2 is {slope}, not {means}"
    assert abs(means[2] - slope) > 0.05, f"the path gradient has no bias: {means[2]}, {slope}"


def test_20d_without_four_moments_the_ratio_of_dreg_falls():
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    q = Posterior([0.0], cov=[[0.58 / 2]])
    ratios = gradient_noise(model, [0.0], q, [10, 1000, 100_000], ["dreg"])["dreg"].snr[:, 1]
    assert (ratios[1:] < 0.6 * ratios[:-1]).all(), f"the ratio does not fall: {ratios}"

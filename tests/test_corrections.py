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
from vaetheory.bounds import gradient_noise, importance_weighted_bound
from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.half_network.scale import ScaledRun, scale_equivariance
from vaetheory.claims.half_network.scenes import TinyRun
from vaetheory.claims.stationary_evidence.laplace import (
    laplace_is_second_order,
    moving_expansion_point,
)
from vaetheory.encoders import Posterior


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

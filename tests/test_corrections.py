"""The counterexamples of docs/corrections.md: what fails outside the hypotheses."""

import numpy as np
import pytest

from vaetheory import (
    Encoder,
    LatentModel,
    OptimalDecoder,
    decoders,
    likelihoods,
    log_evidence,
    stationary_posterior,
)
from vaetheory.claims.model_scenes import ModelScene
from vaetheory.claims.stationary_evidence import laplace_is_second_order, moving_expansion_point
from vaetheory.claims.strategies import Covariance
from vaetheory.encoders import Posterior


def test_2d_a_zero_of_q_without_a_pole():
    # q(z) for codes +-2 of variance 1 has a zero at distance pi / 4 from the origin.
    z = np.linspace(-2, 2, 9)[:, None]
    encoder = Encoder([[-2.0], [2.0]], [1.0])
    constant = OptimalDecoder([[3.0], [3.0]], encoder)
    for order in (1, 2, 3):
        worst = np.abs(constant.derivative(z, order=order)).max()
        assert worst == 0, f"equal data: f* is constant, yet its derivative {order} is {worst}"


@pytest.mark.parametrize("z0", [np.pi, 1.0])
def test_3f_a_closed_curve_keeps_a_gap(z0):
    f = decoders.Circle(1.0)
    turns = z0 + 2 * np.pi * np.arange(-4, 5)
    limit = np.log(np.exp(-(turns**2 - z0**2) / 2).sum())
    gaps = []
    for sigma in (1 / 8, 1 / 16, 1 / 32):
        model = LatentModel(f, likelihoods.Gaussian(scale=sigma), 1)
        x = f([z0])
        best = stationary_posterior(model, x, start=Posterior([z0], [sigma**2]))
        gaps.append(float(log_evidence(model, x).value - best.value))
    left = abs(np.array(gaps) - limit)
    assert left[-1] < 1e-3, f"the gap {gaps[-1]} does not tend to {limit}"
    assert left[2] < left[1] / 3 < left[0] / 9, f"not of order sigma^2: {left}"
    assert limit > 1e-9, "the limit of the gap is not above zero"


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

"""Check of 9b: the condition number of decoder and encoder taken together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from autograd import elementwise_grad

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.instability.hypotheses import FREE, GAUSSIAN, LINEAR
from vaetheory.claims.instability.joint_scenes import JointScene, joint_scenes
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Limit of sigma^2 times the condition number, from the top variance and the number of data.
ConditionLaw = Callable[[float, int], float]


def condition_coefficient(top: float, count: int) -> float:
    """(1 + v / N) over the least eigenvalue of gauge and log deviations."""
    p, q = 4 / (top + count), 2 / count
    # p + q - sqrt(p^2 + q^2) without the cancellation.
    return 2 * (1 + top / count) / (2 * p * q / (p + q + np.hypot(p, q)))


def gauge_alone(top: float, count: int) -> float:
    """The log deviations held fixed."""
    return (1 + top / count) * (top + count) / 4


def deviations_alone(top: float, count: int) -> float:
    """The gauge held fixed."""
    return (1 + top / count) * count / 2


def condition_numbers(scene: JointScene) -> tuple[Array, Array]:
    """The condition number of the joint Hessian for each sigma, `(L,)`, and its rounding."""
    values = np.linalg.eigvalsh(scene.hessian)
    condition = values[:, -1] / values[:, 0]
    return condition, gamma(100 * values.shape[-1]) * condition**2


def condition_law(
    scene: JointScene, *, predicted: ConditionLaw = condition_coefficient, exponent: float = -2.0
) -> Comparison:
    """Check the law of the condition number of the joint Hessian as sigma falls."""
    condition, errors = condition_numbers(scene)
    coefficient = predicted(float(scene.principal[0][0]), len(scene.X))
    top = np.abs(scene.hessian).max(axis=(-2, -1), keepdims=True)
    slope = np.asarray(elementwise_grad(scene.objective)(scene.optimum))
    return Comparison.all_of(
        power_law(
            condition,
            errors,
            scene.scales,
            exponent=exponent,
            coefficient=coefficient,
            rounding=gamma(100) * coefficient,
        ),
        Comparison.identity(scene.hessian, scene.blocks(), scale=top, rounding=gamma(200) * top),
        Comparison.identity(slope, 0.0, scale=top[:, 0], rounding=gamma(200) * top[:, 0]),
        _objective_is_the_elbo(scene),
    )


def _objective_is_the_elbo(scene: JointScene) -> Comparison:
    """Compare the objective with the library's ELBO at the optimum."""
    w, m, rho = (part[0] for part in scene.split(scene.optimum))
    model = LatentModel(
        decoders.Affine(w[:, None]), likelihoods.Gaussian(scale=float(scene.scales[0])), 1
    )
    other = elbo(model, scene.data, Posterior(m[:, None], cov=np.exp(2 * rho)[:, None, None]))
    value = -float(scene.objective(scene.optimum)[0, 0])
    size = 10 + float(np.abs(other.value).max())
    return Comparison.identity(
        value,
        other.value.mean(),
        scale=size,
        elbo=other.error.mean(),
        # The objective's own rounding is that of the same sums.
        objective=other.error.mean() + gamma(200) * size,
    )


CONDITION_NUMBER = Proposition(
    label="9b",
    title="The joint problem's condition number grows as sigma to the -2",
    statement=(
        r"\sigma^2\kappa \to \frac{1 + v/N}{\mu},\quad "
        r"\mu = \tfrac12\big(p + q - \sqrt{p^2 + q^2}\big),\ "
        r"p = \frac{4}{v + N},\ q = \frac2N"
    ),
    hypotheses=(GAUSSIAN, LINEAR, FREE),
    kind="rate",
    instances=joint_scenes(),
    check=condition_law,
    controls=wrong(
        condition_law,
        {
            "sigma^-1": {"exponent": -1.0},
            "the log deviations held": {"predicted": gauge_alone},
            "the gauge w -> c w, m -> m / c held": {"predicted": deviations_alone},
        },
    ),
    figure="instability",
    resolution=0.02,
    examples=10,
)

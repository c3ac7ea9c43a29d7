"""Checks of 9a: the step at which gradient descent in the decoder's parameters diverges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.instability.hypotheses import GAUSSIAN
from vaetheory.claims.instability.step_scenes import REACH, StepScene, network_scenes, step_scenes
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_HELD = (
    "encoder held",
    r"m(x_n) = z_n,\ S_n = (I + J_f^\top J_f/\sigma^2)^{-1}"
    r"\text{: stationary for the decoder that generates the data}",
)
_REALISABLE = ("data the decoder can make", r"x_n = f_{\theta_0}(z_n)")


#: The coefficient of sigma^2 in the largest stable step.
Predicted = Callable[[StepScene], float]


def second_moment_step(scene: StepScene) -> float:
    """2 / lambda_max of the second moment of the decoder's parameter gradients."""
    return 2 / float(np.linalg.eigvalsh(scene.limit_moment())[-1])


def inverse_curvature(scene: StepScene) -> float:
    """1 / lambda_max, where descent is fastest, not where it diverges."""
    return second_moment_step(scene) / 2


def mean_curvature(scene: StepScene) -> float:
    """2 / trace: the sum of all curvatures in place of the greatest."""
    return 2 / float(np.trace(scene.limit_moment()))


def least_curvature(scene: StepScene) -> float:
    """2 / lambda_min."""
    return 2 / float(np.linalg.eigvalsh(scene.limit_moment())[0])


@once
def step_errors(scene: StepScene) -> dict[str, Array]:
    """Reasons why the measured step may differ from 2 / lambda_max, each with a bound `(L,)`."""
    step = scene.measured
    values, vectors = scene.curvature
    curvature = values[:, -1]
    numerics = gamma(1000) * values.shape[-1] * np.ones_like(curvature)
    if scene.kind == "network":
        # The curvature changes within the reach of the runs, and the optimum is not exact.
        best, hessian = scene.optimum, (vectors * values[:, None]) @ np.swapaxes(vectors, -1, -2)
        stray = np.linalg.norm(scene.gradient(best[:, None])[:, 0], axis=-1) / values[:, 0]
        moved = scene.hessian(best + REACH * step.direction) - hessian
        change = np.linalg.norm(moved, axis=(-2, -1)) / curvature
        # So near to the optimum the gradients lose digits.
        numerics = numerics / REACH + change * (1 + stray / REACH)
    return {
        "bracket": step.bracket,
        "finite_runs": step.overlooked(values, vectors),
        "curvature": numerics * step.value,
    }


def step_law(
    scene: StepScene, *, predicted: Predicted = second_moment_step, exponent: float = 2.0
) -> Comparison:
    """Compare the measured largest step with 2 / lambda_max, and with its law as sigma falls."""
    step = scene.measured
    errors = step_errors(scene)
    return Comparison.all_of(
        Comparison.identity(step.value, 2 / scene.curvature[0][:, -1], scale=step.value, **errors),
        power_law(
            step.value,
            sum(errors.values(), np.zeros_like(step.value)),
            scene.scales,
            exponent=exponent,
            coefficient=predicted(scene),
            rounding=gamma(1000) * predicted(scene),
        ),
        _objective_is_the_elbo(scene),
        _curvature_in_closed_form(scene),
    )


@once
def _objective_is_the_elbo(scene: StepScene) -> Comparison:
    """Compare the objective with the library's ELBO, away from the optimum."""
    away = 0.5 * scene.scales[0] * np.cos(np.arange(len(scene.parameters)))
    theta = np.array(scene.parameters) + away
    likelihood = likelihoods.Gaussian(scale=float(scene.scales[0]))
    model = LatentModel(scene.with_parameters(theta), likelihood, scene.latent_dim)
    other = elbo(model, scene.data, Posterior(np.array(scene.codes), cov=scene.covs[0]))
    lanes = theta * np.ones((len(scene.scales), 1, 1))
    size = 10.0 + float(np.abs(other.value).mean())
    truncated = 0.0
    if scene.kind == "network":
        # Seven nodes are exact up to s^13; what is left is the next moment of a tanh of slope w.
        width = float(scene.covs[0].max()) ** 0.5 * abs(scene.parameters[0])
        truncated = width**14 / float(scene.scales[0]) ** 2
    return Comparison.identity(
        -scene.objective(lanes)[0, 0],
        other.value.mean(),
        scale=size,
        elbo=other.error.mean(),
        # The objective's own rounding is that of the same sums.
        objective=other.error.mean() + gamma(200) * size,
        quadrature=truncated,
    )


@once
def _curvature_in_closed_form(scene: StepScene) -> Comparison:
    """Compare the Hessian by autograd with Gaussian moments; networks have no such form."""
    if scene.kind == "network":
        return Comparison(0.0, 0.0, {})
    codes = np.array(scene.codes)
    d = scene.latent_dim
    second = np.swapaxes(codes[:, :, None] * codes[:, None], 1, 2) + scene.covs
    moment = np.empty((len(scene.scales), len(codes), 1 + d, 1 + d))
    moment[..., 0, 0], moment[..., 1:, 1:] = 1, second
    moment[..., 0, 1:] = moment[..., 1:, 0] = codes
    if scene.kind == "quadratic":
        m, v = codes[:, 0], scene.covs[..., 0, 0]
        powers = [np.ones_like(v), m + 0 * v, m**2 + v, m**3 + 3 * m * v]
        powers.append(m**4 + 6 * m**2 * v + 3 * v**2)
        moment = np.stack([np.stack(powers[i : i + 3], axis=-1) for i in range(3)], axis=-1)
    blocks = moment.mean(axis=1) / scene.scales[:, None, None] ** 2
    whole = np.stack([np.kron(np.eye(scene.data_dim), block) for block in blocks])
    hessian = scene.hessian(scene.optimum)
    size = np.abs(whole).max(axis=(-2, -1), keepdims=True)
    return Comparison.identity(hessian, whole, scale=size, rounding=gamma(1000) * size)


STABLE_STEP = Proposition(
    label="9a",
    title="The largest stable step of gradient descent shrinks as sigma squared",
    statement=(
        r"\eta_{\max} = \frac{2}{\lambda_{\max}(\nabla_\theta^2\,(-\mathrm{ELBO}))}"
        r" = \frac{2\sigma^2}{\lambda_{\max}(\mathbb E_{q(z)}[\varphi\varphi^\top])}"
        r" = \frac{2\sigma^2}{\lambda_{\max}(\mathbb E_n[\varphi(z_n)\varphi(z_n)^\top])}"
        r"\,(1 + O(\sigma^2))"
    ),
    hypotheses=(
        GAUSSIAN,
        _HELD,
        _REALISABLE,
        ("linear in its parameters", r"f_\theta(z) = \theta\,\varphi(z)"),
    ),
    kind="rate",
    instances=step_scenes(),
    check=step_law,
    controls=wrong(
        step_law,
        {
            "sigma for sigma^2": {"exponent": 1.0},
            "1 / lambda_max": {"predicted": inverse_curvature},
            "2 / trace": {"predicted": mean_curvature},
            "2 / lambda_min": {"predicted": least_curvature},
        },
    ),
    figure="instability",
    resolution=0.02,
    examples=6,
)


NETWORK_STEP = Proposition(
    label="9a-network",
    title="The same near the optimum of a network",
    statement=(
        r"\eta_{\max} = 2\sigma^2/\lambda_{\max}(\mathbb E_n[J_\theta^\top J_\theta])"
        r"\,(1 + O(\sigma^2)),\quad J_\theta = \partial f_\theta(z_n)/\partial\theta"
    ),
    hypotheses=(
        GAUSSIAN,
        _HELD,
        _REALISABLE,
        ("network", r"f_\theta(z) = v\tanh(wz + c) + b,\ \theta = (w, c, v, b)"),
        ("near the optimum", r"\text{runs that start } 10^{-4} \text{ from it}"),
    ),
    kind="rate",
    instances=network_scenes(),
    check=step_law,
    controls=wrong(
        step_law,
        {
            "sigma for sigma^2": {"exponent": 1.0},
            "1 / lambda_max": {"predicted": inverse_curvature},
            "2 / trace": {"predicted": mean_curvature},
        },
    ),
    uses=("9a",),
    figure="instability",
    resolution=0.09,
    examples=3,
)


def preconditioned(
    scene: StepScene,
    *,
    natural: bool = True,
    exponent: float = 0.0,
    threshold: float = 2.0,
) -> Comparison:
    """Check that in the metric of the decoder the largest stable step is 2 at every sigma."""
    # If the decoder is linear in its parameters the Hessian is the Fisher information.
    step = scene.measured_in_its_metric if natural else scene.measured
    condition = scene.curvature[0][:, -1] / scene.curvature[0][:, 0]
    rounding = gamma(1000) * condition * step.value
    return Comparison.identity(
        step.value,
        threshold * (scene.scales / scene.scales[0]) ** exponent,
        scale=step.value,
        # All directions have the same curvature, so none diverges slowly.
        bracket=step.bracket,
        rounding=rounding,
    )


PRECONDITIONED_STEP = Proposition(
    label="9a-preconditioned",
    title="A step measured in the decoder's own metric does not shrink",
    statement=(
        r"\theta \leftarrow \theta - \eta\,F^{-1}\nabla_\theta(-\mathrm{ELBO}),\ "
        r"F = \mathbb E_q[J_\theta^\top J_\theta]/\sigma^2:\quad "
        r"\eta_{\max} = 2 \text{ for every } \sigma"
    ),
    hypotheses=(
        GAUSSIAN,
        _HELD,
        _REALISABLE,
        ("linear in its parameters", r"f_\theta(z) = \theta\,\varphi(z)"),
        ("natural gradient", r"\text{preconditioned by the Fisher information}"),
    ),
    kind="counterexample",
    instances=step_scenes(),
    check=preconditioned,
    controls=wrong(
        preconditioned,
        {
            "9a's law": {"exponent": 2.0},
            "no preconditioner": {"natural": False},
            "1 for 2": {"threshold": 1.0},
        },
    ),
    uses=("9a",),
    figure="instability",
    resolution=0.02,
    examples=4,
)

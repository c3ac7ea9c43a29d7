"""The check of 3e: to second order the stationary ELBO is Laplace's evidence."""

from __future__ import annotations

import numpy as np

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma


def has_laplace_evidence(scene: ModelScene) -> bool:
    """Whether A is positive definite at the mode, a hypothesis of the theorem."""
    model, x = scene.model, np.array(scene.x)
    hessian = model.potential_derivatives(x, posterior_mode(model, x[None])[0])[1]
    return bool(np.linalg.eigvalsh(hessian)[0] > 1e-3)


@once
def _mode(model: LatentModel, x: Array) -> Array:
    return posterior_mode(model, x[None])[0]


def laplace_is_second_order(
    scene: ModelScene, *, log_det: float = -0.5, constant: bool = True, divergence: float = 1.0
) -> Comparison:
    """With U's Taylor polynomial at the mode, ELBO = Laplace - KL(q || N(mode, A^-1))."""
    from scipy.stats import multivariate_normal

    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    mode = _mode(model, x)
    gradient, hessian, _ = model.potential_derivatives(x, mode)
    height = float(model.log_joint(x, mode))
    cov = np.linalg.inv(hessian)
    laplace = height + log_det * float(np.linalg.slogdet(hessian)[1])
    laplace += 0.5 * dim * _gaussians.LOG_2PI if constant else 0.0
    by_density = height - float(multivariate_normal.logpdf(mode, mode, cov))
    condition = float(np.linalg.cond(hessian))
    size = abs(height) + abs(laplace) + dim

    # For any q: the rule is exact for the polynomial.
    nodes, weights = hermite_rule(3, dim)
    away = q.loc - mode + nodes @ np.linalg.cholesky(q.cov).T
    terms = away @ gradient + 0.5 * np.einsum("mi,ij,mj->m", away, hessian, away)
    surrogate = height - float(weights @ terms) + float(q.entropy())
    kl = float(_gaussians.kl_divergence(q.loc, q.cov, mode, cov))
    at_mode = float(second_order_elbo(model, x, Posterior(mode, cov=cov)))
    rounding = gamma(100) * condition * (size + kl)
    # The gradient at the mode has the size of its rounding, which tilts the polynomial.
    tilt = float(np.abs(away @ gradient).max()) + float(gradient @ cov @ gradient)
    return Comparison.all_of(
        Comparison.identity(at_mode, by_density, scale=size, rounding=rounding),
        Comparison.identity(by_density, laplace, scale=size, rounding=rounding),
        Comparison.identity(
            surrogate, laplace - divergence * kl, scale=size + kl, rounding=rounding, gradient=tilt
        ),
    )


def moving_expansion_point(scene: ModelScene) -> Comparison:
    """The wrong version whose point of expansion moves with m: the mode is not stationary."""
    model, x = scene.model, np.array(scene.x)
    mode = _mode(model, x)
    cov = np.linalg.inv(model.potential_derivatives(x, mode)[1])

    def slope(step: float) -> float:
        shifted = [Posterior(mode + s * step * np.eye(len(mode))[0], cov=cov) for s in (1, -1)]
        up, down = (float(second_order_elbo(model, x, q)) for q in shifted)
        return (up - down) / (2 * step)

    coarse, fine = slope(2e-3), slope(1e-3)
    return Comparison.identity(
        fine,
        0.0,
        scale=1.0,
        difference=abs(coarse - fine),
        rounding=gamma(100) * (1 + abs(float(model.log_joint(x, mode)))) / 1e-3,
    )


LAPLACE_IS_SECOND_ORDER = Proposition(
    label="3e",
    title="To second order the stationary points are the modes and the value is Laplace's",
    statement=(
        r"\mathrm{ELBO}_2(q) = -U(\hat z) + \tfrac d2\log 2\pi - \tfrac12\log\det A"
        r" - \mathrm{KL}(q\,\|\,\mathcal N(\hat z, A^{-1}))"
    ),
    hypotheses=(
        ("a mode", r"\nabla U(\hat z) = 0,\ A(\hat z)\succ 0"),
        ("fixed expansion", r"U \text{ replaced by its Taylor polynomial at } \hat z"),
    ),
    kind="identity",
    instances=model_scenes().filter(has_laplace_evidence),
    check=laplace_is_second_order,
    controls=wrong(
        laplace_is_second_order,
        {
            "+1/2 log det A": {"log_det": 0.5},
            "no d/2 log 2 pi": {"constant": False},
            "half the KL": {"divergence": 0.5},
            "the expansion point moves with m": moving_expansion_point,
        },
    ),
    uses=("3b",),
)

"""The check of 7d: claim 4 under every exponential family; the averaged Hessian is the metric."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.riemannian_likelihood.encoded_families import (
    EncodedFamily,
    Weights,
    encoded_families,
    equal_weights,
    responsibilities,
)
from vaetheory.claims.riemannian_likelihood.families import FULL_FAMILY, FamilyScene
from vaetheory.geometry import decoder_hessian, pullback_metric
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder, optimal_parameters
from vaetheory.rounding import gamma

_STEPS = 2.0 ** -np.arange(3.0, 9.0)


@once
def _optimal(scene: EncodedFamily) -> tuple[Array, Array, Array]:
    """Optimal parameters at z, and a step of each size ahead and behind: `(D,)`, `(K, D)` twice."""
    z = np.array(scene.z)
    points = np.concatenate([z[None], z + _STEPS[:, None], z - _STEPS[:, None]])
    params = optimal_parameters(scene.data.data, scene.data.encoder, scene.likelihood, points)
    here, ahead, behind = np.split(params, [1, 1 + len(_STEPS)])
    return here[0], ahead, behind


@once
def _optimal_slope(scene: EncodedFamily) -> tuple[Array, Array]:
    """Derivative of the optimal parameters in z by extrapolated differences, and its error."""
    here, ahead, behind = _optimal(scene)
    rungs = (ahead - behind) / (2 * _STEPS[:, None])
    size = 1 + np.abs(here)
    limits = [extrapolate(rungs[:, i], gamma(50) * size[i] / _STEPS) for i in range(len(size))]
    return np.array([o[0] for o in limits]), np.array([o[1] + o[2] for o in limits])


def averaged_hessian(
    scene: EncodedFamily,
    *,
    weights: Weights = responsibilities,
    metric: Callable[[float, Array], float] = lambda g, jacobian: g,
) -> Comparison:
    """Compare E_{q(x|z)}[-Hess_z log p(x|z)] at the optimal parameters with J^T F J.

    The left side is computed twice: by `decoder_hessian` with an arbitrary second derivative of the
    decoder, on which the result must not depend, and by differences of the weighted log likelihood
    along the true decoder. The right side is computed by `pullback_metric` and as
    J_mu^T Cov(T)^-1 J_mu, the same metric in the mean parameters, with J_mu in closed form and
    Cov(T) over the support.
    """
    likelihood, X, z = scene.likelihood, scene.data.data, np.array(scene.z)
    encoder, w = scene.data.encoder, weights(scene)
    best, ahead, behind = _optimal(scene)
    slope, slope_error = _optimal_slope(scene)
    bend = np.where(np.arange(len(best)) % 2 == 0, 1.5, -1.0)
    model = LatentModel(
        decoders.Polynomial([[0], [1], [2]], np.stack([best, slope, bend])), likelihood, 1
    )
    origin = np.zeros(1)
    g = metric(float(pullback_metric(model, origin)[0, 0]), slope)
    each = decoder_hessian(model, X, np.zeros((len(X), 1))).full[:, 0, 0]
    fisher = np.abs(likelihood.fisher_information(best))
    drift = float(2 * np.abs(slope) @ fisher @ slope_error + slope_error @ fisher @ slope_error)

    means = OptimalDecoder(likelihood.statistics(X), encoder).jacobian(z)[:, 0]

    def columns(x: Array) -> Array:
        t = likelihood.statistics(x)
        return np.concatenate([t, (t[:, :, None] * t[:, None, :]).reshape(len(t), -1)], axis=-1)

    at = FamilyScene(scene.family, scene.constants, tuple(best.tolist()))
    value, error, size = at.expectation(columns)
    d = len(best)
    cov = value[d:].reshape(d, d) - np.outer(value[:d], value[:d])
    inverse = np.linalg.pinv(cov, rcond=1e-9)
    by_means = float(means @ inverse @ means)
    covector = np.abs(inverse @ means)
    off = error[d:].reshape(d, d) + 2 * np.outer(error[:d], np.abs(value[:d]))
    second = gamma(200) * size[d:].reshape(d, d)
    support = float(covector @ (off + second) @ covector)

    heights = [likelihood.log_prob(X, params[..., None, :]) @ w for params in (ahead, behind, best)]
    rungs = -(heights[0] + heights[1] - 2 * heights[2]) / _STEPS**2
    sizes = np.abs(likelihood.log_prob(X, best)) @ w + np.abs(best).sum() + 1
    limit, left, noise = extrapolate(rungs, gamma(100) * sizes / _STEPS**2)
    scale = abs(g) + float(w @ np.abs(each))
    rounding = gamma(500) * (scale + sizes)
    return Comparison.all_of(
        Comparison.identity(w @ each, g, scale=scale, slope=drift, rounding=rounding),
        Comparison.identity(
            g,
            by_means,
            scale=scale + abs(by_means),
            slope=drift,
            support=support,
            rounding=rounding,
        ),
        Comparison.identity(
            limit,
            by_means,
            scale=scale + abs(by_means),
            expansion=left,
            numerics=noise,
            support=support,
            rounding=rounding,
        ),
    )


AVERAGED_HESSIAN = Proposition(
    label="7d",
    title="At the optimal decoder the averaged Hessian is the pull-back metric",
    statement=(
        r"\mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f^*(z))] = J^{*\top} F(f^*(z))\, J^*"
        r" = J_\mu^\top\,\mathrm{Cov}(T)^{-1} J_\mu,\quad \mu(z) = \mathbb E_{q(x|z)}[T]"
    ),
    hypotheses=(
        FULL_FAMILY,
        ("optimal decoder", r"\mathbb E_{p(x|f^*(z))}[T] = \mathbb E_{q(x|z)}[T]"),
        ("interior", r"f^*(z)\text{ finite}"),
    ),
    kind="identity",
    instances=encoded_families(),
    check=averaged_hessian,
    controls=wrong(
        averaged_hessian,
        {
            "the unweighted mean over the data": {"weights": equal_weights},
            "twice the metric": {"metric": lambda g, jacobian: 2 * g},
            "J^T J, without the Fisher information": {
                "metric": lambda g, jacobian: float(jacobian @ jacobian)
            },
        },
    ),
    uses=("1c", "2a", "7a"),
    resolution=1e-4,
    examples=40,
)

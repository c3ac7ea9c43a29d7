"""The excess of log p_sigma over its limit: exponent and coefficient, measured and predicted.

It is measured by quadrature of the ratio around the latent, from the decoder's Taylor polynomials.
Where float64 can resolve it, it is compared with the exact log evidence as well. The coefficient
is predicted by the rooms that use the law.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import flows
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.checking import Comparison, once
from vaetheory.checking.rates import power_law
from vaetheory.claims.flow_limit.scenes import Scene, condition_at, scales
from vaetheory.flows import Embedding
from vaetheory.flows.density import latent_log_density
from vaetheory.rounding import gamma

#: The finest scale: here the excess is about 1e-8 nats, and naive differences are noise.
FINEST = 1e-4


Limit = Callable[[Embedding, Array, Array], Array]
Coefficient = Callable[[Embedding, Array], float]


def true_limit(flow: Embedding, z: Array, sigma: Array) -> Array:
    """Limit log N(z; 0, I) - 1/2 log det J^T J - (D - d)/2 log(2 pi sigma^2), for each sigma."""
    normal = 0.5 * (flow.data_dim - flow.latent_dim) * (LOG_2PI + 2 * np.log(sigma))
    return np.asarray(latent_log_density(flow, z) - normal)


def wrong_limit(
    flow: Embedding, z: Array, sigma: Array, *, volume: float = 1.0, normal: float | None = None
) -> Array:
    """The limit with another multiple of the log volume, or of log(2 pi sigma^2) / 2."""
    off = (1 - volume) * np.asarray(flow.log_volume(z))
    d, D = flow.latent_dim, flow.data_dim
    more = 0.0 if normal is None else normal * D - (D - d)
    return true_limit(flow, z, sigma) + off - 0.5 * more * (LOG_2PI + 2 * np.log(sigma))


def measured(
    scene: Scene, sigma: Array, limit: Limit, method: str = "quadrature"
) -> tuple[Array, Array]:
    """Log p_sigma minus a limit, and its error; nothing cancels where the limit is the true one."""
    flow, z = scene.flow, scene.latent
    excess, error = _smoothed(scene, sigma, method)
    # The limits are subtracted first: added to them the excess would lose its digits.
    shift = true_limit(flow, z, sigma) - limit(flow, z, sigma)
    return excess + shift, error


@once
def _smoothed(scene: Scene, sigma: Array, method: str) -> tuple[Array, Array]:
    flow, z = scene.flow, scene.latent
    density = flows.smoothed_log_density(
        flow, flow.forward(z), sigma, method=method, rtol=1e-11, latent=z
    )
    return density.excess, density.excess_error


def excess_law(
    scene: Scene,
    *,
    coefficient: Coefficient,
    limit: Limit = true_limit,
    exponent: float = 2.0,
    remainder: float = 4.0,
) -> Comparison:
    """Check exponent and coefficient of the excess to sigma = 1e-4, and those of the remainder."""
    flow, z = scene.flow, scene.latent
    predicted = coefficient(flow, z)
    second = float(flows.smoothing_coefficients(flow, flow.forward(z), terms=3, latent=z)[1])
    condition = condition_at(flow, z)
    blurred = gamma(100) * condition * (abs(predicted) + half_scale(scene))
    fine = FINEST * 2.0 ** np.arange(4, -1, -1)
    values, errors = measured(scene, fine, limit)
    law = power_law(
        values, errors, fine, exponent=exponent, coefficient=predicted, rounding=blurred
    )
    # Coarse enough to distinguish sigma^4 from sigma^2, fine enough for the series.
    start = float(np.clip(16 * FINEST, scales(scene, start=1 / 64)[0], scales(scene)[0]))
    coarse = start / 2.0 ** np.arange(4)
    values, errors = measured(scene, coarse, limit)
    left = values - predicted * coarse**2
    rest = power_law(
        left,
        errors + blurred * coarse**2,
        coarse,
        exponent=remainder,
        coefficient=second,
        rounding=gamma(400) * condition**4 * (1 + abs(second)),
    )
    return Comparison.all_of(law, rest, _evidence_agrees(scene, coarse, limit))


def half_scale(scene: Scene) -> float:
    """Size of the terms of the first coefficient: (|z| + bend) over the square of the slope."""
    flow, z = scene.flow, scene.latent
    slope = float(np.linalg.svd(flow.jacobian(z), compute_uv=False).min())
    bend = float(np.linalg.norm(flow.hessian(z))) / slope
    return (1 + float(z @ z) + bend**2) / slope**2


def _evidence_agrees(scene: Scene, sigma: Array, limit: Limit) -> Comparison:
    """Compare the excess with the exact log evidence, at scales that float64 can resolve."""
    exact, off = measured(scene, sigma[:2], limit, method="evidence")
    values, errors = measured(scene, sigma[:2], true_limit)
    return Comparison.identity(exact, values, scale=1.0, evidence=off, quadrature=errors)

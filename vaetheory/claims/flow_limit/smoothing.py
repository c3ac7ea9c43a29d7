"""Checks of 8a and 8c: the excess of log p_sigma over the change of variables, by law.

Measured by quadrature of the ratio around the latent, which rests on the decoder's Taylor
polynomials; predicted from Laplacians of the density in the data space (8a) or on the manifold
(8c), which rest on inverse, log determinant, first and second derivatives; held, where float64
can see it, against the exact log evidence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import flows
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.claims.flow_limit.scenes import EmbeddedScene, FlowScene, Scene, scales
from vaetheory.flows import Embedding, Flow
from vaetheory.flows.density import latent_log_density
from vaetheory.jets import taylor
from vaetheory.rounding import gamma

#: The finest of all scales, where the excess is some 1e-8 nats and naive differences are noise.
FINEST = 1e-4

Limit = Callable[[Embedding, Array, Array], Array]
Coefficient = Callable[[Embedding, Array], float]


def true_limit(flow: Embedding, z: Array, sigma: Array) -> Array:
    """Log N(z; 0, I) - 1/2 log det J^T J - (D - d)/2 log(2 pi sigma^2), for each sigma."""
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
    """Log p_sigma less a limit, and its error; without cancellation where the limit is the true."""
    flow, z = scene.flow, scene.latent
    found = flows.smoothed_log_density(
        flow, flow.forward(z), sigma, method=method, rtol=1e-11, latent=z
    )
    # The limits are compared first: beside them the excess would lose its digits.
    shift = true_limit(flow, z, sigma) - limit(flow, z, sigma)
    return found.excess + shift, found.excess_error


def half_laplacian(flow: Embedding, z: Array) -> float:
    """Half the Laplacian of p_flow over p_flow, at x = f(z)."""
    assert isinstance(flow, Flow)
    return 0.5 * float(flows.laplacian_ratio(flow, flow.forward(z)))


def whole_laplacian(flow: Embedding, z: Array) -> float:
    """Without the half."""
    return 2 * half_laplacian(flow, z)


def laplacian_of_the_log(flow: Embedding, z: Array) -> float:
    """Half the Laplacian of log p_flow: the squared gradient is missing."""
    assert isinstance(flow, Flow)
    x = flow.forward(z)
    return half_laplacian(flow, z) - 0.5 * float((score(flow, x) ** 2).sum())


def score(flow: Flow, x: Array) -> Array:
    """The gradient of log p_flow at x."""
    z = flow.inverse(x)
    slope = np.linalg.inv(flow.jacobian(z))
    volume = np.einsum("ij,ijk->k", slope.T, flow.hessian(z))
    return -(z + volume) @ slope


def excess_law(
    scene: Scene,
    *,
    coefficient: Coefficient,
    limit: Limit = true_limit,
    exponent: float = 2.0,
    remainder: float = 4.0,
) -> Comparison:
    """Exponent and coefficient of the excess down to sigma = 1e-4, and those of what is left."""
    flow, z = scene.flow, scene.latent
    predicted = coefficient(flow, z)
    second = float(flows.smoothing_coefficients(flow, flow.forward(z), terms=3, latent=z)[1])
    condition = float(np.linalg.cond(flow.jacobian(z)))
    blurred = gamma(100) * condition * (abs(predicted) + half_scale(scene))
    fine = FINEST * 2.0 ** np.arange(4, -1, -1)
    values, errors = measured(scene, fine, limit)
    law = power_law(
        values, errors, fine, exponent=exponent, coefficient=predicted, rounding=blurred
    )
    # Coarse enough that sigma^4 is told from sigma^2, fine enough for the series.
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
    """The same excess as the exact log evidence less the limit, at scales that it can see."""
    exact, off = measured(scene, sigma[:2], limit, method="evidence")
    values, errors = measured(scene, sigma[:2], true_limit)
    return Comparison.identity(exact, values, scale=1.0, evidence=off, quadrature=errors)


def smooth_flow(scene: FlowScene, **options: object) -> Comparison:
    """8a: D = d."""
    options.setdefault("coefficient", half_laplacian)
    return excess_law(scene, **options)  # type: ignore[arg-type]


# On a manifold ----------------------------------------------------------------------------------


def third_derivatives(flow: Embedding, z: Array) -> Array:
    """Third derivatives of f at z, `(D, d, d, d)`, polarised from series along lines."""
    units = np.eye(flow.latent_dim)

    def cube(*directions: Array) -> Array:
        return np.asarray(taylor(flow.forward, z, np.sum(directions, axis=0), 3)[3])

    def mixed(a: Array, b: Array, c: Array) -> Array:
        pairs = cube(a, b) + cube(a, c) + cube(b, c)
        return cube(a, b, c) - pairs + cube(a) + cube(b) + cube(c)

    table = [[[mixed(a, b, c) for c in units] for b in units] for a in units]
    return np.moveaxis(np.array(table), -1, 0)


def manifold_coefficient(
    flow: Embedding, z: Array, *, density: float = 0.5, second: float = 0.25, mean: float = -0.125
) -> float:
    """1/2 Laplace-Beltrami p / p + 1/4 |II|^2 - 1/8 |H|^2 at f(z), from derivatives of f.

    With log p = -1/2 |z|^2 - 1/2 log det g; II the second fundamental form, H its trace.
    """
    J, B, C = flow.jacobian(z), flow.hessian(z), third_derivatives(flow, z)
    g = J.T @ J
    inverse = np.linalg.inv(g)
    first = np.einsum("aik,aj->kij", B, J)
    first = first + np.swapaxes(first, -1, -2)
    mixed = np.einsum("aikl,aj->klij", C, J) + np.einsum("aik,ajl->klij", B, B)
    mixed = mixed + np.swapaxes(mixed, -1, -2)
    raised = np.einsum("ij,kjl->kil", inverse, first)
    volume = np.einsum("kii->k", raised)
    bent = np.einsum("ij,klij->kl", inverse, mixed) - np.einsum("kij,lji->kl", raised, raised)
    gradient, hessian = -z - volume / 2, -np.eye(len(z)) - bent / 2
    christoffel = np.einsum("kl,al,aij->kij", inverse, J, B)
    laplacian = np.einsum("ij,ij->", inverse, hessian - np.einsum("kij,k", christoffel, gradient))
    laplacian = laplacian + gradient @ inverse @ gradient
    form = B - np.einsum("ak,kij->aij", J, christoffel)
    trace = np.einsum("ij,aij->a", inverse, form)
    square = np.einsum("aij,akl,ik,jl->", form, form, inverse, inverse)
    return float(density * laplacian + second * square + mean * trace @ trace)


def latent_laplacian(flow: Embedding, z: Array) -> float:
    """The Laplacian of the prior in the latent's own coordinates, raised with the metric."""
    J = flow.jacobian(z)
    inverse = np.linalg.inv(J.T @ J)
    return 0.5 * float(z @ inverse @ z - np.trace(inverse))


def smooth_embedding(scene: EmbeddedScene, **options: object) -> Comparison:
    """8c: D > d."""
    options.setdefault("coefficient", manifold_coefficient)
    return excess_law(scene, **options)  # type: ignore[arg-type]

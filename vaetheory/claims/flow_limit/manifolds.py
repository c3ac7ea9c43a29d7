"""Check of 8c: an embedding under noise, by the Laplacian and the curvature of its image."""

from __future__ import annotations

from functools import partial

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Proposition, wrong
from vaetheory.claims.flow_limit.excess import excess_law, wrong_limit
from vaetheory.claims.flow_limit.scenes import EMBEDDING, GAUSSIAN, SMOOTH, embedded_scenes, tame
from vaetheory.flows import Embedding
from vaetheory.jets import taylor


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

    Here log p = -1/2 |z|^2 - 1/2 log det g, II is the second fundamental form and H its trace.
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


#: 8c: D > d, the Laplacian and the curvature of the image.
smooth_embedding = partial(excess_law, coefficient=manifold_coefficient)


MANIFOLDS = Proposition(
    label="8c",
    title="On a manifold: the same, with a term that diverges and one for the curvature",
    statement=(
        r"\log p_\sigma(x) = -\tfrac{D-d}2\log 2\pi\sigma^2 + \log\mathcal N(z_0; 0, I)"
        r" - \tfrac12\log\det g + \sigma^2\Big(\frac{\Delta_M p}{2p}"
        r" + \tfrac14\|\mathrm{II}\|^2 - \tfrac18\|H\|^2\Big) + O(\sigma^4)"
    ),
    hypotheses=(GAUSSIAN, EMBEDDING, SMOOTH),
    kind="rate",
    instances=embedded_scenes().map(tame),
    check=smooth_embedding,
    controls=wrong(
        smooth_embedding,
        {
            "D for D - d": {"limit": partial(wrong_limit, normal=1.0)},
            "g without its square root": {"limit": partial(wrong_limit, volume=2.0)},
            "no curvature": {"coefficient": partial(manifold_coefficient, second=0.0, mean=0.0)},
            "the mean curvature of the wrong sign": {
                "coefficient": partial(manifold_coefficient, mean=0.125)
            },
            "the Laplacian of the prior": {"coefficient": latent_laplacian},
            "sigma for sigma^2": {"exponent": 1.0},
        },
    ),
    uses=("8a",),
    figure="flow-limit",
    resolution=5e-2,
    examples=4,
)

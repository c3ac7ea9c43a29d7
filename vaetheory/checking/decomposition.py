"""log p(x) = ELBO + KL(q || p(z|x)) for any latent model, each term by a route of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from vaetheory import _gaussians
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.modes import posterior_mode

_BOX = 20.0


@dataclass(frozen=True)
class LatticeDivergence:
    """KL(q || p(z|x)) and its reverse, from one lattice that also normalises the posterior."""

    forward: float
    error: float
    reverse: float


def lattice_divergence(scene: ModelScene) -> LatticeDivergence:
    """Sum q (log q - log p(z|x)) over a lattice, with log p(x) from the same lattice."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    shift = float(model.log_joint(x, posterior_mode(model, x[None])[0]))

    def columns(z: Array) -> Array:
        log_joint = model.log_joint(x, z) - shift
        log_q = q.log_prob(z)
        p, density = np.exp(np.maximum(log_joint, -700)), np.exp(np.maximum(log_q, -700))
        return np.stack(
            [p, density * (log_q - log_joint), p * (log_joint - log_q), density], axis=-1
        )

    box = np.full(dim, _BOX)
    value, error = lattice_integral(columns, -box, box, step=1 / 64 if dim == 1 else 1 / 14)
    # Outside the box the mass is at most the prior's tail times the greatest likelihood.
    peak = float(model.likelihood.greatest_log_prob(x))
    tail = np.exp(np.log(2 * dim) + log_ndtr(-_BOX) + peak - shift)
    mass = float(value[0])
    forward = float(value[1] + np.log(mass))
    lost = float(error[1] + (error[0] + tail) / mass + error[3] * abs(np.log(mass)))
    return LatticeDivergence(forward, lost, float(value[2] / mass - np.log(mass)))


def evidence_decomposition(
    scene: ModelScene,
    *,
    divergence: Callable[[LatticeDivergence], float] = lambda d: d.forward,
    posterior: Callable[[ModelScene], Posterior] = lambda s: s.posterior,
    entropy: float = 1.0,
) -> Comparison:
    """Compare log p(x) by adaptive cells with ELBO by Gauss-Hermite plus KL by a lattice."""
    model, x = scene.model, np.array(scene.x)
    evidence = log_evidence(model, x)
    q = posterior(scene)
    bound = elbo(model, x, q)
    kl = lattice_divergence(scene)
    value = float(bound.value) - (1 - entropy) * 0.5 * float(_gaussians.log_det(q.cov))
    return Comparison.identity(
        evidence.value,
        value + divergence(kl),
        scale=abs(float(bound.value)) + abs(kl.forward) + 1,
        evidence=evidence.error,
        elbo=bound.error,
        lattice=kl.error,
    )

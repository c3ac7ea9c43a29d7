"""Check of 14e: the posterior that importance weighting implies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.importance_weighting.scenes import (
    BOUND,
    WEIGHTS,
    CurvedScene,
    curved_scenes,
    evidences,
    lattice_over_q,
)
from vaetheory.rounding import gamma

_COUNTS = (2, 3, 10)
_LOG_T = np.arange(-40.0, 720.0, 0.25)


@once
def implied(scenes: tuple[CurvedScene, ...], offset: float) -> tuple[Array, Array]:
    """E_q[w / mean] and E_q[(w / mean) log mean'] for each K, `(I, 3)`: the mass and the ELBO.

    1 / (w_1 + ... + w_K) is the integral of exp(-t (w_1 + ... + w_K)), so that
    q_K(z) = q(z) w(z) integral of exp(-t w(z) / K) phi(t / K)^(K - 1) dt.
    """
    logs, masses = lattice_over_q(scenes, 0.125, offset)
    top = logs.max(axis=-1)
    step, found = _LOG_T[1] - _LOG_T[0], np.empty((2, len(logs), len(_COUNTS)))
    for row, log_w in enumerate(logs - top[:, None]):
        # The kernel exp(-t w) at the nodes of log t, which are those of log(t / K).
        kernel = np.exp(-np.exp(np.minimum(_LOG_T[:, None] + log_w, 700.0)))
        phi = np.clip(kernel @ masses, 1e-300, 1.0)
        for k, count in enumerate(_COUNTS):
            with np.errstate(under="ignore", over="ignore"):
                rest = np.exp(_LOG_T + (count - 1) * np.log(phi))
            rho = count * step * (rest @ kernel)
            # q_K / q = w rho; where q_K is nothing so are both terms.
            share = masses * np.exp(log_w) * rho
            found[0, row, k] = share.sum()
            found[1, row, k] = (share * (top[row] - np.log(np.maximum(rho, 1e-300)))).sum()
    return found[0], found[1]


def _log_reciprocals(logs: Array, masses: Array) -> Array:
    """Log of the mean of exp(-logs) `(M, ...)` over the last axis."""
    least = logs.min(axis=-1)
    return np.asarray(np.log(np.exp(least[..., None] - logs) @ masses) - least)


@once
def both_of_two(scenes: tuple[CurvedScene, ...], fresh: bool) -> tuple[Array, Array]:
    """The same for K = 2 by double sums `(I,)`, and the difference of two of them.

    With `fresh` all weights in the mean are others than that of z.
    """
    found = np.empty((2, 2, len(scenes)))
    for which, offset in enumerate((0.0, 0.5)):
        logs, masses = lattice_over_q(scenes, 0.125, offset)
        others, theirs = lattice_over_q(scenes, 0.125, 0.0)
        for row, (log_w, other) in enumerate(zip(logs, others, strict=True)):
            log_rho = _log_reciprocals(np.logaddexp(log_w[:, None], other), theirs)
            if fresh:
                log_rho = _log_reciprocals(np.logaddexp(other[:, None], other), theirs)
                log_rho = np.full_like(log_w, _log_reciprocals(-log_rho, theirs))
            log_rho += np.log(2)
            share = masses * np.exp(log_w + log_rho)
            found[which, 0, row] = share.sum()
            found[which, 1, row] = -(share * log_rho).sum()
    (mass, value), spread = found.mean(axis=0), np.abs(found[0] - found[1]).sum(axis=0)
    return np.stack([mass, value]), spread


@once
def library_bounds(scenes: tuple[CurvedScene, ...]) -> tuple[Array, Array]:
    """L_K of the library, `(I, 3)`, and the errors."""
    found = [importance_weighted_bound(s.model, [s.x], s.posterior, list(_COUNTS)) for s in scenes]
    return np.stack([f.value[0] for f in found]), np.stack([f.error[0] for f in found])


@together
def implied_posterior(
    scenes: Sequence[CurvedScene], *, equal: bool = False, fresh: bool = False
) -> list[Comparison]:
    """Check the mass of q_K, its ELBO between L_K and the evidence, and K = 2 by a double sum."""
    key = tuple(scenes)
    mass, value = implied(key, 0.0)
    again, other = implied(key, 0.5)
    bound, error = library_bounds(key)
    evidence, evidence_error = evidences(key)
    size = 1 + np.abs(value)
    spread = np.abs(value - other) + np.abs(mass - again) * size
    lost = gamma(4000) * (size + 50)
    (two, elbo_of_two), apart = both_of_two(key, fresh)
    upper = bound if equal else np.broadcast_to(evidence[:, None], bound.shape)
    each = [
        Comparison.identities(mass, 1.0, scale=1.0, lattices=spread, rounding=lost),
        Comparison.identities(two, 1.0, scale=1.0, lattices=apart, rounding=lost[:, 0]),
        Comparison.identities(
            value[:, 0], elbo_of_two, scale=size[:, 0], lattices=spread[:, 0] + apart,
            rounding=lost[:, 0],
        ),
        Comparison.each_at_most(
            bound, value, scale=size, library=error, lattices=spread, rounding=lost
        ),
        Comparison.each_at_most(
            value, upper, scale=size, library=error, lattices=spread,
            evidence=evidence_error[:, None], rounding=lost,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


IMPLIED_POSTERIOR = Proposition(
    label="14e",
    title="The posterior that K weights imply is normalised, and its ELBO is above their bound",
    statement=(
        r"q_K(z) = \mathbb E_{z_2, \dots, z_K}\frac{p(x, z)}{\frac1K(w(z) + \sum_{k\ge2}w_k)} = "
        r"p(z|x)\int_0^\infty e^{-t\bar w(z)/K}\phi(t/K)^{K-1}dt:\quad \int q_K = 1,\quad "
        r"L_K \le \mathrm{ELBO}(q_K) \le \log p(x)"
    ),
    hypotheses=(WEIGHTS, BOUND, ("absolutely continuous", r"p(z|x) \ll q")),
    kind="inequality",
    instances=curved_scenes(),
    check=implied_posterior,
    controls=wrong(
        implied_posterior,
        {
            "the ELBO of q_K is L_K": {"equal": True},
            "K other weights in the mean": {"fresh": True},
        },
    ),
    uses=("14a",),
    resolution=1e-4,
    examples=4,
)

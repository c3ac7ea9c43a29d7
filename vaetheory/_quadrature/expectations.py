"""Posterior expectations from the sums of the engine, with their error figures."""

from __future__ import annotations

import numpy as np

from vaetheory._progress import Progress
from vaetheory._quadrature import engine
from vaetheory._quadrature.result import Integral
from vaetheory._quadrature.sums import Observable
from vaetheory._validation import Array
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: If h has more than this share of E|h| in the tails of a posterior, the part beyond is unknown.
_MUCH = 0.01


def expectations(
    model: LatentModel,
    rows: Array,
    columns: Observable,
    *,
    rtol: float,
    max_nodes: int,
    progress: Progress | None = None,
) -> Integral:
    """E[h(z) given x] of checked data `(N, D)` for functions `(..., d) -> (..., K)`, `(N, K)`.

    The error is an estimate; `vaetheory.evidence.posterior_expectation` says of what.
    """
    outcome = engine.run(
        model, rows, rtol=rtol, max_nodes=max_nodes, observable=columns, progress=progress
    )
    sums = outcome.sums
    with np.errstate(all="ignore"):
        mean, size = sums.moment / sums.total[:, None], sums.size / sums.total[:, None]
        # Errors of numerator and denominator; rounding and the mass left out count for both.
        off = sums.moment_error / sums.total[:, None]
        off += np.abs(mean) * (sums.error / sums.total)[:, None]
        common = 2 * (sums.rounding / sums.total + outcome.noise) + 10 * outcome.missing
        off += size * (common + 8 * ULP)[:, None]
        # If the tails are small, the part of h beyond them is smaller than the part in them.
        off += np.where(sums.tail <= _MUCH * sums.size, 2 * sums.tail / sums.total[:, None], np.inf)
        # If h vanishes at all nodes of the posterior but not elsewhere, no digit is known.
        nothing = sums.size == 0
        if nothing.any():
            elsewhere = columns(engine.places(model.latent_dim))
            off[nothing & (elsewhere != 0).any(axis=0)] = np.inf
    known = np.isfinite(outcome.error)[:, None] & np.isfinite(off)
    error = np.where(known, off, np.inf)
    return Integral(mean, error, outcome.status(error, rtol * size), outcome.nodes)

"""The check of 3g: on the decoder z^2, which is not injective, a gap of log 2 stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.stationary_evidence.gap_law import LADDER
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class Fold:
    """The decoder z -> z^2, not injective, at the datum z0^2."""

    z0: float


def folds() -> st.SearchStrategy[Fold]:
    """Points away from the fold."""
    return st.builds(Fold, strategies.nonzero_fractions(8, 4))


@once
def fold_gaps(z0: float, scales: Array) -> tuple[Array, Array]:
    """Log evidence minus the best Gaussian's ELBO, of x = z0^2 under f = z^2, and the errors."""
    decoder, z = decoders.Polynomial([[2]], [[1.0]]), np.array([z0])
    x = decoder(z)
    gaps, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), 1)
        evidence = log_evidence(model, x, rtol=1e-13)
        # A start at each of the two modes, and a broad one over both.
        narrow, broad = np.abs(scale / (2 * z)), np.abs(z)
        start = Posterior([z, -z, 0 * z], scale=np.array([narrow, narrow, broad]))
        tried = stationary_posterior(model, np.tile(x, (3, 1)), start=start)
        best = int(tried.value.argmax())
        gaps.append(float(evidence.value) - float(tried.value[best]))
        errors.append(float(evidence.error) + float(tried.error[best]))
    return np.array(gaps), np.array(errors)


def fold_gap(scene: Fold, *, limit: float = float(np.log(2))) -> Comparison:
    """The gap of the best Gaussian at x = z0^2 under f = z^2 tends to log 2, not to 0."""
    gaps, errors = fold_gaps(scene.z0, scene.z0**2 / 8 * LADDER)
    measured, left, noise = extrapolate(gaps, errors)
    return Comparison.identity(measured, limit, scale=1.0, expansion=left, numerics=noise)


FOLD_GAP = Proposition(
    label="3g",
    title="Read literally the claim is false: f = z^2 keeps a gap of log 2",
    statement=(
        r"f(z) = z^2,\ x = z_0^2 \ne 0:\quad "
        r"\log p(x) - \max_q \mathrm{ELBO} \to \log 2 \text{ as } \sigma \to 0"
    ),
    hypotheses=(("not injective", r"f(z_0) = f(-z_0)"),),
    kind="counterexample",
    instances=folds(),
    check=fold_gap,
    controls=wrong(
        fold_gap,
        {"the gap vanishes": {"limit": 0.0}, "a gap of log 3": {"limit": float(np.log(3))}},
    ),
    uses=("3f",),
    figure="stationary-evidence",
    resolution=1e-2,
    examples=4,
)

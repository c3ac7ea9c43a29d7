"""The check of 3-digits: the exact evidence of 1,797 digits under a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory import _gaussians, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digits import FittedDigits, fitted_decoder, load
from vaetheory.decoders import Decoder
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class DigitGaps:
    """Log evidence by two routes and stationary ELBO of every digit, with their errors."""

    evidence: Array
    evidence_error: Array
    lattice: Array
    lattice_error: Array
    elbo: Array
    elbo_error: Array


_RADIUS, _STEP = 16.0, 0.1
#: Nodes of the lattice along the side of a tile.
_SIDE = 8
#: Nodes this far below the greatest, in nats, do not change any digit of a sum of 1e5 of them.
_BELOW = 50.0


def _tiles(offset: float) -> Array:
    """Nodes of the lattice `(T, K, 2)`, in square tiles that meet the disc."""
    side = np.arange(-_RADIUS, _RADIUS, _STEP) + offset
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    count = len(side) // _SIDE
    tiles = grid.reshape(count, _SIDE, count, _SIDE, 2).swapaxes(1, 2).reshape(-1, _SIDE**2, 2)
    return tiles[(tiles**2).sum(axis=-1).min(axis=-1) < _RADIUS**2]


def _log_sums(data: Array, centres: Array, log_weights: Array) -> Array:
    """Log sum of exp(log weight - |x - centre|^2 / 2) for each datum, over tiles of centres.

    Of data `(N, D)`, centres `(T, K, D)` and log weights `(T, K)`. A tile is left out where a bound
    says that none of its terms changes the sum.
    """
    fixed = log_weights - 0.5 * (centres**2).sum(axis=-1)
    square = 0.5 * (data**2).sum(axis=-1)
    # One term of each tile: their greatest is at most the greatest of all.
    greatest = (data @ centres[:, 0].T + fixed[:, 0]).max(axis=-1)
    middle = centres.mean(axis=1)
    radius = np.sqrt(((centres - middle[:, None]) ** 2).sum(axis=-1).max(axis=-1))
    half = square[:, None] - data @ middle.T + 0.5 * (middle**2).sum(axis=-1)
    # No centre of a tile is nearer to a datum than the middle less the radius.
    nearest = np.maximum(np.sqrt(2 * np.maximum(half, 0)) - radius, 0)
    most = log_weights.max(axis=-1) - 0.5 * nearest**2 + square[:, None]
    sums = np.zeros(len(data))
    for tile, needed in enumerate((most > greatest[:, None] - _BELOW).T):
        rows = np.flatnonzero(needed)
        terms = data[rows] @ centres[tile].T
        terms += fixed[tile]
        terms -= greatest[rows, None]
        sums[rows] += np.exp(terms, out=terms).sum(axis=-1)
    return greatest + np.log(sums) - square


def _lattice_evidence(
    decoder: Decoder, likelihood: likelihoods.Gaussian, X: Array
) -> tuple[Array, Array]:
    """Log evidence of all data from two plain lattices half a step apart, and the error."""
    white, sums = likelihood.whiten(X), []
    for offset in (0.0, _STEP / 2):
        tiles = _tiles(offset)
        prior = _gaussians.standard_log_prob(tiles) + 2 * np.log(_STEP)
        sums.append(_log_sums(white, likelihood.whiten(decoder(tiles)), prior))
    peak = likelihood.log_peak(X.shape[1])
    value = np.logaddexp(*sums) - np.log(2) + peak
    # Outside the disc the mass is at most the prior's tail times the likelihood's peak.
    tail = np.exp(-0.5 * _RADIUS**2 + peak - value)
    # The squares are expanded, which costs rounding of their size.
    square = 0.5 * (white**2).sum(axis=-1)
    return value, np.abs(sums[0] - sums[1]) + gamma(300) * square + tail


@lru_cache(maxsize=4)
def digit_gaps(noise: float) -> DigitGaps:
    """All that 3-digits needs, computed once in a process."""
    (decoder, scale), X = fitted_decoder(), load().images
    likelihood = likelihoods.Gaussian(scale=noise * scale)
    model = LatentModel(decoder, likelihood, 2)
    evidence = log_evidence(model, X)
    lattice, lattice_error = _lattice_evidence(decoder, likelihood, X)
    best = stationary_posterior(model, X, rtol=1e-7)
    return DigitGaps(evidence.value, evidence.error, lattice, lattice_error, best.value, best.error)


def digit_evidence(
    instance: FittedDigits, *, gap: float = 1.0, shift: float = 0.0, excess: float = 0.0
) -> Comparison:
    """For each digit two routes to the evidence agree, and the stationary ELBO lies below."""
    labels = load().labels
    computed = digit_gaps(instance.noise)
    gaps = computed.evidence - computed.elbo
    widest = int(gaps.argmax())
    scale = np.abs(computed.evidence)
    findings = (
        f"digits, 2-d latent, exact evidence of all {len(gaps)}: mean gap to the best Gaussian's "
        f"ELBO {gaps.mean():.4f} nats, largest {gaps.max():.4f} (datum {widest}, a "
        f"{labels[widest]}), smallest {gaps.min():.4f}; mean log evidence "
        f"{computed.evidence.mean():.3f}",
    )
    return Comparison.all_of(
        Comparison.identity(
            computed.evidence + shift,
            computed.lattice,
            scale=scale,
            cells=computed.evidence_error,
            lattice=computed.lattice_error,
        ),
        Comparison.at_most(
            gap * computed.elbo + excess,
            gap * computed.evidence,
            scale=scale,
            evidence=computed.evidence_error,
            elbo=computed.elbo_error,
        ),
        findings=findings,
    )


EVIDENCE_OF_DIGITS = Proposition(
    label="3-digits",
    title="The exact evidence of every digit lies above its best Gaussian's ELBO",
    statement=r"\mathrm{ELBO}(x_n) \le \log p(x_n) \text{ for each of 1,797 digits}",
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digit_evidence,
    controls=wrong(
        digit_evidence,
        {
            "the evidence below the ELBO": {"gap": -1.0},
            "half a log 2 pi too many": {"shift": _gaussians.LOG_2PI / 2},
            "one nat too many in the ELBO": {"excess": 1.0},
        },
    ),
    uses=("3a", "3b"),
    figure="stationary-evidence",
    examples=1,
)

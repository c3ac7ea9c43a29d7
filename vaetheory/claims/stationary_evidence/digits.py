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
#: Nodes and data in a block, so that its table stays in the cache.
_NODES, _DATA = 1024, 128
#: Nodes this far below the greatest, in nats, do not change any digit of a sum.
_BELOW = 100.0


def _lattice(offset: float) -> Array:
    """Nodes `(M, 2)` of the lattice in the disc, square tile after square tile."""
    side = np.arange(-_RADIUS, _RADIUS, _STEP)
    grid = np.stack(np.meshgrid(side + offset, side + offset), axis=-1)
    tiles = grid.reshape(10, 32, 10, 32, 2).swapaxes(1, 2).reshape(-1, 2)
    return tiles[(tiles**2).sum(axis=-1) < _RADIUS**2]


def _log_sums(left: Array, right: Array, fixed: Array) -> Array:
    """Log sum_m exp(left_n . right_m + fixed_m) for each row n of `left`, block by block."""
    # Rows whose greatest terms are near each other come together: other blocks can be left out.
    order = (left @ right[::64].T + fixed[::64]).argmax(axis=-1).argsort()
    sums = np.empty(len(left))
    for rows in np.split(order, range(_DATA, len(order), _DATA)):
        total, top = np.zeros(len(rows)), np.full(len(rows), -np.inf)
        for i in range(0, len(right), _NODES):
            block = left[rows] @ right[i : i + _NODES].T
            block += fixed[i : i + _NODES]
            most = np.maximum(top, block.max(axis=-1))
            total *= np.exp(top - most)
            top = most
            block -= top[:, None]
            if block.max() > -_BELOW:
                total += np.exp(block, out=block).sum(axis=-1)
        sums[rows] = top + np.log(total)
    return sums


def _lattice_evidence(
    decoder: Decoder, likelihood: likelihoods.Gaussian, X: Array
) -> tuple[Array, Array]:
    """Log evidence of all data from two plain lattices half a step apart, and the error."""
    white = likelihood.whiten(X)
    square = 0.5 * (white**2).sum(axis=-1)
    sums = []
    for offset in (0.0, _STEP / 2):
        grid = _lattice(offset)
        params = likelihood.whiten(decoder(grid))
        fixed = _gaussians.standard_log_prob(grid) - 0.5 * (params**2).sum(axis=-1)
        sums.append(_log_sums(white, params, fixed) - square + 2 * np.log(_STEP))
    peak = likelihood.log_peak(X.shape[1])
    value = np.logaddexp(*sums) - np.log(2) + peak
    # Outside the disc the mass is at most the prior's tail times the likelihood's peak.
    tail = np.exp(-0.5 * _RADIUS**2 + peak - value)
    # The squares are expanded, which costs rounding of their size.
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

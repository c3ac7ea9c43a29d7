"""The gap between a loss and the exact -log p(x), split by the propositions that explain it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vaetheory._quadrature.noticed_kinks import KinksWarning
from vaetheory._validation import Array
from vaetheory.bounds.gap import gap_split
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel

#: The largest latent dimension for which this is done, and the largest data.
LARGEST, LARGEST_DATA = 3, 4096
#: Examples whose evidence is computed.
DATA = 4
#: Operations that may be spent, some four seconds of one core; for large models up to twenty, for
#: fewer evaluations than these; and those of an output besides the layers that are counted.
_OPERATIONS, _MOST, _FEW, _AN_OUTPUT = 2.5e10, 1.2e11, 100_000, 700
_NODES = {1: 100_000, 2: 200_000, 3: 500_000}
#: What one datum takes, its evidence and its ELBOs together, where the decoder has kinks.
_A_DATUM = {1: 60_000, 2: 300_000, 3: 300_000}
#: Tolerances of the ELBOs. With kinks in three dimensions five digits take 190,000 evaluations and
#: are not reached; three take a fifth, and are.
_SMOOTH, _KINKED = 1e-8, {1: 1e-5, 2: 1e-4, 3: 1e-3}
#: The parts of the gap, from the evidence down, with the proposition that each applies.
_PARTS = (
    ("approximation", "3f", "posteriors are no Gaussians (3a, 3f)"),
    ("diagonal covariance", "3d", "and have correlations (3d)"),
    ("amortisation", "3b", "the encoder is not at the stationary point (3b)"),
)


def affordable(operations: float, outputs: float) -> int:
    """How many latents can be decoded, each with some operations of its layers and outputs."""
    each = operations + _AN_OUTPUT * outputs
    return int(max(_OPERATIONS / each, min(_FEW, _MOST / each)))


def in_units(loc: Array, cov: Array, prior_loc: Array, prior_scale: Array) -> Posterior:
    """Posteriors in units of a prior."""
    cov = cov / (prior_scale[:, :, None] * prior_scale[:, None, :])
    return Posterior((loc - prior_loc) / prior_scale, cov=cov)


def split(model: LatentModel, x: Array, posterior: Posterior, budget: Budget) -> dict[str, Any]:
    """Means over the data of the exact evidence, of the encoder's ELBO, and the gap in its parts.

    Parameters
    ----------
    model : LatentModel
        With a prior N(0, I): latents in units of the declared prior.
    x : array (n, D)
        Data.
    posterior : Posterior
        What the encoder gives for them.
    budget : Budget
        It counts the evaluations of the decoder.

    Returns
    -------
    dict
        `negative_log_evidence` and `loss` (the negative ELBO of the encoder) in nats, each with an
        `error`, which are estimates; `gap`: the parts, each with the label of its proposition.
    """
    d = model.latent_dim
    most = max(1000, min(_NODES[d], budget.nodes // (2 * len(x))))
    with warnings.catch_warnings():
        # The error says what kinks cost.
        warnings.simplefilter("ignore", KinksWarning)
        return _split(model, x, posterior, budget, most)


def _split(
    model: LatentModel, x: Array, posterior: Posterior, budget: Budget, most: int
) -> dict[str, Any]:
    d = model.latent_dim
    evidence = log_evidence(model, x, rtol=1e-6, max_nodes=most)
    made: dict[str, Any] = {
        "data": len(x),
        "negative_log_evidence": float(-evidence.value.mean()),
        "negative_log_evidence_error": float(np.mean(evidence.error)),
    }
    if not np.isfinite(evidence.error).all():
        return {"not computed": "the decoder is too expensive for an evidence with an error"}
    # Kinks of the decoder make every digit expensive.
    rtol = _SMOOTH if evidence.reached.all() else _KINKED[d]
    try:
        found = gap_split(model, x, posterior, evidence=evidence, restart=False, rtol=rtol)
    except ValueError:
        if not budget.spent:
            raise
        made["not computed"] = "the split of the gap: the decoder is too expensive for it"
        return made
    made["loss"], made["loss_error"] = float(-found.elbo.mean()), float(found.elbo_error.mean())
    made["gap_per_datum"] = found.gap.tolist()
    parts = [
        (found.approximation, found.approximation_error),
        (found.diagonal, found.diagonal_error),
        (found.amortisation, found.amortisation_error),
    ]
    diagonal = d > 1 and found.structure == "diagonal"
    made["gap"] = [
        {
            "name": name,
            "nats": float(nats.mean()),
            "error": float(error.mean()),
            "proposition": label,
            "why": why,
        }
        for (name, label, why), (nats, error) in zip(_PARTS, parts, strict=True)
        if diagonal or label != "3d"
    ]
    return made


class Budget:
    """Evaluations of the decoder that may be spent, so that an audit ends in time.

    Parameters
    ----------
    nodes : int
        How many latents may be decoded.

    Notes
    -----
    The count is in a slot. A decoder that counts its calls in what it holds is refused by the
    bridge, which looks for numbers that a call changes; this one changes no output.
    """

    __slots__ = ("_left", "nodes")

    def __init__(self, nodes: int) -> None:
        self.nodes, self._left = nodes, nodes

    def data(self, d: int, most: int) -> int:
        """How many data there are evaluations for, of `most`; at least one."""
        return max(1, min(most, self.nodes // _A_DATUM[d]))

    @property
    def spent(self) -> bool:
        """Whether more was asked for than there is."""
        return self._left < 0

    def spend(self, nodes: int) -> None:
        """Count evaluations; raise a ValueError when none are left."""
        self._left -= nodes
        if self.spent:
            raise ValueError(f"evidence: expected at most {self.nodes} evaluations of the decoder")

"""The gap between a loss and the exact -log p(x), split by the propositions that explain it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel

#: The largest latent dimension for which this is done.
LARGEST = 3
_NODES = {1: 200_000, 2: 400_000, 3: 1_000_000}


def split(model: LatentModel, x: Array, posterior: Posterior) -> dict[str, Any]:
    """Means over the data of the exact evidence, of the encoder's ELBO, and the gap in its parts.

    Parameters
    ----------
    model : LatentModel
        With a prior N(0, I): latents in units of the declared prior.
    x : array (n, D)
        Data.
    posterior : Posterior
        What the encoder gives for them.

    Returns
    -------
    dict
        `negative_log_evidence` and `loss` (the negative ELBO of the encoder) in nats, each with an
        `error`, which are estimates; `gap`: the parts, with the label of their proposition.
    """
    d = model.latent_dim
    evidence = log_evidence(model, x, rtol=1e-6, max_nodes=_NODES[d])
    own = elbo(model, x, posterior, rtol=1e-8)
    parts: list[dict[str, Any]] = []
    if d > 1:
        full = stationary_posterior(model, x, rtol=1e-8)
        diagonal = stationary_posterior(model, x, structure="diagonal", rtol=1e-8)
        best = np.maximum(full.value, own.value)
        best_diagonal = np.maximum(diagonal.value, own.value)
    else:
        full = diagonal = stationary_posterior(model, x, rtol=1e-8)
        best = best_diagonal = np.maximum(full.value, own.value)
    parts.append(
        {
            "name": "approximation",
            "nats": float((evidence.value - best).mean()),
            "proposition": "3f",
            "why": "posteriors are no Gaussians (3a, 3f)",
        }
    )
    if d > 1:
        parts.append(
            {
                "name": "diagonal covariance",
                "nats": float((best - best_diagonal).mean()),
                "proposition": "3d",
                "why": "and have correlations (3d)",
            }
        )
    parts.append(
        {
            "name": "amortisation",
            "nats": float((best_diagonal - own.value).mean()),
            "proposition": "3b",
            "why": "the encoder is not at the stationary point (3b)",
        }
    )
    return {
        "data": len(x),
        "negative_log_evidence": float(-evidence.value.mean()),
        "negative_log_evidence_error": float(np.mean(evidence.error)),
        "loss": float(-own.value.mean()),
        "loss_error": float(np.mean(own.error)),
        "gap": parts,
        "gap_per_datum": (evidence.value - own.value).tolist(),
    }

"""How large the outputs of a decoder are, as a share of the largest moderate ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributions

from vaetheory.audit._journeys import LOG_SCALES, OUTPUTS, PROBABILITY
from vaetheory.audit._shots import Decoded
from vaetheory.audit._torch import _adapters as adapters


def extent(p: distributions.Distribution, x: torch.Tensor) -> float:
    """1 for the largest outputs at which other terms do not drown in rounding."""
    q: Any = adapters.base(p)
    kind = adapters.family(p)
    if kind == "bernoulli":
        f = q.logits.detach() if "logits" in vars(q) else torch.logit(q.probs.detach())
        return float(f.abs().max()) / -float(np.log(PROBABILITY))
    if kind == "normal":
        size = float(q.loc.detach().abs().max()) / OUTPUTS
        scale = q.scale.detach()
        if float(scale.max()) > 3 * float(scale.min()) or scale.requires_grad:
            size = max(size, float(scale.log().abs().max()) / LOG_SCALES)
        return size
    try:
        found: Decoded = adapters.decoded(p, x)
    except (ValueError, RuntimeError):
        return np.inf
    if len(getattr(q, "param_shape", ())) == len(q.batch_shape) + 1:
        # Guards of logarithms count where a probability that is scored is small.
        try:
            worst = float(-p.log_prob(x.reshape(p.batch_shape)).detach().min())
        except (ValueError, RuntimeError):
            worst = 0.0
        return max(worst / 9.0, float(np.abs(found.nll).max()) / 1e6)
    return float(np.abs(found.nll).max()) / 1e6

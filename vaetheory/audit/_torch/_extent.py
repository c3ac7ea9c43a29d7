"""How large the outputs of a decoder are, as a share of the largest moderate ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributions

from vaetheory.audit._journeys import outputs_extent
from vaetheory.audit._torch import _adapters as adapters

#: -log of the smallest probability of a class that is scored: guards of logarithms count there.
_SURPRISE = 9.0


def extent(p: distributions.Distribution, x: torch.Tensor) -> float:
    """1 for the largest outputs at which other terms do not drown in rounding."""
    q: Any = adapters.base(p)
    try:
        size = outputs_extent(
            adapters.decoded(p, x),
            learned=getattr(getattr(q, "scale", None), "requires_grad", False),
        )
        if len(getattr(q, "param_shape", ())) == len(q.batch_shape) + 1:
            worst = float(-p.log_prob(x.reshape(p.batch_shape)).detach().min())
            size = max(size, worst / _SURPRISE)
    except (ValueError, RuntimeError):
        return np.inf
    return size

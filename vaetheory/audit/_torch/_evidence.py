"""The model of a user's decoder, for its exact evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vaetheory.audit import _evidence
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._checks import FullBench
from vaetheory.encoders import Posterior
from vaetheory.torch._models import model_of_distribution

#: Examples whose evidence is computed.
_DATA = 4
#: Larger data than this cost too much.
_LARGEST_DATA = 4096
#: With fewer evaluations than these one example must do.
_FEW = 500_000
#: Operations that may be spent, some twenty seconds of one core, and those of an output besides
#: the layers that are counted.
_OPERATIONS, _AN_OUTPUT = 1.2e11, 700


def _nodes(bench: FullBench, loc: torch.Tensor) -> int:
    """How many latents can be decoded with the operations that may be spent."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted, torch.no_grad():
        p = adapters.distribution(bench.decode(loc), bench.likelihood)
    outputs = p.batch_shape.numel() * p.event_shape.numel()
    each = (counted.get_total_flops() + _AN_OUTPUT * outputs) / len(loc)
    return int(_OPERATIONS / each)


def evidence_of(bench: FullBench) -> dict[str, Any] | None:
    """The gap of the user's model, or None where it cannot be computed."""
    bench.mode(False)
    x = bench.x[:_DATA]
    q = bench.posterior_at(x)
    shape = q.loc.shape[1:]
    d = int(np.prod(shape))
    if d > _evidence.LARGEST or q.other is not None or x[0].numel() > _LARGEST_DATA:
        return None
    loc = adapters.numpy(q.loc).reshape(len(x), d)
    prior_loc, prior_scale = bench.prior_at(loc.shape)
    if not ((prior_loc == prior_loc[:1]).all() and (prior_scale == prior_scale[:1]).all()):
        return None
    shift, scale = torch.as_tensor(prior_loc[0].copy()), torch.as_tensor(prior_scale[0].copy())

    budget = _evidence.Budget(_nodes(bench, q.loc))

    def distribution(z: torch.Tensor) -> Any:
        budget.spend(len(z))
        at = (shift + scale * z).reshape(len(z), *shape).to(q.loc)
        return adapters.distribution(bench.decode(at), bench.likelihood)

    model = model_of_distribution(distribution, d, torch.device("cpu"))
    if budget.nodes < _FEW:
        # Fewer data, and each of them well.
        x = x[:1]
    n = len(x)
    data = adapters.numpy(x).reshape(len(x), -1)
    if q.factor is None:
        spread = np.exp(adapters.numpy(q.log_variance).reshape(len(loc), d))
        cov = spread[..., None] * np.eye(d)
    else:
        factor = adapters.numpy(q.factor)
        cov = factor @ factor.swapaxes(-1, -2)
    cov = cov / (prior_scale[:, :, None] * prior_scale[:, None, :])
    return _evidence.split(
        model, data, Posterior(((loc - prior_loc) / prior_scale)[:n], cov=cov[:n]), budget
    )

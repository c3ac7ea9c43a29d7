"""The model of a user's decoder, for its exact evidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vaetheory._validation import Array
from vaetheory.audit import _evidence
from vaetheory.audit._scales import Scales, places
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._checks import FullBench
from vaetheory.models import LatentModel
from vaetheory.torch._calls import Call, undisturbed
from vaetheory.torch._models import model_of_distribution


class _Operations(TorchDispatchMode):
    """Counts the operations of the layers that are called."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += int(count(*args, **(kwargs or {}), out_val=made))
        return made


def _nodes(bench: FullBench, loc: torch.Tensor) -> int:
    """How many latents can be decoded with the operations that may be spent."""
    with _Operations() as counted, torch.no_grad():
        p = adapters.distribution(bench.decode(loc), bench.likelihood)
    outputs = p.batch_shape.numel() * p.event_shape.numel()
    return _evidence.affordable(counted.total / len(loc), outputs / len(loc))


def evidence_of(bench: FullBench) -> dict[str, Any] | None:
    """The gap of the user's model, or None where it cannot be computed."""
    bench.mode(False)
    x = bench.x[: _evidence.DATA]
    q = bench.posterior_at(x)
    shape = q.loc.shape[1:]
    d = int(np.prod(shape))
    if d > _evidence.LARGEST or q.other is not None or x[0].numel() > _evidence.LARGEST_DATA:
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

    scales = _scales(distribution, d)
    # Fewer data, and each of them well.
    x = x[: budget.data(d, len(x))]
    n = len(x)
    data = adapters.numpy(x).reshape(len(x), -1)
    if q.factor is None:
        spread = np.exp(adapters.numpy(q.log_variance).reshape(len(loc), d))
        cov = spread[..., None] * np.eye(d)
    else:
        factor = adapters.numpy(q.factor)
        cov = factor @ factor.swapaxes(-1, -2)
    posterior = _evidence.in_units(loc[:n], cov[:n], prior_loc[:n], prior_scale[:n])
    if scales is None:
        model = model_of_distribution(distribution, d, torch.device("cpu"))
        return _evidence.split(model, data, posterior, budget)

    def model_of(floor: Array) -> LatentModel:
        return model_of_distribution(distribution, d, torch.device("cpu"), least_scale=floor)

    return scales.split(model_of, data, posterior, budget)


def _scales(distribution: Call, d: int) -> Scales | None:
    """The scales of a Normal that vary with z, if they do."""
    with undisturbed(torch.device("cpu"), follow=False):
        p = adapters.base(distribution(torch.as_tensor(places(d))))
    if type(p) is not distributions.Normal:
        return None
    scale = adapters.numpy(torch.broadcast_to(p.scale, p.loc.shape))
    return Scales.of(scale.reshape(len(scale), -1))

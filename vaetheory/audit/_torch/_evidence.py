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

    def distribution(z: torch.Tensor) -> Any:
        at = (shift + scale * z).reshape(len(z), *shape).to(q.loc)
        return adapters.distribution(bench.decode(at), bench.likelihood)

    model = model_of_distribution(distribution, d, torch.device("cpu"))
    data = adapters.numpy(x).reshape(len(x), -1)
    if q.factor is None:
        spread = np.exp(adapters.numpy(q.log_variance).reshape(len(x), d))
        cov = spread[..., None] * np.eye(d)
    else:
        factor = adapters.numpy(q.factor)
        cov = factor @ factor.swapaxes(-1, -2)
    cov = cov / (prior_scale[:, :, None] * prior_scale[:, None, :])
    return _evidence.split(model, data, Posterior((loc - prior_loc) / prior_scale, cov=cov))

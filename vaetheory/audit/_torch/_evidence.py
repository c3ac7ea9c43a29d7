"""The model of a user's decoder, for its exact evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vaetheory._validation import Array
from vaetheory.audit import _evidence
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._checks import FullBench
from vaetheory.encoders import Posterior
from vaetheory.torch._calls import Call, undisturbed
from vaetheory.torch._models import model_of_distribution

#: Examples whose evidence is computed.
_DATA = 4
#: Larger data than this cost too much.
_LARGEST_DATA = 4096
#: Operations that may be spent, some four seconds of one core; for large models up to twenty, for
#: fewer evaluations than these; and those of an output besides the layers that are counted.
_OPERATIONS, _MOST, _FEW, _AN_OUTPUT = 2.5e10, 1.2e11, 100_000, 700
#: Latents at which varying scales are seen, and their distances from the centre of the prior.
_PLACES, _RADII = 600, (0.5, 1.0, 2.0, 4.0, 8.0, 40.0)
#: The words by which `GaussianMeanScale` refuses a scale.
_BELOW = "expected log scales of at least"
#: Floors of the scales that are tried in turn, as shares of the least scale seen.
_SHARES = (1e-3, 1e-6, 1e-12)


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
    each = (counted.total + _AN_OUTPUT * outputs) / len(loc)
    return int(max(_OPERATIONS / each, min(_FEW, _MOST / each)))


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

    scales = _Scales.of(distribution, d)
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
    cov = cov / (prior_scale[:, :, None] * prior_scale[:, None, :])
    posterior = Posterior(((loc - prior_loc) / prior_scale)[:n], cov=cov[:n])
    if scales is None:
        model = model_of_distribution(distribution, d, torch.device("cpu"))
        return _evidence.split(model, data, posterior, budget)
    return scales.split(distribution, data, posterior, budget)


@dataclass(frozen=True)
class _Scales:
    """The scales of a Normal that vary with z, and what is assumed of them.

    An evidence needs a floor of the scales, which nobody has declared. It is assumed, and the
    assumption is among the facts. Wherever the computation decodes, the floor is compared with the
    scales: it can be wrong only at latents that are never decoded.
    """

    least: Array

    @classmethod
    def of(cls, distribution: Call, d: int) -> _Scales | None:
        """The least scale of each output at many latents; None where the scales do not vary."""
        rng = np.random.default_rng(0)
        z = rng.normal(size=(_PLACES, d))
        z *= np.resize(_RADII, _PLACES)[:, None] / np.linalg.norm(z, axis=1, keepdims=True)
        with undisturbed(torch.device("cpu"), follow=False):
            p = adapters.base(distribution(torch.as_tensor(z)))
        if type(p) is not distributions.Normal:
            return None
        scale = adapters.numpy(torch.broadcast_to(p.scale, p.loc.shape)).reshape(len(z), -1)
        if (scale == scale[:1]).all():
            return None
        return cls(scale.min(axis=0))

    def split(
        self, distribution: Call, x: Array, posterior: Posterior, budget: _evidence.Budget
    ) -> dict[str, Any]:
        """The gap, with the first assumed floor that is not refuted."""
        if not (self.least > 0).all():
            return {"not computed": f"the decoder gives a scale of {self.least.min():g}"}
        for share in _SHARES:
            floor = share * self.least
            assumed = {
                "least_scale": float(floor.min()),
                "least_scale_seen": float(self.least.min()),
                "assumed": (
                    f"no scale of an output falls below {share:g} times the least one seen at "
                    f"{_PLACES} latents out to {_RADII[-1]:g} from the centre of the prior, since "
                    "the declared likelihood has no floor; no scale that was decoded does"
                ),
            }
            try:
                model = model_of_distribution(
                    distribution, posterior.loc.shape[-1], torch.device("cpu"), least_scale=floor
                )
                return {**_evidence.split(model, x, posterior, budget), **assumed}
            except ValueError as error:
                if _BELOW not in str(error) or budget.spent:
                    raise
        return {
            "not computed": (
                f"the scales of the decoder have no floor that could be assumed: one is below "
                f"{_SHARES[-1]:g} times the least one seen at {_PLACES} latents; clamp them"
            )
        }

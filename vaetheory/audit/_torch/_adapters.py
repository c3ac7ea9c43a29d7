"""What a user's functions return, as arrays and distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import distributions
from torch.distributions import Distribution

from vaetheory._validation import Array, option, short
from vaetheory.audit import _densities
from vaetheory.audit._shots import Decoded

#: What the second output of an encoder may be.
POSTERIORS = ("logvar", "logstd", "std", "var")
LIKELIHOODS = ("bernoulli", "bernoulli-logits", "gaussian", "gaussian-learned")
_LOG_VARIANCES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "logvar": lambda s: s,
    "logstd": lambda s: 2 * s,
    "std": lambda s: 2 * s.log(),
    "var": lambda s: s.log(),
}

Likelihood = Callable[[Any], Distribution]

#: The families whose parameters are read; of the others only the log density is known.
_FAMILIES: dict[type, str] = {
    distributions.Normal: "normal",
    distributions.Bernoulli: "bernoulli",
    distributions.Laplace: "laplace",
    distributions.Poisson: "poisson",
}


def family(p: Distribution) -> str:
    """The name of the family of a distribution, as in `Decoded`."""
    kinds = type(base(p)).__mro__
    return next((_FAMILIES[kind] for kind in kinds if kind in _FAMILIES), "other")


@dataclass(frozen=True)
class Encoded:
    """A posterior: means and variances (B, ...), and the distribution if it is not Gaussian."""

    loc: torch.Tensor
    log_variance: torch.Tensor
    factor: torch.Tensor | None = None
    other: Distribution | None = None


def numpy(tensor: torch.Tensor) -> Array:
    """A copy of a tensor as an array in float64: parameters go on moving."""
    return np.array(tensor.detach().to("cpu", torch.float64).numpy())


def base(q: Distribution) -> Distribution:
    """The distribution within `Independent`."""
    while isinstance(q, distributions.Independent):
        q = q.base_dist
    return q


def encoded(output: Any, posterior: str) -> Encoded:
    """Read what `encode` has returned."""
    if isinstance(output, Distribution):
        q = base(output)
        if isinstance(q, distributions.Normal):
            return Encoded(q.loc, 2 * q.scale.log())
        if isinstance(
            q, (distributions.MultivariateNormal, distributions.LowRankMultivariateNormal)
        ):
            # The distribution itself computes it, in its own precision.
            return Encoded(q.loc, q.variance.log(), q.scale_tril)
        try:
            return Encoded(q.mean, q.variance.log(), other=output)
        except NotImplementedError:
            raise ValueError(
                "encode: expected a distribution that has a mean and a variance, got "
                f"{type(q).__name__}; return that before the transform"
            ) from None
    if isinstance(output, Mapping):
        named = {k.lower().replace("_", ""): v for k, v in output.items() if isinstance(k, str)}
        loc = next(
            (named[k] for k in ("mu", "mean", "loc", "zmean", "embedding") if k in named), None
        )
        second = next(
            (named[k] for k in ("logvar", "logcovariance", "zlogvar", posterior) if k in named),
            None,
        )
        if loc is not None and second is not None:
            return Encoded(loc, _LOG_VARIANCES[posterior](second))
    for first, second in (("mean", "logvar"), ("embedding", "log_covariance"), ("mu", "logvar")):
        if hasattr(output, first) and hasattr(output, second):
            loc = getattr(output, first)
            if isinstance(loc, torch.Tensor):
                return Encoded(loc, getattr(output, second))
    if isinstance(output, (tuple, list)) and len(output) >= 2:
        loc, second = output[0], output[1]
        if isinstance(loc, torch.Tensor) and isinstance(second, torch.Tensor):
            return Encoded(loc, _LOG_VARIANCES[posterior](second).expand_as(loc))
    raise ValueError(
        "encode: expected a torch.distributions.Distribution, (loc, second) of tensors, or an "
        f"object with .mean and .logvar, got {short(output)}"
    )


def likelihood_of(given: object) -> Likelihood:
    """The function from what `decode` returns to a distribution of x."""
    if callable(given):
        return given
    name = option("likelihood", given, LIKELIHOODS)
    return {
        "bernoulli": lambda f: distributions.Bernoulli(probs=_tensor(f), validate_args=False),
        "bernoulli-logits": lambda f: distributions.Bernoulli(
            logits=_tensor(f), validate_args=False
        ),
        "gaussian": lambda f: distributions.Normal(_tensor(f), torch.ones_like(_tensor(f))),
        "gaussian-learned": lambda f: distributions.Normal(f[0], (f[1] / 2).exp().expand_as(f[0])),
    }[name]


def _tensor(f: Any) -> torch.Tensor:
    """The tensor of a decoder's output: itself, its first part, or `.sample` of an object."""
    if isinstance(f, torch.Tensor):
        return f
    if isinstance(f, (tuple, list)) and f and isinstance(f[0], torch.Tensor):
        return f[0]
    for name in ("sample", "reconstruction", "recon", "mean"):
        value = getattr(f, name, None)
        if isinstance(value, torch.Tensor):
            return value
    raise ValueError(f"decode: expected a tensor, a tuple or a distribution, got {short(f)}")


def distribution(output: Any, likelihood: Likelihood) -> Distribution:
    """The declared distribution of x at what `decode` has returned."""
    p = output if isinstance(output, Distribution) else likelihood(output)
    if not isinstance(p, Distribution):
        raise ValueError(
            "likelihood: expected a callable from decode(z) to a torch.distributions.Distribution, "
            f"or one of {', '.join(LIKELIHOODS)}; got {short(p)}"
        )
    return p


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def decoded(p: Distribution, x: torch.Tensor) -> Decoded:
    """The declared likelihood of data (B, ...), with K = 1."""
    n, q = len(x), cast(Any, base(p))
    shape = (*p.batch_shape, *p.event_shape)
    if x.numel() != int(np.prod(shape)):
        raise ValueError(
            f"likelihood: expected a distribution of data of shape {tuple(x.shape)}, got one of "
            f"shape {tuple(shape)}; what is not decoded, such as labels, belongs to a closure"
        )
    y = x if tuple(x.shape) == tuple(shape) else x.reshape(shape)
    y = y.to(torch.float64) if y.dtype.is_floating_point else y

    def rows(t: torch.Tensor) -> Array:
        return numpy(t.expand(shape) if t.dim() <= len(shape) else t).reshape(1, n, -1)

    parts: dict[str, Array] = {}
    kind = family(p)
    if kind == "normal":
        return _densities.normal(numpy(y).reshape(1, n, -1), rows(q.loc), rows(q.scale))
    if kind == "bernoulli":
        f = rows(q.logits if "logits" in vars(q) else torch.logit(q.probs))
        return _densities.bernoulli(numpy(y).reshape(1, n, -1), f)
    if kind == "laplace":
        parts = {"loc": rows(q.loc), "scale": rows(q.scale)}
    if kind == "poisson":
        parts = {"rate": rows(q.rate)}
    log_prob = p.log_prob(y)
    try:
        parts["mean"] = rows(p.mean)
    except (NotImplementedError, RuntimeError, ValueError):
        parts.pop("mean", None)
    return Decoded(kind, -numpy(log_prob).reshape(1, n, -1).sum(-1), parts)


def values(result: Any) -> tuple[tuple[torch.Tensor, ...], dict[str, float]]:
    """The loss in each of its readings, and the other numbers that were returned with it."""
    others: dict[str, float] = {}
    if isinstance(result, Mapping):
        others = {
            str(k): float(v.detach().sum()) if isinstance(v, torch.Tensor) else float(v)
            for k, v in result.items()
            if _number(v)
        }
        if "loss" not in result:
            raise ValueError(
                f"loss: expected a mapping with the key 'loss', got the keys {list(result)}"
            )
        others.pop("loss", None)
        return (_scalar(result["loss"]),), others
    if isinstance(result, (tuple, list)):
        numbers = [_scalar(v) for v in result if _number(v)]
        if not numbers:
            raise ValueError(f"loss: expected numbers in the tuple, got {short(result)}")
        total = numbers[0]
        for n in numbers[1:]:
            total = total + n
        return ((total, numbers[0]) if len(numbers) > 1 else (total,)), others
    inner = getattr(result, "loss", None)
    if not isinstance(result, torch.Tensor) and isinstance(inner, torch.Tensor):
        return (_scalar(inner),), others
    if not _number(result):
        raise ValueError(
            "loss: expected a scalar tensor, a mapping with 'loss' or a tuple to be added, got "
            f"{short(result)}"
        )
    return (_scalar(result),), others


def numbers_of(result: Any) -> int:
    """How many numbers a loss is, which are added."""
    value = result.get("loss") if isinstance(result, Mapping) else result
    return value.numel() if isinstance(value, torch.Tensor) else 1


def _number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.numel() > 0 and not value.is_complex()
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _scalar(value: Any) -> torch.Tensor:
    """A number; of several, as of a loss of each example, the sum."""
    if isinstance(value, torch.Tensor):
        return value.reshape(()) if value.numel() == 1 else value.sum()
    return torch.tensor(float(value), dtype=torch.float64)

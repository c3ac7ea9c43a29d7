"""The audit of losses of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vaetheory._validation import short
from vaetheory.audit._conduct import run
from vaetheory.audit._findings import NOTE, Finding
from vaetheory.audit._fit import EXACT
from vaetheory.audit._result import Audit
from vaetheory.audit._torch._adapters import POSTERIORS, likelihood_of
from vaetheory.audit._torch._checks import FullBench
from vaetheory.audit._torch._custody import Custody
from vaetheory.audit._torch._evidence import evidence_of
from vaetheory.audit._verifications import Requested, checks

#: The largest residual of an equation where the code insists on single precision.
_EXACT_SINGLE = 2e-4

__all__ = ["POSTERIORS", "audit"]


def audit(
    loss: Callable[..., Any],
    encode: Callable[..., Any],
    decode: Callable[..., Any],
    x: Any,
    *,
    module: nn.Module,
    likelihood: Any,
    posterior: str,
    prior: Any,
    beta: float,
    decoder: str,
    asked: Requested,
    seed: int,
) -> Audit:
    """Audit a loss of PyTorch; see `vaetheory.audit.audit`."""
    if not isinstance(module, nn.Module):
        raise ValueError(f"module: expected a torch.nn.Module, got {short(module)}")
    data = _data(x)
    functions = [loss, encode, decode, asked.sample, asked.importance_bound, asked.bits_per_dim]
    functions += [f for f in (likelihood, prior) if not isinstance(f, str)]

    def in_precision(*, double: bool) -> Audit:
        custody = Custody(module, [f for f in functions if f is not None])
        with custody.lent(double=double), torch.inference_mode(False), _eagerly():
            bench = FullBench(
                loss,
                encode,
                decode,
                data.double() if double and data.dtype.is_floating_point else data,
                module=module,
                custody=custody,
                likelihood=likelihood_of(likelihood),
                posterior=posterior,
                prior=prior,
                decoder=decoder,
                seed=seed,
            )
            if bench.watch.named is None and decoder != "decode":
                bench.unknown_decoder = decoder
            return run(bench, beta, EXACT if double else _EXACT_SINGLE, checks(asked, evidence_of))

    try:
        return in_precision(double=True)
    except RuntimeError as error:
        if "does not require grad" in str(error):
            raise ValueError(
                "loss: expected a function that returns the loss, got one that calls backward(): "
                "the audit runs it without gradients"
            ) from error
        if not any(word in str(error).lower() for word in ("dtype", "float", "double", "half")):
            raise
        why = str(error)
    # Code that names a type of its own runs in that of its module.
    found = in_precision(double=False)
    return replace(found, findings=(*found.findings, _single(why)))


def _single(why: str) -> Finding:
    return Finding(
        "precision.single",
        "the functions do not run in float64 (" + why.splitlines()[0][:100] + "): all was "
        "evaluated in the precision of the module, and differences below a few digits are not seen",
        NOTE,
        _EXACT_SINGLE,
        "the largest residual that counts as rounding",
        "create tensors with dtype=x.dtype within the functions",
    )


def _data(x: Any) -> torch.Tensor:
    """A copy of the data, on which the user's functions may do as they like."""
    if isinstance(x, np.ndarray):
        x = torch.as_tensor(x.copy())
    if not isinstance(x, torch.Tensor) or x.dim() < 1 or len(x) < 1 or x.numel() == 0:
        raise ValueError(f"x: expected a batch of data, a tensor (B, ...), got {short(x)}")
    if x.dtype.is_floating_point and not bool(torch.isfinite(x).all()):
        raise ValueError("x: expected finite data, got NaN or infinity")
    return x.detach().clone()


def _eagerly() -> Any:
    """Run compiled functions as they are written, so that their draws are seen."""
    import contextlib

    stance = getattr(torch.compiler, "set_stance", None)
    return stance("force_eager") if stance is not None else contextlib.nullcontext()

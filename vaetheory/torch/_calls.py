"""Calls of a module that leave nothing behind, and what they must be like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributions
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vaetheory.torch._copies import brief

#: A module's part that decodes: `(n, d)` to `(n, ...)`.
Call = Callable[[torch.Tensor], Any]

#: Points at which a module is tried.
_POINTS, _AMID = 64, 31
#: Share of the greatest output by which a point's outputs may depend on how many are decoded.
_ROWS = 1e-9
#: Attention kernels that have no second derivative: whether each is on, and how it is switched.
_KERNELS = [
    (
        getattr(torch.backends.cuda, f"{name}_enabled"),
        getattr(torch.backends.cuda, f"enable_{name}"),
    )
    for name in ("flash_sdp", "mem_efficient_sdp", "cudnn_sdp")
    if hasattr(torch.backends.cuda, f"enable_{name}")
]


class RefusedError(ValueError):
    """What a module returned is refused for a reason that is said already."""


@dataclass(frozen=True)
class Tried:
    """What was found out about a module by calling it."""

    #: d.
    latent_dim: int
    #: Shape of the outputs of one point.
    event_shape: tuple[int, ...]
    #: Numbers that one point costs: in the largest result on the way, and in all of them.
    widest: float
    total: float
    #: Whether it draws random numbers, which do not count.
    draws: bool
    #: Whether it calls what has no second derivative in PyTorch, and is written otherwise.
    rewritten: bool


@contextmanager
def undisturbed(
    device: torch.device, *, follow: bool, draws: bool = True, rewritten: bool = False
) -> Iterator[None]:
    """Set what PyTorch keeps globally as the bridge needs it, and set it back.

    Parameters
    ----------
    device : torch.device
        The random state of this device and of the CPU is kept.
    follow : bool
        Whether gradients are followed.
    draws : bool
        Whether random states need keeping.
    rewritten : bool
        Whether functions without a second derivative are replaced.
    """
    checks = distributions.Distribution._validate_args
    on = [enable for enabled, enable in _KERNELS if enabled()] if follow else []
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(follow))
        if draws:
            devices = [device] if device.type == "cuda" else []
            stack.enter_context(torch.random.fork_rng(devices))
        if device.type == "cuda":
            # Its recurrent networks have no second derivatives.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if rewritten:
            stack.enter_context(_Rewritten())
        try:
            # Far from all data a scale may underflow: that is for the log density to say.
            distributions.Distribution.set_default_validate_args(False)
            for enable in on:
                enable(False)
            yield
        finally:
            distributions.Distribution.set_default_validate_args(checks)
            for enable in on:
                enable(True)


class _Rewritten(TorchFunctionMode):
    """Functions without a second derivative in PyTorch, by others that have one."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.hardsigmoid:
            return functional.relu6(args[0] + 3) / 6
        return func(*args, **(kwargs or {}))


class _Watch(TorchFunctionMode):
    """Looks on while a module computes: what it rounds, and how many numbers it makes.

    It sees the functions of PyTorch that are called, and not what these call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rounded: str | None = None
        self.widest = self.total = 0
        self.rewritten = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.rewritten |= func is functional.hardsigmoid
        out = func(*args, **(kwargs or {}))
        # What depends on the latents is what is followed.
        double = any(t.dtype == torch.float64 and t.requires_grad for t in _tensors(args))
        for made in _tensors(out):
            self.widest = max(self.widest, made.numel())
            self.total += made.numel()
            if double and made.requires_grad and made.dtype.itemsize < 8:
                self.rounded = str(made.dtype)
        return out


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Tensors in nested tuples and lists."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def outputs(raw: object, count: int) -> torch.Tensor:
    """Return what a module gave for `count` points, or say what else was expected."""
    if isinstance(raw, torch.Tensor):
        if raw.dtype == torch.float64 and raw.ndim > 1 and len(raw) == count:
            return raw
        if raw.dtype != torch.float64:
            raise ValueError(
                f"decoder: expected torch.float64 outputs for torch.float64 latents, got "
                f"{raw.dtype}: {_CASTS}"
            )
        raise ValueError(
            f"decoder: expected outputs of shape ({count}, ...) for latents of shape ({count}, d), "
            f"got {tuple(raw.shape)}"
        )
    if isinstance(raw, distributions.Distribution):
        raise ValueError(
            f"decoder: expected a tensor, got the distribution {type(raw).__name__}: use "
            "vaetheory.torch.torch_model(module, latent_dim), which reads the likelihood from it"
        )
    raise ValueError(
        f"decoder: expected a tensor, got a {type(raw).__name__}: say what of it are the "
        "likelihood's parameters, as in TorchDecoder(module, call=lambda m, z: m(z)[0])"
    )


_CASTS = (
    "it casts inside: write x.to(z.dtype) for x.float(), and give the tensors that forward makes "
    "dtype=z.dtype"
)


def try_call(call: Call, dim: int, device: torch.device) -> Tried:
    """Call a module at some points, or say why it is no decoder of `dim` latents.

    Raises
    ------
    ValueError
        If it fails, returns something else than one float64 tensor, casts to less, is random, or
        does not work row by row.
    """
    watch, places = _Watch(), np.random.default_rng(0).normal(size=(_POINTS, dim))
    with undisturbed(device, follow=True):
        z = torch.tensor(places, device=device)
        before = torch.get_rng_state()
        with watch:
            first = _called(call, z.requires_grad_())
        draws = not torch.equal(before, torch.get_rng_state())
        again = _called(call, z)
        if watch.rounded:
            raise ValueError(
                f"decoder: expected a module that computes in torch.float64 once its weights and "
                f"latents are, got a cast to {watch.rounded}: {_CASTS}"
            )
        if not bool(((first == again) | (first.isnan() & again.isnan())).all()):
            raise ValueError(
                f"decoder: expected the same outputs for the same {_POINTS} latents, got others in "
                "eval mode: it is random (F.dropout without training=self.training, or noise that "
                "forward draws?); give the part that decodes, as in TorchDecoder(module, "
                "call=lambda m, z: m.decode(z))"
            )
        try:
            # One amid the others, as a layer that takes them for a sequence may go either way.
            alone = outputs(call(z[_AMID : _AMID + 1].clone()), 1)
        except Exception as error:
            raise ValueError(f"{_APART} one alone raised {told(error)}") from error
        size = float(first.detach()[_AMID].nan_to_num().abs().sum())
        if alone.shape[1:] != first.shape[1:] or not bool(
            torch.allclose(
                alone, first[_AMID : _AMID + 1], rtol=0, atol=_ROWS * size, equal_nan=True
            )
        ):
            raise ValueError(f"{_APART} they do depend on them")
    # What does nothing still takes its latents and gives its outputs.
    least = z.numel() + first.numel()
    widest, total = (max(n, least) / _POINTS for n in (watch.widest, watch.total))
    return Tried(dim, tuple(first.shape[1:]), widest, total, draws, watch.rewritten)


_APART = (
    "decoder: expected the outputs of a point not to depend on which others are decoded with it "
    "(batch statistics, as of BatchNorm with track_running_stats=False, or a layer that takes the "
    "batch for a sequence), but"
)


def _called(call: Call, z: torch.Tensor) -> torch.Tensor:
    try:
        # A copy, as a module may overwrite what it is given.
        raw = call(z.clone())
    except RefusedError:
        raise
    except Exception as error:
        raise ValueError(
            f"decoder: expected a module that maps a torch.float64 tensor of shape "
            f"{tuple(z.shape)} to ({len(z)}, ...), got {told(error)}{_advice(error)}"
        ) from error
    return outputs(raw, len(z))


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {brief(error)}"


def _advice(error: Exception) -> str:
    """What may help against an error of PyTorch's."""
    text = str(error).lower()
    if "dtype" in text or "scalar type" in text or "same type" in text:
        return f" ({_CASTS})"
    if "same device" in text:
        return " (make the tensors of forward on z.device)"
    if "shape" in text or "size" in text:
        return " (is latent_dim right?)"
    return ""

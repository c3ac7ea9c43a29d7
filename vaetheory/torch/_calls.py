"""Calls of a module without side effects, and the checks of its first call."""

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

from vaetheory.torch._copies import brief, message
from vaetheory.torch._state import changed, state_of

#: How a module decodes: latents `(n, d)` to outputs `(n, ...)`.
Call = Callable[[torch.Tensor], Any]

#: Points of the first call, and the one of them that is also decoded alone.
_POINTS, _AMID = 64, 31
#: Relative difference of outputs that the size of the batch may cause by rounding.
_ROWS = 1e-9
#: Functions that are random if `training` is true, however rarely.
_DROPOUTS = (
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
)
_TANH = (torch.tanh, torch.Tensor.tanh)
#: Attention kernels without a second derivative: whether each is enabled, and its switch.
_KERNELS = [
    (
        getattr(torch.backends.cuda, f"{name}_enabled"),
        getattr(torch.backends.cuda, f"enable_{name}"),
    )
    for name in ("flash_sdp", "mem_efficient_sdp", "cudnn_sdp")
    if hasattr(torch.backends.cuda, f"enable_{name}")
]


class RefusedError(ValueError):
    """An error whose message already gives the reason why a module is rejected."""


@dataclass(frozen=True)
class Tried:
    """Results of the first call of a module."""

    #: Dimension d of the latents.
    latent_dim: int
    #: Shape of the outputs of one point.
    event_shape: tuple[int, ...]
    #: Numbers per point in the largest intermediate result, and in all of them together.
    widest: float
    total: float
    #: Whether it draws random numbers, although its outputs do not depend on them.
    draws: bool
    #: Whether it calls functions that `_Rewritten` must replace.
    rewritten: bool


@contextmanager
def undisturbed(
    device: torch.device, *, follow: bool, draws: bool = True, rewritten: bool = False
) -> Iterator[None]:
    """Change PyTorch's global settings as the bridge needs them, and restore them afterwards.

    Parameters
    ----------
    device : torch.device
        The device of the computation; its random state and that of the CPU are restored.
    follow : bool
        Whether gradients are recorded.
    draws : bool
        Whether random states must be restored.
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
            # The recurrent networks of cuDNN have no second derivatives.
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if rewritten:
            stack.enter_context(_Rewritten())
        try:
            # Far from all data a scale may underflow; there the log density decides, not a check.
            distributions.Distribution.set_default_validate_args(False)
            for enable in on:
                enable(False)
            yield
        finally:
            distributions.Distribution.set_default_validate_args(checks)
            for enable in on:
                enable(True)


class _Rewritten(TorchFunctionMode):
    """Replaces functions by equal ones that have a second derivative, or are faster.

    In float64 on the CPU, NumPy's tanh takes a fifth of the time of PyTorch's.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.hardsigmoid:
            return functional.relu6(args[0] + 3) / 6
        if func in _TANH and not kwargs and not torch.is_grad_enabled():
            [x] = args
            if x.device.type == "cpu" and x.dtype == torch.float64 and type(x) is torch.Tensor:
                return torch.from_numpy(np.tanh(np.asarray(x)))
        return func(*args, **(kwargs or {}))


class _Watch(TorchFunctionMode):
    """Records casts to lower precision and the sizes of intermediate results.

    It sees the PyTorch functions that a module calls, and not the functions called by them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rounded: str | None = None
        self.widest = self.total = 0
        self.rewritten = False
        self.random: str | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.rewritten |= func is functional.hardsigmoid or func in _TANH
        settings = kwargs or {}
        if func in _DROPOUTS and settings.get("training", True) and settings.get("p", 0.5) > 0:
            self.random = func.__name__
        out = func(*args, **(kwargs or {}))
        # Tensors that depend on the latents require gradients.
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
    """Return a module's result for `count` points, or raise a ValueError if it is no tensor."""
    if isinstance(raw, torch.Tensor):
        if raw.is_nested or raw.layout != torch.strided:
            raise ValueError(
                "decoder: expected a dense tensor, got a nested or sparse one: return x.to_dense() "
                "or a padded tensor"
            )
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
        f"decoder: expected a tensor, got a {type(raw).__name__}: select the likelihood's "
        "parameters, for example by TorchDecoder(module, call=lambda m, z: m(z)[0])"
    )


_CASTS = (
    "it casts inside: replace x.float() by x.to(z.dtype), and create tensors in forward with "
    "dtype=z.dtype"
)


def try_call(call: Call, dim: int, device: torch.device) -> Tried:
    """Call a module at some points and check that it is a decoder of `dim` latents.

    Raises
    ------
    ValueError
        If it fails, returns anything but one float64 tensor, casts to lower precision, is random
        (dropout that is always on included), or does not work row by row.
    """
    watch, places = _Watch(), np.random.default_rng(0).normal(size=(_POINTS, dim))
    with undisturbed(device, follow=True):
        z = torch.tensor(places, device=device)
        before = torch.get_rng_state()
        with watch:
            first = _called(call, z.requires_grad_())
        draws = not torch.equal(before, torch.get_rng_state())
        kept = state_of(call)
        again = _called(call, z)
        if watch.rounded:
            raise ValueError(
                f"decoder: expected a module that computes in torch.float64 when its weights and "
                f"latents are torch.float64, got a cast to {watch.rounded}: {_CASTS}"
            )
        if watch.random:
            raise ValueError(
                f"decoder: expected the same outputs for the same latents, got F.{watch.random} "
                "that is on in eval mode: it is random; write training=self.training, or use only "
                "the part that decodes"
            )
        if not bool(((first == again) | (first.isnan() & again.isnan())).all()):
            raise ValueError(
                f"decoder: expected the same outputs for the same {_POINTS} latents, got other "
                "ones in eval mode: it is random (F.dropout without training=self.training, or "
                "noise drawn in forward?); use only the part that decodes, for example by "
                "TorchDecoder(module, call=lambda m, z: m.decode(z))"
            )
        if path := changed(kept, state_of(call)):
            raise ValueError(
                f"decoder: expected a module that a call in eval mode does not change, got "
                f"`{path}` that is another number after the second call of the same latents: a "
                "later call may have other outputs; change it only where self.training is true"
            )
        try:
            # A point in the middle depends on others in a sequence of either direction.
            alone = outputs(call(z[_AMID : _AMID + 1].clone()), 1)
        except Exception as error:
            raise ValueError(f"{_APART} a single point raised {told(error)}") from error
        size = float(first.detach()[_AMID].nan_to_num().abs().sum())
        if alone.shape[1:] != first.shape[1:] or not bool(
            torch.allclose(
                alone, first[_AMID : _AMID + 1], rtol=0, atol=_ROWS * size, equal_nan=True
            )
        ):
            raise ValueError(f"{_APART} a single point has other outputs")
    # A module that calls no function still holds its latents and outputs.
    least = z.numel() + first.numel()
    widest, total = (max(n, least) / _POINTS for n in (watch.widest, watch.total))
    return Tried(dim, tuple(first.shape[1:]), widest, total, draws, watch.rewritten)


_APART = (
    "decoder: expected outputs that do not depend on the other points of the batch (causes: batch "
    "statistics, such as BatchNorm with track_running_stats=False, or a layer that takes the batch "
    "for a sequence), but"
)


def _called(call: Call, z: torch.Tensor) -> torch.Tensor:
    try:
        # A copy, because a module may overwrite its argument.
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
    """Advice for some errors of PyTorch."""
    text = message(error).lower()
    if "dtype" in text or "scalar type" in text or "same type" in text:
        return f" ({_CASTS})"
    if "same device" in text:
        return " (create tensors in forward with device=z.device)"
    if "shape" in text or "size" in text:
        return " (is latent_dim right?)"
    return ""

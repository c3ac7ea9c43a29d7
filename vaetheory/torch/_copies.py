"""The copy of a module that is evaluated: float64, in eval mode, apart from the caller's."""

from __future__ import annotations

import contextlib
import copy
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

#: Precisions whose numbers are the module's own; others were rounded on the way.
_WHOLE = (torch.float32, torch.float64, torch.complex64, torch.complex128)
#: What wraps a module and holds it under another name.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
_BACKWARD_HOOKS = ("_backward_hooks", "_backward_pre_hooks")
#: Where a module registers what it computes with; its other attributes of its own hold no such.
_REGISTERED = ("_parameters", "_buffers", "_modules")
_FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_OWN = frozenset(vars(nn.Module())) - {*_REGISTERED, *_FORWARD_HOOKS}


@torch.inference_mode(False)
@torch.no_grad()
def private_copy(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a float64 copy in eval mode, without gradients, or say why there can be none.

    Parameters
    ----------
    module : torch.nn.Module
        It is neither called nor changed.
    device : torch.device
        Where the copy lives.

    Raises
    ------
    ValueError
        If the module holds weights that are NaN, of less than single precision, quantised or not
        there, hooks of the old `weight_norm`, functions that close over other modules, or what
        cannot be copied.
    """
    bare = unwrapped(module)
    memo: dict[int, Any] = {}
    for path, value in everything(bare):
        if isinstance(value, torch.Tensor):
            _require_numbers(path, value)
            # Results that forward keeps, such as a KL term, are no leaves: deepcopy refuses them.
            if value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
        elif isinstance(value, nn.Module):
            _require_supported(path, value)
        elif function_over_modules(value):
            raise ValueError(
                f"decoder: expected a module that holds the modules it calls, got a function at "
                f"`{path}` that closes over one, which cannot be copied: make that one a submodule"
            )
    try:
        twin = copy.deepcopy(bare, memo)
    except Exception as error:
        raise ValueError(
            f"decoder: expected a module that copy.deepcopy can copy, got {type(error).__name__}: "
            f"{brief(error)}"
        ) from error
    for _, value in list(everything(twin)):
        if isinstance(value, nn.Module):
            _settle(value, device)
    return twin


def unwrapped(module: nn.Module) -> nn.Module:
    """The module within what `torch.compile` and `DataParallel` return."""
    while type(module).__name__ in _WRAPPERS:
        module = getattr(module, _WRAPPERS[type(module).__name__])
    return module


def everything(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Modules, tensors and functions that a module holds, itself first, each with its path."""
    seen: set[int] = set()
    # What is kept in a list or as an attribute is not registered, and `Module.to` passes it by.
    left: list[tuple[str, Any]] = [("", module)]
    while left:
        path, value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        held: list[tuple[Any, Any]] = []
        if isinstance(value, nn.Module):
            yield path, value
            held = [(name, part) for name, part in vars(value).items() if name not in _OWN]
        elif isinstance(value, torch.Tensor):
            yield path, value
        elif isinstance(value, dict):
            held = list(value.items())
        elif isinstance(value, list | tuple):
            held = list(enumerate(value))
        elif isinstance(value, types.MethodType):
            # It is copied together with what it is bound to.
            left.append((path.rpartition(".")[0], value.__self__))
        elif callable(value):
            yield path, value
        left += [(_joined(path, name), part) for name, part in reversed(held)]


def function_over_modules(function: object) -> str:
    """The name by which a function refers to a module with weights; "" if it refers to none."""
    seen: set[int] = set()
    left: list[tuple[str, Any]] = [("", function)]
    while left:
        name, value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, nn.Module):
            if (
                next(value.parameters(), None) is not None
                or next(value.buffers(), None) is not None
            ):
                return name or type(value).__name__
        elif isinstance(value, functools.partial):
            held = [value.func, *value.args, *value.keywords.values()]
            left += [(getattr(v, "__name__", type(v).__name__), v) for v in held]
        elif isinstance(value, types.MethodType):
            left.append((value.__name__, value.__self__))
        elif isinstance(value, types.FunctionType) and not _of_torch(value):
            left += _referred(value)
    return ""


def _referred(function: types.FunctionType) -> list[tuple[str, Any]]:
    """What a function takes from outside of its arguments, by name."""
    found = [("default", value) for value in function.__defaults__ or ()]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not yet assigned
            found.append((name, cell.cell_contents))
    codes, known = [function.__code__], function.__globals__
    for code in codes:
        found += [(name, known[name]) for name in code.co_names if name in known]
        codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return found


def _of_torch(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == "torch"


def _joined(path: str, name: object) -> str:
    # The places where a module registers things are not part of their names.
    if name in _REGISTERED:
        return path
    return f"{path}.{name}" if path else str(name)


def _require_numbers(path: str, value: torch.Tensor) -> None:
    """Demand that a tensor of a module holds whole numbers or at least single precision."""
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        raise ValueError(
            f"decoder: expected weights, got none yet in `{path}`, of a lazy module: call the "
            "module once"
        )
    if value.is_meta:
        raise ValueError(
            f"decoder: expected weights, got none in `{path}`, which is on the device `meta`: load "
            "the weights first"
        )
    if value.is_quantized or (
        (value.is_floating_point() or value.is_complex()) and value.dtype not in _WHOLE
    ):
        raise ValueError(
            f"decoder: expected weights in float32 or float64, got {value.dtype} in `{path}`, "
            "which leaves too few digits for an evidence: give the module before it was rounded, "
            "or say that the rounded weights are meant by copy.deepcopy(module).float()"
        )
    numbers = value.detach()
    if bool(torch.isnan(numbers).any()):
        raise ValueError(f"decoder: expected numbers, got NaN in `{path}`")
    if isinstance(value, nn.Parameter) and not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"decoder: expected finite weights, got an infinite one in `{path}`")


def _require_supported(path: str, module: nn.Module) -> None:
    """Demand that a module within is of a kind that can be copied and converted."""
    at = f"`{path}`" if path else "the module"
    if ".quantized" in type(module).__module__ and _of_torch(type(module)):
        raise ValueError(
            f"decoder: expected weights in float32 or float64, got {at}, a quantised "
            f"{type(module).__name__}: give the module before it was quantised"
        )
    for hook in module._forward_pre_hooks.values():
        if type(hook).__name__ == "WeightNorm" and _of_torch(type(hook)):
            raise ValueError(
                f"decoder: expected a module that can be copied, got {at} with the old "
                "torch.nn.utils.weight_norm, which PyTorch no longer supports: use "
                "torch.nn.utils.parametrizations.weight_norm, or fix the weight by "
                "torch.nn.utils.remove_weight_norm(module)"
            )


def _settle(module: nn.Module, device: torch.device) -> None:
    """Bring one module of the copy to float64 and eval mode, with all that it holds."""

    def convert(value: torch.Tensor) -> torch.Tensor:
        if value.is_complex():
            return value.to(device, torch.complex128)
        return value.to(device, torch.float64 if value.is_floating_point() else value.dtype)

    def converted(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return convert(value)
        if type(value) is dict:
            return {key: converted(held) for key, held in value.items()}
        if type(value) in (list, tuple):
            return type(value)(converted(held) for held in value)
        return value

    for parameter in module.parameters():
        parameter.requires_grad_(False)
    module._apply(convert).eval()
    for name in _BACKWARD_HOOKS:
        # They say what is done with gradients of training, and not what the values are.
        vars(module).get(name, {}).clear()
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = unwrapped(child)
    for name in vars(module).keys() - _OWN - {*_REGISTERED, *_FORWARD_HOOKS}:
        vars(module)[name] = converted(vars(module)[name])


def brief(error: Exception) -> str:
    """The message of an error of PyTorch's in one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."

"""The float64 copy of a module, in eval mode, that is evaluated instead of the user's module."""

from __future__ import annotations

import contextlib
import copy
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

#: Weights of other types were rounded after training.
_ACCEPTED = (torch.float32, torch.float64, torch.complex64, torch.complex128)
#: Wrappers of modules, with the attribute that holds the module.
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
_BACKWARD_HOOKS = ("_backward_hooks", "_backward_pre_hooks")
#: Attributes of every module that hold tensors, modules and hooks; the others do not matter here.
_REGISTERED = ("_parameters", "_buffers", "_modules")
_FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_OWN = frozenset(vars(nn.Module())) - {*_REGISTERED, *_FORWARD_HOOKS}


@torch.inference_mode(False)
@torch.no_grad()
def private_copy(module: nn.Module, device: torch.device) -> nn.Module:
    """Return a float64 copy in eval mode, without gradients.

    Parameters
    ----------
    module : torch.nn.Module
        It is neither called nor changed.
    device : torch.device
        The device of the copy.

    Raises
    ------
    ValueError
        If weights are NaN, in less than single precision, quantised or missing; if the module
        uses the old `weight_norm` or functions that close over other modules; if it cannot be
        copied.
    """
    bare = unwrapped(module)
    memo: dict[int, Any] = {}
    for path, value in everything(bare):
        if isinstance(value, nn.Module):
            _require_supported(path, value)
            for name, tensor in _registered(value):
                _require_numbers(_joined(path, name), tensor)
        elif isinstance(value, torch.Tensor):
            # deepcopy rejects tensors with a graph, such as a KL term that forward has stored.
            if value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
        elif function_over_modules(value):
            raise ValueError(
                f"decoder: expected a module that holds the modules it calls, got a function at "
                f"`{path}` that closes over another one, which cannot be copied with it: make the "
                "other one a submodule"
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
    """The module inside the wrappers of `torch.compile` and `DataParallel`."""
    while type(module).__name__ in _WRAPPERS:
        module = getattr(module, _WRAPPERS[type(module).__name__])
    return module


def everything(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """All modules, tensors and functions in a module, itself first, each with its path.

    Also those in lists, dictionaries and plain attributes, which `Module.to` ignores.
    """
    seen: set[int] = set()
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
            # deepcopy copies it together with its object.
            left.append((path.rpartition(".")[0], value.__self__))
        elif callable(value):
            yield path, value
        left += [(_joined(path, name), part) for name, part in reversed(held)]


def hooked(module: nn.Module) -> bool:
    """Whether a module may compute another function than its type says: it has hooks of its own."""
    held = vars(module)
    return any(held.get(name) for name in _FORWARD_HOOKS) or "forward" in held


def function_over_modules(function: object) -> str:
    """The name of a module with weights to which a function refers, or "" if there is none."""
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
            owner = value.__self__
            left.append((value.__name__, owner))
            if not isinstance(owner, nn.Module):
                left.append((value.__name__, value.__func__))
                left += getattr(owner, "__dict__", {}).items()
        elif isinstance(value, types.FunctionType):
            # functools.wraps gives a function the `__module__` of another one.
            home = str(value.__globals__.get("__name__")).partition(".")[0]
            if home != "torch" or not _of_torch(value):
                left += _referred(value)
        elif callable(value) and not isinstance(value, type) and not _of_torch(type(value)):
            # An object with __call__, or the cache around a function.
            left += getattr(value, "__dict__", {}).items()
        elif isinstance(value, list | tuple | dict) and not name.startswith("__"):
            left += ((name, v) for v in (value.values() if isinstance(value, dict) else value))
    return ""


def _referred(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The closure variables, globals and default values that a function uses, by name."""
    defaults = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    found = list(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    found += (function.__kwdefaults__ or {}).items()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not yet assigned
            found.append((name, cell.cell_contents))
    codes, known = [function.__code__], function.__globals__
    for code in codes:
        found += [(name, known[name]) for name in code.co_names if name in known]
        codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return found


def _registered(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters and buffers of a module itself."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _of_torch(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == "torch"


def _joined(path: str, name: object) -> str:
    if name in _REGISTERED:
        return path
    return f"{path}.{name}" if path else str(name)


def _require_numbers(path: str, value: torch.Tensor) -> None:
    """Raise a ValueError unless a parameter or a buffer can be converted to float64."""
    if isinstance(value, nn.parameter.UninitializedTensorMixin):
        raise ValueError(
            f"decoder: expected weights, got none yet in `{path}` of a lazy module: call the "
            "module once"
        )
    if value.is_meta:
        raise ValueError(
            f"decoder: expected weights, got none in `{path}`, which is on the device `meta`: load "
            "the weights first"
        )
    if value.is_quantized or (
        (value.is_floating_point() or value.is_complex()) and value.dtype not in _ACCEPTED
    ):
        raise ValueError(
            f"decoder: expected weights in float32 or float64, got {value.dtype} in `{path}`, "
            "which has too few digits for an evidence: give the module before its weights were "
            "rounded, or copy.deepcopy(module).float() if you mean the rounded weights"
        )
    numbers = value.detach()
    if bool(torch.isnan(numbers).any()):
        raise ValueError(f"decoder: expected numbers, got NaN in `{path}`")
    if isinstance(value, nn.Parameter) and not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"decoder: expected finite weights, got an infinite one in `{path}`")


def _require_supported(path: str, module: nn.Module) -> None:
    """Raise a ValueError if a module is of a kind that cannot be copied or converted."""
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
    """Convert one module of the copy to float64 and eval mode, its plain attributes included."""

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
        # Backward hooks change gradients, and not the function whose derivatives are wanted.
        vars(module).get(name, {}).clear()
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = unwrapped(child)
    for name in vars(module).keys() - _OWN - {*_REGISTERED, *_FORWARD_HOOKS}:
        vars(module)[name] = converted(vars(module)[name])


def message(error: Exception) -> str:
    """The message of an error in one line."""
    try:
        return " ".join(str(error).split())
    except Exception:
        return "an error without a message"


def brief(error: Exception) -> str:
    """The message of an error of PyTorch's in one line of bounded length."""
    text = message(error)
    return text if len(text) <= 200 else text[:197] + "..."

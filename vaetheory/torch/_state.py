"""The numbers that a module keeps, to see whether a call changes them."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

#: Bookkeeping of PyTorch's own layers, which no output depends on in eval mode.
_BOOKKEEPING = ("num_batches_tracked",)
#: What every module has, and no function of it reads.
_OWN = frozenset(vars(nn.Module()))

#: Where the bridge's own functions hold a module.
_PATH = re.compile(r"^(distribution\.)?(module\.)?")

State = dict[str, Any]


def state_of(function: object) -> State:
    """Numbers, tensors and arrays that a function refers to, by their paths.

    Those in its module and its submodules, in lists, dictionaries and objects that these hold, and
    in the closures of functions. Tensors are copied; what is only in a module's source file is not
    seen.
    """
    return {path: _kept(value) for path, value in _numbers(function)}


def changed(before: State, after: State) -> str | None:
    """The path of a number that differs, or None; what is new or gone does not count."""
    for path, value in before.items():
        if path in after and not _same(value, after[path]):
            return _PATH.sub("", path)
    return None


def _kept(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    return type(one) is type(other) and (one == other or one != one)


def _numbers(function: object) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    left: list[tuple[str, Any]] = [("", function)]
    while left:
        path, value = left.pop()
        if isinstance(value, bool | int | float | complex | np.number | np.ndarray):
            if not isinstance(value, np.ndarray) or value.dtype.kind in "biufc":
                yield path, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.layout == torch.strided and not value.is_meta:
                yield path, value
            continue
        left += [(f"{path}.{name}" if path else str(name), v) for name, v in _held(value)]


def _held(value: Any) -> list[tuple[object, Any]]:
    """What an object holds: names and values."""
    if isinstance(value, nn.Module):
        registered = (value._parameters, value._buffers, value._modules)
        held = {name: part for name, part in vars(value).items() if name not in _OWN}
        for parts in registered:
            held |= parts
        return [(name, part) for name, part in held.items() if name not in _BOOKKEEPING]
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, types.MethodType):
        return [("self", value.__self__)]
    if isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return [(name, cell.cell_contents) for name, cell in cells if _filled(cell)]
    own = not isinstance(value, type | types.ModuleType) and _users(type(value))
    return list(getattr(value, "__dict__", {}).items()) if own else []


def _users(kind: type) -> bool:
    """Whether a class is not one of Python, PyTorch or NumPy."""
    home = str(kind.__module__).partition(".")[0]
    return home not in ("builtins", "collections", "functools", "numpy", "torch", "types")


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # not yet assigned
        return False

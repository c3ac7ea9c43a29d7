"""Custody of a user's modules: lent in float64, and returned bit for bit.

Nothing that the audit does can reach the user's storages: for its time every tensor holds a private
copy (`tensor.data`), so that returning it is an assignment. Everything else that can change, such
as attributes, lists, buffers, hooks, generators and global settings, is noted before and put back.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import random
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

#: Objects of more parts than this are not searched to the end.
_MOST = 200_000
#: Tensors that are no parameters or buffers, of more entries than this, are left where they are.
_LARGE = 20_000_000
_PLAIN = (bool, int, float, complex, str, bytes, type(None), range, slice)
_CONTAINERS = (dict, list, set, collections.deque)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = {torch.complex64: torch.complex128, torch.complex128: torch.complex128}

Undo = Callable[[], object]


class Custody:
    """What is reachable from a module and from functions, noted so that it can be put back.

    Parameters
    ----------
    module : torch.nn.Module
        The module whose parameters are moved.
    functions : iterable of callables
        The functions of the user; modules, tensors and counters that they refer to are noted too.
    """

    def __init__(self, module: nn.Module, functions: Iterable[object]) -> None:
        self.modules: list[nn.Module] = []
        self.tensors: list[tuple[torch.Tensor, bool]] = []
        #: Random generators of the user's own.
        self.generators: list[Any] = []
        self._bindings: list[Undo] = []
        self._gradients: list[Undo] = []
        self._walk([module, *functions])
        self._lent: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._returns: list[Undo] = []

    # What there is -------------------------------------------------------------------------------

    def _walk(self, start: list[object]) -> None:
        seen: set[int] = set()
        left: list[tuple[Any, bool]] = [(value, False) for value in reversed(start)]
        self._kept: list[Any] = []  # so that no address is used twice
        while left and len(seen) < _MOST:
            value, registered = left.pop()
            if isinstance(value, _PLAIN) or id(value) in seen:
                continue
            seen.add(id(value))
            self._kept.append(value)
            left += [(v, r) for v, r in reversed(list(self._parts(value, registered)))]

    def _parts(self, value: Any, registered: bool) -> Iterator[tuple[Any, bool]]:
        if isinstance(value, torch.Tensor):
            self.tensors.append((value, registered or isinstance(value, nn.Parameter)))
            if value.is_leaf and value.grad is not None:
                self._gradients.append(functools.partial(setattr, value, "grad", value.grad))
        elif isinstance(value, nn.Module):
            self.modules.append(value)
            self._note_attributes(value)
            for name, part in list(vars(value).items()):
                yield part, name in ("_parameters", "_buffers", "_modules")
        elif isinstance(value, _CONTAINERS):
            self._note_container(value)
            items = list(value.values()) if isinstance(value, dict) else list(value)
            for part in items:
                yield part, registered
        elif isinstance(value, (tuple, frozenset)):
            for part in value:
                yield part, registered
        elif isinstance(value, np.ndarray):
            if value.flags.writeable and value.size <= _LARGE and value.dtype != object:
                copy = value.copy()
                self._bindings.append(functools.partial(np.copyto, value, copy))
        elif isinstance(value, torch.Generator):
            self.generators.append(value)
            self._bindings.append(functools.partial(value.set_state, value.get_state()))
        elif isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            self.generators.append(value)
            self._bindings.append(_restorer(value))
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                yield part, False
        elif isinstance(value, types.MethodType):
            yield value.__self__, False
            yield value.__func__, False
        elif isinstance(value, types.FunctionType):
            for part in self._of_function(value):
                yield part, False
        elif not isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
            # An object of the user's own, such as a trainer or a schedule.
            held = getattr(value, "__dict__", None)
            home = str(type(value).__module__).partition(".")[0]
            if isinstance(held, dict) and home not in _OTHERS:
                self._note_attributes(value)
                for part in list(held.values()):
                    yield part, False

    def _note_attributes(self, owner: Any) -> None:
        noted = dict(vars(owner))

        def put_back() -> None:
            now = vars(owner)
            for name in [n for n in now if n not in noted]:
                dict.__delitem__(now, name)
            dict.update(now, noted)

        self._bindings.append(put_back)

    def _note_container(self, value: Any) -> None:
        noted = list(value.items()) if isinstance(value, dict) else list(value)

        def put_back() -> None:
            if isinstance(value, dict):
                now = list(value.items())
                if len(now) != len(noted) or any(
                    a[0] is not b[0] or a[1] is not b[1] for a, b in zip(now, noted, strict=True)
                ):
                    value.clear()
                    value.update(noted)
            elif isinstance(value, set):
                if value != set(noted):
                    value.clear()
                    value.update(noted)
            elif len(value) != len(noted) or any(
                a is not b for a, b in zip(value, noted, strict=True)
            ):
                value.clear()
                value.extend(noted)

        self._bindings.append(put_back)

    def _of_function(self, function: types.FunctionType) -> Iterator[Any]:
        """What a function refers to; numbers that it may bind anew are noted."""
        if str(function.__module__).partition(".")[0] in _OTHERS:
            return
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        if vars(function):
            self._note_attributes(function)
            yield from list(vars(function).values())
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # not yet assigned
                self._bindings.append(
                    functools.partial(setattr, cell, "cell_contents", cell.cell_contents)
                )
                yield cell.cell_contents
        codes, known = [function.__code__], function.__globals__
        for code in codes:
            for name in code.co_names:
                if name in known:
                    value = known[name]
                    if not isinstance(value, types.ModuleType):
                        self._bindings.append(functools.partial(known.__setitem__, name, value))
                        yield value
            codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]

    # Lending and returning -----------------------------------------------------------------------

    @contextlib.contextmanager
    def lent(self, *, double: bool) -> Iterator[None]:
        """Give every tensor a private copy, in float64 if asked, and return all at the end."""
        settings = _settings()
        try:
            self._lend(double)
            if double:
                torch.set_default_dtype(torch.float64)
            yield
        finally:
            # An interrupt while things are put back must not leave half of them.
            pending: BaseException | None = None
            while True:
                try:
                    self._give_back()
                    settings()
                    break
                except KeyboardInterrupt as error:
                    pending = error
            if pending is not None:
                raise pending

    def _lend(self, double: bool) -> None:
        made: dict[tuple[int, torch.dtype], torch.Tensor] = {}
        for tensor, registered in self.tensors:
            if not _lendable(tensor, registered):
                continue
            original = tensor.data
            private = _private(original, double, made)
            self._returns.append(functools.partial(_return, tensor, original, tensor.requires_grad))
            tensor.grad = None
            tensor.data = private
            saved = None if isinstance(tensor, nn.Parameter) else private.clone()
            if saved is not None:
                self._lent.append((tensor, private, saved))

    def _give_back(self) -> None:
        # Tensors first: a gradient has the type of its tensor.
        for undo in (*self._returns, *self._gradients, *self._bindings):
            undo()

    def rewind(self) -> None:
        """Put back everything but the parameters, while lent."""
        for tensor, private, saved in self._lent:
            if tensor.data.data_ptr() != private.data_ptr() or tensor.dtype != private.dtype:
                tensor.data = private
            with torch.no_grad():
                private.copy_(saved)
        for undo in self._bindings:
            undo()


#: Packages whose objects are not searched.
_OTHERS = frozenset(
    {"torch", "numpy", "scipy", "vaetheory", "pytest", "_pytest"}
    | {n for n in sys.stdlib_module_names if n not in ("types", "__main__")}
)


def _lendable(tensor: torch.Tensor, registered: bool) -> bool:
    """Whether a tensor can hold a private copy for a while."""
    if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
        raise ValueError(
            "module: expected weights, got none yet in a lazy module: call the module once"
        )
    if tensor.is_meta:
        raise ValueError("module: expected weights, got a tensor on the device meta")
    if tensor.is_quantized or tensor.layout != torch.strided:
        return False
    if tensor.grad_fn is not None or tensor.is_inference():
        return False
    if type(tensor) not in (torch.Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter)):
        return False
    return registered or tensor.numel() <= _LARGE


def _private(
    original: torch.Tensor, double: bool, made: dict[tuple[int, torch.dtype], torch.Tensor]
) -> torch.Tensor:
    """A copy with the same strides, which shares memory with the copies of the same storage."""
    dtype = original.dtype
    if double:
        if dtype in _FLOATS:
            dtype = torch.float64
        dtype = _COMPLEX.get(dtype, dtype)
    storage = original.untyped_storage()
    if original.numel() == 0 or storage.nbytes() % original.element_size():
        return original.to(dtype).clone()
    key = (storage.data_ptr(), original.dtype)
    if key not in made:
        whole = torch.empty(0, dtype=original.dtype, device=original.device)
        whole.set_(storage)
        if whole.numel() > 100 * original.numel() + _LARGE:
            return original.to(dtype).clone()
        made[key] = whole.to(dtype, copy=True)
    return made[key].as_strided(original.size(), original.stride(), original.storage_offset())


def _return(tensor: torch.Tensor, original: torch.Tensor, requires_grad: bool) -> None:
    tensor.grad = None
    tensor.data = original
    if tensor.is_leaf and tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)


def _restorer(generator: Any) -> Undo:
    if isinstance(generator, np.random.Generator):
        return functools.partial(
            setattr, generator.bit_generator, "state", generator.bit_generator.state
        )
    if isinstance(generator, np.random.RandomState):
        return functools.partial(generator.set_state, generator.get_state())
    return functools.partial(generator.setstate, generator.getstate())


def _settings() -> Undo:
    """A function that puts back the global settings and the global random states."""
    states: list[Undo] = [
        functools.partial(torch.set_default_dtype, torch.get_default_dtype()),
        functools.partial(torch.set_grad_enabled, torch.is_grad_enabled()),
        functools.partial(torch.set_rng_state, torch.get_rng_state()),
        functools.partial(np.random.set_state, np.random.get_state()),  # noqa: NPY002
        functools.partial(random.setstate, random.getstate()),
        functools.partial(np.seterr, **np.geterr()),
    ]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        cuda = torch.cuda.get_rng_state_all()
        states.append(functools.partial(torch.cuda.set_rng_state_all, cuda))
    deterministic = torch.are_deterministic_algorithms_enabled()
    states.append(functools.partial(torch.use_deterministic_algorithms, deterministic))

    def put_back() -> None:
        for state in states:
            state()

    return put_back

"""Custody of a user's modules: lent in float64, and returned bit for bit.

Nothing that the audit does can reach the user's storages: for its time every tensor holds a private
copy (`tensor.data`), so that returning it is an assignment. Everything else that can change, such
as attributes, lists, buffers, hooks, generators and global settings, is noted before and put back.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from vaetheory.audit._belongings import LARGE, Belongings, Undo, at_the_end, random_states

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = {torch.complex64: torch.complex128, torch.complex128: torch.complex128}


class Custody(Belongings):
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
        self._gradients: list[Undo] = []
        super().__init__([module, *functions])
        self._lent: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._returns: list[Undo] = []

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
        elif isinstance(value, torch.Generator):
            self.generators.append(value)
            self._bindings.append(functools.partial(value.set_state, value.get_state()))
        else:
            yield from super()._parts(value, registered)

    # Lending and returning -----------------------------------------------------------------------

    @contextlib.contextmanager
    def lent(self, *, double: bool) -> Iterator[None]:
        """Give every tensor a private copy, in float64 if asked, and return all at the end."""
        settings = _settings()

        def undo() -> None:
            self._give_back()
            settings()

        with at_the_end(undo):
            self._lend(double)
            if double:
                torch.set_default_dtype(torch.float64)
            yield

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
        for undo in (*self._returns, *self._gradients):
            undo()
        self.put_back()

    def rewind(self) -> None:
        """Put back everything but the parameters, while lent."""
        for tensor, private, saved in self._lent:
            if tensor.data.data_ptr() != private.data_ptr() or tensor.dtype != private.dtype:
                tensor.data = private
            with torch.no_grad():
                private.copy_(saved)
        self.put_back()


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
    return registered or tensor.numel() <= LARGE


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
        if whole.numel() > 100 * original.numel() + LARGE:
            return original.to(dtype).clone()
        made[key] = whole.to(dtype, copy=True)
    return made[key].as_strided(original.size(), original.stride(), original.storage_offset())


def _return(tensor: torch.Tensor, original: torch.Tensor, requires_grad: bool) -> None:
    tensor.grad = None
    tensor.data = original
    if tensor.is_leaf and tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)


def _settings() -> Undo:
    """A function that puts back the global settings and the global random states."""
    states: list[Undo] = [
        functools.partial(torch.set_default_dtype, torch.get_default_dtype()),
        functools.partial(torch.set_grad_enabled, torch.is_grad_enabled()),
        functools.partial(torch.set_rng_state, torch.get_rng_state()),
        *random_states(),
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

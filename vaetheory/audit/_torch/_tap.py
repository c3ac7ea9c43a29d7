"""The noise of a function of PyTorch: seen, kept and given again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vaetheory._validation import Array

_NORMAL = frozenset({"randn", "randn_like", "normal_", "normal", "normal_functional"})
_UNIFORM = frozenset({"rand", "rand_like", "uniform_", "uniform"})
_COARSE = (torch.float32, torch.float16, torch.bfloat16)
#: Operations that PyTorch marks as random, of which nothing can be given again.
_IGNORED = ("_scaled_dot_product", "_flash", "_efficient", "_cudnn", "_fused", "rrelu")


@dataclass(frozen=True)
class Draw:
    """One random draw: the operation, its law, and its outcome.

    `base` is the outcome in units of its law: standard normal, uniform on [0, 1], or as it came.
    """

    name: str
    law: str
    base: torch.Tensor

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """By which a draw is recognised when the function runs again."""
        return self.law, tuple(self.base.shape)

    @property
    def array(self) -> Array:
        """A copy of the outcome in float64."""
        return np.array(self.base.to("cpu", torch.float64).numpy())

    @property
    def numbers(self) -> int:
        """How many numbers were drawn."""
        return self.base.numel()

    @property
    def floating(self) -> bool:
        """Whether they are no integers."""
        return self.base.dtype.is_floating_point

    def given(self, outcome: Array) -> Draw:
        """The same draw with another outcome."""
        made = torch.as_tensor(np.array(outcome)).reshape(self.base.shape)
        return replace(self, base=made.to(self.base))


class Tap(TorchDispatchMode):
    """Record every random draw, and replace those for which a replay is given.

    Parameters
    ----------
    replay : sequence of Draw, optional
        The draws that are given again, in their order.
    loosely : bool
        Whether draws of the replay may be skipped, as by a part of the function alone.
    """

    def __init__(self, replay: Sequence[Draw] | None = None, *, loosely: bool = False) -> None:
        super().__init__()
        self.draws: list[Draw] = []
        self.replay, self.loosely = replay, loosely
        self.used = 0
        #: Whether a draw was asked for that the replay does not have.
        self.missed = False
        #: Outcomes by the state of PyTorch's generator before them.
        self.memory: dict[bytes, torch.Tensor] = {}
        #: Types of less than double precision in which something was computed.
        self.coarse: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        random = torch.Tag.nondeterministic_seeded in func.tags
        before = _state() if random and self.replay is not None else b""
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.dtype in _COARSE:
            self.coarse.add(result.dtype)
        if not random:
            return result
        name = func._schema.name.split("::")[-1]
        if name.startswith(_IGNORED):
            return result
        if name == "native_dropout":
            self._dropout(args, result)
            return result
        if isinstance(result, torch.Tensor):
            self._drawn(name, args, kwargs, result)
            self.memory[before] = result.detach().clone()
        return result

    def _dropout(self, args: Any, result: Any) -> None:
        out, mask = result
        kept = self._next("bernoulli", tuple(mask.shape))
        if kept is not None:
            mask.copy_(kept.base)
            p = float(args[1])
            out.copy_(args[0] * mask / (1 - p) if p < 1 else args[0] * 0)
        self.draws.append(Draw("dropout", "bernoulli", mask.detach().clone()))

    def _drawn(self, name: str, args: Any, kwargs: Any, out: torch.Tensor) -> None:
        law = "normal" if name in _NORMAL else "uniform" if name in _UNIFORM else name.strip("_")
        shift, scale = _law(name, args, kwargs)
        kept = self._next(law, tuple(out.shape))
        if kept is not None:
            base = kept.base.to(out.dtype)
            out.copy_(shift + scale * base if law in ("normal", "uniform") else base)
        base = out.detach()
        if law in ("normal", "uniform"):
            base = (base - shift) / scale if kept is None else kept.base.to(out.dtype)
        self.draws.append(Draw(name, law, base.clone()))

    def _next(self, law: str, shape: tuple[int, ...]) -> Draw | None:
        if self.replay is None:
            return None
        ahead = range(self.used, len(self.replay) if self.loosely else self.used + 1)
        for i in ahead:
            if i < len(self.replay) and self.replay[i].key == (law, shape):
                self.used = i + 1
                return self.replay[i]
        self.missed = True
        return None


def _state() -> bytes:
    return bytes(torch.get_rng_state().numpy().tobytes())


class Recall(TorchDispatchMode):
    """Give the outcomes of a tapped call again where a checkpoint computes a part of it anew.

    A checkpoint puts the state of PyTorch's generator back, by which its draws are recognised.
    """

    def __init__(self, memory: Mapping[bytes, torch.Tensor]) -> None:
        super().__init__()
        self.memory = memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        before = _state()
        result = func(*args, **(kwargs or {}))
        kept = self.memory.get(before)
        if isinstance(result, torch.Tensor) and kept is not None and kept.shape == result.shape:
            result.copy_(kept)
        return result


def _law(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Shift and scale of a draw."""
    numbers = (int, float, torch.Tensor)
    if name in ("normal", "normal_functional", "normal_"):
        first = 1 if name != "normal" else 0
        given = list(args[first : first + 2])
        shift = kwargs.get("mean", given[0] if given else 0.0)
        scale = kwargs.get("std", given[1] if len(given) > 1 else 1.0)
        if isinstance(shift, numbers) and isinstance(scale, numbers):
            return shift, scale
    if name in ("uniform_", "uniform"):
        low = kwargs.get("from", args[1] if len(args) > 1 else 0.0)
        high = kwargs.get("to", args[2] if len(args) > 2 else 1.0)
        return low, high - low
    return 0.0, 1.0


def redrawn(draws: Sequence[Draw], generator: torch.Generator) -> list[Draw]:
    """The same draws with other outcomes, where their law is known."""
    made = []
    for draw in draws:
        base = draw.base
        if draw.law in ("normal", "uniform") and base.dtype.is_floating_point:
            new = torch.empty(base.shape, dtype=torch.float64)
            if draw.law == "normal":
                new.normal_(generator=generator)
            else:
                new.uniform_(generator=generator)
            base = new.to(base)
        elif base.dim() and len(base) > 1:
            # A permutation, rows, a mask: the same outcomes in another order.
            base = base[torch.randperm(len(base), generator=generator)]
        made.append(Draw(draw.name, draw.law, base))
    return made


#: An attribute of a module.
Place = tuple[nn.Module, str]


class Watch:
    """The inputs of the decoder: an attribute, or the submodules that `decode` calls first.

    Functions are shadowed in the `__dict__` of their module: hooks do not fire where `.forward` is
    called directly.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self._places: list[Place] = []
        #: Where z stands in what the decoder gets, if there is more.
        self._columns: list[int] | None = None
        self.named = _place(module, name)
        if self.named is not None:
            self._places = [self.named]

    def locate(self, decode: Callable[[torch.Tensor], Any], z: torch.Tensor) -> None:
        """Find z in what the decoder gets when `decode(z)` is called; leave it if it is not there.

        The decoder may get z in several tensors, or with a condition beside it.
        """
        with shadowed(self._places, _all) as calls:
            decode(z.clone())
        if calls and not self._watched(calls, z):
            self._places = []

    def search(
        self, module: nn.Module, decode: Callable[[torch.Tensor], Any], z: torch.Tensor
    ) -> None:
        """Find the submodules that get z itself when `decode(z)` is called."""
        places = [(m, "forward") for m in module.modules()]
        owner = getattr(decode, "__self__", None)
        if isinstance(owner, nn.Module) and hasattr(owner, getattr(decode, "__name__", "")):
            places.append((owner, decode.__name__))
        with shadowed(places, _all) as calls:
            decode(z.clone())
        self._watched(calls, z)

    def _watched(self, calls: Sequence[tuple[Place, Any]], z: torch.Tensor) -> bool:
        """Watch the first place that got z, or columns that are z; whether there is one."""
        for place, tensors in calls:
            value = tensors[0]
            if value.numel() == z.numel() and _close(value.reshape(-1), z.reshape(-1)):
                self._places, self._columns = [place], None
                return True
        for place, tensors in calls:
            columns = _columns(_beside(tensors), z)
            if columns is not None:
                self._places, self._columns = [place], columns
                return True
        return False

    def pick(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """The latents among the tensors that the decoder gets."""
        if self._columns is not None:
            row = _beside(tensors)
            if row.dim() and row.shape[-1] > max(self._columns):
                return row[..., self._columns].clone()
        return tensors[0].detach().clone()

    @property
    def places(self) -> list[Place]:
        """Where the decoder is watched."""
        return self._places


def _place(module: nn.Module, name: str) -> Place | None:
    owner: Any = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part, None)
    found = getattr(owner, last, None)
    if isinstance(found, nn.Module):
        return found, "forward"
    if callable(found) and isinstance(owner, nn.Module):
        return owner, last
    return None


def _within_vmap(value: torch.Tensor) -> bool:
    """Whether a tensor belongs to a transform of `torch.func`, out of which it may not be taken."""
    functorch = getattr(torch._C, "_functorch", None)
    told = getattr(functorch, "is_functorch_wrapped_tensor", None)
    return bool(told is not None and told(value))


def _all(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [t.detach().clone() for t in tensors]


def _first(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return tensors[0].detach().clone()


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether tensors are equal up to the rounding of their types."""
    coarse = a.dtype in (torch.float16, torch.bfloat16)
    size = (2e-2 if coarse else 1e-5) * (1 + float(b.abs().max()))
    return bool(((a.to(b) - b).abs() <= size).all())


def _beside(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors of the same number of rows, beside each other."""
    lead = max(tensors, key=lambda t: t.dim()).shape[:-1]
    rows = [t.detach().to(torch.float64) for t in tensors if t.dim() and t.shape[:-1] == lead]
    return torch.cat(rows, -1)


def _columns(row: torch.Tensor, z: torch.Tensor) -> list[int] | None:
    """The columns of `row` (B, n) that are those of z (B, d), if all of them are there."""
    if z.dim() != 2 or row.dim() != 2 or len(row) != len(z):
        return None
    found = [
        next((i for i in range(row.shape[1]) if _close(row[:, i], one)), None)
        for one in z.to(row).unbind(1)
    ]
    return [i for i in found if i is not None] if None not in found else None


@contextlib.contextmanager
def shadowed(
    places: Sequence[Place], pick: Callable[[Sequence[torch.Tensor]], Any] = _first
) -> Iterator[list[tuple[Place, Any]]]:
    """Record what `pick` takes of the tensors that each function gets, call by call."""
    calls: list[tuple[Place, Any]] = []
    before: list[tuple[nn.Module, str, bool, Any]] = []

    def wrapped(place: Place, inner: Callable[..., Any]) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            given = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)]
            tensors = [v for v in given if not _within_vmap(v)]
            if tensors:
                calls.append((place, pick(tensors)))
            return inner(*args, **kwargs)

        return function

    try:
        for owner, name in places:
            inner = getattr(owner, name)
            before.append((owner, name, name in vars(owner), vars(owner).get(name)))
            vars(owner)[name] = wrapped((owner, name), inner)
        yield calls
    finally:
        for owner, name, had, value in reversed(before):
            if had:
                vars(owner)[name] = value
            else:
                vars(owner).pop(name, None)

"""The last linear layer of a module, found by watching a call, and the module without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vaetheory._validation import Array
from vaetheory.decoders._affine_maps import is_affine_map, latents_near_and_far
from vaetheory.torch._calls import Call, outputs, undisturbed

#: Tolerated difference, relative to the sum of the moduli of all terms.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class FoundLayer:
    """A module as an affine map of what its last `linear` is applied to.

    Attributes
    ----------
    hidden : callable
        Latents `(n, d)` to the argument of the layer, `(n, H)`.
    weight, bias : arrays (D, H), (D,)
    """

    hidden: Call
    weight: Array
    bias: Array


class _Reached(BaseException):
    """Ends a call at its last `linear`; no handler of the user's code catches it."""

    def __init__(self, argument: torch.Tensor) -> None:
        super().__init__()
        self.argument = argument


class _Linears(TorchFunctionMode):
    """Watches `torch.nn.functional.linear`: keeps the last call, or ends before one."""

    def __init__(self, end: int | None = None) -> None:
        super().__init__()
        self._end = end
        self.count = 0
        #: The arguments of the last call, its result, and how often that had been overwritten.
        self.last: tuple[tuple[Any, ...], torch.Tensor, int] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not functional.linear:
            return func(*args, **(kwargs or {}))
        given = _arguments(*args, **(kwargs or {}))
        if self.count == self._end:
            raise _Reached(given[0])
        self.count += 1
        out = func(*args, **(kwargs or {}))
        self.last = given, out, out._version
        return out


def _arguments(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> tuple[Any, ...]:
    return input, weight, bias


def find_last_layer(call: Call, dim: int, device: torch.device) -> FoundLayer | None:
    """Find the last linear layer of a decoder of `dim` latents, if its result is the outputs.

    Parameters
    ----------
    call : callable
        A function of latents that has passed `try_call`.
    dim : int
    device : torch.device

    Returns
    -------
    FoundLayer or None
        None unless the outputs are the memory of the layer's result, which nothing has written to
        since, and the layer, applied to its argument, gives the outputs at random latents, near and
        far, one by one and together.
    """
    places = latents_near_and_far(dim)
    try:
        with undisturbed(device, follow=True):
            found = [_watched(call, torch.tensor(z, device=device)) for z in (places, places[-1:])]
    except Exception:
        # What fails here fails again, with a message, where it is needed.
        return None
    if None in found:
        return None
    (end, weight, bias), other = found
    if not (
        end == other[0] and np.array_equal(weight, other[1]) and np.array_equal(bias, other[2])
    ):
        return None

    def hidden(z: torch.Tensor) -> torch.Tensor:
        try:
            with _Linears(end):
                call(z)
        except _Reached as reached:
            return reached.argument
        raise ValueError(
            f"decoder: expected {end + 1} linear layers at all latents, as at those tried first"
        )

    layer = FoundLayer(hidden, weight, bias)
    return layer if _agrees(layer, call, places, device) else None


def _watched(call: Call, z: torch.Tensor) -> Any:
    """The number, weight and bias of the last linear layer, if its result is all that comes out."""
    watch = _Linears()
    with watch:
        out = outputs(call(z.clone().requires_grad_()), len(z))
    if watch.last is None:
        return None
    (argument, weight, bias), result, version = watch.last
    rows = argument.ndim == 2 and result.ndim == 2 and len(result) == len(z)
    # A layer whose weights depend on the latents is no affine map of its argument.
    fixed = not (weight.requires_grad or (bias is not None and bias.requires_grad))
    untouched = result._version == version and result.is_contiguous() and out.is_contiguous()
    same = out.data_ptr() == result.data_ptr() and out.numel() == result.numel()
    if not (rows and fixed and untouched and same):
        return None
    matrix = weight.detach().cpu().numpy().copy()
    if matrix.dtype != np.float64:
        return None
    shift = np.zeros(len(matrix)) if bias is None else bias.detach().cpu().numpy().copy()
    return watch.count - 1, matrix, shift


def _agrees(layer: FoundLayer, call: Call, places: Array, device: torch.device) -> bool:
    """Whether a layer gives the outputs of a decoder at some latents, together and one by one."""
    some = [places, *(places[i : i + 1] for i in (0, len(places) - 1))]
    with undisturbed(device, follow=False):
        for z in some:
            latents = torch.tensor(z, device=device)
            h = layer.hidden(latents.clone()).detach().cpu().numpy()
            out = outputs(call(latents.clone()), len(z)).reshape(len(z), -1).detach().cpu().numpy()
            if h.shape != (len(z), layer.weight.shape[1]):
                return False
            if not is_affine_map(out, h, layer.weight, layer.bias, _ROUNDING):
                return False
    return True

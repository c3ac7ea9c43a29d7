"""A PyTorch module as a decoder with derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from vaetheory._validation import Array, short
from vaetheory.decoders import LastLayer, PiecewiseLinear
from vaetheory.decoders._bridged import BridgedDecoder, as_rows
from vaetheory.torch._calls import Call, Tried, outputs, told, try_call, undisturbed
from vaetheory.torch._copies import function_over_modules, private_copy
from vaetheory.torch._last_layer import find_last_layer
from vaetheory.torch._networks import tanh_network
from vaetheory.torch._piecewise import found_layers

#: Most numbers in the intermediate results of one call, so that memory stays bounded.
_NUMBERS = 2**23
#: Numbers in the graph of second derivatives, relative to the results of all functions.
_GRAPH = 4
#: Failures of values, and of derivatives.
_FAILED = (
    "decoder: expected a module that decodes every latent, got {} at some of them",
    "decoder: expected a module that PyTorch can differentiate twice, got {}: replace the function "
    "that fails by one with second derivatives (checkpoints need use_reentrant=False)",
)


class TorchDecoder(BridgedDecoder[Tried]):
    """A `torch.nn.Module` as a decoder: values and derivatives in float64.

    A copy of the module, in float64 and in eval mode, is evaluated. The module itself is neither
    called nor changed, and later training has no effect on the decoder. Weights in float32 are
    converted exactly.

    Parameters
    ----------
    module : torch.nn.Module or bound method of one
        Maps latents `(n, d)` to the likelihood's parameters `(n, ...)`, row by row, as `decoder`
        or `vae.decode` do.
    call : callable, optional
        `call(module, z)` decodes where `module(z)` does not, for example
        `lambda m, z: m.decode(z)[0]`. Its first argument is the copy; it must not use another
        module.
    device : str or torch.device
        The device of the copy; the CPU by default, wherever the module is.

    Attributes
    ----------
    event_shape : tuple of int or None
        Shape of the outputs of one latent, known after the first call. `decoder(z)` has shape
        `(..., D)`, in row-major order; a `LatentModel` accepts data of this shape.
    latent_dim : int or None
        Dimension d of the latents, known after the first call.

    Raises
    ------
    ValueError
        If the module cannot be copied, or has weights that are NaN, in half precision or
        quantised; at the first call, if it is random, casts to lower precision inside, uses
        statistics of the batch, or returns anything but one tensor. Each error says what to do.

    Notes
    -----
    Derivatives use reverse mode only (gradients of gradients), because nested forward mode is wrong
    for some layers. A `Sequential` of `Linear` layers with `Tanh` between them is evaluated as a
    `decoders.TanhNetwork`. If the outputs are those of a last `torch.nn.functional.linear`, as in
    most modules that end in a `Linear`, `last_layer` finds it by watching a call. Two decoders are
    equal only if they are the same object. Pickling is not supported.

    After the first call, `piecewise_linear()` gives a module of affine layers (convolutions, norms
    in eval mode, pooling by means and the like) and ReLU or other straight pieces as a
    `decoders.PiecewiseLinear`, and `kinks()` the layers before a smooth end. `torch.fx` records the
    module's operations, shortcuts around layers included, and the layers are compared with the
    module's outputs. The result is None for modules with hooks, with operations that are not known
    to be affine, straight or smooth, and for what `torch.fx` cannot record.

    Examples
    --------
    >>> import torch
    >>> decoder = TorchDecoder(torch.nn.Linear(1, 3))
    >>> decoder([[0.0], [1.0]]).shape, decoder.jacobian([[0.0]]).shape
    ((2, 3), (1, 3, 1))
    """

    def __init__(
        self,
        module: nn.Module | Callable[..., Any],
        call: Callable[[Any, torch.Tensor], Any] | None = None,
        *,
        device: str | torch.device = "cpu",
    ) -> None:
        where = double_device(device)
        self._settle(calling(module, call, where), where)

    def _settle(self, call: Call, device: torch.device) -> None:
        self._call, self._device = call, device
        # On the CPU NumPy computes the same function faster.
        known = isinstance(call, nn.Module) and device.type == "cpu"
        self._network = tanh_network(call) if known else None
        self._found: dict[bool, PiecewiseLinear | None] = {}

    @classmethod
    def around(cls, call: Call, device: torch.device) -> TorchDecoder:
        """A decoder that calls a given function of tensors."""
        made = cls.__new__(cls)
        made._settle(call, device)
        return made

    def _find_last_layer(self, tried: Tried) -> LastLayer | None:
        if self._network is not None:
            return self._network.last_layer()
        found = find_last_layer(self._call, tried.latent_dim, self._device)
        if found is None:
            return None
        hidden = TorchDecoder.around(found.hidden, self._device)
        return LastLayer(hidden, found.weight, found.bias)

    def __call__(self, z: Array) -> Array:
        return self._evaluated("__call__", self._rows, z)

    def jacobian(self, z: Array) -> Array:
        return self._evaluated("jacobian", self._first, z)

    def hessian(self, z: Array) -> Array:
        return self._evaluated("hessian", self._second, z)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self._evaluated("weighted_hessian", self._weighted, z, weights)

    def vjp(self, z: Array, weights: Array) -> Array:
        return self._evaluated("vjp", self._backward, z, weights)

    def piecewise_linear(self) -> PiecewiseLinear | None:
        return self._layers(smooth=False)

    def kinks(self) -> PiecewiseLinear | None:
        return self.piecewise_linear() or self._layers(smooth=True)

    def _layers(self, *, smooth: bool) -> PiecewiseLinear | None:
        # The first call tells the dimension.
        if self._tried is None or not isinstance(self._call, nn.Module):
            return None
        if smooth not in self._found:
            with undisturbed(self._device, follow=False):
                self._found[smooth] = found_layers(
                    self._call, self._tried.latent_dim, self._device, self._outputs, smooth=smooth
                )
        return self._found[smooth]

    def _outputs(self, z: Array) -> Array:
        """The module's own outputs, `(n, d) -> (n, D)`."""
        return self._rows(torch.tensor(z, device=self._device)).cpu().numpy()

    def _evaluated(
        self, name: str, function: Callable[..., torch.Tensor], z: Array, *others: Array
    ) -> Array:
        """Evaluate a method by a function of tensors `(n, ...)`, in parts of bounded size."""
        tried, follow = self._try(z.shape[-1]), name != "__call__"
        if self._network is not None:
            found: Array = getattr(self._network, name)(z, *others)
            return found
        lead, rows = as_rows(z, *others)
        most = _NUMBERS / (_GRAPH * tried.total if follow else tried.widest)
        step = max(1, int(most))

        def part(start: int) -> Array:
            some = (torch.tensor(row[start : start + step], device=self._device) for row in rows)
            try:
                return function(*some).detach().cpu().numpy()
            except ValueError:
                raise
            except Exception as error:
                raise ValueError(_FAILED[follow].format(told(error))) from error

        count = len(rows[0])
        with undisturbed(self._device, follow=follow, draws=tried.draws, rewritten=tried.rewritten):
            whole = part(0)
            if count > step:
                first, whole = whole, np.empty((count, *whole.shape[1:]))
                whole[:step] = first
                for start in range(step, count, step):
                    whole[start : start + step] = part(start)
        return whole.reshape(*lead, *whole.shape[1:])

    def _try_first(self, dim: int) -> Tried:
        return try_call(self._call, dim, self._device)

    def _rows(self, z: torch.Tensor) -> torch.Tensor:
        # A module may overwrite its argument.
        out = outputs(self._call(z.clone() if z.requires_grad else z), len(z))
        return out.reshape(len(z), math.prod(out.shape[1:]))

    def _pulled_back(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """J^T v `(n, d)` as a function of v `(n, D)`, in which it is linear, and v."""
        out = self._rows(y)
        v = torch.zeros_like(out, requires_grad=True)
        return _gradient(out, y, v), v

    def _first(self, z: torch.Tensor) -> torch.Tensor:
        g, v = self._pulled_back(z.requires_grad_())
        return torch.stack([_gradient(g[:, j], v) for j in range(z.shape[1])], -1)

    def _second(self, z: torch.Tensor) -> torch.Tensor:
        # Derivatives along each latent remain linear in v: no pass for each output is needed.
        d = z.shape[1]
        g, v = self._pulled_back(z.requires_grad_())
        along = [_gradient(g[:, j], z) for j in range(d)]
        rows = [torch.stack([_gradient(along[j][:, k], v) for k in range(d)], -1) for j in range(d)]
        return _symmetric(torch.stack(rows, -2))

    def _backward(self, z: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        y = z.requires_grad_()
        return _gradient(self._rows(y), y, weights)

    def _weighted(self, z: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        y = z.requires_grad_()
        g = _gradient(self._rows(y), y, weights)
        return _symmetric(torch.stack([_gradient(g[:, j], y) for j in range(z.shape[1])], -2))


def _gradient(
    out: torch.Tensor, of: torch.Tensor, cotangent: torch.Tensor | None = None
) -> torch.Tensor:
    """The gradient of `(out * cotangent).sum()`, zero where nothing depends on `of`."""
    if not out.requires_grad:
        return torch.zeros_like(of)
    # The gradient of one number: with `grad_outputs` PyTorch imports SymPy, which takes a second.
    total = out.sum() if cotangent is None else (out * cotangent).sum()
    (found,) = torch.autograd.grad(total, of, create_graph=True, allow_unused=True)
    return torch.zeros_like(of) if found is None else found


def _symmetric(matrices: torch.Tensor) -> torch.Tensor:
    return (matrices + matrices.transpose(-1, -2)) / 2


def double_device(device: str | torch.device) -> torch.device:
    """Return a device, or raise a ValueError if it does not compute in float64 here."""
    try:
        where = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=where).cpu()
    except Exception as error:
        raise ValueError(
            f"device: expected one that is here and computes in float64, got {device!r}"
        ) from error
    return where


class Calling(nn.Module):
    """A function of a module and latents as a module."""

    def __init__(self, module: nn.Module, function: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.module, self.function = module, function
        self.eval()

    def forward(self, z: torch.Tensor) -> Any:
        return self.function(self.module, z)


def calling(module: Any, call: Any, device: torch.device) -> Call:
    """The function of tensors by which a copy of a module decodes."""
    owner = getattr(module, "__self__", None)
    if isinstance(owner, nn.Module) and call is None:
        name = module.__name__
        return Calling(private_copy(owner, device), lambda twin, z: getattr(twin, name)(z))
    if not isinstance(module, nn.Module):
        raise ValueError(
            "decoder: expected a torch.nn.Module or a method of one, and "
            f"call=lambda module, z: ... if it decodes in another way, got {short(module)}"
        )
    if call is None:
        return private_copy(module, device)
    if not callable(call):
        raise ValueError(f"call: expected a callable (module, z) -> tensor, got {short(call)}")
    if name := function_over_modules(call):
        raise ValueError(
            f"call: expected a function of its first argument, a copy of the module, got one that "
            f"uses `{name}`: write call=lambda module, z: module.decode(z)"
        )
    return Calling(private_copy(module, device), call)

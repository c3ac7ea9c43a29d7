"""Modules that are networks of this library, which evaluates them faster than PyTorch does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import nn

from vaetheory.decoders import TanhNetwork

#: Layers that do nothing in eval mode to rows of vectors.
_IDLE = (nn.Identity, nn.Dropout)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def tanh_network(module: nn.Module) -> TanhNetwork | None:
    """The network that a `Sequential` of linear layers with tanh between them is; else None.

    Parameters
    ----------
    module : torch.nn.Module
        In float64 and in eval mode.
    """
    layers = list(_layers(module))
    linear, between = layers[::2], layers[1::2]
    # Exact types: a subclass, as parametrisations make them, may compute anything.
    if not len(layers) % 2 or any(type(layer) is not nn.Linear for layer in linear):
        return None
    if any(type(layer) is not nn.Tanh for layer in between):
        return None
    weights = [layer.weight.detach().cpu().numpy() for layer in linear]
    biases = [
        np.zeros(len(w)) if layer.bias is None else layer.bias.detach().cpu().numpy()
        for w, layer in zip(weights, linear, strict=True)
    ]
    return TanhNetwork(weights, biases)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """What a `Sequential` calls one after the other; itself, if it is something else."""
    if any(vars(module).get(name) for name in _HOOKS) or "forward" in vars(module):
        # Whatever it is called, it does something else; no layer here has this type.
        yield nn.Module()
    elif type(module) is nn.Sequential:
        for part in module:
            yield from _layers(part)
    elif type(module) not in _IDLE:
        yield module

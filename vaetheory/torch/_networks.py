"""Modules that are equal to a network of this library, which is evaluated faster."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import nn

from vaetheory.decoders import TanhNetwork
from vaetheory.torch._copies import hooked

#: Layers that return their argument in eval mode.
_IDENTITIES = (nn.Identity, nn.Dropout)


def tanh_network(module: nn.Module) -> TanhNetwork | None:
    """The network equal to a `Sequential` of linear layers with tanh between them, or None.

    Parameters
    ----------
    module : torch.nn.Module
        In float64 and in eval mode.
    """
    layers = list(_layers(module))
    linear, between = layers[::2], layers[1::2]
    # Subclasses, for example of parametrised layers, may compute another function.
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
    """The layers of a `Sequential`, nested ones included; any other module itself."""
    if hooked(module):
        # It may compute another function than its type says: a layer of no known type.
        yield nn.Module()
    elif type(module) is nn.Sequential:
        for part in module:
            yield from _layers(part)
    elif type(module) not in _IDENTITIES:
        yield module

"""What each of PyTorch's layers and functions is: affine, made of straight pieces, or smooth."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from vaetheory._validation import Array
from vaetheory.decoders import ElementwisePieces

#: Layers that are affine in eval mode. Subclasses, for example of parametrised layers, may compute
#: another function.
AFFINE = {
    getattr(nn, name)
    for name in (
        *("Linear", "Identity", "Flatten", "Unflatten", "Fold", "Unfold", "ChannelShuffle"),
        *(f"{kind}{d}d" for kind in ("Conv", "ConvTranspose", "BatchNorm") for d in (1, 2, 3)),
        *(f"{kind}{d}d" for kind in ("AvgPool", "AdaptiveAvgPool") for d in (1, 2, 3)),
        *(f"{kind}Pad{d}d" for kind in ("Constant", "Replication") for d in (1, 2, 3)),
        *(f"{kind}Pad{d}d" for kind in ("Reflection", "Zero", "Circular") for d in (1, 2, 3)),
        *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"),
        *("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"),
        *("PixelShuffle", "PixelUnshuffle"),
    )
    if hasattr(nn, name)
}
#: Layers without kinks. (`Softsign`, whose second derivative jumps, is not one of them.)
_SMOOTH = {
    getattr(nn, name)
    for name in (
        *("Sigmoid", "Tanh", "Softplus", "LogSigmoid", "Tanhshrink", "GELU", "SiLU", "Mish"),
        *("Softmax", "Softmin", "LogSoftmax", "Softmax2d", "LayerNorm", "GroupNorm", "RMSNorm"),
    )
    if hasattr(nn, name)
}
#: The default threshold of `Softplus`, at which it is the identity but for exp(-20).
_ALMOST_STRAIGHT = 20.0
#: Functions and methods that are affine in their first argument, if the others are constants.
_LINEAR = {
    *(functional.linear, functional.pad, functional.interpolate, functional.fold),
    *(functional.conv1d, functional.conv2d, functional.conv3d),
    *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
    *(functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d),
    *(functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d),
    *(functional.unfold, functional.pixel_shuffle, functional.pixel_unshuffle),
    *(functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d),
    *(torch.flatten, torch.reshape, torch.unflatten, torch.unsqueeze, torch.squeeze),
    *(torch.permute, torch.transpose, torch.sum, torch.mean, torch.clone, torch.flip, torch.roll),
    *(operator.getitem, operator.truediv, torch.div, torch.narrow),
    *("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "permute", "transpose"),
    *("contiguous", "clone", "sum", "mean", "expand", "repeat", "div", "narrow"),
    *("flip", "roll", "expand_as", "view_as", "reshape_as"),
}
#: Those that are affine in all arguments together, and those that are so in one at a time.
_ADDED = {
    *(operator.add, operator.sub, operator.neg, torch.add, torch.sub, torch.neg, torch.cat),
    *(torch.stack, torch.concat, "add", "sub", "neg"),
}
_SCALED = {operator.mul, operator.matmul, torch.mul, torch.matmul, "mul", "matmul"}
#: Those whose results are sizes.
_SIZES = {"size", "dim", getattr, operator.floordiv, operator.mul, operator.getitem}
#: Functions and methods that are layers as well, with the layer and the names of its arguments.
_AS_LAYERS: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    functional.relu: (nn.ReLU, ("inplace",)),
    torch.relu: (nn.ReLU, ()),
    "relu": (nn.ReLU, ()),
    functional.leaky_relu: (nn.LeakyReLU, ("negative_slope", "inplace")),
    functional.relu6: (nn.ReLU6, ("inplace",)),
    functional.hardtanh: (nn.Hardtanh, ("min_val", "max_val", "inplace")),
    functional.hardsigmoid: (nn.Hardsigmoid, ("inplace",)),
    functional.softshrink: (nn.Softshrink, ("lambd",)),
    functional.elu: (nn.ELU, ("alpha", "inplace")),
    functional.celu: (nn.CELU, ("alpha", "inplace")),
    functional.selu: (nn.SELU, ("inplace",)),
    functional.hardswish: (nn.Hardswish, ("inplace",)),
    functional.gelu: (nn.GELU, ()),
    functional.silu: (nn.SiLU, ("inplace",)),
    functional.mish: (nn.Mish, ("inplace",)),
    functional.softplus: (nn.Softplus, ("beta", "threshold")),
    functional.sigmoid: (nn.Sigmoid, ()),
    functional.tanh: (nn.Tanh, ()),
    functional.logsigmoid: (nn.LogSigmoid, ()),
    **dict.fromkeys((torch.sigmoid, "sigmoid"), (nn.Sigmoid, ())),
    **dict.fromkeys((torch.tanh, "tanh"), (nn.Tanh, ())),
}
_SMOOTH_FUNCTIONS = {
    *(torch.exp, torch.log, torch.sin, torch.cos, torch.square),
    *("exp", "log", "sin", "cos", "square"),
    *_SCALED,
}
_ABSOLUTE = {torch.abs, abs, operator.abs, "abs"}


def affine(node: fx.Node, layer: nn.Module | None, varying: Callable[[Any], bool]) -> bool:
    """Whether a node of a graph is an affine function of what varies.

    Parameters
    ----------
    node : torch.fx.Node
    layer : torch.nn.Module or None
        The layer that it calls, if it does.
    varying : callable
        Whether an argument depends on the latents.
    """
    if layer is not None:
        # Without running statistics a batch has its own.
        own = getattr(layer, "running_mean", 0) is None
        return type(layer) in AFFINE and not own and not layer.training
    if node.op not in ("call_function", "call_method"):
        return False
    target = node.target
    others = [*node.args[1:], *node.kwargs.values()]
    if target in _ADDED:
        return True
    if target in _SCALED:
        return not (varying(node.args[0]) and any(map(varying, others)))
    return target in _LINEAR and not any(map(varying, others))


def sizes(node: fx.Node) -> bool:
    """Whether a node whose result is no tensor may be taken for sizes."""
    return node.op in ("call_function", "call_method") and node.target in _SIZES


def layer_of(node: fx.Node, layer: nn.Module | None) -> nn.Module | None:
    """The layer that a node calls, or that its function is the same as."""
    if layer is not None or node.target not in _AS_LAYERS:
        return layer
    kind, names = _AS_LAYERS[node.target]
    settings = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
    try:
        return kind(**settings).double().eval()
    except TypeError:
        return None


def pieces(node: fx.Node, layer: nn.Module | None, shape: tuple[int, ...]) -> Any:
    """The straight pieces of a node's function of each number, or None if it has none such.

    Parameters
    ----------
    node : torch.fx.Node
    layer : torch.nn.Module or None
        As `layer_of` gives it.
    shape : tuple of int
        The shape of its argument at one point.
    """
    if node.target in _ABSOLUTE:
        return ElementwisePieces.absolute()
    kind = type(layer)
    made: Any = layer
    if kind is nn.ReLU:
        return ElementwisePieces.relu()
    if kind is nn.LeakyReLU:
        return ElementwisePieces.leaky_relu(made.negative_slope)
    if kind is nn.RReLU:
        return ElementwisePieces.leaky_relu((made.lower + made.upper) / 2)
    if kind is nn.PReLU:
        return ElementwisePieces.leaky_relu(_each_unit(made.weight, shape))
    if kind in (nn.Hardtanh, nn.ReLU6) and made.min_val < made.max_val:
        return ElementwisePieces.hard_tanh(made.min_val, made.max_val)
    if kind is nn.Hardsigmoid:
        return ElementwisePieces([-3.0, 3.0], [0.0, 1 / 6, 0.0], [0.0, 0.5, 1.0])
    if kind is nn.Softshrink and made.lambd > 0:
        size = float(made.lambd)
        return ElementwisePieces([-size, size], [1.0, 0.0, 1.0], [size, 0.0, -size])
    if kind is nn.Threshold and made.threshold == made.value:
        return ElementwisePieces([made.threshold], [0.0, 1.0], [made.value, 0.0])
    return None


def _each_unit(weight: torch.Tensor, shape: tuple[int, ...]) -> Array | float:
    """One slope for all units, or that of each unit's channel, `(units,)`."""
    slopes = weight.detach().cpu().numpy()
    if slopes.size == 1:
        return float(slopes[0])
    return np.repeat(slopes, int(np.prod(shape[1:])))


def bends(node: fx.Node, layer: nn.Module | None, shape: tuple[int, ...]) -> Any:
    """Pieces with kinks wherever a node's function has some; True if it has none, else None.

    It is smooth between them. The arguments are those of `pieces`.
    """
    kind = type(layer)
    made: Any = layer
    if kind is nn.Softplus and made.threshold < _ALMOST_STRAIGHT:
        # Above its threshold it is the identity, with a jump. (Any change of slope will do.)
        at = made.threshold / made.beta
        return ElementwisePieces([at], [0.5, 1.0], [0.5 * at, 0.0])
    if kind in _SMOOTH or node.target in _SMOOTH_FUNCTIONS:
        return True
    if kind in (nn.ELU, nn.CELU, nn.SELU):
        return ElementwisePieces.relu()
    if kind is nn.Hardswish:
        return ElementwisePieces.hard_tanh(-3.0, 3.0)
    return None

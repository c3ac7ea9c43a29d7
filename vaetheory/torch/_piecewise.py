"""Modules that are piecewise linear, or smooth after piecewise linear layers, as those layers.

The operations of a module are divided at its activations. What lies between two activations is
affine: its matrix is found from its values, whatever layers it consists of. The state between them
is a vector of all numbers that are used later, so that shortcuts around layers need no rule of
their own. The result is compared with the module itself before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from vaetheory._validation import Array
from vaetheory.decoders import ElementwisePieces, LinearMap, PiecewiseLinear
from vaetheory.torch._operations import bends, layer_of, pieces
from vaetheory.torch._recorded import ROWS, Recorded

#: Relative difference from the module's own outputs that rounding may cause.
_AGREES = 1e-11
#: Most numbers in all matrices together.
_NUMBERS = 2**25
#: A threshold beyond all numbers, for units that an activation leaves out.
_NEVER = 1e100


@dataclass
class _Affine:
    """Operations that are affine in a state.

    Attributes
    ----------
    before, after : list of torch.fx.Node
        The tensors of which the states before and after consist.
    nodes : list of torch.fx.Node
    """

    before: list[fx.Node]
    nodes: list[fx.Node] = field(default_factory=list)
    after: list[fx.Node] = field(default_factory=list)


class Straight:
    """The piecewise linear layers with which a module begins, as far as they go.

    Parameters
    ----------
    recorded : Recorded
    """

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        #: The layers, and what follows the last activation among them.
        self._steps: list[_Affine | ElementwisePieces] = []
        self._last = _Affine([recorded.start])
        #: The operations after that; none if the module is piecewise linear.
        self._rest: list[fx.Node] = []
        for i, node in enumerate(recorded.nodes[1:-1], 1):
            if recorded.affine(node):
                self._last.nodes.append(node)
            elif (function := self._function(node, pieces)) is not None:
                self._activate(node, function)
            else:
                self._rest = recorded.nodes[i:-1]
                break

    def _function(self, node: fx.Node, kind: Callable[..., Any]) -> Any:
        """The pieces of an operation on one tensor, by a function of `_operations`."""
        into = node.args[0] if node.args else None
        if not isinstance(into, fx.Node) or into not in self._recorded.varies:
            return None
        layer = layer_of(node, self._recorded.layer(node))
        return kind(node, layer, self._recorded.shape(into))

    def _activate(self, node: fx.Node, function: ElementwisePieces) -> None:
        """Add an activation, and the affine layer before it."""
        (into, *_), recorded = node.args, self._recorded
        assert isinstance(into, fx.Node)
        others = recorded.used_after(node, [*self._last.before, *self._last.nodes])
        self._last.after = [into, *others]
        beside = _beside(function, recorded.size([into]), recorded.size(others))
        self._steps += [self._last, beside]
        self._last = _Affine([node, *others])

    @property
    def entries(self) -> int | None:
        """How many numbers the matrices have, if the whole module is piecewise linear."""
        return None if self._rest else self._numbers([*self._steps, self._ended()])

    def _ended(self) -> _Affine:
        (result, *_) = self._recorded.end.args
        assert isinstance(result, fx.Node)
        return _Affine(self._last.before, self._last.nodes, [result])

    def _numbers(self, steps: list[_Affine | ElementwisePieces]) -> int:
        size = self._recorded.size
        return sum(size(s.before) * size(s.after) for s in steps if isinstance(s, _Affine))

    def whole(self, outputs: Callable[[Array], Array]) -> PiecewiseLinear | None:
        """The module as layers, if it is piecewise linear and these agree with its outputs."""
        if self._rest:
            return None
        made = self._layers([*self._steps, self._ended()])
        points = self._recorded.points
        return made if made is not None and _agree(made(points), outputs(points)) else None

    def before_smooth(self, outputs: Callable[[Array], Array]) -> PiecewiseLinear | None:
        """Layers between whose kinks the module is smooth, if only smooth operations follow."""
        if not self._rest:
            return None
        steps, (first, *others) = list(self._steps), self._rest
        function = self._function(first, bends)
        if isinstance(function, ElementwisePieces):
            (into, *_) = first.args
            assert isinstance(into, fx.Node)
            steps += [_Affine(self._last.before, self._last.nodes, [into]), function]
        elif not function:
            return None
        smooth = (
            self._recorded.affine(node) or self._function(node, bends) is True for node in others
        )
        if not steps or not all(smooth):
            return None
        made, points = self._layers(steps), self._recorded.points
        if made is None:
            return None
        # The other operations, applied to the state after the layers' last activation.
        common = made.layers[: len(self._steps)]
        state = PiecewiseLinear(common)(points) if common else points
        last = [*self._last.nodes, *self._rest]
        found = self._recorded.follow(self._last.before, state, last, self._ended().after)
        return made if _agree(found, outputs(points)) else None

    def _layers(self, steps: list[_Affine | ElementwisePieces]) -> PiecewiseLinear | None:
        if self._numbers(steps) > _NUMBERS:
            return None
        return PiecewiseLinear([self._matrix(s) if isinstance(s, _Affine) else s for s in steps])

    def _matrix(self, part: _Affine) -> LinearMap:
        """The affine map of some operations."""
        if (known := self._known(part)) is not None:
            return known
        recorded = self._recorded
        into = recorded.size(part.before)
        zero = np.zeros((ROWS, into))
        bias = recorded.follow(part.before, zero, part.nodes, part.after)[0]
        weight = np.empty((len(bias), into))
        for i in range(0, into, ROWS):
            count = min(ROWS, into - i)
            unit = zero.copy()
            unit[np.arange(count), i + np.arange(count)] = 1.0
            rows = recorded.follow(part.before, unit, part.nodes, part.after)
            weight[:, i : i + count] = (rows[:count] - bias).T
        return LinearMap(weight, bias)

    def _known(self, part: _Affine) -> LinearMap | None:
        """The weights of a single `Linear` layer as they are."""
        if len(part.nodes) != 1 or part.after != part.nodes:
            return None
        layer: Any = self._recorded.layer(part.nodes[0])
        if type(layer) is not nn.Linear or len(self._recorded.shape(part.before[0])) != 1:
            return None
        bias = None if layer.bias is None else layer.bias.detach().cpu().numpy()
        return LinearMap(layer.weight.detach().cpu().numpy(), bias)


def _agree(found: Array, own: Array) -> bool:
    size = np.abs(own).max()
    return bool(found.shape == own.shape and np.abs(found - own).max() <= _AGREES * size)


def _beside(made: ElementwisePieces, units: int, others: int) -> ElementwisePieces:
    """An activation of the first units of a state, which leaves the others as they are."""
    if not others:
        return made
    count = made.thresholds.shape[-1]
    given = (made.thresholds, made.slopes, made.intercepts)
    left = (_NEVER * np.arange(1.0, count + 1), np.ones(count + 1), np.zeros(count + 1))
    rows = [
        np.concatenate(
            [np.broadcast_to(a, (n, a.shape[-1])) for a, n in ((one, units), (two, others))]
        )
        for one, two in zip(given, left, strict=True)
    ]
    return ElementwisePieces(*rows)


def found_layers(
    module: nn.Module,
    dim: int,
    device: torch.device,
    outputs: Callable[[Array], Array],
    *,
    smooth: bool,
) -> PiecewiseLinear | None:
    """The layers of a module, or None if it has others or does something that is not known here.

    Parameters
    ----------
    module : torch.nn.Module
        In float64 and in eval mode.
    dim : int
        Dimension d of the latents.
    device : torch.device
    outputs : callable
        The module's own outputs, `(n, d) -> (n, D)`, with which the layers are compared.
    smooth : bool
        Whether smooth operations follow, which are left out: the module is smooth between the kinks
        of the layers.
    """
    try:
        straight = Straight(Recorded(module, dim, device))
        return straight.before_smooth(outputs) if smooth else straight.whole(outputs)
    except Exception:
        # Recording runs the user's code on symbols, and that may raise anything.
        return None

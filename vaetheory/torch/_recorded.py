"""The calls of a module as a list of operations, which can be evaluated in parts."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributions, fx, nn

from vaetheory._validation import Array
from vaetheory.torch._copies import hooked
from vaetheory.torch._operations import affine, sizes

#: Number of points of every evaluation, so that what was computed from the size of a batch stays.
ROWS = 64
Values = dict[fx.Node, Any]


def _alone(module: nn.Module) -> nn.Module:
    """A copy that shares only the weights: what it stores while it is recorded is lost."""
    if any(hooked(part) for part in module.modules()):
        raise ValueError("expected a module without hooks")
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


class Recorded:
    """The calls of a module with latents of one dimension.

    Parameters
    ----------
    module : torch.nn.Module
        In float64 and in eval mode.
    dim : int
        Dimension d of the latents.
    device : torch.device

    Raises
    ------
    Exception
        Of any kind, if the calls cannot be recorded.

    Attributes
    ----------
    nodes : list of torch.fx.Node
        The operations; the first is `start`, the latents, and the last is `end`, the result.
    varies : set of torch.fx.Node
        Those whose results are tensors that depend on the latents.
    points : array (ROWS, d)
        Points at which all of them have been evaluated.
    """

    def __init__(self, module: nn.Module, dim: int, device: torch.device) -> None:
        self.device, self.root = device, _alone(module)
        _, *others = inspect.signature(self.root.forward).parameters.values()
        chosen = {p.name: p.default for p in others if p.default is not inspect.Parameter.empty}
        with _bare_distributions():
            graph = fx.Tracer().trace(self.root, concrete_args=chosen or None)
        _without_broadcasts(graph)
        self.nodes = _needed(list(graph.nodes))
        self.start, self.end = self.nodes[0], self.nodes[-1]
        if [node.op for node in self.nodes].count("placeholder") != 1:
            raise ValueError("expected a function of the latents alone")
        if not isinstance(self.end.args[0], fx.Node):
            raise ValueError("expected one tensor as the result")
        self._order = {node: i for i, node in enumerate(self.nodes)}
        spread = np.where(np.arange(ROWS) % 2, 3.0, 1.0)[:, None]
        self.points = np.random.default_rng(0).normal(size=(ROWS, dim)) * spread
        self._values: Values = {}
        self._evaluate(self.nodes[1:-1], self._values, self._parts([self.start], self.points))
        self.varies = {self.start}
        for node in self.nodes[1:-1]:
            varies = any(parent in self.varies for parent in node.all_input_nodes)
            if varies and isinstance(self._values[node], torch.Tensor):
                self.varies.add(node)

    def layer(self, node: fx.Node) -> nn.Module | None:
        """The layer that a node calls, if it does."""
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def affine(self, node: fx.Node) -> bool:
        """Whether a node's result is a constant, a size, or affine in the tensors that vary."""
        if not self._depends(node.args) and not self._depends(node.kwargs):
            return True
        if not isinstance(self._values[node], torch.Tensor):
            return sizes(node)
        return affine(node, self.layer(node), self._depends)

    def _depends(self, argument: Any) -> bool:
        used: list[fx.Node] = []
        fx.node.map_arg(argument, used.append)
        return not self.varies.isdisjoint(used)

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """The shape of a tensor at one point."""
        whole = self.points.shape if node is self.start else self._values[node].shape
        if whole[0] != ROWS:
            raise ValueError(f"expected one row a point, got shape {tuple(whole)}")
        return tuple(whole[1:])

    def size(self, nodes: list[fx.Node]) -> int:
        """How many numbers some tensors have at one point."""
        return sum(math.prod(self.shape(node)) for node in nodes)

    def used_after(self, node: fx.Node, among: list[fx.Node]) -> list[fx.Node]:
        """Those of some nodes whose tensors vary and are used after a node."""
        at = self._order[node]
        return [
            one
            for one in among
            if one in self.varies
            and any(
                self._order.get(user, -1) > at and (user in self.varies or user is self.end)
                for user in one.users
            )
        ]

    def follow(
        self, before: list[fx.Node], state: Array, nodes: list[fx.Node], after: list[fx.Node]
    ) -> Array:
        """Tensors after some operations, given those before them: `(ROWS, S) -> (ROWS, T)`."""
        # A tensor that varies and is not among those before must not be used.
        values = {node: v for node, v in self._values.items() if node not in self.varies}
        varying = [node for node in nodes if node in self.varies]
        self._evaluate(varying, values, self._parts(before, state))
        out: Array = torch.cat([values[node].reshape(ROWS, -1) for node in after], 1).cpu().numpy()
        return out

    def _parts(self, nodes: list[fx.Node], state: Array) -> Values:
        """Rows of numbers as the tensors of which they consist."""
        parts, at = {}, 0
        for node in nodes:
            shape = self.shape(node)
            part = state[:, at : at + math.prod(shape)]
            tensor = torch.tensor(part, dtype=torch.float64, device=self.device)
            parts[node] = tensor.reshape(ROWS, *shape)
            at += math.prod(shape)
        return parts

    def _evaluate(self, nodes: list[fx.Node], values: Values, given: Values) -> None:
        """Add the values of some nodes, in order, to those of the nodes before them."""
        values.update(given)
        for node in nodes:
            if node in given:
                continue
            args: Any = fx.node.map_arg(node.args, values.__getitem__)
            settings: Any = fx.node.map_arg(node.kwargs, values.__getitem__)
            values[node] = self._result(node, args, settings)

    def _result(self, node: fx.Node, args: Any, settings: Any) -> Any:
        function: Any = node.target
        if node.op == "get_attr":
            return functools.reduce(getattr, function.split("."), self.root)
        if node.op == "call_module":
            return self.root.get_submodule(function)(*args, **settings)
        if node.op == "call_method":
            return getattr(args[0], function)(*args[1:], **settings)
        return function(*args, **settings)


@contextmanager
def _bare_distributions() -> Iterator[None]:
    """Let `Independent` hold its distribution without a look at shapes, which are symbols here."""
    before = distributions.Independent.__init__

    def hold(self: Any, base_distribution: Any, *_: Any, **__: Any) -> None:
        self.base_dist = base_distribution

    distributions.Independent.__init__ = hold
    try:
        yield
    finally:
        distributions.Independent.__init__ = before


def _without_broadcasts(graph: fx.Graph) -> None:
    """Use the arguments of broadcasts themselves; a change of shape shows in the outputs."""
    for node in graph.nodes:
        if node.target is torch.broadcast_tensors:
            for user in list(node.users):
                if user.target is operator.getitem:
                    user.replace_all_uses_with(node.args[user.args[1]])


def _needed(nodes: list[fx.Node]) -> list[fx.Node]:
    """The nodes from which the last one is computed, in order."""
    needed = {nodes[-1]}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in nodes if node in needed]

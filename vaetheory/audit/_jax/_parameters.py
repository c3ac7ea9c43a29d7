"""The parameters of a user's model, as arrays that can be moved, and the model made of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import Array, short
from vaetheory.jax._functions import module_type

_FLOATS = (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64)


class Parameters:
    """Copies of the arrays of a model, in float64.

    Attributes
    ----------
    arrays : list of arrays
        All of them, as they were given.
    names : list of str
        Their paths.
    moved : tuple of int
        Which of them are parameters that are trained.
    modes : tuple of bool
        Whether the model is in training mode, in each mode that it has; only False if it has none.
    """

    arrays: list[Any]
    names: list[str]
    moved: tuple[int, ...]
    modes: tuple[bool, ...]

    def __init__(self, module: Any) -> None:
        self._nnx = isinstance(module, module_type("flax.nnx"))
        if self._nnx:
            self._of_nnx(module)
        else:
            self._of_tree(module)
        if not self.moved:
            raise ValueError(
                "module: expected a torch.nn.Module, or the parameters of a model of JAX (a tree "
                f"of arrays, or a module of flax.nnx or equinox), got {short(module)}"
            )

    def _of_nnx(self, module: Any) -> None:
        nnx = sys.modules["flax.nnx"]
        made: dict[bool, Any] = {}
        for training in (True, False):
            twin = nnx.merge(*nnx.split(module))
            if training:
                twin.train()
            else:
                twin.eval()
            definition, params, rest = nnx.split(twin, nnx.Param, ...)
            made[training] = (definition, params, rest)
        self._definitions = {t: d for t, (d, _, _) in made.items()}
        _, params, rest = made[False]
        count = len(jax.tree.leaves(params))
        self._collect((params, rest))
        self.moved = tuple(i for i in self.moved if i < count)
        self.modes = (True, False) if made[True][0] != made[False][0] else (False,)

    def _of_tree(self, module: Any) -> None:
        self._collect(module)
        variables = isinstance(module, Mapping) and "params" in module
        if variables:
            # Variables of flax.linen: statistics of the batch are no parameters.
            self.moved = tuple(i for i in self.moved if self.names[i].startswith("['params']"))
        ours = [self._switched(t) for t in (True, False)]
        same = len(ours[0]) == len(ours[1]) and all(
            a is b or (not hasattr(a, "shape") and a == b) for a, b in zip(*ours, strict=True)
        )
        self.modes = (False,) if same else (True, False)

    def _switched(self, training: bool) -> list[Any]:
        """The leaves of the tree in a mode; only equinox has modes within a tree."""
        equinox = sys.modules.get("equinox")
        if equinox is None:
            return self._leaves
        whole = jax.tree.unflatten(self._tree, self._leaves)
        return list(jax.tree.leaves(equinox.nn.inference_mode(whole, value=not training)))

    def _collect(self, tree: Any) -> None:
        paths, self._tree = jax.tree_util.tree_flatten_with_path(tree)
        self._leaves = [leaf for _, leaf in paths]
        self._at = [i for i, leaf in enumerate(self._leaves) if hasattr(leaf, "dtype")]
        self.names = [jax.tree_util.keystr(paths[i][0]) for i in self._at]
        self.arrays = [_copied(self.names[n], self._leaves[i]) for n, i in enumerate(self._at)]
        self.moved = tuple(
            n
            for n, a in enumerate(self.arrays)
            if not _is_key(a) and a.dtype.kind == "f" and a.size
        )

    @property
    def parameters(self) -> dict[str, Array]:
        """The arrays that are moved, by name."""
        return {self.names[n]: self.arrays[n] for n in self.moved}

    def model(self, arrays: list[Any], key: Any, training: bool) -> Any:
        """The model of some arrays; keys that it holds are taken from `key`."""
        leaves = list(self._leaves) if self._nnx else self._switched(training)
        for n, i in enumerate(self._at):
            leaves[i] = arrays[n]
            if _is_key(self.arrays[n]) and key is not None:
                leaves[i] = jax.random.fold_in(_typed(key), n)
        tree = jax.tree.unflatten(self._tree, leaves)
        if not self._nnx:
            return tree
        nnx = sys.modules["flax.nnx"]
        return nnx.merge(self._definitions[training], *tree)

    def state(self, model: Any) -> list[Any]:
        """The arrays of a model after a call; only modules of flax.nnx change."""
        if not self._nnx:
            return []
        nnx = sys.modules["flax.nnx"]
        _, *parts = nnx.split(model, nnx.Param, ...)
        return list(jax.tree.leaves(tuple(parts)))


def _typed(key: Any) -> Any:
    return key if jnp.issubdtype(key.dtype, jax.dtypes.extended) else jax.random.wrap_key_data(key)


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.extended))


def _copied(name: str, leaf: Any) -> Any:
    """A copy of an array, in float64 if it has floats."""
    if isinstance(leaf, jax.core.Tracer):
        raise ValueError(f"module: expected arrays, got a tracer at `{name}`: audit outside of jit")
    if _is_key(leaf):
        return leaf
    array = np.array(leaf)
    if any(array.dtype == kind for kind in _FLOATS):
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise ValueError(f"module: expected finite parameters, got NaN or infinity at `{name}`")
    return array

"""What users decode with, as a function of arrays: `call(arrays, z)`, and copies of the arrays."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import short

#: Decodes latents `(n, d)`, or `(d,)`, by arrays.
Call = Callable[[list[Any], Any], Any]
_ACCEPTED = frozenset({"float32", "float64", "complex64", "complex128"})


def module_type(library: str, name: str = "Module") -> Any:
    """The class of modules of a library, or an empty tuple if it has not been imported."""
    return getattr(sys.modules.get(library), name, ())


def is_module(value: object) -> bool:
    """Whether an object is a module of flax or equinox."""
    libraries = ("flax.linen", "flax.nnx", "equinox")
    return any(isinstance(value, module_type(library)) for library in libraries)


def reading(fn: Any, params: Any) -> tuple[Call, list[Any]]:
    """The function of arrays by which a user's function or module decodes, and the arrays.

    Parameters
    ----------
    fn : callable
    params : pytree, module or None

    Returns
    -------
    call : callable
        `call(arrays, z)` has no side effects on the user's objects.
    arrays : list of arrays
        Copies of the arrays in `params` or in the module, in float64 where they were floats.

    Raises
    ------
    ValueError
        If there is no function, parameters are missing, NaN or in half precision.
    """
    linen, nnx = module_type("flax.linen"), module_type("flax.nnx")
    owner = getattr(fn, "__self__", None)
    if isinstance(fn, linen) or (isinstance(owner, linen) and fn.__name__ != "apply"):
        return _of_linen(fn, params)
    if not callable(fn):
        raise ValueError(
            f"decoder: expected a function (params, z) -> array or a module, got {short(fn)}"
        )
    if params is None and isinstance(fn, nnx):
        return reading(lambda module, z: module(z), fn)
    if params is None and isinstance(owner, nnx):
        return reading(lambda module, z: getattr(module, fn.__name__)(z), owner)
    if params is None and jax.tree.leaves(fn) != [fn]:
        return reading(lambda module, z: module(z), fn)
    if is_module(fn) or isinstance(owner, nnx):
        raise ValueError(
            f"params: expected None with a module that holds its weights, got {short(params)}: "
            "use JaxDecoder(module), or JaxDecoder(lambda params, z: ..., params)"
        )
    if name := _mutable_module(fn):
        raise ValueError(
            f"decoder: expected a function of its params, got one that uses the module `{name}` of "
            "flax.nnx, which is in training mode or may change: write "
            "JaxDecoder(lambda module, z: ..., module)"
        )
    if params is None:
        return lambda arrays, z: fn(z), []
    if isinstance(params, nnx):
        return _of_nnx(fn, params)
    return _of_tree(fn, params)


def _mutable_module(fn: Any) -> str:
    """The name of a module of flax.nnx that a function refers to, or "" if there is none."""
    nnx = module_type("flax.nnx")
    held: dict[str, Any] = {}
    while isinstance(fn, functools.partial):
        held |= {str(i): value for i, value in enumerate(fn.args)} | fn.keywords
        fn = fn.func
    fn = inspect.unwrap(fn)
    if inspect.isfunction(fn) or inspect.ismethod(fn):
        seen = inspect.getclosurevars(fn)
        held |= {**seen.globals, **seen.nonlocals}
        held |= {f"default {i}": value for i, value in enumerate(fn.__defaults__ or ())}
    parts = [
        (name, part)
        for name, value in held.items()
        for part in jax.tree.leaves(value, is_leaf=lambda v: isinstance(v, nnx))
    ]
    return next((name for name, part in parts if isinstance(part, nnx)), "")


def _of_linen(fn: Any, params: Any) -> tuple[Call, list[Any]]:
    """A module of flax.linen, bound or not, or a method of one."""
    module, name = (fn, "__call__") if not hasattr(fn, "__self__") else (fn.__self__, fn.__name__)
    if module.scope is not None and params is None:
        module, params = module.unbind()
    if params is None:
        raise ValueError(
            f"params: expected the variables of the {type(module).__name__}, got none: use "
            "JaxDecoder(module, variables), with variables from module.init or from training"
        )
    return _of_tree(lambda variables, z: module.apply(variables, z, method=name), params)


def _of_nnx(fn: Any, module: Any) -> tuple[Call, list[Any]]:
    """A function of a module of flax.nnx, which is put into eval mode in a copy."""
    nnx = sys.modules["flax.nnx"]
    twin = nnx.merge(*nnx.split(module))
    twin.eval()
    definition, state = nnx.split(twin)
    # A call may change the state of the module, for example of its random numbers.
    return _of_tree(lambda state, z: fn(nnx.merge(definition, state), z), state)


def _of_tree(fn: Any, params: Any) -> tuple[Call, list[Any]]:
    """A function of a tree of arrays and other objects, such as a module of equinox."""
    if (equinox := sys.modules.get("equinox")) is not None:
        params = equinox.nn.inference_mode(params)
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    leaves = [leaf for _, leaf in paths]
    at = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]
    arrays = [_copied(jax.tree_util.keystr(paths[i][0]), leaves[i]) for i in at]
    for i in at:
        leaves[i] = None

    def call(arrays: list[Any], z: Any) -> Any:
        whole = list(leaves)
        for i, array in zip(at, arrays, strict=True):
            whole[i] = array
        return fn(jax.tree.unflatten(structure, whole), z)

    return call, arrays


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _copied(path: str, leaf: Any) -> Any:
    """A copy of an array of parameters, in float64 or complex128 if it has floats."""
    if isinstance(leaf, jax.core.Tracer):
        raise ValueError(
            f"params: expected arrays, got a tracer at `params{path}`: make the decoder outside of "
            "functions that JAX transforms"
        )
    if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return leaf  # a key for random numbers
    try:
        array = np.array(leaf)
    except Exception as error:
        raise ValueError(
            f"params: expected arrays that can be read, got {type(error).__name__} at "
            f"`params{path}`: {brief(error)}"
        ) from error
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        if array.dtype.kind in "biu":
            return array
        raise ValueError(f"params: expected arrays of numbers, got {array.dtype} at `params{path}`")
    if array.dtype.name not in _ACCEPTED:
        raise ValueError(
            f"params: expected weights in float32 or float64, got {array.dtype} at `params{path}`, "
            "which has too few digits for an evidence: give the weights before they were rounded, "
            "or convert them by .astype(jnp.float32) if you mean the rounded ones"
        )
    if np.isnan(array).any():
        raise ValueError(f"params: expected numbers, got NaN at `params{path}`")
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def brief(error: Exception) -> str:
    """The message of an error of JAX's in one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."

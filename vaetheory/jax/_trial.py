"""The first trace of a function, and the checks that it decodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import Array
from vaetheory.jax._functions import Call, brief
from vaetheory.jax._programs import constants, draws, kept, numbers, rounded, same_constants

#: Points of the first call, and the one of them that is also decoded alone.
_POINTS, _AMID = 64, 31
#: Relative difference of outputs that the size of the batch may cause by rounding.
_ROWS = 1e-9


class RefusedError(ValueError):
    """An error whose message already gives the reason why a function is rejected."""


@dataclass(frozen=True)
class Tried:
    """Results of the first trace of a function."""

    #: Dimension d of the latents.
    latent_dim: int
    #: Shape of the outputs of one point.
    event_shape: tuple[int, ...]
    #: Numbers per point in all intermediate results together.
    total: float
    #: Numbers in the trace that are not parameters.
    constants: tuple[Any, ...]


def outputs(raw: object, lead: tuple[int, ...]) -> jax.Array:
    """Return a function's result for latents with the leading axes `lead`, or raise an error."""
    if not isinstance(raw, jax.Array | np.ndarray):
        raise RefusedError(
            f"decoder: expected an array, got a {type(raw).__name__}: select the likelihood's "
            "parameters, for example by JaxDecoder(lambda params, z: fn(params, z)[0], params)"
        )
    if raw.dtype != np.float64:
        raise RefusedError(
            f"decoder: expected float64 outputs for float64 weights and latents, got {raw.dtype}: "
            f"{_CASTS}"
        )
    if raw.ndim < 1 or raw.shape[: len(lead)] != lead or (lead and raw.ndim == 1):
        raise RefusedError(
            f"decoder: expected outputs of shape {_text(lead)} for latents of shape "
            f"{_text(lead, 'd')}, got {raw.shape}{_BATCHED if lead else ''}"
        )
    return jnp.asarray(raw)


def _text(lead: tuple[int, ...], last: str = "...") -> str:
    return f"({', '.join([*map(str, lead), last])})"


_CASTS = (
    "it converts to lower precision inside: replace x.astype(jnp.float32) by x.astype(z.dtype), "
    "and make modules without dtype="
)
_BATCHED = " (batched=False is for functions of one point)"
_RANDOM = (
    "decoder: expected a function that draws no random numbers, got one that does (dropout in "
    "training mode, or a sample?): use only the part that decodes, with deterministic=True or "
    "train=False, and put numbers that are drawn once into params"
)


def trace(call: Call, arrays: list[Any], dim: int) -> Tried:
    """Trace a function at some points and check that it is a decoder of `dim` latents.

    Raises
    ------
    ValueError
        If it fails, returns anything but one float64 array, converts to lower precision, or draws
        random numbers.
    """
    z = _places(dim)
    # The numbers in a second trace are others if NumPy draws them.
    program, other = (_traced(call, arrays, z) for _ in range(2))
    first = kept(constants(program))
    if draws(program) or not same_constants(first, constants(other)):
        raise ValueError(_RANDOM)
    followed = [False] * len(arrays) + [True]
    if kind := rounded(program, followed):
        raise ValueError(
            "decoder: expected a function that computes in float64 for float64 weights and "
            f"latents, got a conversion to {kind}: {_CASTS}"
        )
    [out] = program.out_avals
    total = (numbers(program) + z.size) / _POINTS
    return Tried(dim, tuple(out.shape[1:]), total, tuple(first))


def require_unchanged(call: Call, arrays: list[Any], tried: Tried) -> None:
    """Raise a ValueError if a function contains other numbers than at its first trace.

    It is traced again for every size of batch, and what it takes from elsewhere may have changed.
    """
    now = constants(_traced(call, arrays, _places(tried.latent_dim)))
    if not same_constants(list(tried.constants), now):
        raise ValueError(
            "decoder: expected a function that stays the same, got other numbers in it than at its "
            "first call: it uses arrays or modules that are not in params and have changed; give "
            "them as params, or make a new decoder"
        )


def require_rows(decode: Callable[[Array], Array], dim: int) -> None:
    """Raise a ValueError if a point's outputs depend on the other points of its batch."""
    z = _places(dim)
    together = decode(z)[_AMID : _AMID + 1]
    # A point in the middle depends on others in a sequence of either direction.
    alone = decode(z[_AMID : _AMID + 1])
    size = float(np.abs(np.nan_to_num(together)).sum())
    if not np.allclose(alone, together, rtol=0, atol=_ROWS * size, equal_nan=True):
        raise ValueError(
            "decoder: expected outputs that do not depend on the other points of the batch, but a "
            "single point has other outputs (causes: statistics of the batch, such as BatchNorm in "
            "training mode, or a layer that takes the batch for a sequence)"
        )


def _places(dim: int) -> Array:
    return np.random.default_rng(0).normal(size=(_POINTS, dim))


def _traced(call: Call, arrays: list[Any], z: Array) -> Any:
    try:
        # A new function each time, because traces are kept.
        return jax.make_jaxpr(lambda arrays, z: call(arrays, z))(arrays, z)
    except RefusedError:
        raise
    except Exception as error:
        raise ValueError(
            f"decoder: expected a function that maps a float64 array of shape {z.shape} to "
            f"({len(z)}, ...), got {type(error).__name__}: {brief(error)}{_advice(error)}"
        ) from error


def _advice(error: Exception) -> str:
    """Advice for some errors of JAX and of the libraries on it."""
    kind, text = type(error).__name__, str(error).lower()
    if "prng" in text or "rng" in kind.lower() or ("key" in text and "dropout" in text):
        return " (it needs random numbers: use deterministic=True or train=False)"
    if kind == "ModifyScopeVariableError":
        return " (use train=False, so that no statistics are updated)"
    if "positional argument" in text:
        return (
            " (it is called as fn(params, z), and as fn(z) without params: set other arguments by "
            "lambda params, z: fn(params, z, ...))"
        )
    if "Scope" in kind or "Collection" in kind:
        return " (params are the variables that init returns, with the collection 'params')"
    if kind in ("TracerArrayConversionError", "TracerBoolConversionError"):
        return " (use jax.numpy instead of NumPy, and jnp.where instead of if)"
    if "shape" in text or "size" in text or "dimension" in text:
        return " (is latent_dim right? batched=False is for functions of one point)"
    return ""

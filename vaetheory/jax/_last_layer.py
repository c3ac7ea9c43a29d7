"""The last affine layer of a function, found in its trace, and the function without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders._affine_maps import is_affine_map, latents_near_and_far
from vaetheory.jax._functions import Call

#: Steps that are affine in the one argument that depends on the latents.
_AFFINE = frozenset(
    {"add", "sub", "add_any", "neg", "mul", "dot_general"}
    | {"transpose", "reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy"}
)
#: Steps that only call another program, and the setting that holds it.
_CALLS = {"pjit": "jaxpr", "jit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
#: Tolerated difference, relative to the sum of the moduli of all terms.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class FoundLayer:
    """A function as an affine map of a hidden layer.

    Attributes
    ----------
    hidden : callable
        `hidden(arrays, z)`, latents `(n, d)` to `(n, H)`.
    weight, bias : arrays (D, H), (D,)
    """

    hidden: Call
    weight: Array
    bias: Array


class _Step:
    """One step of a traced program, as a function of its arguments."""

    def __init__(self, program: Any, equation: Any) -> None:
        self.name = equation.primitive.name
        self._places = [i for i, v in enumerate(equation.invars) if not hasattr(v, "val")]
        self._program = program.replace(
            constvars=[],
            invars=[equation.invars[i] for i in self._places],
            outvars=list(equation.outvars),
            eqns=[equation],
        )

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        found = jax.core.eval_jaxpr(self._program, (), *(values[i] for i in self._places))
        return list(found)


@dataclass(frozen=True, eq=False)
class Moving:
    """A value that depends on the latents, and the step that made it with its arguments."""

    value: Any
    step: _Step | None = None
    arguments: tuple[Any, ...] = ()

    def source(self) -> Moving | None:
        """The value of which this one is an affine map, if its step is one."""
        if self.step is None or self.step.name not in _AFFINE:
            return None
        moving = [a for a in self.arguments if isinstance(a, Moving)]
        return moving[0] if len(moving) == 1 else None

    def inside(self, function: str) -> Moving | None:
        """The value of which this one is a function of one argument, if that is its step."""
        named = self.step is not None and self.step.name == function
        return self.arguments[0] if named else None

    def of(self, source: Any) -> Any:
        """The step once more, with another value for its source."""
        assert self.step is not None
        return self.step([source if isinstance(a, Moving) else a for a in self.arguments])[0]


def _run(program: Any, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """Run a traced program; values that depend on the latents are `Moving`."""
    known = dict(zip([*program.constvars, *program.invars], [*constants, *arguments], strict=True))
    for equation in program.eqns:
        given = tuple(v.val if hasattr(v, "val") else known[v] for v in equation.invars)
        if inner := equation.params.get(_CALLS.get(equation.primitive.name, "")):
            found = _run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given)
        else:
            step = _Step(program, equation)
            found = step([a.value if isinstance(a, Moving) else a for a in given])
            if any(isinstance(a, Moving) for a in given):
                found = [Moving(value, step, given) for value in found]
        known.update(zip(equation.outvars, found, strict=True))
    return [v.val if hasattr(v, "val") else known[v] for v in program.outvars]


def outputs_of(flat: Call, arrays: list[Any], z: Any) -> Moving | None:
    """The outputs `(n, D)` at latents `(n, d)`, with their steps; None if they are constant."""
    closed = jax.make_jaxpr(flat)(arrays, z)
    [out] = _run(closed.jaxpr, closed.consts, [*arrays, Moving(z)])
    return out if isinstance(out, Moving) else None


def affine_chain(value: Moving | None) -> list[Moving]:
    """A value, and those of which it is an affine map one after the other."""
    chain = [] if value is None else [value]
    while chain and (source := chain[-1].source()) is not None:
        chain.append(source)
    return chain


def affine_map(chain: Sequence[Moving]) -> tuple[Any, Any]:
    """Weight `(D, H)` and bias `(D,)` of the map of the last value `(n, H)` to the first one."""
    n, width = chain[-1].value.shape

    def layer(h: Any) -> Any:
        for value in chain[-2::-1]:
            h = value.of(h)
        return h

    # The derivative of the layer along each unit vector is a column of its matrix, exactly.
    nothing = jnp.zeros((n, width))
    units = jnp.zeros((-(-width // n) * n, width)).at[:width].set(jnp.eye(width))
    columns = jax.vmap(lambda unit: jax.jvp(layer, (nothing,), (unit,))[1])(
        units.reshape(-1, n, width)
    )
    return columns.reshape(len(units), -1)[:width].T, layer(nothing)[0]


def find_last_layer(flat: Call, arrays: list[Any], dim: int) -> FoundLayer | None:
    """Find the last affine layer of a decoder of `dim` latents.

    Parameters
    ----------
    flat : callable
        `flat(arrays, z)`, latents `(n, d)` to outputs `(n, D)`.
    arrays : list of arrays
    dim : int

    Returns
    -------
    FoundLayer or None
        The outputs as an affine map of the least wide hidden layer; None if it is as wide as the
        outputs, or if the map does not give the outputs at random latents, near and far.
    """
    places = latents_near_and_far(dim)
    at: list[int] = []

    def parts(arrays: list[Any], z: Any) -> Any:
        chain = affine_chain(outputs_of(flat, arrays, z))
        width, place = min(
            (value.value.shape[1], place)
            for place, value in enumerate(chain)
            if value.value.ndim == 2 and len(value.value) == len(z)
        )
        if not place or width == chain[0].value.shape[1]:
            return None
        at.append(place)

        weight, bias = affine_map(chain[: place + 1])
        return chain[place].value, chain[0].value, weight, bias

    try:
        found = jax.jit(parts)(arrays, places)
    except Exception:
        # What fails here fails again, with a message, where it is needed.
        return None
    if found is None:
        return None
    h, out, weight, bias = (np.array(value) for value in found)
    if not is_affine_map(out, h, weight, bias, _ROUNDING):
        return None

    def hidden(arrays: list[Any], z: Any) -> Any:
        # What comes after the hidden layer is not needed, so that it is not compiled.
        return affine_chain(outputs_of(flat, arrays, z))[at[0]].value

    return FoundLayer(hidden, weight, bias)

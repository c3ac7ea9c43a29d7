"""What the trace of a function shows: random numbers, rounding, constants and sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

#: Primitives that draw random numbers.
_DRAWS = frozenset({"random_bits", "rng_bit_generator", "rng_uniform"})
#: Loops, in which any result may depend on any argument.
_LOOPS = frozenset({"while", "scan"})


def draws(program: Any) -> bool:
    """Whether a program draws random numbers."""
    return any(step.primitive.name in _DRAWS for step in steps(program))


def constants(program: Any) -> list[Any]:
    """All numbers in a program, in order."""
    found = list(getattr(program, "consts", ()))
    for step in steps(program):
        found += [v.val for v in step.invars if hasattr(v, "val")]
        for part in step.params.values():
            found += getattr(part, "consts", ())
    return found


def kept(constants: list[Any]) -> list[Any]:
    """Copies of numbers in a trace, which may be arrays of the user's own."""
    return [
        c if jnp.issubdtype(getattr(c, "dtype", np.float64), jax.dtypes.extended) else np.array(c)
        for c in constants
    ]


def same_constants(one: list[Any], other: list[Any]) -> bool:
    """Whether two traces of a function contain the same numbers."""
    return len(one) == len(other) and all(
        a is b or np.array_equal(np.asarray(a), np.asarray(b), equal_nan=_has_nan(a))
        for a, b in zip(one, other, strict=True)
    )


def numbers(program: Any) -> int:
    """How many numbers the results of all steps contain together."""
    return sum(
        math.prod(v.aval.shape)
        for step in steps(program)
        if not list(inner(step))
        for v in step.outvars
    )


def rounded(program: Any, followed: list[bool]) -> str:
    """The first type of lower precision to which a float64 number is converted, or "".

    Parameters
    ----------
    program : jaxpr
    followed : list of bool
        For each argument whether it counts. A weight that was in float32 before may be converted
        back; what depends on the latents may not.
    """
    program = getattr(program, "jaxpr", program)
    reached = {v for v, flag in zip(program.invars, followed, strict=True) if flag}
    for step in program.eqns:
        flags = [not hasattr(v, "val") and v in reached for v in step.invars]
        if not any(flags):
            continue
        parts = list(inner(step))
        for part in parts:
            size = len(part.invars)
            aligned = step.primitive.name not in _LOOPS and size <= len(flags)
            # The first arguments of a step may select one of its parts.
            own = flags[len(flags) - size :] if aligned else [True] * size
            if found := rounded(part, own):
                return found
        wide = any(flag and _bits(v) == 64 for v, flag in zip(step.invars, flags, strict=True))
        for v in step.outvars:
            if wide and not parts and 0 < _bits(v) < 64:
                return str(v.aval.dtype)
        reached.update(step.outvars)
    return ""


def _bits(variable: Any) -> int:
    """Bits of a real number of a variable's type; 0 if its numbers are no floats."""
    kind = getattr(variable.aval, "dtype", np.dtype(bool))
    if jnp.issubdtype(kind, jnp.complexfloating):
        return 4 * int(kind.itemsize)
    return 8 * int(kind.itemsize) if jnp.issubdtype(kind, jnp.floating) else 0


def steps(program: Any) -> Iterator[Any]:
    """All steps of a program and of the programs in it."""
    for step in getattr(program, "jaxpr", program).eqns:
        yield step
        for part in inner(step):
            yield from steps(part)


def inner(step: Any) -> Iterator[Any]:
    """The programs in a step, such as the branches of a condition."""
    for value in step.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            bare = getattr(part, "jaxpr", part)
            if hasattr(bare, "eqns"):
                yield bare


def _has_nan(value: Any) -> bool:
    return np.asarray(value).dtype.kind in "fc"

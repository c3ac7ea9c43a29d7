"""What the methods of a likelihood read of their arguments, once for all families."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vaetheory._validation import generator, numbers

#: The arguments that are read before a method sees them; the other methods read theirs themselves.
READ: Mapping[str, tuple[str, ...]] = {
    "statistics": ("x",),
    "log_base": ("x",),
    "reduced": ("x",),
    "curvature_bounds": ("x",),
    "whiten": ("v",),
    "natural_parameters": ("params",),
    "log_partition": ("params",),
    "mean": ("params",),
    "fisher_diagonal": ("params",),
    "fisher_log_slope": ("params",),
    "fit": ("x", "log_weights"),
    "centred": ("p", "rows"),
    "information": ("params", "jacobian"),
    "expected_information": ("params", "jacobian"),
    "sample": ("rng",),
}


def reading(method: Callable[..., Any], called: str) -> Callable[..., Any]:
    """`method`, `called` so, with its arguments read, and without warnings from inside."""
    names = list(inspect.signature(method).parameters)
    wanted = [(names.index(name), name) for name in READ[called] if name in names]

    @functools.wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = list(args)
        read: dict[str, Any] = {}
        for place, name in wanted:
            if place < len(given) or name in kwargs:
                value = given[place] if place < len(given) else kwargs[name]
                read[name] = generator(name, value) if name == "rng" else numbers(name, value)
                if place < len(given):
                    given[place] = read[name]
                else:
                    kwargs[name] = read[name]
        if "jacobian" in read and "params" in read:
            size, shape = read["params"].shape[-1], read["jacobian"].shape
            if len(shape) < 2 or shape[-2] != size:
                raise ValueError(f"jacobian: expected shape (..., {size}, d), got {shape}")
        with np.errstate(all="ignore"):
            return method(*given, **kwargs)

    return checked

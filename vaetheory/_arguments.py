"""Conversion and checks of arguments for methods that many classes have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from vaetheory._validation import finite_numbers, generator, numbers

#: A function of an argument's name and value that returns the checked value.
Reader: TypeAlias = Callable[[str, Any], Any]

_READERS: Mapping[str, Reader] = {
    "rng": generator,
    "jacobian": finite_numbers,
    "x": finite_numbers,
    "weights": finite_numbers,
}


def read_arguments(
    cls: type,
    wanted: Mapping[str, tuple[str, ...]],
    *,
    defined: bool,
    reader: Reader = numbers,
) -> None:
    """Wrap methods that a class defines, so that their arguments are converted and checked first.

    Array-likes become float64 arrays, and NumPy's floating-point warnings are suppressed.

    Parameters
    ----------
    cls : type
    wanted : mapping of str to tuple of str
        Names of methods, and the names of the arguments to convert.
    defined : bool
        Whether a NaN in the result raises an error.
    reader : callable
        Converts and checks arguments that have no reader of their own.
    """
    for name in wanted.keys() & vars(cls).keys():
        if callable(vars(cls)[name]):
            setattr(cls, name, _reading(vars(cls)[name], wanted[name], defined, reader))


def _reading(
    method: Callable[..., Any], names: tuple[str, ...], defined: bool, reader: Reader
) -> Callable[..., Any]:
    every = list(inspect.signature(method).parameters)
    places = [
        (every.index(name), name, _READERS.get(name, reader)) for name in names if name in every
    ]

    @functools.wraps(method)
    def reading(*args: Any, **kwargs: Any) -> Any:
        given = list(args)
        read: dict[str, Any] = {}
        for place, name, of in places:
            if place < len(given):
                given[place] = read[name] = of(name, given[place])
            elif name in kwargs:
                kwargs[name] = read[name] = of(name, kwargs[name])
        if len(read) > 1:
            _require_fit(read)
        try:
            with np.errstate(all="ignore"):
                result = method(*given, **kwargs)
        except ValueError as error:
            if "weights" not in read or "expected" in str(error):
                raise
            raise ValueError(
                "weights: expected one for each output of the decoder, got shape "
                f"{read['weights'].shape}"
            ) from error
        if defined and isinstance(result, np.ndarray | np.floating) and np.isnan(result).any():
            raise ValueError(
                f"{' and '.join(read)}: expected numbers at which "
                f"{type(args[0]).__name__}.{method.__name__} has a value in the range of float64, "
                f"got {', '.join(_range(value) for value in read.values())}"
            )
        return result

    return reading


def _range(array: Any) -> str:
    return f"{np.min(array):g}..{np.max(array):g}"


def _require_fit(read: Mapping[str, Any]) -> None:
    """Raise a ValueError if the shapes of arguments do not fit each other."""
    shapes = {name: np.shape(value) for name, value in read.items()}
    if "params" in shapes and "jacobian" in shapes:
        size, shape = shapes["params"][-1], shapes["jacobian"]
        if len(shape) < 2 or shape[-2] != size:
            raise ValueError(f"jacobian: expected shape (..., {size}, d), got {shape}")
        try:
            np.broadcast_shapes(shapes["params"][:-1], shape[:-2])
        except ValueError:
            raise ValueError(
                f"jacobian: expected the leading axes of params, got shapes {shape} and "
                f"{shapes['params']}"
            ) from None
    if "x" in shapes and "log_weights" in shapes:
        data, weights = shapes["x"], shapes["log_weights"]
        if len(data) != 2 or 0 in data or 0 in weights or weights[-1] != data[0]:
            raise ValueError(
                f"x and log_weights: expected shapes (N, D) and (..., N), got {data} and {weights}"
            )
    if "z" in shapes and "weights" in shapes:
        try:
            np.broadcast_shapes(shapes["z"][:-1], shapes["weights"][:-1])
        except ValueError:
            raise ValueError(
                f"weights: expected the leading axes of z, got shapes {shapes['weights']} and "
                f"{shapes['z']}"
            ) from None

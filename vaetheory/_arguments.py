"""Conversion and checks of arguments for methods that many classes have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from vaetheory._trust import TRUST
from vaetheory._validation import all_within, finite_numbers, generator, numbers

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
    foreign: bool = False,
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
    foreign : bool
        Whether the methods run code of a user, which is never `unchecked`.
    """
    for name in wanted.keys() & vars(cls).keys():
        if callable(vars(cls)[name]):
            setattr(cls, name, _reading(vars(cls)[name], wanted[name], defined, reader, foreign))


def _reading(
    method: Callable[..., Any],
    names: tuple[str, ...],
    defined: bool,
    reader: Reader,
    foreign: bool,
) -> Callable[..., Any]:
    every = list(inspect.signature(method).parameters)
    places = [
        (every.index(name), name, _READERS.get(name, reader)) for name in names if name in every
    ]

    @functools.wraps(method)
    def reading(*args: Any, **kwargs: Any) -> Any:
        if TRUST.given:
            TRUST.given = not foreign
            try:
                result = method(*args, **kwargs)
            finally:
                TRUST.given = True
            if defined and isinstance(result, np.ndarray | np.floating) and _has_nan(result):
                values = inspect.signature(method).bind(*args, **kwargs).arguments
                raise _undefined(args[0], method, {name: values[name] for _, name, _ in places})
            return result
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
        if defined and isinstance(result, np.ndarray | np.floating) and _has_nan(result):
            raise _undefined(args[0], method, read)
        return result

    return reading


def _undefined(owner: object, method: Callable[..., Any], read: Mapping[str, Any]) -> ValueError:
    return ValueError(
        f"{' and '.join(read)}: expected numbers at which {type(owner).__name__}."
        f"{method.__name__} has a value in the range of float64, "
        f"got {', '.join(_range(value) for value in read.values())}"
    )


def _has_nan(result: Any) -> bool:
    if type(result) is np.ndarray and result.dtype == np.float64 and all_within(result):
        return False
    return bool(np.isnan(result).any())


def _range(array: Any) -> str:
    return f"{np.min(array):g}..{np.max(array):g}"


def _require_fit(read: Mapping[str, Any]) -> None:
    """Raise a ValueError if the shapes of arguments do not fit each other."""
    if len(read) < 2:
        return
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


def protect_arguments(cls: type) -> None:
    """Give the methods of a user's class arrays that they cannot change.

    Those are wrapped that override a method of a class of this package, whoever calls them: an
    array that a method changes in place may be the data, or the params of other data.
    """
    if _ours(cls):
        return
    known = {name for base in cls.__mro__ if _ours(base) for name in vars(base)}
    for name, method in list(vars(cls).items()):
        special = name.startswith("__") and name != "__call__"
        if inspect.isfunction(method) and name in known and not special:
            setattr(cls, name, protected(method, f"{cls.__name__}.{name}"))


def protected(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of a user's, whose arguments are read-only views of the arrays it is given.

    What it calls in turn checks its arguments, see `unchecked`.
    """

    @functools.wraps(function)
    def protecting(*args: Any, **kwargs: Any) -> Any:
        trust, TRUST.given = TRUST.given, False
        try:
            result = function(
                *(_view(value) for value in args), **{k: _view(v) for k, v in kwargs.items()}
            )
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                f"{name}: expected arguments that stay as they are, got a change in place: write "
                "x = x + 1 and not x += 1, or change np.array(x), a copy"
            ) from error
        finally:
            TRUST.given = trust
        # What is returned as it came may be changed by the caller.
        if isinstance(result, np.ndarray) and not result.flags.writeable:
            return result.copy()
        return result

    return protecting


def _view(value: Any) -> Any:
    if type(value) is not np.ndarray or not value.flags.writeable:
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "vaetheory"

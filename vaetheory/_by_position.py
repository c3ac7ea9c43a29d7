"""Keyword-only options that may still be given by position, as they were before."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def also_by_position(*options: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take named keyword-only options by position too, in this order.

    The signature says "keyword-only", to readers and to type checkers; old calls go on working.

    Examples
    --------
    >>> @also_by_position("power")
    ... def raised(x, *, power=2):
    ...     return x**power
    >>> raised(2), raised(2, power=3), raised(2, 4)
    (4, 8, 16)
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        first = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, value in zip(options, args[first : first + len(options)], strict=False):
                if name in kwargs:
                    raise TypeError(f"{function.__name__}() got two values for {name!r}")
                kwargs[name] = value
            # What is left over is refused by the function itself.
            rest: Any = (*args[:first], *args[first + len(options) :])
            return function(*rest, **kwargs)

        return called

    return decorate

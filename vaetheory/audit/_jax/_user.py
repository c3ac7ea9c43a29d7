"""The user's functions, called with the model of given arrays."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from vaetheory.audit._jax._parameters import Parameters

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Function:
    """A function `f(params, ...)` of the user, perhaps with a key as its last argument.

    Parameters
    ----------
    name : str
        By which errors speak of it.
    function : callable
        It gets a key if it takes one argument more than `arguments`. A method of the module itself
        gets the module that is moved.
    module : object
        The module that was given.
    arguments : tuple of str
        What it is given before the key.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], module: Any, arguments: tuple[str, ...]
    ) -> None:
        if getattr(function, "__self__", None) is module and hasattr(function, "__func__"):
            function = function.__func__
        self.name, self._function, self._count = name, function, len(arguments)
        self._bound: dict[int, Function] = {}
        least, most = positions(function)
        count = len(arguments)
        if not least <= count + 1 or most < count:
            raise ValueError(
                f"{name}: expected a function of ({', '.join(arguments)}) or "
                f"({', '.join((*arguments, 'key'))}), got one of "
                f"{least if least > count else most} arguments"
            )
        #: Whether it takes a key.
        self.draws = least > count or most == float("inf")

    def __call__(self, model: Any, *arguments: Any, key: Any) -> Any:
        """The result for a model."""
        if self.draws:
            return self._function(model, *arguments, key)
        return self._function(model, *arguments)

    def bound(self, number: int) -> Function:
        """The function with its last argument before the key set to an integer."""
        if number not in self._bound:
            made = copy.copy(self)
            inner = self._function
            made._function = lambda *a: inner(*a[: self._count - 1], number, *a[self._count - 1 :])
            made._count = self._count - 1
            self._bound[number] = made
        return self._bound[number]

    @property
    def takes(self) -> int:
        """How many arguments it is given between the model and the key."""
        return self._count - 1


def positions(function: Callable[..., Any]) -> tuple[int, float]:
    """How many positional arguments a function needs, and how many it may take."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, float("inf")
    least = sum(p.kind in _POSITIONAL and p.default is p.empty for p in parameters)
    most: float = sum(p.kind in _POSITIONAL for p in parameters)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        most = float("inf")
    return least, most


def called(
    function: Function, parameters: Parameters, training: bool, read: Callable[..., Any]
) -> Callable[..., Any]:
    """A function of arrays: what `read` makes of the result, and the state of the model after.

    Arguments that the function does not take are for `read`.
    """

    def pure(arrays: list[Any], arguments: tuple[Any, ...], key: Any) -> tuple[Any, list[Any]]:
        model = parameters.model(arrays, key, training)
        own, rest = arguments[: function.takes], arguments[function.takes :]
        found = read(function(model, *own, key=key), *rest)
        return found, parameters.state(model)

    return pure

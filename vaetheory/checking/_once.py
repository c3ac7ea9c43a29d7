"""What a check and its wrong versions compute alike, computed once in a run of a proposition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from vaetheory._value_equality import plain

P = ParamSpec("P")
T = TypeVar("T")

#: Results by function and arguments; None where nothing is kept.
_RESULTS: ContextVar[dict[Any, Any] | None] = ContextVar("results", default=None)


@contextmanager
def kept_results() -> Iterator[None]:
    """Within it, functions made by `once` compute each result once."""
    token = _RESULTS.set({})
    try:
        yield
    finally:
        _RESULTS.reset(token)


def once(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function of an instance that is computed once for the check and its wrong versions.

    A wrong version usually changes one side of a comparison. Write the other side as a function of
    the instance, and it is not computed again for each wrong version. Results are kept for equal
    arguments while the runner examines one instance, or instances together, and tries the wrong
    versions on them; then they are forgotten. Elsewhere the function computes every time.

    Parameters
    ----------
    function : callable
        Its result depends on nothing but its arguments; arrays among them are compared by their
        entries.

    Returns
    -------
    callable
        The function. Arrays in its results are read-only.

    Examples
    --------
    >>> from vaetheory.checking import once
    >>> @once
    ... def squares(n):
    ...     print("computed")
    ...     return n**2
    >>> with kept_results():
    ...     squares(3), squares(3)
    computed
    (9, 9)
    """

    @wraps(function)
    def computed_once(*args: P.args, **kwargs: P.kwargs) -> T:
        results = _RESULTS.get()
        if results is None:
            return function(*args, **kwargs)
        key = (function, plain(args), plain(kwargs))
        if key not in results:
            found = function(*args, **kwargs)
            _protect(found)
            # The arguments are kept, so that no other object gets the identity of one of them.
            results[key] = found, args, kwargs
        return results[key][0]

    return computed_once


def _protect(value: Any) -> None:
    """Make the arrays of a result read-only, so that nobody changes what others will be given."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, list | tuple):
        for part in value:
            _protect(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            _protect(part)

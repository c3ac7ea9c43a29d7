"""Progress reports of long computations, for a callback or a listener such as the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Called with the fraction that is done.
Progress = Callable[[float], object]

_listener: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Call `progress` for computations in this context that were given no callback.

    Examples
    --------
    >>> with listening(lambda done: print(f"{done:.0%}")):
    ...     report(0.5)
    50%
    """
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def report(done: float, progress: Progress | None = None) -> None:
    """Call `progress`, or the current listener, with the fraction that is done."""
    listener = progress if progress is not None else _listener.get()
    if listener is not None:
        from vaetheory._validation import require_callable

        require_callable("progress", listener, "of the fraction that is done")
        listener(done)

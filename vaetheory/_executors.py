"""Tasks on executors of any library, in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from vaetheory._validation import short

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Task], Result], tasks: Sequence[Task], executor: Any = None
) -> Generator[Result, None, None]:
    """Results of a function of each task, in the order of the tasks.

    Close the generator when no more results are wanted, as `contextlib.closing` does: tasks that
    have not begun are then cancelled, where the executor can.

    Parameters
    ----------
    function : callable
    tasks : sequence
    executor : object, optional
        With `submit(function, task)`, which returns an object with `result()`, as those of
        `concurrent.futures`, mpi4py and the client of Dask; or with `imap(function, tasks)` or
        `map(function, tasks)`, as the pools of multiprocessing and Ray. By default the tasks are
        done here, one after the other.

    Raises
    ------
    ValueError
        If the executor has none of these methods, or is a `ProcessPoolExecutor` and the first task
        cannot be pickled.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     list(in_order(abs, [-1, -2], executor)), list(in_order(abs, [-3]))
    ([1, 2], [3])
    """
    if executor is None:
        return (function(task) for task in tasks)
    if isinstance(executor, ProcessPoolExecutor):
        _require_picklable(tasks[:1])
    if callable(getattr(executor, "submit", None)):
        return _submitted(function, tasks, executor)
    # Of a pool `map` waits for all tasks, and `imap` does not.
    for name in ("imap", "map"):
        if callable(method := getattr(executor, name, None)):
            return (result for result in method(function, tasks))
    raise ValueError(
        "executor: expected an object with a method `submit`, `imap` or `map`, such as a "
        f"concurrent.futures.ProcessPoolExecutor, got {short(executor)}"
    )


def _require_picklable(tasks: Sequence[Any]) -> None:
    try:
        pickle.dumps(tasks)
    except (pickle.PicklingError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "executor: expected a model that can be pickled, for an executor of processes, got one "
            f"that cannot ({error}): define functions and classes in a module, or use a "
            "ThreadPoolExecutor"
        ) from None


def _submitted(
    function: Callable[[Any], Any], tasks: Sequence[Any], executor: Any
) -> Generator[Any, None, None]:
    futures, done = [executor.submit(function, task) for task in tasks], 0
    try:
        for future in futures:
            result = future.result()
            done += 1
            yield result
    finally:
        # After an error or an interruption, what has not begun is not begun. Dask knows equal tasks
        # by one name: one that is cancelled when it is done would be missed by the next call.
        for future in futures[done:]:
            if callable(getattr(future, "cancel", None)):
                future.cancel()

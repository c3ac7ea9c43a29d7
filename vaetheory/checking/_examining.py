"""What a check finds at instances: together if it can, else one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from vaetheory._validation import short
from vaetheory.checking._together import Many, Together
from vaetheory.checking.claim import Check
from vaetheory.checking.comparison import Comparison


def examined_together(check: Callable[[Any], Comparison]) -> Many | None:
    """The function that a check has to examine many instances at once, or None."""
    if isinstance(check, Together):
        return check.many
    if isinstance(check, partial) and isinstance(check.func, Together):
        return partial(check.func.many, *check.args, **check.keywords)
    return None


class _FixedRandomness:
    """The state of the global generators that Hypothesis gives each instance; restored after.

    Several threads may be inside, and one several times, which costs less: the last to leave
    restores what the first one found.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._found: tuple[Any, Any] = (None, None)

    def __enter__(self) -> None:
        # A check of the user's may draw from them, and has to draw the same alone and together.
        with self._lock:
            if not self._inside:
                self._found = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
            self._inside += 1
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                random.setstate(self._found[0])
                np.random.set_state(self._found[1])  # noqa: NPY002


fixed_randomness = _FixedRandomness()


def found_at(check: Check, instances: Sequence[Any]) -> Iterator[tuple[Any, Comparison]]:
    """Each instance with what a check finds: together if it can, else one after the other."""
    many = examined_together(check)
    if many is None:
        for instance in instances:
            with fixed_randomness:
                found = check(instance)
            yield instance, found
    else:
        with fixed_randomness:
            comparisons = many(instances)
        yield from zip(instances, comparisons, strict=True)


def compared(found: object, what: str) -> Comparison:
    """What a check found, or a TypeError, which ends the run, if that is something else."""
    if not isinstance(found, Comparison):
        raise TypeError(
            f"{what}: expected a Comparison (Comparison.identity, Comparison.at_most), got "
            f"{short(found)}"
        )
    return found

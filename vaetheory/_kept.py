"""Results that are kept as long as the object to which they belong."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Results by the identity of their owners; each goes with its owner.

    Examples
    --------
    >>> class Owner: ...
    >>> kept, owner = Kept(), Owner()
    >>> kept.of(owner, lambda: [1]) is kept.of(owner, lambda: [2])
    True
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[object], T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def of(
        self, owner: object, make: Callable[[], T], good: Callable[[T], bool] | None = None
    ) -> T:
        """The owner's result, which is made now if there is none, or if it is no longer good."""
        key = id(owner)
        entry = self._entries.get(key)
        if entry is not None and entry[0]() is owner and (good is None or good(entry[1])):
            return entry[1]
        made = make()
        self._entries[key] = (weakref.ref(owner, lambda _: self._entries.pop(key, None)), made)
        return made

"""Equality and hashing of frozen dataclasses that hold arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


def _plain(value: Any) -> Any:
    """A hashable stand-in: arrays by their shape, type and bytes."""
    if isinstance(value, np.ndarray):
        # Adding nought makes -0.0 and 0.0, which compare equal, the same bytes.
        return value.shape, value.dtype.str, (value + 0).tobytes()
    if isinstance(value, tuple | list):
        return tuple(_plain(v) for v in value)
    return value


class ByValue:
    """Mixin: two frozen dataclasses are equal if they are of one type and their fields are.

    Give the dataclass `eq=False`, so that this is inherited.

    Examples
    --------
    >>> from vaetheory.likelihoods import Gaussian
    >>> Gaussian(scale=[1.0, 2.0]) == Gaussian(scale=[1.0, 2.0])
    True
    >>> len({Gaussian(scale=[1.0, 2.0]), Gaussian(scale=[1.0, 2.0]), Gaussian(scale=[1.0, 3.0])})
    2
    """

    def _key(self) -> tuple[Any, ...]:
        names = [f.name for f in fields(self) if f.compare]  # type: ignore[arg-type]
        return tuple(_plain(getattr(self, name)) for name in names)

    def _typed(self) -> tuple[Any, ...]:
        return type(self), self._key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByValue) and self._typed() == other._typed()

    def __hash__(self) -> int:
        return hash(self._typed())

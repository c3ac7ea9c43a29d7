"""Equality, hashing and read-only arrays for frozen dataclasses with array fields."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Mapping
from dataclasses import fields
from inspect import Signature, signature
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """A hashable replacement: shape, type and bytes for an array; NaN is equal to NaN."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            # -0.0 and 0.0 compare equal; adding zero gives them the same bytes.
            value = np.where(np.isnan(value), np.nan, value + 0.0)
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, float) and value != value:
        return "nan"
    if isinstance(value, tuple | list):
        return tuple(plain(v) for v in value)
    if isinstance(value, Mapping):
        return frozenset((k, plain(v)) for k, v in value.items())
    try:
        hash(value)
    except TypeError:
        # Other objects, such as tracers of autograd, are equal only to themselves.
        return type(value), id(value)
    return value


def _settled(array: Any) -> bool:
    """Whether an array and all arrays whose memory it shares are read-only."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def read_only(value: Any) -> Any:
    """A read-only copy of an array, or a tuple of such copies; other values unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> read_only(np.zeros(2)).flags.writeable
    False
    """
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(read_only(v) for v in value)
    if not isinstance(value, np.ndarray) or _settled(value):
        return value
    copy = np.array(value)
    copy.flags.writeable = False
    return copy


class _Frozen(ABCMeta):
    """Metaclass that makes the arrays of each new object read-only, for any `__init__`."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        instance._freeze()
        return instance

    @property
    def __signature__(cls) -> Signature:
        # The arguments of `__init__`, where `inspect` would show those of `__call__`.
        made = signature(cls.__init__)  # type: ignore[misc]
        return made.replace(
            parameters=list(made.parameters.values())[1:], return_annotation=Signature.empty
        )


class ByValue(metaclass=_Frozen):
    """Mixin: two objects are equal if they have the same type and equal values.

    What counts are a dataclass's fields, else all attributes; arrays in them are read-only copies.
    Give a dataclass `eq=False`, so that equality is inherited.

    Examples
    --------
    >>> from vaetheory.likelihoods import Gaussian
    >>> Gaussian(scale=[1.0, 2.0]) == Gaussian(scale=[1.0, 2.0])
    True
    >>> len({Gaussian(scale=[1.0, 2.0]), Gaussian(scale=[1.0, 2.0]), Gaussian(scale=[1.0, 3.0])})
    2
    >>> Gaussian(scale=[1.0, 2.0]).scale.flags.writeable
    False
    """

    def _freeze(self) -> None:
        for name, value in vars(self).items():
            kept = read_only(value)
            if kept is not value:
                object.__setattr__(self, name, kept)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies and unpickled objects are read-only like the original.
        vars(self).update(state)
        self._freeze()

    def _key(self) -> tuple[Any, ...]:
        names = sorted(vars(self))
        if hasattr(self, "__dataclass_fields__"):
            names = [f.name for f in fields(self) if f.compare]  # type: ignore[arg-type]
        return tuple(plain(getattr(self, name)) for name in names)

    def _typed(self) -> tuple[Any, ...]:
        return type(self), self._key()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByValue) and self._typed() == other._typed()

    def __hash__(self) -> int:
        return hash(self._typed())

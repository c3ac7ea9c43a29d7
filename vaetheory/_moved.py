"""Former names, which go on working for a release and say what they are called now."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


def names_of(former: str, *homes: str, **renamed: str) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks its names up in other modules, with a warning.

    Parameters
    ----------
    former : str
        The module's own path, which is no longer the place of anything.
    homes : str
        The modules that are asked in turn; with none only the renamed ones are there.
    renamed : str
        Former names, each with its present one in one of the homes or, with none, in the module.
    """

    def __getattr__(name: str) -> Any:
        if name == "__all__" and homes:
            # What `from ... import *` is to bring.
            every = [listed for home in homes for listed in _public(import_module(home))]
            return sorted({*every, *renamed})
        present = renamed.get(name, name)
        # Python and its tools ask every module for names of the form __name__.
        for home in () if name.startswith("__") else homes or (former,):
            module = import_module(home)
            if present in vars(module):
                warnings.warn(
                    f"{former}.{name} is {home}.{present} now; the former name goes away in "
                    "version 0.3",
                    DeprecationWarning,
                    stacklevel=2,
                )
                return getattr(module, present)
        raise AttributeError(f"module {former!r} has no attribute {name!r}")

    return __getattr__


def _public(module: ModuleType) -> list[str]:
    """The names that a module lists, or else defines."""
    defined = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return list(vars(module).get("__all__", defined))

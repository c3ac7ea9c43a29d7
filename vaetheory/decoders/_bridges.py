"""Recognition of modules of other frameworks, without importing these frameworks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

#: Classes of modules, by library and name, and the class that wraps them.
_MODULES = (
    ("torch.nn", "Module", "vaetheory.torch", "TorchDecoder"),
    ("flax.linen", "Module", "vaetheory.jax", "JaxDecoder"),
    ("flax.nnx", "Module", "vaetheory.jax", "JaxDecoder"),
    ("equinox", "Module", "vaetheory.jax", "JaxDecoder"),
)


def _torch_module() -> Any:
    """The class `torch.nn.Module`; None if PyTorch has not been imported, or is broken."""
    # A module exists only if its framework has been imported.
    return getattr(sys.modules.get("torch.nn"), "Module", None)


def bridge_of(decoder: object) -> Callable[[Any], Any] | None:
    """The class that wraps a module of another framework, or a method of one, or None.

    Examples
    --------
    >>> bridge_of(abs) is None
    True
    """
    owner = getattr(decoder, "__self__", None)
    for library, name, bridge, wrapper in _MODULES:
        # A module exists only if its library has been imported; a broken library has no class.
        kind: Any = getattr(sys.modules.get(library), name, ())
        if isinstance(decoder, kind) or isinstance(owner, kind):
            return getattr(importlib.import_module(bridge), wrapper)
    return None


def advice_on(function: object) -> str:
    """Advice for a function that fails and uses a module of another framework, or ""."""
    module = _torch_module()
    if module is None:
        return ""
    if isinstance(function, type) and issubclass(function, module):
        return f"expected a module, and not the class {function.__name__}: make one of it"
    used = importlib.import_module("vaetheory.torch._copies").function_over_modules(function)
    if not used:
        return ""
    return (
        "expected the module itself, or vaetheory.torch.TorchDecoder(module, call=lambda module, "
        f"z: ...), and not a function over the PyTorch module `{used}`"
    )

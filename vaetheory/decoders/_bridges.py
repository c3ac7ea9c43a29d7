"""Recognition of modules of other frameworks, without importing these frameworks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def bridge_of(decoder: object) -> Callable[[Any], Any] | None:
    """The class that wraps a module of another framework, or a method of one, or None.

    Examples
    --------
    >>> bridge_of(abs) is None
    True
    """
    # A module exists only if its framework has been imported.
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(decoder, torch.nn.Module) or isinstance(
        getattr(decoder, "__self__", None), torch.nn.Module
    ):
        return importlib.import_module("vaetheory.torch").TorchDecoder
    return None


def advice_on(function: object) -> str:
    """Advice for a function that fails and uses a module of another framework, or ""."""
    if "torch" not in sys.modules:
        return ""
    used = importlib.import_module("vaetheory.torch._copies").function_over_modules(function)
    if not used:
        return ""
    return (
        "expected the module itself, or vaetheory.torch.TorchDecoder(module, call=lambda module, "
        f"z: ...), and not a function over the PyTorch module `{used}`"
    )

"""Modules of other frameworks, recognised without importing any of these."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def bridge_of(decoder: object) -> Callable[[Any], Any] | None:
    """What makes a decoder of a module of another framework, or of a method of one; else None.

    Examples
    --------
    >>> bridge_of(abs) is None
    True
    """
    # Whoever has a module has imported its framework.
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(decoder, torch.nn.Module) or isinstance(
        getattr(decoder, "__self__", None), torch.nn.Module
    ):
        return importlib.import_module("vaetheory.torch").TorchDecoder
    return None


def advice_on(function: object) -> str:
    """What was expected where a function that fails uses a module of another framework."""
    if "torch" not in sys.modules:
        return ""
    used = importlib.import_module("vaetheory.torch._copies").function_over_modules(function)
    if not used:
        return ""
    return (
        "expected the module itself, or vaetheory.torch.TorchDecoder(module, call=lambda module, "
        f"z: ...), and not a function over the PyTorch module `{used}`"
    )

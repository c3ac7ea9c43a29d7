"""What autograd may be tracing: its plain value, for checks and for units."""

from __future__ import annotations

from typing import Any

from autograd.tracer import getval, isbox

from vaetheory._validation import Array


def value_of(x: Any) -> Any:
    """The plain value of what autograd may be tracing, at any depth."""
    while isbox(x):
        x = getval(x)
    return x


def traced(x: Any, checked: Array) -> Any:
    """`x` itself where autograd traces it, and otherwise the array it was checked to be."""
    return x if isbox(x) else checked

"""Plain values of inputs that autograd may be tracing, for checks and for units."""

from __future__ import annotations

from typing import Any

from autograd.tracer import getval, isbox

from vaetheory._validation import Array


def value_of(x: Any) -> Any:
    """The plain value of an input that autograd may be tracing, at any depth."""
    while isbox(x):
        x = getval(x)
    return x


def traced(x: Any, checked: Array) -> Any:
    """`x` itself if autograd traces it, otherwise the checked array."""
    return x if isbox(x) else checked

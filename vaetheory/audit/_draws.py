"""A random draw within a loss, of any framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from vaetheory._validation import Array


class Draw(Protocol):
    """One random draw: its law, and its outcome in units of the law."""

    @property
    def law(self) -> str:
        """Its name: "normal", "uniform", "bernoulli" or another one."""

    @property
    def array(self) -> Array:
        """A copy of the outcome in float64: standard normal, uniform on [0, 1], or as it came."""

    @property
    def numbers(self) -> int:
        """How many numbers were drawn."""

    @property
    def floating(self) -> bool:
        """Whether they are no integers."""

    def given(self, outcome: Array) -> Any:
        """The same draw with another outcome of this shape."""


#: The same draws with other outcomes.
Redraw = Callable[[Sequence[Any]], Sequence[Any]]


def paired(draws: Sequence[Any], two: Sequence[Any], four: Sequence[Any], index: int) -> list[Any]:
    """The noise of one of two examples twice.

    Parameters
    ----------
    draws : sequence of draws
        Those for a batch of two.
    two, four : sequence of draws
        Those for batches of two and of four, whose shapes say which axis is the batch.
    """
    made = []
    for i, draw in enumerate(draws):
        base = draw.array
        if len(two) == len(four) and i < len(two):
            shapes = zip(two[i].array.shape, four[i].array.shape, strict=False)
            axes = [a for a, (m, n) in enumerate(shapes) if n == 2 * m]
            if axes:
                base = _doubled(base, axes[0], index)
        elif base.ndim and base.shape[0] == 2:
            base = base[[index, index]]
        made.append(draw.given(base))
    return made


def _doubled(base: Array, axis: int, index: int) -> Array:
    """The entries of one of two examples twice, along an axis that may hold several samples."""
    at = np.arange(base.shape[axis]).reshape(-1, 2)
    at[:, 1 - index] = at[:, index]
    return np.take(base, at.ravel(), axis=axis)

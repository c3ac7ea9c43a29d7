"""Random draws in a program of JAX, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vaetheory._validation import Array


@dataclass(frozen=True)
class Draw:
    """The draws of one step of a program: their law and their outcomes.

    Attributes
    ----------
    law : str
        "normal", "uniform" or "bernoulli".
    base : array
        The outcomes: standard normal, uniform on [0, 1), or booleans. A step within a loop has one
        more axis in front.
    keys : tuple of (bytes, tuple)
        For each key that was used, in the order of the outcomes, the key and the shape of what it
        draws.
    """

    law: str
    base: Any
    keys: tuple[tuple[bytes, tuple[int, ...]], ...] = ()

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """By which a draw is recognised when the function runs again."""
        return self.law, self.base.shape

    @property
    def array(self) -> Array:
        """A copy of the outcomes in float64."""
        return np.array(self.base, dtype=np.float64)

    @property
    def numbers(self) -> int:
        """How many numbers were drawn."""
        return int(self.base.size)

    @property
    def floating(self) -> bool:
        """Whether they are no booleans."""
        return bool(self.base.dtype.kind == "f")

    def given(self, outcome: Array) -> Draw:
        """The same draw with other outcomes."""
        return replace(self, base=np.array(outcome, dtype=self.base.dtype))


def redrawn(draws: Sequence[Draw], rng: np.random.Generator) -> list[Draw]:
    """The same draws with other outcomes; what one key draws twice is the same both times."""
    known: dict[tuple[str, bytes, tuple[int, ...]], Array] = {}
    made = []
    for draw in draws:
        if not draw.floating:
            made.append(draw)
            continue
        normal = draw.law == "normal"
        base = rng.normal(size=draw.base.shape) if normal else rng.random(draw.base.shape)
        if draw.keys and base.size:
            parts = base.reshape(len(draw.keys), -1)
            for i, (key, shape) in enumerate(draw.keys):
                parts[i] = known.setdefault((draw.law, key, shape), parts[i].copy())
        made.append(draw.given(base))
    return made


def matched(own: Sequence[Draw], draws: Sequence[Draw], start: int = 0) -> tuple[list[Draw], int]:
    """The draws that a part of a function takes, each the next of its kind, and where they end."""
    made, at = [], start
    for draw in own:
        found = next((i for i in range(at, len(draws)) if draws[i].key == draw.key), None)
        made.append(draw if found is None else draws[found])
        at = at if found is None else found + 1
    return made, at

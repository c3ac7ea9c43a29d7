"""The parameters among the arrays of a model of JAX, moved in copies."""

from __future__ import annotations

import numpy as np

from vaetheory.audit._jax._parameters import Parameters
from vaetheory.audit._moves import Moves


class ArrayMoves(Moves):
    """Moves of the arrays that are trained, in a new list of all arrays each time."""

    def __init__(self, model: Parameters, rng: np.random.Generator) -> None:
        given = model.parameters
        self._at = dict(zip(given, model.moved, strict=True))
        #: All arrays as they are now.
        self.arrays = list(model.arrays)
        super().__init__(
            given,
            given,
            lambda like: rng.normal(size=like.shape),
            {n for n, a in given.items() if a.ndim > 1},
        )

    def apply(self) -> None:
        """Make the list of all arrays as they are now."""
        self.arrays = list(self.arrays)
        for name, i in self._at.items():
            self.arrays[i] = np.asarray(self._now[name])

    def place(self, name: str) -> int:
        """Which of the arrays is a parameter."""
        return self._at[name]

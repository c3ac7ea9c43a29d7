"""Parameters moved at random, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._jax._parameters import Parameters
from vaetheory.audit._journeys import sums_of


class Moves:
    """The arrays of a model, of which the parameters are moved."""

    def __init__(self, model: Parameters, rng: np.random.Generator) -> None:
        self._rng = rng
        self._names = model.names
        self.parameters = model.parameters
        self._home = list(model.arrays)
        self._at = dict(zip(model.parameters, model.moved, strict=True))
        #: All arrays as they are now.
        self.arrays = list(self._home)

    def directions(self) -> dict[str, Array]:
        """A random direction of each parameter."""
        return {n: self._rng.normal(size=a.shape) for n, a in self.parameters.items()}

    def move(self, scale: float, gain: float) -> None:
        """Random changes of relative size `scale`, and matrices multiplied by `gain`.

        What is positive stays so: it may be a scale.
        """
        self.arrays = list(self.arrays)
        for i in self._at.values():
            home = self._home[i]
            noise = self._rng.normal(size=home.shape)
            if (home > 0).all():
                self.arrays[i] = np.asarray(home * np.exp(0.5 * scale * noise))
                continue
            size = float(home.std(ddof=1)) if home.size > 1 else float(np.abs(home).mean())
            self.arrays[i] = np.asarray(gain * (home + scale * (size or 0.1) * noise))

    def scale(self, factors: Mapping[str, float]) -> None:
        """Multiply parameters where they are now; what is positive is left."""
        for name, factor in factors.items():
            i = self._at[name]
            if not (self._home[i] > 0).all():
                self.arrays[i] = np.asarray(factor * self.arrays[i])

    def home(self) -> None:
        """The parameters as they were given."""
        self.arrays = list(self._home)

    def offset(self, steps: Mapping[str, Array]) -> list[Array]:
        """All arrays, with some parameters a step from where they are now."""
        made = list(self.arrays)
        for name, step in steps.items():
            made[self._at[name]] = made[self._at[name]] + step
        return made

    def place(self, name: str) -> int:
        """Which of the arrays is a parameter."""
        return self._at[name]

    def sums(self) -> dict[str, float]:
        """Sums over the parameters, by which a loss may penalise them."""
        every = [self.arrays[i] for i in self._at.values()]
        return sums_of(every, [p for p in every if p.ndim > 1])

"""Parameters moved at random, and back: arrays of any framework."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np


class Moves:
    """The parameters of a model that is lent to the audit.

    Parameters
    ----------
    parameters : mapping
        Those that are moved, by name.
    home : mapping
        Their values as they were given, in copies.
    random : callable
        Standard normal numbers like an array.
    weights : collection of str
        The names of those that are weights of layers.

    Attributes
    ----------
    pinned : dict
        Values of parameters that are not moved, by name, for a while.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        home: Mapping[str, Any],
        random: Callable[[Any], Any],
        weights: Collection[str],
    ) -> None:
        self.parameters = parameters
        self.pinned: dict[str, Any] = {}
        self._home, self._random, self._weights = dict(home), random, weights
        self._now = dict(self._home)

    def apply(self) -> None:
        """Set the parameters to where they are now."""
        raise NotImplementedError

    def directions(self) -> dict[str, Any]:
        """A random direction of each parameter."""
        return {n: self._random(a) for n, a in self._home.items()}

    def move(self, scale: float, gain: float) -> None:
        """Random changes of relative size `scale`, and matrices multiplied by `gain`.

        What is positive stays so: it may be a scale.
        """
        for name, home in self._home.items():
            noise = self._random(home)
            if self._positive(name):
                self._now[name] = home * math.e ** (0.5 * scale * noise)
            else:
                self._now[name] = gain * (home + scale * _size(home) * noise)
        self._now |= self.pinned
        self.apply()

    def scale(self, factors: Mapping[str, float]) -> None:
        """Multiply parameters where they are now; what is positive or pinned is left."""
        for name, factor in factors.items():
            if not self._positive(name) and name not in self.pinned:
                self._now[name] = factor * self._now[name]
        self.apply()

    def home(self) -> None:
        """The parameters as they were given, but for those that are pinned."""
        self._now = {**self._home, **self.pinned}
        self.apply()

    @contextlib.contextmanager
    def held(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Some parameters pinned to values for a while; all are at home after it."""
        kept, self.pinned = self.pinned, {**self.pinned, **values}
        try:
            yield
        finally:
            self.pinned = kept
            self.home()

    @contextlib.contextmanager
    def offset(self, steps: Mapping[str, Any]) -> Iterator[None]:
        """Some parameters a step from where they are now, for a while."""
        kept = self._now
        self._now = kept | {n: kept[n] + step for n, step in steps.items()}
        try:
            self.apply()
            yield
        finally:
            self._now = kept
            self.apply()

    def numbers(self) -> dict[str, Any]:
        """The parameters that are one number each, as they were given."""
        return {n: a for n, a in self._home.items() if math.prod(a.shape) == 1}

    def sums(self) -> dict[str, float]:
        """Sums over the parameters, by which a loss may penalise them.

        Of all parameters, and of the weights where there are others.
        """
        every = list(self._now.values())
        weights = [a for n, a in self._now.items() if n in self._weights]
        found = {
            "the sum of squares of all parameters": sum(float((p**2).sum()) for p in every),
            "the sum of moduli of all parameters": sum(float(abs(p).sum()) for p in every),
        }
        if 0 < len(weights) < len(every):
            found["the sum of squares of all weights"] = sum(float((p**2).sum()) for p in weights)
        return found

    def _positive(self, name: str) -> bool:
        home = self._home[name]
        return math.prod(home.shape) > 0 and bool((home > 0).all())


def _size(home: Any) -> float:
    """The deviation of the entries of an array, or the modulus of a number."""
    count = math.prod(home.shape)
    if not count:
        return 0.0
    square = ((home - home.mean()) ** 2).sum() / (count - 1) if count > 1 else home**2
    size = float(square) ** 0.5
    return size if size > 0 and np.isfinite(size) else 0.1

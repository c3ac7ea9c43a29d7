"""What takes the steps of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.training._adam import Adam


class Learner(Protocol):
    """Parameters, an optimiser and training data."""

    @property
    def steps(self) -> int:
        """Steps taken."""

    def params(self) -> Array:
        """A copy of the parameters, `(count,)`."""

    def step(self, rows: NDArray[np.intp], noise: Array) -> None:
        """Take a step on the training data of a batch; a FloatingPointError if it overflows."""

    def arrays(self) -> dict[str, Array]:
        """The arrays "params", "first" and "second" of a checkpoint."""

    def restore(self, arrays: Mapping[str, Array], steps: int) -> None:
        """Go on from the arrays of a checkpoint."""


class OnVector:
    """Steps of `Adam` on a vector of NumPy.

    Parameters
    ----------
    params : array (count,)
        Changed by the steps.
    rate : float
    X : array (N, D)
    gradient : callable
        The gradient of the loss, of parameters, a batch and its noise.
    """

    def __init__(
        self, params: Array, rate: float, X: Array, gradient: Callable[[Array, Array, Array], Array]
    ) -> None:
        self._params, self._adam = params, Adam(len(params), rate)
        self._X, self._gradient = X, gradient

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self._adam.steps

    def params(self) -> Array:
        """A copy of the parameters."""
        return self._params.copy()

    def step(self, rows: NDArray[np.intp], noise: Array) -> None:
        """Take a step."""
        self._adam.step(self._params, self._gradient(self._params, self._X[rows], noise))

    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint."""
        return {"params": self._params, "first": self._adam.first, "second": self._adam.second}

    def restore(self, arrays: Mapping[str, Array], steps: int) -> None:
        """Go on from the arrays of a checkpoint."""
        adam = self._adam
        self._params[...], adam.first[...], adam.second[...] = (
            arrays[name] for name in ("params", "first", "second")
        )
        adam.steps = steps

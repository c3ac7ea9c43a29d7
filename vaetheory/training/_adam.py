"""The optimiser Adam on one vector of parameters."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


class Adam:
    """Adaptive moment estimation with the usual constants (0.9, 0.999, 1e-8).

    Parameters
    ----------
    count : int
        Number of parameters.
    rate : float
        Learning rate.

    Attributes
    ----------
    first, second : array (count,)
        Running means of the gradient and of its square.
    steps : int
        Steps taken.

    Notes
    -----
    Source: D. P. Kingma and J. Ba, arXiv:1412.6980, algorithm 1.

    Examples
    --------
    >>> params, adam = np.array([1.0]), Adam(1, rate=0.1)
    >>> adam.step(params, np.array([3.0]))
    >>> params.round(6).tolist()
    [0.9]
    """

    def __init__(self, count: int, rate: float) -> None:
        self.rate = rate
        self.first = np.zeros(count)
        self.second = np.zeros(count)
        self.steps = 0
        self._room = np.empty(count)
        self._more = np.empty(count)

    def step(self, params: Array, gradient: Array) -> None:
        """Move `params` down the gradient, in place."""
        self.steps += 1
        room, more = self._room, self._more
        self.first *= _FIRST
        self.first += np.multiply(gradient, 1 - _FIRST, out=room)
        self.second *= _SECOND
        np.multiply(gradient, gradient, out=room)
        room *= 1 - _SECOND
        self.second += room
        # m / (1 - b1^t) over sqrt(v / (1 - b2^t)) + tiny, both multiplied by sqrt(1 - b2^t).
        size = np.sqrt(1 - _SECOND**self.steps)
        np.sqrt(self.second, out=room)
        room += size * _TINY
        np.multiply(self.first, self.rate * size / (1 - _FIRST**self.steps), out=more)
        more /= room
        params -= more

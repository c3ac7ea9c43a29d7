"""What a table of log likelihoods over many data and many latents is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from vaetheory._quadrature.blocks import Index
from vaetheory._validation import Array
from vaetheory.likelihoods import Likelihood
from vaetheory.rounding import ULP


class Table(ABC):
    """log p(x_n given params) for a fixed data set `(N, D)` and any parameters."""

    def __init__(self, likelihood: Likelihood, data: Array) -> None:
        self.likelihood = likelihood
        self.data = data
        #: Greatest value log p(x_n given params) can take, (N,), nats.
        self.peak = likelihood.greatest_log_prob(data)

    #: Condition number of the map to the coordinates; rounding errors grow by it.
    condition = 1.0
    #: Half the greatest second derivative of log p along any line: nought where it is concave.
    convexity = 0.0

    def take(self, which: Index) -> Table:
        """The table of some of the data."""
        return type(self)(self.likelihood, self.data[which])

    def restrict(self, params: Array) -> Array:
        """Cut parameters where every datum is impossible and products would overflow."""
        return params

    def coordinates(self, change: Array) -> Array:
        """Differences of parameters in the table's coordinates, `(..., D)`."""
        return change

    @abstractmethod
    def dense(self, params: Array) -> tuple[Array, Array]:
        """Values of log p at parameters `(M, D)` and the norm of its gradient: two arrays `(N, M)`.

        Good for bounds only: nothing is centred.
        """

    def greatest_slope(self, params: Array) -> Array:
        """Bound of the slopes of log p at parameters `(M, D)`, over all data, `(M,)`."""
        out: Array = self.dense(params)[1].max(axis=0)
        return out

    @abstractmethod
    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        """Values of log p at the centres of cells, and its gradient there.

        Parameters
        ----------
        datum : array of int (C, L)
        point : array (C, D)

        Returns
        -------
        log_prob : array (C, L)
        score : array (C, L, D)
        """

    @abstractmethod
    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        """Change of log p from `point` to `point + delta`, `(C, L, D), (C, M, D) -> (C, L, M)`."""

    @abstractmethod
    def bend(self, point: Array, delta: Array) -> Array:
        """Greatest gap between log p and its tangent at `point` over `delta`, `(C,)`."""

    def bend_of(self, bend: Array, slope: Array) -> Array:
        """`bend` of pairs `(..., C)`, where the gap depends on the datum."""
        return bend

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        """Relative rounding of integrals of p around points where log p is `log_prob`.

        Parameters
        ----------
        log_prob : array (...)
        datum : array of int (...)
        offset : array (...)
            Log joint there less `shift`.
        shift : array (...)
            What log joints are taken relative to, nats.
        """
        # What matters to the sum is within some tens of nats of the best.
        lost = self.condition * 2 * np.abs(log_prob - self.peak[datum])
        lost += np.abs(offset) + 24 + np.abs(shift)
        return ULP * lost

    def upper(self, log_prob: Array, slope: Array, reach: Array) -> Array:
        """Bound of log p in a ball of radius `reach` from its value and slope at the centre."""
        return log_prob + (slope + self.convexity * reach) * reach

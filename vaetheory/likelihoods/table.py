"""The base class of tables of log likelihoods over many data and many latents.

A table uses the coordinates of the parameter space in which its bounds are simplest: whitened ones
for a Gaussian, the parameters themselves for the other families. If log p is concave in them, it
lies below its tangents; otherwise its greatest second derivative bounds how far it can exceed them.
All bounds follow from this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, Index
from vaetheory.rounding import ULP


class Density(Protocol):
    """The methods of a family that every table calls."""

    def greatest_log_prob(self, x: Array) -> Array:
        """Supremum of log p(x given params) over the params, `(...)`, in nats."""

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density in nats, `(...)`."""

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Gradient of the log density in the params, `(..., D)`."""


@dataclass(frozen=True)
class Curvature:
    """Bounds of log p in balls around parameters, for some data: arrays `(N, C)` or `(C, L)`.

    Attributes
    ----------
    convexity : array or float
        Bound of half its second derivative along any line: zero if it is concave.
    steepest : array or float
        Bound of the modulus of its second derivatives, relative to those of the convex function
        whose gap is the table's `bend`.
    ceiling : array or float
        Bound of log p itself, in nats; infinite if only its greatest value is known.
    """

    convexity: Array | float = 0.0
    steepest: Array | float = 1.0
    ceiling: Array | float = np.inf

    def greatest(self) -> Curvature:
        """Bounds that hold for all data: the arrays `(N, C)` as `(C,)`."""
        all_of = (self.convexity, self.steepest, self.ceiling)
        return Curvature(*(np.max(np.atleast_1d(v), axis=0) for v in all_of))


@dataclass(frozen=True)
class Responses:
    """Residuals r of data at the centres of cells, and their changes dr to K samples.

    Attributes
    ----------
    value : array (C, L)
        Log p at the centres.
    square : array (C, L)
        Squared lengths r . r.
    along : array (C, L, K)
        r . dr.
    products : array (C, L, K, K)
        dr . dr' for all pairs of samples.
    """

    value: Array
    square: Array
    along: Array
    products: Array


#: For a log p that is concave and whose bend the table itself knows.
CONCAVE = Curvature()


class Table(ABC):
    """log p(x_n given params) for a fixed data set `(N, D)` and any parameters."""

    def __init__(self, likelihood: Density, data: Array) -> None:
        self.likelihood = likelihood
        self.data = data
        #: Greatest value of log p(x_n given params) over the params, (N,), in nats.
        self.peak = likelihood.greatest_log_prob(data)

    #: Condition number of the map to the coordinates: the factor by which rounding errors grow.
    condition = 1.0
    #: Whether log p is a parabola of curvature one in the coordinates, so that the score is the
    #: residual.
    parabolic = False
    #: Whether log p has a summand that is the same for all data, a field over the latent space, and
    #: a parabola of residuals whose slopes depend on the datum: then `rise`, `gap`, `top` and
    #: `responses` are defined.
    field = False

    def take(self, which: Index) -> Table:
        """Return the table of some of the data; of all of them in order, the same table."""
        if np.array_equal(which, np.arange(len(self.data))):
            return self
        return type(self)(self.likelihood, self.data[which])

    def restrict(self, params: Array) -> Array:
        """Clip parameters so far out that every datum is impossible and products would overflow."""
        return params

    def coordinates(self, change: Array) -> Array:
        """Differences of parameters in the table's coordinates, `(..., D)`."""
        return change

    def changes(self, params: Array, start: Array) -> Array:
        """Changes from one point to another in the coordinates, `(..., D), (..., D) -> (..., D)`.

        Leading axes broadcast.
        """
        return self.coordinates(params - start)

    def length(self, point: Array, delta: Array) -> Array:
        """Lengths of changes from points, `(C, D), (C, M, D) -> (C, M)`, for every datum."""
        return np.sqrt(np.einsum("cmd,cmd->cm", delta, delta))

    def sizes(self, point: Array) -> Array:
        """Greatest coordinate of points `(C, D)`: changes are rounded in proportion to it."""
        greatest: Array = np.abs(self.coordinates(point)).max(axis=-1)
        return greatest

    @abstractmethod
    def dense(self, params: Array) -> tuple[Array, Array]:
        """Values of log p at parameters `(M, D)` and the norm of its gradient: two arrays `(N, M)`.

        They are accurate enough for bounds only, because nothing is centred.
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

    def change_to(self, score: Array, datum: Index, point: Array, params: Array) -> Array:
        """Change of log p from `point` to `params`, `(C, D), (C, M, D) -> (C, L, M)`."""
        return self.change(score, datum, point, self.changes(params, point[:, None]))

    @abstractmethod
    def bend(self, point: Array, delta: Array) -> Array:
        """A measure of `delta`, `(C, M, D)`, at `point` for `bend_of`: `(C,)`.

        It is quadratic in small `delta`, and the same for all data.
        """

    def bend_of(self, bend: Array, slope: Array, curvature: Curvature) -> Array:
        """Greatest gap of pairs `(..., C)` between log p and its tangent over some `delta`.

        Parameters
        ----------
        bend : array (..., C)
            See `bend`.
        slope : array (..., C)
            The slope of log p at the points.
        curvature : Curvature
            The curvature in balls that contain the deltas.
        """
        return bend

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        """Relative rounding of integrals of p around points where log p is `log_prob`.

        Parameters
        ----------
        log_prob : array (...)
        datum : array of int (...)
        offset : array (...)
            Log joint there minus `shift`.
        shift : array (...)
            The reference value that is subtracted from log joints, in nats.
        """
        # Only terms within some tens of nats of the greatest matter to the sum.
        lost = self.condition * 2 * np.abs(log_prob - self.peak[datum])
        lost += np.abs(offset) + 24 + np.abs(shift)
        return ULP * lost

    def try_bounds(self, params: Array) -> None:  # noqa: B027 - most tables rest on none
        """Raise a ValueError if the bounds of the family are false for the data near params.

        Parameters
        ----------
        params : array (N, D)
            One parameter vector a datum.
        """

    def noise(self, params: Array) -> Array:
        """Rounding of log p that `rounding` does not include, `(N,)`: a standard deviation in nats.

        Parameters
        ----------
        params : array (N, D)
            One parameter vector a datum.
        """
        return np.zeros(len(self.data))

    def curvature(self, params: Array, reach: Array, datum: Index | None = None) -> Curvature:
        """Bounds of log p in balls around parameters.

        Parameters
        ----------
        params : array (C, D)
        reach : array (C,)
            Radii of the balls.
        datum : array of int (C, L), optional
            Indices of the data; by default all, and the result is `(N, C)`.
        """
        return CONCAVE

    def bounds(
        self, params: Array, reach: Array, lift: Array, datum: Index | None = None
    ) -> Curvature:
        """As `curvature`, in balls in which the field rises by at most `lift`, `(C,)`."""
        return self.curvature(params, reach, datum)

    def upper(self, log_prob: Array, slope: Array, reach: Array, curvature: Curvature) -> Array:
        """Bound of log p in a ball of radius `reach` from its value and slope at the centre."""
        return log_prob + (slope + curvature.convexity * reach) * reach

    # Tables with a field ----------------------------------------------------------------------

    def rise(self, delta: Array) -> Array:
        """Rise of the field along changes, `(..., D) -> (...)`."""
        raise NotImplementedError

    def gap(self, delta: Array) -> Array:
        """Greatest distance of the field from its tangent, `(C, M, D) -> (C,)`."""
        raise NotImplementedError

    def top(self, point: Array) -> Array:
        """Greatest log p of any datum at points, `(C, D) -> (C,)`: the field, and a constant."""
        raise NotImplementedError

    def responses(self, datum: Index, params: Array) -> Responses:
        """Residuals at points `(C, D)` and their changes to others: `params` is `(C, K + 1, D)`.

        Parameters
        ----------
        datum : array of int (C, L)
        params : array (C, K + 1, D)
        """
        raise NotImplementedError

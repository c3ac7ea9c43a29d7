"""Hypothesis strategies for small readable instances.

Every number is a small integer over a small denominator, so that a counterexample shrinks to one
that can be worked out by hand, and the draws do not depend on which modules are loaded. Matrices
are drawn by their spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory._validation import Array
from vaetheory.encoders import AggregatePosterior
from vaetheory.flows.affine import rotation_matrix

T = TypeVar("T")
Vector = tuple[float, ...]
#: Angles, in degrees, of rotations.
ANGLES = st.sampled_from((0, 30, 45, 60, 90))


@cache
def fractions(low: int, high: int, denominator: int = 1) -> SearchStrategy[float]:
    """Numbers k / denominator with low <= k <= high."""
    return st.integers(low, high).map(lambda k: k / denominator)


@cache
def nonzero_fractions(high: int, denominator: int = 1) -> SearchStrategy[float]:
    """Numbers +-k / denominator with 1 <= k <= high."""
    sign = st.sampled_from((1.0, -1.0))
    return st.builds(lambda k, s: s * k / denominator, st.integers(1, high), sign)


@cache
def vectors(dim: int, low: int = -4, high: int = 4, denominator: int = 2) -> SearchStrategy[Vector]:
    """Vectors of `dim` fractions."""
    return st.tuples(*[fractions(low, high, denominator)] * dim)


@st.composite
def repeated(draw: DrawFn, entries: SearchStrategy[T], length: int, most: int = 3) -> tuple[T, ...]:
    """Tuples of any length, of at most a few different entries that come again and again."""
    pattern = draw(st.lists(entries, min_size=1, max_size=most))
    return tuple(pattern[i % len(pattern)] for i in range(length))


def rotation(angles: Sequence[int], dim: int) -> Array:
    """Product of rotations in the planes of neighbouring axes, by angles in degrees."""
    return rotation_matrix(np.radians(angles), dim)


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix by its variances and the angles, in degrees, of its axes."""

    variances: Vector
    angles: tuple[int, ...]

    @property
    def matrix(self) -> Array:
        """The matrix `(d, d)`."""
        turn = rotation(self.angles, len(self.variances))
        return (turn * np.array(self.variances)) @ turn.T


@cache
def angles(dim: int) -> SearchStrategy[tuple[int, ...]]:
    """Rotation angles in degrees, one for each pair of neighbouring axes."""
    return st.tuples(*[ANGLES] * (dim - 1))


@cache
def covariances(
    dim: int, variances: Sequence[float] = (1.0, 0.5, 0.25, 2.0)
) -> SearchStrategy[Covariance]:
    """Covariances of a spectrum from `variances`."""
    return st.builds(Covariance, st.tuples(*[st.sampled_from(variances)] * dim), angles(dim))


#: The hypothesis of instances with `wide_dims`.
WIDE = ("many latents", r"5 \le d \le 32")


@cache
def wide_dims() -> SearchStrategy[int]:
    """Numbers of latents for claims that hold for any number of them."""
    return st.sampled_from((5, 8, 16, 24, 32))


@cache
def wide_covariances(dim: int, variances: Sequence[float]) -> SearchStrategy[Covariance]:
    """Covariances of any dimension, of a few variances and angles that come again and again."""
    return st.builds(
        Covariance,
        repeated(st.sampled_from(variances), dim),
        repeated(ANGLES, dim - 1),
    )


@dataclass(frozen=True)
class EncodedData:
    """A data set and its encoder: one covariance is shared, several are one a datum."""

    X: tuple[Vector, ...]
    loc: tuple[Vector, ...]
    covs: tuple[Covariance, ...]

    @property
    def data(self) -> Array:
        """The data, `(N, D)`."""
        return np.array(self.X)

    @cached_property
    def encoder(self) -> AggregatePosterior:
        """The encoder of the data."""
        if len(self.covs) == 1:
            return AggregatePosterior(np.array(self.loc), cov=self.covs[0].matrix)
        return AggregatePosterior(np.array(self.loc), cov=np.array([c.matrix for c in self.covs]))


@st.composite
def encoded_data(
    draw: DrawFn,
    dim: int,
    data: SearchStrategy[tuple[Vector, ...]],
    *,
    shared: bool | None = None,
    reach: int = 4,
    variances: Sequence[float] = (1.0, 0.5, 0.25, 2.0),
) -> EncodedData:
    """Draw `data` with codes of `dim` dimensions in [-reach / 2, reach / 2]."""
    X = draw(data)
    loc = draw(st.tuples(*[vectors(dim, -reach, reach)] * len(X)))
    common = draw(st.booleans()) if shared is None else shared
    count = 1 if common else len(X)
    return EncodedData(X, loc, draw(st.tuples(*[covariances(dim, variances)] * count)))


@cache
def data_sets(
    data_dim: int, min_size: int = 2, max_size: int = 5, *, distinct: bool = True
) -> SearchStrategy[tuple[Vector, ...]]:
    """Data sets of real vectors."""
    lists = st.lists(vectors(data_dim), min_size=min_size, max_size=max_size, unique=distinct)
    return lists.map(tuple)

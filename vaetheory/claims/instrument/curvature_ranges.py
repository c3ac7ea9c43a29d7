"""Checks of 0g: what families say of the bend of their log densities is true of all parameters.

The evidence engine bounds what it does not look at by these numbers: too small a bound hides mass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Vector
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.rounding import gamma

#: Families with bounds: how each is built from its constants, the constants, and its data.
FAMILIES: dict[str, tuple[Callable[..., ElementwiseLikelihood], tuple[Vector, ...], Vector]] = {
    "Student-t": (
        lambda dof, scale: likelihoods.StudentT(dof=dof, scale=scale),
        ((3.0, 1.0), (1.0, 0.5), (30.0, 0.25)),
        (0.0, 1.0, -2.0),
    ),
    "von Mises": (likelihoods.VonMises, ((1.0,), (4.0,), (0.25,)), (0.0, 1.0, 3.0)),
    "negative binomial": (
        likelihoods.NegativeBinomial,
        ((1.0,), (4.0,), (0.5,)),
        (0.0, 3.0, 40.0),
    ),
    "Beta": (likelihoods.Beta, ((2.0,), (16.0,), (0.5,), (200.0,)), (0.5, 0.25, 0.99, 1e-6)),
}

#: Families whose parameter is a place among the data.
LOCATIONS = ("Student-t", "von Mises")


@dataclass(frozen=True)
class Bends:
    """For each family, in order, which of its constants; all of its data are looked at."""

    constants: tuple[int, ...]

    def members(self) -> list[tuple[str, ElementwiseLikelihood, Array]]:
        """Names, likelihoods and data `(N, 1)`."""
        return [
            (name, build(*constants[i % len(constants)]), np.array(data)[:, None])
            for (name, (build, constants, data)), i in zip(
                FAMILIES.items(), self.constants, strict=True
            )
        ]


def bends() -> SearchStrategy[Bends]:
    """A member of every family."""
    return st.builds(Bends, st.tuples(*[st.integers(0, 3)] * len(FAMILIES)))


def bends_are_bounded(scene: Bends, *, shrunk: str = "", factor: float = 0.9) -> Comparison:
    """Second derivatives over a line of parameters lie between the bounds, which are not idle.

    A bound a hundred times too wide would be true as well, and the search coarse for nothing.
    """
    parts = []
    for name, likelihood, data in scene.members():
        share = factor if name == shrunk else 1.0
        low, high = (share * np.asarray(b) for b in likelihood.curvature_bounds(data))
        width = float(getattr(likelihood, "scale", 1.0))
        # Densities of locations are centred at their data.
        centre = data if name in LOCATIONS else np.zeros_like(data)
        params = centre + width * np.linspace(-12.0, 12.0, 481)
        second, error = _second_derivatives(likelihood, data, params, width)
        size = np.maximum(np.abs(low), np.abs(high))
        parts += [
            Comparison.at_most(low, second, scale=size, differences=error),
            Comparison.at_most(second, high, scale=size, differences=error),
            Comparison.at_most(
                size[:, 0],
                100 * np.abs(second).max(axis=-1),
                scale=size[:, 0],
                differences=100 * error.max(axis=-1),
            ),
        ]
    return Comparison.all_of(*parts)


def _second_derivatives(
    likelihood: ElementwiseLikelihood, data: Array, params: Array, width: float
) -> tuple[Array, Array]:
    """Of log p in its parameter `(N, M)`, by differences, and what they are off by."""
    found = []
    for step in (0.02 * width, 0.04 * width):
        shifts = step * np.arange(-2, 3)
        values = likelihood.log_prob(data[:, None, None], (params[..., None] + shifts)[..., None])
        found.append(values @ np.array([-1, 16, -30, 16, -1]) / (12 * step**2))
    size = 1 + np.abs(values).max(axis=-1)
    # Of fourth order: the finer of two is off by about a fifteenth of their difference.
    return found[0], np.abs(found[0] - found[1]) / 5 + gamma(100) * size / (0.02 * width) ** 2

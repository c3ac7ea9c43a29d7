"""The check of 0g: the families' bounds of the second derivatives of log densities are true.

The evidence engine uses these bounds where it has no samples: too small a bound hides mass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.rounding import gamma

#: Families with bounds: how to build each from its constants, the constants, and its data.
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

#: Families whose parameter is a location.
LOCATIONS = ("Student-t", "von Mises")


@dataclass(frozen=True)
class Bends:
    """For each family, in order, the index of its constants; all of its data are checked."""

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
    """Second derivatives over a line of parameters are within the bounds, which are not loose.

    A bound that is a hundred times too wide would be true as well, but it would slow the search.
    """
    parts = []
    for name, likelihood, data in scene.members():
        share = factor if name == shrunk else 1.0
        low, high = (share * np.asarray(b) for b in likelihood.curvature_bounds(data))
        width = float(getattr(likelihood, "scale", 1.0))
        # A location family is checked about its data.
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


BENDS_ARE_BOUNDED = Proposition(
    label="0g",
    title="The families' bounds of the second derivatives of log densities are true",
    statement=(
        r"c_-(x) \le \partial_\theta^2\log p(x|\theta) \le c_+(x)"
        r"\text{ for all } \theta,\quad \max(|c_-|, |c_+|) \le "
        r"100\,\max_\theta|\partial_\theta^2\log p|"
    ),
    hypotheses=(
        (
            "families that are not concave, or not natural",
            r"\text{Student's } t,\ \text{von Mises, negative binomial, Beta}",
        ),
    ),
    kind="inequality",
    instances=bends(),
    check=bends_are_bounded,
    controls=wrong(
        bends_are_bounded,
        {**{f"nine tenths of them ({name})": {"shrunk": name} for name in FAMILIES}},
    ),
    resolution=1e-3,
    examples=8,
)


def _second_derivatives(
    likelihood: ElementwiseLikelihood, data: Array, params: Array, width: float
) -> tuple[Array, Array]:
    """Second derivatives of log p in its parameter `(N, M)`, by differences, and their errors."""
    estimates = []
    for step in (0.02 * width, 0.04 * width):
        shifts = step * np.arange(-2, 3)
        values = likelihood.log_prob(data[:, None, None], (params[..., None] + shifts)[..., None])
        estimates.append(values @ np.array([-1, 16, -30, 16, -1]) / (12 * step**2))
    size = 1 + np.abs(values).max(axis=-1)
    # Of fourth order: the error of the finer one is about a fifteenth of their difference.
    fine, coarse = estimates
    return fine, np.abs(fine - coarse) / 5 + gamma(100) * size / (0.02 * width) ** 2

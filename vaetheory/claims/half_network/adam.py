"""Checks of 11b-step: the steps of training against Adam as it was published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Vector
from vaetheory.rounding import gamma
from vaetheory.training._adam import Adam


@dataclass(frozen=True)
class Descent:
    """Gradients of one parameter, step by step, their unit, and the learning rate."""

    gradients: Vector
    unit: float
    rate: float


@st.composite
def descents(draw: DrawFn) -> Descent:
    """One to five steps whose first gradient is not nought, some as small as epsilon."""
    gradients = tuple(draw(st.lists(strategies.fractions(-4, 4, 2), min_size=1, max_size=5)))
    assume(gradients[0] != 0)
    unit = draw(st.sampled_from((1.0, 1e3, 1e-7, 1e-8)))
    return Descent(gradients, unit, draw(st.sampled_from((0.1, 1.0, 1e-3))))


def textbook(
    scene: Descent, *, first: bool, second: bool, rooted: bool, slow: float
) -> list[float]:
    """The moves theta_t - theta_0 by the published algorithm, in plain arithmetic."""
    m = v = moved = 0.0
    out = []
    for t, share in enumerate(scene.gradients, 1):
        g = share * scene.unit
        m, v = 0.9 * m + (1 - 0.9) * g, slow * v + (1 - slow) * g * g
        top = m / (1 - 0.9**t) if first else m
        square = v / (1 - slow**t) if second else v
        below = np.sqrt(square + 1e-8) if rooted else np.sqrt(square) + 1e-8
        moved -= scene.rate * top / float(below)
        out.append(moved)
    return out


def steps_are_adams(
    scene: Descent,
    *,
    first: bool = True,
    second: bool = True,
    rooted: bool = False,
    slow: float = 0.999,
) -> Comparison:
    """The parameter after every step, and the length of the first step."""
    expected = textbook(scene, first=first, second=second, rooted=rooted, slow=slow)
    adam, params, found = Adam(1, scene.rate), np.zeros(1), []
    for share in scene.gradients:
        adam.step(params, np.array([share * scene.unit]))
        found.append(float(params[0]))
    # Moments of the gradients of other signs cancel at most to their rounding, which is that of
    # 1 - 0.999 before it is divided by: 1,000 units.
    size = scene.rate * len(expected)
    length = abs(scene.gradients[0]) * scene.unit
    return Comparison.all_of(
        Comparison.identity(found, expected, scale=size, rounding=gamma(4000) * size),
        Comparison.identity(
            abs(found[0]),
            scene.rate * length / (length + 1e-8),
            scale=size,
            rounding=gamma(4000) * size,
        ),
    )

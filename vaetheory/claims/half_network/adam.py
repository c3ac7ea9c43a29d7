"""Check of 11b-step: the steps of training against Adam as it was published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.half_network.scenes import ADAM
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
    """One to five steps whose first gradient is not zero, some as small as epsilon."""
    gradients = tuple(draw(st.lists(strategies.fractions(-4, 4, 2), min_size=1, max_size=5)))
    assume(gradients[0] != 0)
    unit = draw(st.sampled_from((1.0, 1e3, 1e-7, 1e-8)))
    return Descent(gradients, unit, draw(st.sampled_from((0.1, 1.0, 1e-3))))


def textbook(
    scene: Descent, *, first: bool, second: bool, rooted: bool, slow: float
) -> list[float]:
    """The moves theta_t - theta_0 by the published algorithm, in plain arithmetic."""
    m = v = moved = 0.0
    moves = []
    for t, share in enumerate(scene.gradients, 1):
        g = share * scene.unit
        m, v = 0.9 * m + (1 - 0.9) * g, slow * v + (1 - slow) * g * g
        top = m / (1 - 0.9**t) if first else m
        square = v / (1 - slow**t) if second else v
        below = np.sqrt(square + 1e-8) if rooted else np.sqrt(square) + 1e-8
        moved -= scene.rate * top / float(below)
        moves.append(moved)
    return moves


def steps_are_adams(
    scene: Descent,
    *,
    first: bool = True,
    second: bool = True,
    rooted: bool = False,
    slow: float = 0.999,
) -> Comparison:
    """Compare the parameter after every step with the algorithm, and the first step's length."""
    expected = textbook(scene, first=first, second=second, rooted=rooted, slow=slow)
    adam, params, moves = Adam(1, scene.rate), np.zeros(1), []
    for share in scene.gradients:
        adam.step(params, np.array([share * scene.unit]))
        moves.append(float(params[0]))
    # Gradients of different signs may cancel in the moments down to rounding, which the division
    # by 1 - 0.999 enlarges 1,000 times.
    size = scene.rate * len(expected)
    length = abs(scene.gradients[0]) * scene.unit
    return Comparison.all_of(
        Comparison.identity(moves, expected, scale=size, rounding=gamma(4000) * size),
        Comparison.identity(
            abs(moves[0]),
            scene.rate * length / (length + 1e-8),
            scale=size,
            rounding=gamma(4000) * size,
        ),
    )


ADAM_STEPS = Proposition(
    label="11b-step",
    title="Steps of training are Adam's, with both bias corrections",
    statement=(
        r"\theta_t = \theta_{t-1} - \alpha\,\frac{m_t/(1-\beta_1^t)}"
        r"{\sqrt{v_t/(1-\beta_2^t)} + \epsilon},\quad "
        r"m_t = \beta_1 m_{t-1} + (1-\beta_1)g_t,\ "
        r"v_t = \beta_2 v_{t-1} + (1-\beta_2)g_t^2;"
        r"\quad |\theta_1 - \theta_0| = \alpha \text{ but for } \epsilon"
    ),
    hypotheses=(ADAM,),
    kind="identity",
    instances=descents(),
    check=steps_are_adams,
    controls=wrong(
        steps_are_adams,
        {
            "no correction of m": {"first": False},
            "no correction of v": {"second": False},
            "epsilon under the root": {"rooted": True},
            "0.9 for 0.999": {"slow": 0.9},
        },
    ),
    uses=("11b",),
)

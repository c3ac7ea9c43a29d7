"""Check of 10a-sampled: sampled reconstructions make the term optimistic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory._gaussians import LOG_2PI
from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.baggins.scenes import MOMENTS, TERM
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class SampledScene:
    """Two residuals, each with probability 1/2, and the presumed information."""

    one: float
    other: float
    information: float


def sampled_scenes() -> st.SearchStrategy[SampledScene]:
    """Two residuals of different size."""
    residual = strategies.fractions(0, 8, 4)
    level = st.sampled_from((1.0, 0.5, 0.0))
    scenes = st.builds(SampledScene, residual, residual, level)
    return scenes.filter(lambda s: s.one != s.other)


def sampled_coefficient(scene: SampledScene) -> float:
    """Var(e^2) / (4 sigma^4) for data of spread one."""
    squares = np.array([scene.one, scene.other]) ** 2
    variance = squares.mean() + np.exp(-2 * scene.information)
    return float(squares.var() / (4 * variance**2))


def sampled_excess(scene: SampledScene, size: int) -> tuple[float, float]:
    """Mean of the term over all samples of a batch, minus the term at the mean residual."""
    from scipy.stats import binom

    # A column for each number of data that drew the other residual.
    drawn = np.arange(size)[:, None] < np.arange(size + 1)
    x = np.where(np.arange(size) % 2, 1.0, -1.0)[:, None] * np.ones(size + 1)
    term = baggins(x, x + np.where(drawn, scene.other, scene.one), information=scene.information)
    values = -0.5 * (1 + LOG_2PI) - np.asarray(term.log_scale)
    both = x[:2, :1] + np.array([[scene.one], [scene.other]])
    limit = float(baggins(x[:2, :1], both, information=scene.information).value)
    p = binom.pmf(np.arange(size + 1), size, 0.5)
    rounding = gamma(200) * (3 + float(np.abs(values).max())) + gamma(50 * np.log(size)) * float(
        p @ np.abs(values - limit)
    )
    return float(p @ (values - limit)), rounding


def sampled_optimism(
    scene: SampledScene, *, factor: float = 1.0, exponent: float = 2.0
) -> Comparison:
    """Check exponent and coefficient of the mean excess of sampled reconstructions."""
    sizes = 32 * 4 ** np.arange(3)
    excess, errors = np.array([sampled_excess(scene, int(b)) for b in sizes]).T
    coefficient = factor * sampled_coefficient(scene)
    return power_law(
        excess,
        errors,
        1 / np.sqrt(sizes),
        exponent=exponent,
        coefficient=coefficient,
        rounding=gamma(100) * coefficient,
    )


SAMPLED_OPTIMISM = Proposition(
    label="10a-sampled",
    title="With sampled reconstructions the term is optimistic, in proportion to 1 / B",
    statement=(
        r"\mathbb E[T(\hat x \text{ sampled})] - T(r) = \sum_i"
        r"\frac{\mathrm{Var}[(x_i - \hat x_i)^2]}{4B\sigma_i^4} + O(B^{-2})"
    ),
    hypotheses=(
        MOMENTS,
        TERM,
        (
            "one sample a datum",
            r"x_i - \hat x_i \text{ independent, one of two values with probability } 1/2",
        ),
    ),
    kind="rate",
    instances=sampled_scenes(),
    check=sampled_optimism,
    controls=wrong(
        sampled_optimism,
        {
            "a lower bound in the mean": {"factor": -1.0},
            "1/2 for 1/4": {"factor": 2.0},
            "1 / sqrt(B)": {"exponent": 1.0},
        },
    ),
    uses=("10a",),
    figure="baggins",
    resolution=0.09,
    examples=6,
)

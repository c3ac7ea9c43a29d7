"""The check of 0c: the disagreement of shifted lattices bounds their error.

There are two adversaries. On a line, two ripples that alias to constants on the lattices: the
second ripple is a quarter of the first, and the phases are those that hide the error best. On the
plane and in space, a Gaussian narrower than the frame of its lattices, for many centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.grid import INNER
from vaetheory._quadrature.shifted_lattices import SHIFTS, Lattices
from vaetheory._quadrature.whitened_lattice import lattice_rule
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.designed import Designed, Wave
from vaetheory.claims.instrument.stated_errors import SHARPER, covered
from vaetheory.rounding import gamma

_SECOND = 0.25
_PHASES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
#: Centres of a narrow Gaussian along each axis, by dimension.
_CENTRES = {
    2: (np.arange(-8, 9) / 8, np.arange(-10, 11) / 10, np.arange(-7, 8) / 7),
    3: (np.arange(-3, 4) / 5,),
}

#: Width of Gaussians outside the core.
_BROAD = 1.5


@dataclass(frozen=True)
class Ripples:
    """Number of steps of the lattices, and the cycles of the two ripples in a step."""

    count: int
    cycles: tuple[int, int]


@dataclass(frozen=True)
class Narrow:
    """Lattices of a dimension, step and core, and the width of a Gaussian in their frame."""

    dim: int
    step: float
    core: float
    width: float


def lattices() -> SearchStrategy[Ripples | Narrow]:
    """Lattices on a line, on the plane and in space, each with an integrand that is hard for it."""
    ripples = st.builds(
        Ripples,
        st.sampled_from((48, 64, 96)),
        st.sampled_from(((1, 2), (4, 5), (3, 7), (5, 8), (9, 4))),
    )
    sizes = ((2, 0.8, 9.0), (2, 0.66, 9.5), (2, 0.56, 10.5), (3, 0.88, 9.0), (3, 0.72, 9.5))
    narrow = st.builds(
        lambda size, width: Narrow(size[0], size[1], size[2], width),
        st.sampled_from(sizes),
        st.sampled_from((0.5, 0.625, 0.75)),
    )
    return st.one_of(narrow, ripples)


def disagreement_covers(scene: Ripples | Narrow, *, share: float = 1.0) -> Comparison:
    """Compare true errors of lattices with the errors stated from their disagreement."""
    if isinstance(scene, Ripples):
        off, figure, lost = _ripples(scene)
        return covered(off, share * figure, lost)
    return Comparison.all_of(*[covered(a, share * b, c) for a, b, c in _narrow(scene)])


DISAGREEMENT_COVERS = Proposition(
    label="0c",
    title="The disagreement of shifted lattices bounds their error",
    statement=(
        r"\Big|\frac1L\sum_l Q_l - \int g\Big| \le "
        r"s_d\,\big(\max_l Q_l - \min_l Q_l\big) + \text{what is outside the core}"
    ),
    hypotheses=(
        (
            "on a line",
            r"g \text{ with ripples that lattices take for constants, the second a "
            r"quarter of the first}",
        ),
        (
            "on the plane, in space",
            r"g = \mathcal N(c, \tau^2 I),\ \tau \ge \tfrac12,\ c \text{ on a grid}",
        ),
    ),
    kind="inequality",
    instances=lattices(),
    check=disagreement_covers,
    controls=wrong(
        disagreement_covers,
        {
            "a third of the safety factors": {"share": 1 / 3},
            "the disagreement itself": {"share": 0.1},
        },
    ),
    resolution=SHARPER,
    examples=30,
)


def _hidden_best(scene: Ripples) -> tuple[float, float]:
    """Phases of the two ripples at which their aliases agree best between the lattices."""
    shifts = SHIFTS[1][:, 0]
    first, second = (np.cos(_PHASES[:, None] + 2 * np.pi * c * shifts) for c in scene.cycles)
    aliases = first[:, None] + _SECOND * second
    spread = np.ptp(aliases, axis=-1)
    worst = np.abs(aliases.mean(axis=-1)) / np.maximum(spread, 1e-12)
    at = np.unravel_index(worst.argmax(), worst.shape)
    return float(_PHASES[at[0]]), float(_PHASES[at[1]])


@lru_cache(maxsize=32)
def _ripples(scene: Ripples) -> tuple[float, float, float]:
    """The true error of the mean of the lattices, the stated error, and that of the reference."""
    # A node of a lattice at -8 + (i + shift) h sees a ripple of c cycles a step at its phase.
    unit = 2 * np.pi * scene.count / (2 * INNER)
    phases = _hidden_best(scene)
    waves = tuple(
        Wave(weight, (unit * c,), float(phase + INNER * unit * c))
        for c, phase, weight in zip(
            scene.cycles, phases, (0.0, float(np.log(_SECOND))), strict=True
        )
    )
    designed = Designed(waves)
    model = designed.model
    part, shift, _ = Lattices.over(1, scene.count).integrate(
        model, model.likelihood.table(np.ones((1, 1))), None
    )
    truth, lost = designed.log_evidence()
    size = float(part.value[0])
    value = size * float(np.exp(shift[0] - float(truth)))
    # The prior beyond the box has mass 1e-15; the phases are some hundreds, and are rounded.
    lost += gamma(64 + 8 * unit * max(scene.cycles) * INNER)
    return abs(value - 1), float(part.error[0, 0]) / size, lost


@lru_cache(maxsize=32)
def _narrow(scene: Narrow) -> list[tuple[float, float, float]]:
    """The same for a narrow Gaussian at every centre."""
    rule = lattice_rule(scene.dim, scene.step, scene.core)
    weights = np.exp(rule.log_weights) / (2 * np.pi * scene.width**2) ** (scene.dim / 2)
    rows = []
    for line in _CENTRES[scene.dim]:
        columns = [
            np.exp(-0.5 * ((rule.nodes[:, j] - line[:, None]) / scene.width) ** 2)
            for j in range(scene.dim)
        ]
        # One centre of the first axis at a time, to save memory.
        rest: Array = columns[-1]
        for column in columns[-2:0:-1]:
            rest = (column[:, None] * rest).reshape(-1, len(weights))
        for first in columns[0]:
            value, error = rule.integrate(rest * (first * weights))
            lost = gamma(16 + np.log2(len(weights))) * np.ones(len(value))
            rows += list(
                zip(np.abs(value - 1).tolist(), error.tolist(), lost.tolist(), strict=True)
            )
    return rows + _outside(scene) if scene.dim == 2 else rows


def _outside(scene: Narrow) -> list[tuple[float, float, float]]:
    """The same for broad Gaussians on rings outside the core, where nodes are sparse."""
    rule = lattice_rule(2, scene.step, scene.core)
    radius, angle = np.meshgrid(np.linspace(scene.core + 0.5, 11.0, 6), np.linspace(0, np.pi, 25))
    centres = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    square = ((rule.nodes - centres[:, None]) ** 2).sum(axis=-1) / _BROAD**2
    density = np.exp(rule.log_weights - 0.5 * square) / (2 * np.pi * _BROAD**2)
    value, error = rule.integrate(density)
    lost = gamma(16 + np.log2(len(rule.nodes)))
    # The lattices end at twelve; a thousandth of these Gaussians is beyond.
    return [(abs(v - 1), e, lost) for v, e in zip(value.tolist(), error.tolist(), strict=True)]

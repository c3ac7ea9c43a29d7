"""Check of 10c: how a change of units changes the term and its gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from autograd import grad
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes, library_term
from vaetheory.rounding import EPS, gamma


@dataclass(frozen=True)
class ScaledScene:
    """A fit, and a change of units x -> sign 10^power (x + shift) for each dimension."""

    fit: FitScene
    powers: tuple[int, ...]
    signs: Vector
    shifts: Vector

    @property
    def factors(self) -> Array:
        """The factors a, `(D,)`."""
        return np.array(self.signs) * 10.0 ** np.array(self.powers)


@st.composite
def scaled_scenes(draw: DrawFn) -> ScaledScene:
    """Factors from 1e-6 to 1e6, the same for all dimensions if they are pooled."""
    fit = draw(fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)))
    dim = len(fit.x[0])
    powers = draw(st.tuples(*[st.integers(-6, 6)] * dim))
    signs = draw(st.tuples(*[st.sampled_from((1.0, -1.0))] * dim))
    if fit.pooled:
        powers = powers[:1] * dim
    shifts = draw(st.tuples(*[strategies.fractions(-100, 100)] * dim))
    return ScaledScene(fit, powers, signs, shifts)


def change_of_units(
    scene: ScaledScene,
    *,
    sign: float = -1.0,
    power: float = 1.0,
    relative: float = 1.0,
) -> Comparison:
    """Check that the value shifts by -sum log|a| and the relative gradient stays the same.

    `relative` is the power of |a| by which the gradient is multiplied.
    """
    fit, a, shift = scene.fit, scene.factors, np.array(scene.shifts)
    x, xhat = fit.data, fit.fits
    moved, moved_fit = a * (x + shift), a * (xhat + shift)
    value, information = library_term(fit, x, xhat)
    other, other_information = library_term(fit, moved, moved_fit)
    # Rounding in the new units changes sigma: each entry is off by a few of its own roundings.
    largest = np.maximum(np.abs(x + shift), np.abs(xhat + shift)).max(axis=0)
    deviation = baggins(x, xhat, **fit.options).scale
    lost = 8 * EPS * (largest.max() if fit.pooled else largest) / deviation
    size = 10 + abs(value) + np.abs(np.log(np.abs(a))).sum()
    rounding = gamma(100) * size + 2 * lost.sum()
    shift_of_value = sign * power * np.log(np.abs(a)).sum()

    def slope(data: Array, fits: Array) -> Array:
        return np.asarray(grad(lambda f: baggins(data, f, **fit.options).value)(fits))

    before = slope(x, xhat)
    after = slope(moved, moved_fit) * np.sign(a) * np.abs(a) ** relative
    count = len(x)
    # The gradient is (x - xhat) / (B sigma^2), and both factors are off.
    steep = (gamma(100) + 4 * lost) * np.abs(before) + 2 * lost / (count * deviation)
    return Comparison.all_of(
        Comparison.identity(other, value + shift_of_value, scale=size, rounding=rounding),
        Comparison.identity(other_information, information, scale=size, rounding=rounding),
        Comparison.identity(after, before, scale=1 / deviation, rounding=steep),
    )


CHANGE_OF_UNITS = Proposition(
    label="10c",
    title="A change of units shifts the term and leaves the relative gradient",
    statement=(
        r"x \to ax + b:\quad T \to T - \sum_i\log|a_i|,\quad "
        r"a_i\,\partial T/\partial\hat x_i \text{ and } \tfrac12\log(v_i/\sigma_i^2)"
        r"\text{ unchanged}"
    ),
    hypotheses=(
        MOMENTS,
        TERM,
        (
            "change of units",
            r"a_i \ne 0;\ |a_i| \text{ the same for all } i"
            r"\text{ where pooled}",
        ),
    ),
    kind="identity",
    instances=scaled_scenes(),
    check=change_of_units,
    controls=wrong(
        change_of_units,
        {
            "the shift of the wrong sign": {"sign": 1.0},
            "the shift of the squared factor": {"power": 2.0},
            "the gradient in absolute coordinates unchanged": {"relative": 0.0},
            "the gradient as with a fixed sigma": {"relative": -1.0},
        },
    ),
    figure="baggins",
)

"""Check of 5b and 5b-wide: the cost of Hessians that vary little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Variation:
    """Hessians A_n = mean + t (V_n - mean of V); V_n by its entries on and above the diagonal."""

    mean: Covariance
    entries: tuple[Vector, ...]

    def directions(self) -> Array:
        """V_n minus their mean, `(N, d, d)`."""
        dim = len(self.mean.variances)
        matrices = np.zeros((len(self.entries), dim, dim))
        upper = np.triu_indices(dim)
        matrices[:, upper[0], upper[1]] = matrices[:, upper[1], upper[0]] = self.entries
        return matrices - matrices.mean(axis=0)


@st.composite
def variations(draw: DrawFn) -> Variation:
    """Two to four different Hessians of up to three dimensions."""
    dim, count = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    entries = draw(st.tuples(*[strategies.vectors(dim * (dim + 1) // 2, -3, 3, 1)] * count))
    assume(len(set(entries)) > 1)
    return Variation(draw(strategies.covariances(dim, (1.0, 2.0, 0.5, 4.0))), entries)


def _whitened(scene: Variation) -> Array:
    white = np.linalg.inv(np.linalg.cholesky(scene.mean.matrix))
    return np.asarray(white @ scene.directions() @ white.T)


def _quarter_norm(scene: Variation) -> float:
    return 0.25 * float((_whitened(scene) ** 2).sum(axis=(-2, -1)).mean())


def half_norm(scene: Variation) -> float:
    """A coefficient 1/2."""
    return 2 * _quarter_norm(scene)


def plain_norm(scene: Variation) -> float:
    """The Frobenius norm of the variation itself, not relative to the mean."""
    return 0.25 * float((scene.directions() ** 2).sum(axis=(-2, -1)).mean())


def small_variations(
    scene: Variation,
    *,
    coefficient: Callable[[Variation], float] = _quarter_norm,
    exponent: float = 2.0,
    third: float = -1 / 6,
) -> Comparison:
    """Check the even and the odd part of the penalty as the size t of the variation falls."""
    mean, directions, white = scene.mean.matrix, scene.directions(), _whitened(scene)
    scales = 0.125 / float(np.linalg.norm(white, axis=(-2, -1)).max()) / 2.0 ** np.arange(6)
    steps = scales[:, None, None, None] * directions
    up, down = (constant_variance_penalty(mean + s * steps) for s in (1, -1))
    rounding = gamma(200) * float(np.linalg.cond(mean)) ** 2
    # The mean plus a step is rounded, so the variation is known to the mean's last digit only.
    blurred = gamma(4) * float(np.linalg.cond(mean)) * np.sqrt(np.maximum(up.value, down.value))
    errors = up.error + down.error + blurred
    value = coefficient(scene)
    parts = [
        power_law(
            (up.value + down.value) / 2,
            errors,
            scales,
            exponent=exponent,
            coefficient=value,
            rounding=rounding * abs(value),
        )
    ]
    cubes = np.einsum("nij,njk,nki->n", white, white, white)
    odd, size = third * float(cubes.mean()), float(np.linalg.norm(white, axis=(-2, -1)).max()) ** 3
    # Where the third moment vanishes there is no odd part to measure.
    if abs(odd) > 1e-3 * size:
        parts.append(
            power_law(
                (up.value - down.value) / 2,
                errors,
                scales,
                exponent=3.0,
                coefficient=odd,
                rounding=rounding * size,
            )
        )
    # The library's own leading term, at every size of the variation.
    for penalty in (up, down):
        parts.append(
            Comparison.identity(
                penalty.second_order, value * scales**2, scale=abs(value) * scales[0] ** 2,
                rounding=rounding * (abs(value) + size) * scales**2, blurred=blurred * scales,
            )
        )  # fmt: skip
    return Comparison.all_of(*parts)


_WRONG = {
    "a coefficient 1/2": {"coefficient": half_norm},
    "the variation not relative to the mean": {"coefficient": plain_norm},
    "order t": {"exponent": 1.0},
    "a third order of the other sign": {"third": 1 / 6},
}

SMALL_VARIATIONS = Proposition(
    label="5b",
    title="Small variations cost a quarter of their squared relative size",
    statement=(
        r"P = \tfrac14\mathbb E\|\bar A^{-1/2}(A - \bar A)\bar A^{-1/2}\|_F^2"
        r" - \tfrac16\mathbb E\operatorname{tr}\big(\bar A^{-1}(A - \bar A)\big)^3"
        r" + O(4)"
    ),
    hypotheses=(("small", r"A_n = \bar A + t V_n,\ t \to 0"),),
    kind="rate",
    instances=variations(),
    check=small_variations,
    controls=wrong(small_variations, _WRONG),
    uses=("5a",),
    resolution=1e-3,
)


@st.composite
def wide_variations(draw: DrawFn) -> Variation:
    """Two or three different Hessians of up to 32 dimensions."""
    dim, count = draw(strategies.wide_dims()), draw(st.integers(2, 3))
    # Up to seven entries that come again and again fill the triangle.
    entry = strategies.repeated(strategies.fractions(-3, 3), dim * (dim + 1) // 2, 7)
    entries = draw(st.tuples(*[entry] * count))
    assume(len(set(entries)) > 1)
    return Variation(draw(strategies.wide_covariances(dim, (1.0, 2.0, 0.5, 4.0))), entries)


WIDE_VARIATIONS = Proposition(
    label="5b-wide",
    title="In many dimensions as well small variations cost a quarter of their squared size",
    statement=SMALL_VARIATIONS.statement,
    hypotheses=(*SMALL_VARIATIONS.hypotheses, strategies.WIDE),
    kind="rate",
    instances=wide_variations(),
    check=small_variations,
    controls=wrong(small_variations, _WRONG),
    uses=("5b",),
    resolution=1e-3,
    examples=6,
)

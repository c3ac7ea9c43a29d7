"""Checks of 5a-wide, 5b-wide and 5c-wide: the cost of a constant variance with up to 32 latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.block_products import BlockModel
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.constant_variance.greatest_penalty import (
    GREATEST_PENALTY,
    Bounded,
    equal_weights,
    greatest_penalty,
    one_dimension,
    specht_of_the_root,
)
from vaetheory.claims.constant_variance.second_order import (
    SECOND_ORDER_PENALTY,
    inverse_mean,
    log_of_mean_determinant,
    mean_inverse,
    penalty_identity,
    second_order_penalty,
    twice_the_penalty,
)
from vaetheory.claims.constant_variance.small_variations import (
    SMALL_VARIATIONS,
    Variation,
    half_norm,
    plain_norm,
    small_variations,
)
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.decoders import Decoder
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma

_DIMS = (5, 8, 16, 24, 32)
_WIDE = ("many latents", r"5 \le d \le 32")
_ENTRIES = strategies.fractions(-4, 4, 2)


def _wide_covariances(dim: int, variances: tuple[float, ...]) -> st.SearchStrategy[Covariance]:
    return st.builds(
        Covariance,
        strategies.repeated(st.sampled_from(variances), dim),
        strategies.repeated(strategies.ANGLES, dim - 1),
    )


# 5a-wide ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WideData:
    """Blocks of one or two latents behind a rotation, a noise, weighted data, a covariance."""

    blocks: tuple[Decoder, ...]
    seed: int
    scale: float
    X: tuple[Vector, ...]
    weights: Vector
    other: Covariance

    @cached_property
    def whole(self) -> BlockModel:
        """The model and its parts."""
        return BlockModel.of(self.blocks, likelihoods.Gaussian(scale=self.scale), self.seed)

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return self.whole.model

    @cached_property
    def in_parts(self) -> list[tuple[Array, Array]]:
        """Modes and Hessians of each part; those of equal parts are found at once."""
        parts = self.whole.parts
        cuts = np.split(np.array(self.X), len(parts), axis=1)
        found: dict[int, tuple[Array, Array]] = {}
        for first in {self.blocks.index(block) for block in self.blocks}:
            equal = [i for i, block in enumerate(self.blocks) if block == self.blocks[first]]
            x = np.stack([cuts[i] for i in equal])
            modes = posterior_mode(parts[first], x)
            hessians = parts[first].potential_derivatives(x, modes)[1]
            found |= dict(zip(equal, zip(modes, hessians, strict=True), strict=True))
        return [found[i] for i in range(len(parts))]

    def modes(self) -> tuple[Array, Array, Array]:
        """Modes, joined from those of the parts; Hessians of the whole there; weights."""
        return self._modes

    @cached_property
    def _modes(self) -> tuple[Array, Array, Array]:
        turn = self.model.decoder.rotation  # type: ignore[attr-defined]
        modes = np.concatenate([modes for modes, _ in self.in_parts], axis=1) @ turn.T
        hessians = self.model.potential_derivatives(np.array(self.X), modes)[1]
        weights = np.array(self.weights)
        return modes, hessians, weights / weights.sum()


@st.composite
def wide_data(draw: DrawFn) -> WideData:
    """Two to four data of products of one or two kinds of blocks, with definite Hessians."""
    dim, each = draw(st.sampled_from(_DIMS)), draw(st.sampled_from((1, 1, 2)))
    count = max(1, dim // each)
    blocks = draw(strategies.repeated(curves() if each == 1 else surfaces(), count, 2))
    data = st.lists(
        strategies.repeated(_ENTRIES, 2 * count, 6), min_size=2, max_size=4, unique=True
    )
    X = tuple(draw(data))
    scene = WideData(
        blocks,
        draw(st.integers(0, 99)),
        draw(st.sampled_from((1.0, 0.5, 0.25))),
        X,
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 5.0))] * len(X))),
        draw(_wide_covariances(count * each, (1.0, 0.5, 0.25, 2.0))),
    )
    assume(all(np.linalg.eigvalsh(hessians).min() > 1e-3 for _, hessians in scene.in_parts))
    return scene


@once
def _sum_over_parts(scene: WideData) -> tuple[float, float]:
    """The sum of the parts' penalties, and its rounding."""
    weights = np.array(scene.weights)
    found = [constant_variance_penalty(A, weights=weights) for _, A in scene.in_parts]
    return float(sum(p.value for p in found)), float(sum(p.error for p in found))


def wide_penalty(
    scene: WideData,
    *,
    penalty: Callable[[Array, Array], float] = second_order_penalty,
    best: Callable[[Array, Array], Array] = inverse_mean,
) -> Comparison:
    """The check of 5a; and the penalty is the sum of those of independent blocks."""
    _, A, weights = scene.modes()
    library = constant_variance_penalty(A, weights=weights)
    added, error = _sum_over_parts(scene)
    condition = float(np.linalg.cond(A).max())
    return Comparison.all_of(
        penalty_identity(scene, penalty=penalty, best=best),
        Comparison.identity(
            penalty(A, weights),
            added,
            scale=1 + added,
            library=library.error,
            parts=error,
            rounding=gamma(100 * A.shape[-1]) * condition * (1 + added),
        ),
    )


WIDE_PENALTY = Proposition(
    label="5a-wide",
    title="In many dimensions as well, and independent blocks add their costs",
    statement=(
        SECOND_ORDER_PENALTY.statement + r";\quad P = \sum_b P_b \text{ if }"
        r" A_n = Q\,\mathrm{diag}(A_{n,1}, A_{n,2}, \dots)\,Q^\top"
    ),
    hypotheses=(*SECOND_ORDER_PENALTY.hypotheses, _WIDE),
    kind="identity",
    instances=wide_data(),
    check=wide_penalty,
    controls=wrong(
        wide_penalty,
        {
            "log E in place of E log": {"penalty": log_of_mean_determinant},
            "the mean covariance as the best": {"best": mean_inverse},
            "no factor 1/2": {"penalty": twice_the_penalty},
        },
    ),
    uses=("5a",),
    examples=4,
)


# 5b-wide and 5c-wide ----------------------------------------------------------------------------


@st.composite
def wide_variations(draw: DrawFn) -> Variation:
    """Two or three different Hessians of up to 32 dimensions."""
    dim, count = draw(st.sampled_from(_DIMS)), draw(st.integers(2, 3))
    # Seven entries that come again and again make matrices without visible structure.
    entry = strategies.repeated(strategies.fractions(-3, 3), dim * (dim + 1) // 2, 7)
    entries = draw(st.tuples(*[entry] * count))
    assume(len(set(entries)) > 1)
    return Variation(draw(_wide_covariances(dim, (1.0, 2.0, 0.5, 4.0))), entries)


WIDE_VARIATIONS = Proposition(
    label="5b-wide",
    title="In many dimensions as well small variations cost a quarter of their squared size",
    statement=SMALL_VARIATIONS.statement,
    hypotheses=(*SMALL_VARIATIONS.hypotheses, _WIDE),
    kind="rate",
    instances=wide_variations(),
    check=small_variations,
    controls=wrong(
        small_variations,
        {
            "a coefficient 1/2": {"coefficient": half_norm},
            "the variation not relative to the mean": {"coefficient": plain_norm},
            "order t": {"exponent": 1.0},
            "a third order of the other sign": {"third": 1 / 6},
        },
    ),
    uses=("5b",),
    resolution=1e-3,
    examples=6,
)


@st.composite
def wide_bounded(draw: DrawFn) -> Bounded:
    """Up to four Hessians of up to 32 dimensions; two of them attain the ends of the interval."""
    dim, count = draw(st.sampled_from(_DIMS)), draw(st.integers(1, 2))
    places = _wide_covariances(dim, (0.0, 1.0, 0.5, 0.25))
    ends = tuple(Covariance((end,) * dim, (0,) * (dim - 1)) for end in (0.0, 1.0))
    return Bounded(
        draw(st.sampled_from((1.0, 1e-6, 1e6))),
        draw(st.sampled_from((2.0, 10.0, 1.25, 1000.0))),
        (*ends, *draw(st.tuples(*[places] * count))),
        draw(st.tuples(*[st.sampled_from((1.0, 3.0, 0.25))] * (count + 2))),
    )


WIDE_GREATEST_PENALTY = Proposition(
    label="5c-wide",
    title="In many dimensions as well the cost is at most d/2 times log Specht(M/m)",
    statement=GREATEST_PENALTY.statement,
    hypotheses=(*GREATEST_PENALTY.hypotheses, _WIDE),
    kind="inequality",
    instances=wide_bounded(),
    check=greatest_penalty,
    controls=wrong(
        greatest_penalty,
        {
            "Specht's ratio of the root of h": {"bound": specht_of_the_root},
            "the two ends in equal weights": {"bound": equal_weights},
            "no factor d": {"bound": one_dimension},
        },
    ),
    uses=("5c",),
    examples=8,
)

"""Check of 5a-wide: the cost of a constant variance with up to 32 latents."""

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
from vaetheory.claims.constant_variance.second_order import (
    SECOND_ORDER_PENALTY,
    inverse_mean,
    log_of_mean_determinant,
    mean_inverse,
    penalty_identity,
    second_order_penalty,
    twice_the_penalty,
)
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.decoders import Decoder
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma


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
    dim, each = draw(strategies.wide_dims()), draw(st.sampled_from((1, 1, 2)))
    count = max(1, dim // each)
    blocks = draw(strategies.repeated(curves() if each == 1 else surfaces(), count, 2))
    datum = strategies.repeated(strategies.fractions(-4, 4, 2), 2 * count, 6)
    data = st.lists(datum, min_size=2, max_size=4, unique=True)
    X = tuple(draw(data))
    scene = WideData(
        blocks,
        draw(st.integers(0, 99)),
        draw(st.sampled_from((1.0, 0.5, 0.25))),
        X,
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 5.0))] * len(X))),
        draw(strategies.wide_covariances(count * each, (1.0, 0.5, 0.25, 2.0))),
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
    hypotheses=(*SECOND_ORDER_PENALTY.hypotheses, strategies.WIDE),
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

"""Small training runs for the checks of claim 11: a handful of data, a few hidden units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory._validation import Array
from vaetheory.claims.strategies import Vector, vectors
from vaetheory.training import OBJECTIVES, Settings, Split, Vae

_COUNT = 8


@dataclass(frozen=True)
class TinyRun:
    """An objective, its training data, which also validate, and the seed of the run."""

    X: tuple[Vector, ...]
    objective: str
    latent_dim: int
    information: float
    seed: int
    units: str = "pooled"

    @property
    def settings(self) -> Settings:
        """Three hidden units, batches of four, looks at every epoch."""
        return Settings(
            latent_dim=self.latent_dim,
            hidden=(3,),
            batch=4,
            epochs=6,
            every=2,
            patience=4,
            rate=0.02,
            units=self.units,
        )

    def data(self, factor: float = 1.0) -> Split:
        """The data, times a factor."""
        X = factor * np.array(self.X)
        return Split(X, X[:4], X[4:])

    def vae(self, factor: float = 1.0) -> Vae:
        """The VAE in the units of the data times a factor."""
        train = self.data(factor).train
        return self.settings.model(OBJECTIVES[self.objective], train, self.information)

    def instead(self, **changes: object) -> TinyRun:
        """The same run with something changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


@st.composite
def tiny_runs(draw: DrawFn, objectives: tuple[str, ...] = tuple(OBJECTIVES)) -> TinyRun:
    """Data of two or three dimensions that vary in every batch."""
    dim = draw(st.sampled_from((2, 3)))
    # Columns of different entries: no batch is constant.
    rows: SearchStrategy[list[Vector]] = st.lists(
        vectors(dim, -8, 8),
        min_size=_COUNT,
        max_size=_COUNT,
        unique_by=tuple(itemgetter(i) for i in range(dim)),
    )
    return TinyRun(
        tuple(draw(rows)),
        draw(st.sampled_from(objectives)),
        draw(st.sampled_from((1, 2))),
        draw(st.sampled_from((1.0, 0.5, 2.0))),
        draw(st.integers(0, 3)),
    )


def pattern(count: int, size: float = 0.5) -> Array:
    """Numbers in [-size, size] that repeat no other, to stand for parameters or noise."""
    return size * np.cos(1.7 + 2.3 * np.arange(count))

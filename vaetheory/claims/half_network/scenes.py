"""Hypotheses of claim 11, tiny training runs, and the quick version of the experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.training import OBJECTIVES, SOURCES, Settings, Source, Split, Vae

HALF = (
    "half-network",
    r"\text{the encoder gives } m(x) \text{ only, } s = 1;\ \text{the decoder gives } f(z)"
    r"\text{ only; objective BILBO + BAGGINS}",
)
TINY = (
    "small runs",
    r"\text{eight data in two or three dimensions, one hidden layer of three units}",
)
ADAM = ("Adam", r"\text{updates that depend on the parameters' gradient only}")


#: Number of data, and a prime above it.
_COUNT, _PRIME = 8, 11


@dataclass(frozen=True)
class TinyRun:
    """An objective, its data, and the seed of the run.

    Column j of the data is (k_j i mod 11) / 2 for i = 0, ..., 7, with k_j a multiplier: all its
    entries differ, so that no batch has a constant column.
    """

    multipliers: tuple[int, ...]
    objective: str
    latent_dim: int
    information: float
    seed: int
    units: str = "pooled"

    @property
    def settings(self) -> Settings:
        """Three hidden units, batches of four, validation at every second epoch."""
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
        """The data, times a factor; the first four are for validation, the others for the test."""
        index = np.arange(_COUNT)[:, None]
        X = factor * ((index * np.array(self.multipliers)) % _PRIME / 2)
        return Split(X, X[:4], X[4:])

    @property
    def data_dim(self) -> int:
        """D."""
        return len(self.multipliers)

    def vae(self, factor: float = 1.0) -> Vae:
        """The VAE in the units of the data times a factor."""
        train = self.data(factor).train
        return self.settings.model(OBJECTIVES[self.objective], train, self.information)

    def instead(self, **changes: object) -> TinyRun:
        """The same run with something changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def tiny_runs(objectives: tuple[str, ...] = tuple(OBJECTIVES)) -> SearchStrategy[TinyRun]:
    """Data of two or three dimensions."""
    multipliers = st.lists(st.integers(1, _PRIME - 1), min_size=2, max_size=3).map(tuple)
    return st.builds(
        TinyRun,
        multipliers,
        st.sampled_from(objectives),
        st.sampled_from((1, 2)),
        st.sampled_from((1.0, 0.5, 2.0)),
        st.integers(0, 3),
    )


def pattern(count: int, size: float = 0.5) -> Array:
    """Different numbers in [-size, size], in place of parameters or noise."""
    return size * np.cos(1.7 + 2.3 * np.arange(count))


def some_digits() -> Source:
    """Every third digit."""
    whole = SOURCES["digits"]()
    return Source(whole.name, whole.X[::3], whole.step, whole.units)


#: Settings of the quick version.
QUICK = Settings(hidden=(32,), batch=64, epochs=30, every=40, patience=4, rate=5e-3)

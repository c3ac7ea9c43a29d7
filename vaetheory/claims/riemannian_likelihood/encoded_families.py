"""Data of any exponential family with their encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES
from vaetheory.likelihoods import ExponentialFamily

#: Families of the form log p = T . phi - A + h with as many parameters as statistics.
EXPONENTIAL = tuple(name for name, family in FAMILIES.items() if family.full)


@dataclass(frozen=True)
class EncodedFamily:
    """A data set of a family with its encoder, and a latent point."""

    family: str
    constants: Vector
    data: EncodedData
    z: Vector

    @property
    def likelihood(self) -> ExponentialFamily:
        """The likelihood."""
        return cast(ExponentialFamily, FAMILIES[self.family].build(*self.constants))

    @property
    def weights(self) -> Array:
        """q(x_n | z), `(N,)`."""
        return self.data.encoder.responsibilities(np.array(self.z))


@st.composite
def encoded_families(draw: DrawFn, names: Sequence[str] = EXPONENTIAL) -> EncodedFamily:
    """Data of a family, encoded in one dimension with one common variance."""
    name = draw(st.sampled_from(tuple(names)))
    family = FAMILIES[name]
    lists = st.lists(family.data, min_size=family.least, max_size=3, unique=True).map(tuple)
    data = draw(strategies.encoded_data(1, lists, shared=True, reach=3, variances=(1.0, 0.5, 2.0)))
    return EncodedFamily(name, draw(family.constants), data, draw(strategies.vectors(1, -2, 2, 2)))


Weights = Callable[[EncodedFamily], Array]


def responsibilities(scene: EncodedFamily) -> Array:
    """The weights in the theorem, q(x_n | z)."""
    return scene.weights


def equal_weights(scene: EncodedFamily) -> Array:
    """Equal weights."""
    return np.full(len(scene.data.X), 1 / len(scene.data.X))

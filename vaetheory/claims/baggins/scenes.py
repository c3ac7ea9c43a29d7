"""Hypotheses and instances that several rooms of claim 10 share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector

MOMENTS = (
    "moments of the batch",
    r"r_i = \mathbb E_B[(x_i - \hat x_i)^2],\ v_i = \mathrm{Var}_B[x_i] > 0;"
    r"\text{ pooled: their means over } i",
)
TERM = (
    "the term",
    r"T = -\tfrac12\sum_i\log 2\pi e\,\sigma_i^2,\ \sigma_i^2 = r_i + v_i e^{-2h_i},\ h_i \ge 0",
)


@dataclass(frozen=True)
class FitScene:
    """A batch, its reconstructions, and the presumed information of each dimension."""

    x: tuple[Vector, ...]
    xhat: tuple[Vector, ...]
    information: Vector
    pooled: bool

    @property
    def data(self) -> Array:
        """The batch `(B, D)`."""
        return np.array(self.x)

    @property
    def fits(self) -> Array:
        """The reconstructions `(B, D)`."""
        return np.array(self.xhat)

    @property
    def presumed(self) -> Array:
        """h, `(D,)`; all the same where the dimensions are pooled."""
        shape = len(self.x[0])
        return np.full(shape, self.information[0]) if self.pooled else np.array(self.information)

    @property
    def options(self) -> dict[str, Any]:
        """The keywords of `baggins`: one information for all where the dimensions are pooled."""
        h = self.information[0] if self.pooled else self.presumed
        return {"information": h, "pooled": self.pooled}

    def moments(self) -> tuple[Array, Array]:
        """Residual r and spread v of each dimension `(D,)`, by rational arithmetic."""
        columns = zip(zip(*self.x, strict=True), zip(*self.xhat, strict=True), strict=True)
        residual, spread = [], []
        for x, fit in columns:
            data, fits = [Fraction(v) for v in x], [Fraction(v) for v in fit]
            mean = sum(data) / len(data)
            residual.append(sum((a - b) ** 2 for a, b in zip(data, fits, strict=True)) / len(data))
            spread.append(sum((a - mean) ** 2 for a in data) / len(data))
        if self.pooled:
            residual = [sum(residual) / len(residual)] * len(residual)
            spread = [sum(spread) / len(spread)] * len(spread)
        return np.array([float(r) for r in residual]), np.array([float(v) for v in spread])


@st.composite
def fit_scenes(
    draw: DrawFn,
    *,
    levels: tuple[float, ...] = (1.0, 0.5, 0.0, 2.0, 4.0, 20.0, 400.0),
    perfect: bool = True,
) -> FitScene:
    """Batches of two to five data in one to three dimensions, perfect fits among them."""
    dim, pooled = draw(st.integers(1, 3)), draw(st.booleans())
    rows = st.lists(strategies.vectors(dim), min_size=2, max_size=5)
    x = tuple(draw(rows))
    fit = tuple(draw(st.tuples(*[strategies.vectors(dim)] * len(x))))
    if perfect and draw(st.sampled_from((False, False, True))):
        fit = x
    level = st.sampled_from(levels)
    information = draw(st.tuples(*[level] * (1 if pooled else dim)))
    scene = FitScene(x, fit, information, pooled)
    spread = scene.moments()[1]
    assume(spread.min() > 0)
    assume(perfect or scene.moments()[0].min() > 0)
    return scene


def library_term(scene: FitScene, x: Array, xhat: Array) -> tuple[float, Array]:
    """The library's term of some data and reconstructions, and its aggregate information."""
    term = baggins(x, xhat, **scene.options)
    return float(term.value), np.asarray(term.information)

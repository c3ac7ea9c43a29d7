"""The check of 2c: the slope of the optimal decoder is bounded, and the bound is sharp."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.smooth_decoder.scenes import EncodedPoint, encoded_points
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


def diameter(points: Array) -> float:
    """Greatest distance between two of the points `(N, k)`."""
    return float(max(np.linalg.norm(a - b) for a, b in combinations(points, 2)))


def slope_is_bounded(
    instance: EncodedPoint, *, factor: float = 0.25, precision: bool = True
) -> Comparison:
    """||J*(z)|| <= 1/4 diam(X) diam(S^-1 m(X)), with equality for two data, half-way between."""
    scene = instance.scene
    encoder = scene.encoder
    codes = encoder.loc
    if precision:
        codes = np.linalg.solve(encoder.cov[0], codes.T).T
    bound = factor * diameter(scene.data) * diameter(codes)
    pairs = [(encoder.loc[i] + encoder.loc[j]) / 2 for i, j in combinations(range(len(codes)), 2)]
    grid = np.linspace(-3, 3, 13)
    axes = np.meshgrid(*[grid] * len(instance.z), indexing="ij")
    points = np.concatenate(
        [np.array([instance.z]), np.array(pairs), np.stack([a.ravel() for a in axes], axis=-1)]
    )
    slopes = np.linalg.norm(
        OptimalDecoder(scene.data, encoder).jacobian(points), ord=2, axis=(-2, -1)
    )
    rounding = (
        gamma(200 * len(codes))
        * float(np.linalg.cond(encoder.cov[0]))
        * max(bound, float(slopes.max()))
    )
    parts = [Comparison.at_most(slopes.max(), bound, scale=max(bound, 1e-300), rounding=rounding)]
    if len(codes) == 2:
        # The bound is sharp: for two data f* = mean + half-difference * tanh, whose slope half-way
        # between the codes attains it.
        parts.append(
            Comparison.identity(slopes[1], bound, scale=max(bound, 1e-300), rounding=rounding)
        )
        along = (points - pairs[0]) @ np.linalg.solve(
            encoder.cov[0], encoder.loc[1] - encoder.loc[0]
        )
        half = (scene.data[1] - scene.data[0]) / 2
        tanh = scene.data.mean(axis=0) + np.tanh(along / 2)[:, None] * half
        spread = float(np.abs(scene.data).max() + np.abs(half).max())
        reach = 1 + float(np.abs(along).max()) * float(np.linalg.cond(encoder.cov[0]))
        parts.append(
            Comparison.identity(
                OptimalDecoder(scene.data, encoder)(points),
                tanh,
                scale=spread,
                rounding=gamma(200) * reach * spread,
            )
        )
    return Comparison.all_of(*parts)


@st.composite
def distinct_codes(draw: DrawFn) -> EncodedPoint:
    """A shared covariance and codes that are not all equal."""
    point = draw(encoded_points(shared=True))
    assume(len(set(point.scene.loc)) > 1)
    return point


SLOPE_IS_BOUNDED = Proposition(
    label="2c",
    title="The slope of f* is at most a quarter of two diameters, and this is sharp",
    statement=(
        r"\|J^*(z)\| \le \tfrac14\, \mathrm{diam}(X)\, \mathrm{diam}(S^{-1} m(X));"
        r"\quad \text{two data } \pm a \text{ at } \pm m:\ f^* = a\tanh(mz/s^2)"
    ),
    hypotheses=(("constant covariance", r"S(x) = S"),),
    kind="inequality",
    instances=distinct_codes(),
    check=slope_is_bounded,
    controls=wrong(
        slope_is_bounded,
        {"an eighth": {"factor": 0.125}, "diam m(X) for diam S^-1 m(X)": {"precision": False}},
    ),
    uses=("2a",),
    figure="smooth-decoder",
    examples=50,
)

"""Checks of 18b: the best mixture bounds every VAE, and lies below the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.best_mixture import MixtureMaximum, npmle
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.bounded_likelihood.scenes import (
    ANY_VAE,
    FIXED,
    Mixed,
    best_mixtures,
    by_em,
    kernels,
    lost,
    mean_log,
    mixed_data,
    stacked,
)
from vaetheory.likelihoods import Gaussian
from vaetheory.rounding import gamma


def entropy_and_overlap(X: Array, scale: float, overlap: float) -> tuple[float, float]:
    """Entropy of the data, equal ones counted once, and the log of the greatest overlap."""
    distinct, counts = np.unique(X, axis=0, return_counts=True)
    shares = counts / len(X)
    squares = ((distinct[:, None] - distinct) ** 2).sum(axis=-1) / scale**2
    found = np.exp(-squares / overlap).sum(axis=-1).max()
    return float(-(shares * np.log(shares)).sum()), float(np.log(found))


@together(alike=lambda scene: scene.shape)
def best_mixture(
    scenes: Sequence[Mixed],
    *,
    overlap: float = 8.0,
    repeated: bool = False,
    sign: float = 1.0,
    attained: bool = False,
) -> list[Comparison]:
    """Check that the best mixture is above all others, and where it lies."""
    all_, found = stacked(scenes), best_mixtures(tuple(scenes))
    value = np.array([f.value for f in found])
    ceiling = np.array([f.ceiling for f in found])
    peak, rounding = all_.peak, lost(all_.y, all_.peak)
    parts = np.array([entropy_and_overlap(s.data, s.scale, overlap) for s in scenes])
    entropy = np.full(len(scenes), np.log(all_.y.shape[1])) if repeated else parts[:, 0]
    apart = peak - sign * entropy
    again = np.array(
        [mean_log(s.data / s.scale, f.atoms / s.scale, f.weights)
         for s, f in zip(scenes, found, strict=True)]
    )  # fmt: skip
    others = np.stack([mean_log(all_.y, all_.outputs, all_.weights), by_em(tuple(scenes))[1]])
    size = 1 + np.abs(peak) + np.abs(value)
    each = [
        Comparison.each_at_most(
            np.moveaxis(others + peak, 0, 1), ceiling[:, None], scale=size[:, None],
            rounding=rounding[:, None],
        ),
        Comparison.each_at_most(apart, ceiling, scale=size, rounding=rounding),
        Comparison.each_at_most(
            value, np.minimum(peak, apart + parts[:, 1]), scale=size, rounding=rounding
        ),
        # What the library reaches is what its components have, and nothing greater was left out.
        Comparison.identities(value, again + peak, scale=size, rounding=rounding),
        Comparison.each_at_most(
            value, ceiling, scale=size, search=np.abs(ceiling - value), rounding=rounding
        ),
        Comparison.each_at_most(
            peak if attained else value, ceiling, scale=size, rounding=rounding
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


BEST_MIXTURE = Proposition(
    label="18b",
    title="The best mixture bounds every VAE, and lies below the peak by up to the data's entropy",
    statement=(
        r"\mathbb E_n\log p(x_n) \le \mathrm{NPMLE} = \max_H\mathbb E_n\log\int p(x_n|\eta)\,dH, "
        r"\quad -\tfrac D2\log 2\pi\xi - H_{\mathrm{data}} \le \mathrm{NPMLE} \le "
        r"-\tfrac D2\log 2\pi\xi - H_{\mathrm{data}} + "
        r"\log\max_k\sum_l e^{-\|x_k - x_l\|^2/8\xi}"
    ),
    hypotheses=(
        FIXED,
        ANY_VAE,
        ("entropy", r"H_{\mathrm{data}} = -\sum_k p_k\log p_k,\ p_k \text{ the shares of the "
         r"distinct data } x_k;\ \log N \text{ if all differ}"),
    ),
    kind="inequality",
    instances=mixed_data(),
    check=best_mixture,
    controls=wrong(
        best_mixture,
        {
            "the peak is attained by distinct data": {"attained": True},
            "log N for data that repeat": {"repeated": True},
            "entropy added": {"sign": -1.0},
            "overlaps at the data, exp(-|x - y|^2 / 2 xi)": {"overlap": 2.0},
        },
    ),
    uses=("18a",),
    figure="bounded-likelihood",
    examples=10,
)  # fmt: skip


@dataclass(frozen=True)
class TwoData:
    """Two data, and their distance in deviations of the noise."""

    first: Vector
    second: Vector
    apart: float

    @property
    def scale(self) -> float:
        """The deviation of the noise."""
        gap = np.array(self.first) - np.array(self.second)
        return float(np.sqrt((gap**2).sum())) / self.apart


@st.composite
def two_data(draw: DrawFn) -> TwoData:
    """Two different data of one to five dimensions."""
    X = draw(strategies.data_sets(draw(st.sampled_from((1, 2, 3, 5))), 2, 2))
    return TwoData(X[0], X[1], draw(st.sampled_from((1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 8.0))))


@once
def best_of_two(scenes: tuple[TwoData, ...]) -> list[MixtureMaximum]:
    """The library's best mixtures."""
    return [npmle(Gaussian(scale=s.scale), [s.first, s.second]) for s in scenes]


@together
def two_components(
    scenes: Sequence[TwoData],
    *,
    collapsed: bool = False,
    on_the_data: bool = False,
    slope: float = 1.0,
) -> list[Comparison]:
    """Compare the best mixture of two data with its closed form."""
    found = best_of_two(tuple(scenes))
    half = np.array([s.apart for s in scenes]) / 2
    # t = half tanh(half t): 0, or the positive solution, by bisection.
    low, high = np.full_like(half, 1e-9), half.copy()
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = half * np.tanh(slope * half * middle) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    t = np.where(half**2 * slope > 1, 0.5 * (low + high), 0.0)
    t = np.zeros_like(t) if collapsed else half if on_the_data else t
    parts = np.logaddexp(-0.5 * (half - t) ** 2, -0.5 * (half + t) ** 2) - np.log(2)
    dims = np.array([len(s.first) for s in scenes])
    peak = -dims * np.log(np.array([s.scale for s in scenes])) - 0.5 * dims * np.log(2 * np.pi)
    value = np.array([f.value for f in found])
    size = 1 + np.abs(peak) + half**2
    # At the solution the value is stationary in t, so that errors of t count squared.
    return Comparison.identities(
        value, peak + parts, scale=size,
        search=np.array([f.ceiling - f.value for f in found]), rounding=gamma(400) * size,
    )  # fmt: skip


TWO_DATA = Proposition(
    label="18b-two",
    title="The best mixture of two data is one component up to two deviations, then two",
    statement=(
        r"\|x_1 - x_2\| = 2h\sqrt\xi: \quad \mathrm{NPMLE} = -\tfrac D2\log 2\pi\xi + "
        r"\log\tfrac12\big(e^{-(h - t)^2/2} + e^{-(h + t)^2/2}\big), \quad t = h\tanh(ht), "
        r"\quad t = 0 \iff h \le 1"
    ),
    hypotheses=(FIXED, ANY_VAE, ("two data", r"x_1 \ne x_2;\ \text{components at } "
                r"\tfrac12(x_1 + x_2) \pm t\sqrt\xi\,u")),
    kind="identity",
    instances=two_data(),
    check=two_components,
    controls=wrong(
        two_components,
        {
            "one component at any distance": {"collapsed": True},
            "components at the data": {"on_the_data": True},
            "two from sqrt 2 deviations on": {"slope": 2.0},
        },
    ),
    uses=("18b",),
    figure="bounded-likelihood",
    examples=14,
)  # fmt: skip


@dataclass(frozen=True)
class Spaced:
    """So many data on a line, and their spacing in deviations."""

    count: int
    spacing: float
    scale: float


def far_from_the_floor(scene: Spaced, *, reached: bool = False, pair: bool = False) -> Comparison:
    """Check that data far apart stay log N below the peak, whatever the VAE."""
    X = scene.scale * scene.spacing * np.arange(scene.count)[:, None]
    found = npmle(Gaussian(scale=scene.scale), X)
    peak = -0.5 * np.log(2 * np.pi * scene.scale**2)
    missed = 0.0 if reached else np.log(2.0 if pair else scene.count)
    overlap = kernels(X / scene.scale / 2, X / scene.scale / 2).sum(axis=-1).max()
    # Half a distance has the exponent of 18b, a quarter of the square.
    rounding = gamma(200) * (1 + abs(peak) + float((X / scene.scale).max()) ** 2)
    return Comparison.identity(
        [found.value, found.ceiling], peak - missed, scale=missed + 1.0,
        overlap=np.log(overlap), search=found.ceiling - found.value, rounding=rounding,
    )  # fmt: skip


FAR_FROM_THE_FLOOR = Proposition(
    label="18b-far",
    title="The peak is not the least upper bound: data that differ keep every VAE log N below it",
    statement=(
        r"\|x_k - x_l\| \ge r\sqrt\xi \text{ for } k \ne l: \quad "
        r"0 \le \mathrm{NPMLE} + \tfrac D2\log 2\pi\xi + \log N \le "
        r"\log\big(1 + (N - 1)e^{-r^2/8}\big)"
    ),
    hypotheses=(FIXED, ANY_VAE, ("data far apart", r"N \text{ data, equally spaced on a line}")),
    kind="counterexample",
    instances=st.builds(
        Spaced, st.integers(2, 6), st.sampled_from((12.0, 16.0, 24.0)),
        st.sampled_from((1.0, 0.25, 8.0)),
    ),
    check=far_from_the_floor,
    controls=wrong(
        far_from_the_floor,
        {
            "some VAE comes as close to the peak as one likes": {"reached": True},
            "log 2 whatever N": {"pair": True},
        },
    ),
    uses=("18a", "18b"),
    examples=8,
)  # fmt: skip

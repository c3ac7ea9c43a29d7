"""Check of 5c and 5c-wide: the greatest cost of Hessians between two bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from scipy.optimize import minimize_scalar

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.constant_variance import constant_variance_penalty, log_specht_ratio
from vaetheory.rounding import gamma

#: Where eigenvalues lie in the interval.
_PLACES = (0.0, 1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Bounded:
    """Hessians with eigenvalues in [least, least * ratio], by spectra and axes, and weights."""

    least: float
    ratio: float
    hessians: tuple[Covariance, ...]
    weights: Vector

    @property
    def matrices(self) -> Array:
        """The Hessians, `(N, d, d)`; spectra are given as positions in the interval."""
        matrices = np.array([c.matrix for c in self.hessians])
        eye = np.eye(matrices.shape[-1])
        return np.asarray(self.least * (eye + (self.ratio - 1) * matrices))


@st.composite
def bounded(draw: DrawFn) -> Bounded:
    """Up to six Hessians of up to three dimensions; two of them attain the ends of the interval."""
    dim, count = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return draw(_between(dim, count, strategies.covariances(dim, _PLACES)))


@st.composite
def wide_bounded(draw: DrawFn) -> Bounded:
    """Up to four Hessians of up to 32 dimensions; two of them attain the ends of the interval."""
    dim, count = draw(strategies.wide_dims()), draw(st.integers(1, 2))
    return draw(_between(dim, count, strategies.wide_covariances(dim, _PLACES)))


def _between(dim: int, count: int, places: SearchStrategy[Covariance]) -> SearchStrategy[Bounded]:
    """Some Hessians between the two ends."""
    ends = [st.just(Covariance((end,) * dim, (0,) * (dim - 1))) for end in (0.0, 1.0)]
    return st.builds(
        Bounded,
        st.sampled_from((1.0, 1e-6, 1e6)),
        st.sampled_from((2.0, 10.0, 1.25, 1000.0)),
        st.tuples(*ends, *[places] * count),
        st.tuples(*[st.sampled_from((1.0, 3.0, 0.25))] * (count + 2)),
    )


def _log_specht(h: float, dim: int) -> float:
    return 0.5 * dim * float(log_specht_ratio(h))


def specht_of_the_root(h: float, dim: int) -> float:
    """Specht's ratio of the root of h."""
    return _log_specht(float(np.sqrt(h)), dim)


def equal_weights(h: float, dim: int) -> float:
    """The two-point law of equal weights, thought to be the worst."""
    return 0.5 * dim * float(np.log((1 + h) / (2 * np.sqrt(h))))


def one_dimension(h: float, dim: int) -> float:
    """No factor d."""
    return _log_specht(h, 1)


def greatest_penalty(
    scene: Bounded, *, bound: Callable[[float, int], float] = _log_specht
) -> Comparison:
    """Compare penalties with Specht's bound, which a law on two points attains."""
    matrices, h = scene.matrices, scene.ratio
    dim = matrices.shape[-1]
    penalty = constant_variance_penalty(matrices, weights=np.array(scene.weights))
    limit = bound(h, dim)
    rounding = gamma(100 * dim) * (1 + h) * (1 + limit)

    # The mean of the worst law is the logarithmic mean of m and M, which gives its weight on m.
    weight = (h - (h - 1) / np.log(h)) / (h - 1)
    ends = scene.least * np.array([1.0, h])[:, None, None] * np.eye(dim)
    worst = constant_variance_penalty(ends, weights=[weight, 1 - weight])

    def loss(w: float) -> float:
        return -float(np.log(w + (1 - w) * h) - (1 - w) * np.log(h))

    # The optimum is flat: if its place is off by 2e-8 the value is off by (2e-8 log h)^2.
    searched = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9})
    return Comparison.all_of(
        Comparison.at_most(
            penalty.value, limit, scale=1 + limit, rounding=rounding, library=penalty.error
        ),
        Comparison.at_most(penalty.value, penalty.sharp_bound, scale=1 + limit, rounding=rounding),
        Comparison.at_most(
            penalty.sharp_bound, penalty.specht_bound, scale=1 + limit, rounding=rounding
        ),
        Comparison.identity(
            worst.value, limit, scale=1 + limit, rounding=rounding, library=worst.error
        ),
        # No other weights cost more: the search does not use Specht's ratio.
        Comparison.identity(
            -0.5 * dim * searched.fun,
            limit,
            scale=1 + limit,
            search=dim * (2e-8 * np.log(h)) ** 2,
            rounding=rounding,
        ),
    )


_WRONG = {
    "Specht's ratio of the root of h": {"bound": specht_of_the_root},
    "the two ends in equal weights": {"bound": equal_weights},
    "no factor d": {"bound": one_dimension},
}

GREATEST_PENALTY = Proposition(
    label="5c",
    title="Under mild conditions the cost is small: at most d/2 times log Specht(M/m)",
    statement=(
        r"m I \preceq A \preceq M I \;\Rightarrow\; \tfrac12(\log\det\bar A"
        r" - \mathbb E\log\det A) \le \tfrac d2\log\frac{h^{1/(h-1)}}{e\log h^{1/(h-1)}},"
        r"\quad h = M/m"
    ),
    hypotheses=(("bounded Hessians", r"m I \preceq A_n \preceq M I,\ m > 0"),),
    kind="inequality",
    instances=bounded(),
    check=greatest_penalty,
    controls=wrong(greatest_penalty, _WRONG),
    uses=("5a",),
    figure="constant-variance",
)


WIDE_GREATEST_PENALTY = Proposition(
    label="5c-wide",
    title="In many dimensions as well the cost is at most d/2 times log Specht(M/m)",
    statement=GREATEST_PENALTY.statement,
    hypotheses=(*GREATEST_PENALTY.hypotheses, strategies.WIDE),
    kind="inequality",
    instances=wide_bounded(),
    check=greatest_penalty,
    controls=wrong(greatest_penalty, _WRONG),
    uses=("5c",),
    examples=8,
)

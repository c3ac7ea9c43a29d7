"""Check of 13d-closed: variance proxies in closed form, and the exact optimum of two points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.collapse import SubGaussianProxy, sub_gaussian_proxy
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.posterior_collapse.scenes import COLLAPSE, GAUSSIAN, PROXY
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Points:
    """Two points and the weight of the rare one; or N equally likely points on N axes.

    Attributes
    ----------
    rare, common : int
        Counts of two points at `ends`; of equal points there are `rare + common`.
    ends : (float, float)
        Two points on a line.
    share : float
        sigma^2 over the proxy.
    """

    rare: int
    common: int
    ends: Vector
    share: float


@st.composite
def some_points(draw: DrawFn) -> Points:
    """One rare point in up to fifty, or two to twelve equal points."""
    low = draw(strategies.fractions(-4, 4, 2))
    return Points(
        1,
        draw(st.sampled_from((2, 1, 3, 7, 19, 49))),
        (low, low + draw(st.sampled_from((1.0, 0.5, -1.0, 4.0)))),
        draw(st.sampled_from((0.9, 1.0, 1.1, 0.99, 2.0))),
    )


@once
def found_proxies(scenes: tuple[Points, ...]) -> list[tuple[SubGaussianProxy, SubGaussianProxy]]:
    """The library's proxies, of the two points and of N points on the axes."""
    return [
        (
            sub_gaussian_proxy(np.array(s.ends)[:, None], weights=[s.common, s.rare], rtol=1e-8),
            sub_gaussian_proxy(np.eye(min(s.rare + s.common, 12))),
        )
        for s in scenes
    ]


def _two_points(rare: Array) -> Array:
    """(1 - 2 p) / (2 log((1 - p) / p)), whose limit at 1/2 is 1/4."""
    safe = np.where(rare == 0.5, 0.25, rare)
    return np.where(rare == 0.5, 0.25, (1 - 2 * safe) / (2 * np.log((1 - safe) / safe)))


@together
def closed_forms(
    scenes: Sequence[Points], *, variance: bool = False, natural: float = 1.0, distance: bool = True
) -> list[Comparison]:
    """Compare the library's proxies with the closed forms, and with the best code of two points."""
    found = found_proxies(tuple(scenes))
    rare = np.array([s.rare / (s.rare + s.common) for s in scenes])
    gap2 = np.array([(s.ends[1] - s.ends[0]) ** 2 for s in scenes])
    two = (rare * (1 - rare) if variance else natural * _two_points(rare)) * gap2
    count = np.array([min(s.rare + s.common, 12) for s in scenes])
    equal = natural * _two_points(1 / count) / ((1 - 1 / count) if distance else 1.0)
    values, uppers, errors = (
        np.array([[getattr(f, name) for f in pair] for pair in found]).T
        for name in ("value", "upper", "error")
    )
    lost = gamma(400)
    share = np.array([s.share for s in scenes])
    gains = best_gains(tuple(rare.tolist()), tuple(share.tolist()))
    below = share < 1
    each = [
        Comparison.each_at_most(values[0], two, scale=two, search=errors[0], closed=lost * two),
        Comparison.each_at_most(two, uppers[0], scale=two, closed=lost * two),
        Comparison.identities(
            values[0], two, scale=two, range=uppers[0] - values[0], closed=lost * two
        ),
        Comparison.identities(
            values[1], equal, scale=equal, range=uppers[1] - values[1] + errors[1],
            closed=lost * equal,
        ),
        # No code of two points gains from the proxy on; below it one does.
        Comparison.each_at_most(np.where(below, 0.0, gains), 0.0, scale=1.0, rounding=lost),
        Comparison.each_at_most(np.where(below & (share < 0.95), lost, 0.0), np.maximum(gains, 0.0),
                                scale=1.0, exact=0.0),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


def best_code(rare: float, share: float, *, points: int = 201) -> tuple[float, float]:
    """The gain and the rate of the best code of two letters for two points, on a grid of laws.

    A code splits the law p of the rare point into laws x <= p <= y; its gain is the height at p of
    the chord of (x - p)^2 / (2 sigma^2) - KL(x || p). Collapse is among them.
    """
    noise = share * float(_two_points(np.array(rare)))
    x = 1 / (1 + np.exp(-np.linspace(-14, 14, points)))
    low = np.append(x[x < rare], [0.0, rare])
    high = np.append(x[x > rare], 1.0)

    def divergence(at: Array) -> Array:
        safe = np.where((at > 0) & (at < 1), at, 0.5)
        inside = safe * np.log(safe / rare) + (1 - safe) * np.log((1 - safe) / (1 - rare))
        at_end = np.where(at == 0, -np.log1p(-rare), -np.log(rare))
        return np.asarray(np.where((at > 0) & (at < 1), inside, at_end))

    weight = (rare - low)[:, None] / (high - low[:, None])
    rate = weight * divergence(high) + (1 - weight) * divergence(low)[:, None]
    explained = weight * (high - rare) ** 2 + (1 - weight) * ((low - rare) ** 2)[:, None]
    gain = explained / (2 * noise) - rate
    at = np.unravel_index(gain.argmax(), gain.shape)
    return float(gain[at]), float(rate[at])


@once
def best_gains(rare: tuple[float, ...], share: tuple[float, ...]) -> Array:
    """The gains of the best codes `(I,)`."""
    return np.array([best_code(p, s)[0] for p, s in zip(rare, share, strict=True)])


CLOSED_FORMS = Proposition(
    label="13d-closed",
    title="The threshold in closed form, for two points and for equal points apart",
    statement=(
        r"\text{two points at distance } \ell,\ p < \tfrac12:\quad "
        r"\tau^2 = \frac{(1 - 2p)\,\ell^2}{2\log((1-p)/p)} > p(1-p)\ell^2 = \lambda_1;\quad "
        r"N \text{ equal orthogonal unit points}:\ "
        r"\tau^2 = \frac{1 - 2/N}{2\log(N-1)\,(1 - 1/N)} \ge \lambda_1 = \tfrac1N"
    ),
    hypotheses=(GAUSSIAN, COLLAPSE, PROXY, ("data", r"\text{of these two kinds}")),
    kind="identity",
    instances=some_points(),
    check=closed_forms,
    controls=wrong(
        closed_forms,
        {
            "the variance": {"variance": True},
            "without the factor 1/2": {"natural": 2.0},
            "equal points without the distance from their mean": {"distance": False},
        },
    ),
    uses=("13d",),
    resolution=1e-5,
)

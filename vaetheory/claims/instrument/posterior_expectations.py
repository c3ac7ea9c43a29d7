"""The check of 0e: stated errors of posterior expectations cover the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import product as product_of

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.designed import (
    DESIGNED,
    SEEN,
    Bump,
    Designed,
    edged,
    hidden,
    mixtures,
    needles,
    outlying,
)
from vaetheory.claims.instrument.evidence import LINE
from vaetheory.claims.instrument.fifty_digits import (
    Number,
    cos,
    exp,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.claims.instrument.stated_errors import (
    SHARPER,
    Figure,
    covered,
    last_digit,
    stated,
    thousandth,
)
from vaetheory.evidence import posterior_expectation

#: Frequencies of the waves in the expectations: slow, and nearly one cycle for each node.
_FREQUENCIES = (3.0, 36.0)


def observed(z: Array) -> Array:
    """Functions of the latent: z_1^2, z_1 and waves, `(..., d) -> (..., 4)`."""
    first = z[..., 0]
    return np.stack([first**2, first, *(np.cos(k * first) for k in _FREQUENCIES)], axis=-1)


def bumps(scenes: SearchStrategy[Designed]) -> SearchStrategy[Designed]:
    """Designed posteriors without their ripples."""
    return scenes.map(
        lambda d: Designed(tuple(p for p in d.parts if isinstance(p, Bump)), d.angles)
    )


def on_a_broad_bump(scenes: SearchStrategy[Designed]) -> SearchStrategy[Designed]:
    """A bump on a floor, with a very broad bump in place of the floor."""
    return scenes.map(lambda d: Designed((d.parts[0], Bump(d.parts[1].log_share, (0.0,), (64.0,)))))


def expectations(scene: Designed) -> list[Number]:
    """The posterior means of `observed` to fifty digits, for a posterior of bumps on a line."""
    masses = scene.masses()
    whole, one, half = total(masses), number(1.0), number(0.5)
    sums = [number(0.0)] * (2 + len(_FREQUENCIES))
    for mass, part in zip(masses, scene.parts, strict=True):
        if not isinstance(part, Bump):
            raise TypeError("expected bumps")
        # In the bump's share of the posterior, z has the law N(mean, variance).
        square = product(number(part.width[0]), number(part.width[0]))
        mean = ratio(number(part.centre[0]), total((one, square)))
        variance = ratio(square, total((one, square)))
        moments = [total((product(mean, mean), variance)), mean]
        for frequency in map(number, _FREQUENCIES):
            fall = exp(minus(product(half, frequency, frequency, variance)))
            moments.append(product(fall, cos(product(frequency, mean))))
        share = ratio(mass, whole)
        sums = [total((a, product(share, b))) for a, b in zip(sums, moments, strict=True)]
    return sums


@lru_cache(maxsize=64)
def _expectation(scene: Designed, max_nodes: int) -> Integral:
    return posterior_expectation(scene.model, np.ones(1), observed, max_nodes=max_nodes)


def expectation_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated, budgets: Sequence[int]
) -> Comparison:
    """Compare posterior expectations, within each budget, with closed forms."""
    parts = []
    for scene, budget in product_of(scenes, budgets):
        computed = _expectation(scene, budget)
        for value, claimed, truth in zip(
            computed.value, figure(computed), expectations(scene), strict=True
        ):
            away = off(float(value), truth)
            parts.append(covered(away, float(claimed), 0.0, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)


_checked = partial(expectation_is_covered, budgets=LINE)

POSTERIOR_EXPECTATION_IS_COVERED = Proposition(
    label="0e",
    title="Stated errors of posterior expectations cover the truth",
    statement=(
        r"\big|\hat{\mathbb E}[h(z)|x] - \mathbb E[h(z)|x]\big| \le "
        r"\text{the stated error},\quad h \in \{z_1^2,\ z_1,\ \cos 3z_1,\ \cos 36z_1\}"
    ),
    hypotheses=(DESIGNED, ("bumps", r"m \text{ without ripples}"), SEEN),
    kind="inequality",
    instances=st.tuples(
        bumps(mixtures(1, (1.0, 0.5, 0.25, 0.125, 0.0625))),
        on_a_broad_bump(edged()),
        on_a_broad_bump(needles(1, (8, 12))),
        outlying(1),
        hidden(1, (0.02, 0.03)),
    ),
    check=_checked,
    controls=wrong(
        _checked,
        {
            "a thousandth of the figure": {"figure": thousandth},
            "the rounding of the value alone": {"figure": last_digit},
        },
    ),
    uses=("0a",),
    resolution=SHARPER,
)

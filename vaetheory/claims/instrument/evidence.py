"""The checks of 0a, 0b and 0b-space: stated errors of log evidences cover the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import product as product_of

import numpy as np
from hypothesis import strategies as st

from vaetheory._quadrature.result import Integral
from vaetheory.bounds._exact_evidence import MAX_NODES
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.designed import (
    DESIGNED,
    SEEN,
    Designed,
    edged,
    hidden,
    mixtures,
    needles,
    outlying,
)
from vaetheory.claims.instrument.fifty_digits import (
    off,
)
from vaetheory.claims.instrument.stated_errors import (
    SHARPER,
    Figure,
    covered,
    half,
    last_digit,
    stated,
    tolerance,
)
from vaetheory.evidence import log_evidence

#: Budgets of evaluations for a datum: as many as it needs, and so few that much stays uncertain.
LINE, PLANE, SPACE = (MAX_NODES, 700), (MAX_NODES, 20_000), (600_000,)


@lru_cache(maxsize=64)
def _evidence(scene: Designed, max_nodes: int) -> Integral:
    return log_evidence(scene.model, np.ones(1), max_nodes=max_nodes)


def evidence_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated, budgets: Sequence[int]
) -> Comparison:
    """Compare log evidences of designed posteriors, within each budget, with their closed forms."""
    parts = []
    for scene, budget in product_of(scenes, budgets):
        computed = _evidence(scene, budget)
        truth, lost = scene.log_evidence()
        away, claimed = off(float(computed.value), truth), float(figure(computed))
        parts.append(covered(away, claimed, lost, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)


_line = partial(evidence_is_covered, budgets=LINE)

COVERED_ON_A_LINE = Proposition(
    label="0a",
    title="Stated errors of log evidences cover the truth: posteriors on a line",
    statement=(
        r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, 1)}[m(z)]\big|"
        r" \le \text{the stated error}"
    ),
    hypotheses=(DESIGNED, SEEN),
    kind="inequality",
    instances=st.tuples(
        mixtures(1, (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)),
        edged(),
        needles(1, (7, 14)),
        outlying(1),
        hidden(1, (0.02, 0.03, 0.015625)),
    ),
    check=_line,
    controls=wrong(
        _line,
        {
            "half the figure": {"figure": half},
            "the tolerance for the figure": {"figure": tolerance},
            "the rounding of the value alone": {"figure": last_digit},
        },
    ),
    figure="instrument",
    resolution=SHARPER,
)


_plane = partial(evidence_is_covered, budgets=PLANE)

COVERED_ON_THE_PLANE = Proposition(
    label="0b",
    title="Stated errors of log evidences cover the truth: posteriors on the plane",
    statement=(
        r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, I)}[m(z)]\big|"
        r" \le \text{the stated error},\quad d = 2"
    ),
    hypotheses=(DESIGNED, SEEN),
    kind="inequality",
    instances=st.tuples(
        mixtures(2, (1.0, 0.5, 0.25, 0.125)),
        needles(2, (4, 7)),
        outlying(2),
        hidden(2, (0.125, 0.1, 0.05)),
    ),
    check=_plane,
    controls=wrong(
        _plane,
        {
            "half the figure": {"figure": half},
            "the tolerance for the figure": {"figure": tolerance},
        },
    ),
    resolution=SHARPER,
    examples=5,
)


_space = partial(evidence_is_covered, budgets=SPACE)

COVERED_IN_SPACE = Proposition(
    label="0b-space",
    title="Stated errors of log evidences cover the truth: posteriors in space, on a budget",
    statement=(
        r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, I)}[m(z)]\big|"
        r" \le \text{the stated error},\quad d = 3,\ \text{at most } n \text{ nodes}"
    ),
    hypotheses=(DESIGNED, SEEN, ("a budget", r"n = 6\cdot 10^5")),
    kind="inequality",
    instances=st.tuples(mixtures(3, (1.0, 0.5, 0.25)), hidden(3, (0.25,))),
    check=_space,
    controls=wrong(
        _space,
        {
            "the rounding of the value alone": {"figure": last_digit},
            "the tolerance for the figure": {"figure": tolerance},
        },
    ),
    resolution=SHARPER,
    examples=3,
)

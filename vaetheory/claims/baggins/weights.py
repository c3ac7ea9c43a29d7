"""Check of 10a-weighted: a datum of weight k counts as k data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class WeightedFit:
    """A fit, and how often each of its data counts."""

    fit: FitScene
    counts: tuple[int, ...]


@st.composite
def weighted_fits(draw: DrawFn) -> WeightedFit:
    """Fits at up to four nats whose data count zero to three times; those that count vary."""
    fit = draw(fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)))
    counts = draw(st.tuples(*[st.integers(0, 3)] * len(fit.x)))
    kept = np.repeat(fit.data, counts, axis=0)
    assume(len(kept) > 0 and np.ptp(kept, axis=0).min() > 0)
    return WeightedFit(fit, counts)


def weights_are_counts(
    scene: WeightedFit, *, weighted: Callable[[Any], Any] = lambda k: k
) -> Comparison:
    """Compare the term of weighted data with that of repeated data."""
    fit, counts = scene.fit, np.array(scene.counts)
    rows = np.repeat(np.arange(len(counts)), counts)
    repeated = baggins(fit.data[rows], fit.fits[rows], **fit.options)
    weights = np.asarray(weighted(counts), dtype=float)
    term = baggins(fit.data, fit.fits, weights=weights, **fit.options)
    size = 10 + float(np.abs(repeated.log_scale).sum())
    spread = float(np.ptp(fit.data[rows], axis=0).min()) / float(np.abs(fit.data).max() + 1)
    rounding = gamma(200) * size / spread**2
    return Comparison.all_of(
        Comparison.identity(term.value, repeated.value, scale=size, rounding=rounding),
        Comparison.identity(term.log_scale, repeated.log_scale, scale=size, rounding=rounding),
        Comparison.identity(term.information, repeated.information, scale=size, rounding=rounding),
    )


WEIGHTS_ARE_COUNTS = Proposition(
    label="10a-weighted",
    title="A datum of weight k counts as k data, in every moment",
    statement=(
        r"T(x, \hat x; w) = T(x^{(k)}, \hat x^{(k)}),\quad w_n \propto k_n,\quad "
        r"x^{(k)} \text{ has each } x_n \text{ repeated } k_n \text{ times}"
    ),
    hypotheses=(MOMENTS, TERM, ("natural weights", r"k_n \in \{0, 1, 2, \dots\}")),
    kind="identity",
    instances=weighted_fits(),
    check=weights_are_counts,
    controls=wrong(
        weights_are_counts,
        {
            "weights ignored": {"weighted": lambda k: k > 0},
            "weights squared": {"weighted": lambda k: k**2},
            "one datum more": {"weighted": lambda k: k + 1},
        },
    ),
    uses=("10a",),
)

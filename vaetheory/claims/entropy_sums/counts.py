"""Check of 23b-true: how far the entropy itself is off for counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import gammaln

from vaetheory import likelihoods
from vaetheory.bounds.entropy_sums import pseudo_entropy
from vaetheory.checking import Comparison, Proposition, together, wrong
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Counts:
    """Counts that a VAE explains without its latents."""

    counts: tuple[int, ...]


@st.composite
def counts(draw: DrawFn) -> Counts:
    """One to five counts, not all zero; some spread more than Poisson's, some less."""
    spread = draw(st.sampled_from((0, 1, 8)))
    middle = draw(st.integers(1, 12))
    away = draw(st.lists(st.integers(-spread, spread), min_size=1, max_size=5))
    found = tuple(max(0, middle + a) for a in away)
    return Counts(found if any(found) else (1, *found))


@together
def true_entropy(
    scenes: Sequence[Counts], *, base: float = 1.0, order: int = 0
) -> list[Comparison]:
    """Compare what the entropy misses with the two means of log h, by sums over the counts."""
    rates = np.array([np.mean(s.counts) for s in scenes])
    x = np.arange(200.0)
    logs = x * np.log(rates)[:, None] - rates[:, None] - gammaln(x + 1)
    law = np.exp(logs)
    entropy = -(law * logs).sum(axis=-1)
    of_law = -(law * gammaln(x + 1)).sum(axis=-1)
    known = np.array([np.mean(logs[i][list(s.counts)]) for i, s in enumerate(scenes)])
    of_data = np.array([-gammaln(1.0 + np.array(s.counts)).mean() for s in scenes])
    pseudo = pseudo_entropy(likelihoods.Poisson(), np.log(rates)[:, None])
    size = 1 + np.abs(known) + np.abs(of_law) + np.abs(of_data)
    rounding = gamma(2000) * size
    missed = known + entropy
    each = [
        Comparison.identities(
            missed, base * (of_data - of_law), scale=size, rounding=rounding
        ),
        Comparison.identities(pseudo, entropy + of_law, scale=size, rounding=rounding),
    ]  # fmt: skip
    if order:
        each.append(Comparison.each_at_most(order * missed, 0.0 * missed, scale=size,
                                            rounding=rounding))  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


TRUE_ENTROPY = Proposition(
    label="23b-true",
    title="Minus the entropy itself is neither the stationary value for counts nor a bound of it",
    statement=(
        r"\lambda = \bar x: \quad \mathbb E_n\log p(x_n) + H[\mathrm{Poisson}(\lambda)] = "
        r"\mathbb E_{\mathrm{Poisson}(\lambda)}\log x! - \mathbb E_n\log x_n!, \quad "
        r"\text{positive for counts that are all equal, negative for widely spread ones}"
    ),
    hypotheses=(
        ("collapsed", r"q(z|x) = p(z), \text{ a constant rate}"),
        ("stationary", r"\lambda = \bar x"),
    ),
    kind="counterexample",
    instances=counts(),
    check=true_entropy,
    controls=wrong(
        true_entropy,
        {
            "the entropy is the value": {"base": 0.0},
            "the two means exchanged": {"base": -1.0},
            "minus the entropy is an upper bound": {"order": 1},
            "minus the entropy is a lower bound": {"order": -1},
        },
    ),
    uses=("23b",),
    figure="entropy-sums",
)

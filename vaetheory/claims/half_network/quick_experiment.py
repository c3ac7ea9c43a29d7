"""Check of 11-digits: a quick version of the experiment on every third digit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hypothesis import strategies as st

from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.scenes import QUICK, some_digits
from vaetheory.training import Experiment, run_experiment, tables


@dataclass(frozen=True)
class QuickExperiment:
    """Every third digit, small networks, few steps; the experiment itself has other numbers."""

    seeds: int


@lru_cache(maxsize=2)
def quick_table(seeds: int) -> dict[str, tables.Row]:
    """The table of the quick version."""
    experiment = Experiment(
        some_digits(), QUICK, seeds=seeds, informations=(1.0, 2.0), draws=100, exact=False
    )
    rows = tables.table(list(run_experiment(experiment)))
    return {row.objective: row for row in rows}


def half_beats_one_sigma(
    scene: QuickExperiment, *, sign: float = 1.0, other: str = "one-sigma", handicap: float = 0.0
) -> Comparison:
    """Check the half-network's lead over one learned sigma; the table is a finding."""
    rows = quick_table(scene.seeds)
    lead = rows[other].behind["elbo"]
    elbos = ", ".join(f"{n} {r.measures['elbo'].mean:.1f}" for n, r in rows.items())
    ahead = "; ".join(
        f"{n} {r.behind['elbo'].mean:+.1f} ({r.behind['elbo'].low:+.1f} to "
        f"{r.behind['elbo'].high:+.1f})"
        for n, r in rows.items()
        if r.behind
    )
    return Comparison.all_of(
        Comparison.at_most(
            handicap, sign * lead.mean, scale=abs(lead.mean), interval=(lead.high - lead.low) / 2
        ),
        findings=(
            f"quick version, {scene.seeds} seeds, held-out ELBO in nats per digit: {elbos}",
            f"quick version, half-network ahead of, with 95 % intervals: {ahead}",
            "for the experiment itself: vaetheory experiment half-network; docs/half-network.md",
        ),
    )


HALF_BEATS_ONE_SIGMA = Proposition(
    label="11-digits",
    title="Quick version: on digits the half-network is ahead of one learned sigma",
    statement=(
        r"\mathbb E[\mathrm{ELBO}_{\mathrm{half}}"
        r" - \mathrm{ELBO}_{\mathrm{one\ sigma}}] > 0"
        r"\text{ over seeds, beyond its 95\,\% interval}"
    ),
    hypotheses=(
        ("the data", r"\text{every third digit, dequantised; held-out part}"),
        ("the runs", r"\text{four seeds, 32 hidden units, 30 epochs}"),
    ),
    kind="inequality",
    instances=st.just(QuickExperiment(4)),
    check=half_beats_one_sigma,
    controls=wrong(
        half_beats_one_sigma,
        {
            "behind": {"sign": -1.0},
            "ahead by a hundred nats": {"handicap": 100.0},
        },
    ),
    uses=("11e", "11g"),
    figure="half-network",
    resolution=0.09,
    examples=1,
)

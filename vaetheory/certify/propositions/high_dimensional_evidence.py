"""24b: the expected wealth of bets, and how often they win, in rational numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

#: Most values, draws and bets, so that all samples can be listed.
_MOST = 6


def _wealth(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    values = _exact.vector("values", inputs["values"])
    chances = _exact.positives("chances", inputs["chances"], len(values))
    bets = _exact.positives("bets", inputs["bets"])
    draws = _exact.whole("draws", inputs["draws"], low=1, high=_MOST)
    level = _exact.positive("level", inputs["level"])
    if (
        min(values) < 0
        or sum(chances) != 1
        or max(bets) > 1
        or max(map(len, (values, bets))) > _MOST
    ):
        raise ValueError(
            f"values, chances and bets: expected at most {_MOST} values of at least 0, chances of "
            f"sum 1 and bets of at most 1, got {list_texts(inputs['values'])}, "
            f"{list_texts(inputs['chances'])} and {list_texts(inputs['bets'])}"
        )
    mean = _exact.dot(values, chances)
    demand(mean > 0, "the mean is positive")
    expected, square, winning = Fraction(0), Fraction(0), Fraction(0)
    for sample in product(range(len(values)), repeat=draws):
        chance = prod((chances[i] for i in sample), start=Fraction(1))
        wealth = sum(
            (
                prod((1 + b * (values[i] / mean - 1) for i in sample), start=Fraction(1))
                for b in bets
            ),
            Fraction(0),
        ) / len(bets)
        expected += chance * wealth
        square += chance * wealth**2
        winning += chance if wealth >= 1 / level else 0
    demand(expected == 1, "the expected wealth is one")
    demand(winning <= level, "the bets win no more often than the level says")
    return {"mean": mean, "expected": expected, "square": square, "winning": winning}


WEALTH = Certified(
    label="24b",
    title="Bets against the right mean neither gain nor lose, and seldom win much",
    statement=r"\mathbb E[\mathrm{wealth}] = 1,\quad \Pr(\mathrm{wealth} \ge 1/\delta) \le \delta",
    keys=("values", "chances", "draws", "bets", "level"),
    hints=(),
    instances=(
        {
            "values": ["0", "1", "12"],
            "chances": ["0.5", "0.4", "0.1"],
            "draws": "5",
            "bets": ["1", "0.5", "0.25"],
            "level": "0.05",
        },
        {
            "values": ["0", "7"],
            "chances": ["9/10", "1/10"],
            "draws": "3",
            "bets": ["1"],
            "level": "0.001",
        },
    ),
    prepare=nothing_to_find,
    prove=_wealth,
    sentence=lambda i, p: (
        f"Of {i['draws']} draws from {list_texts(i['values'])} with the chances "
        f"{list_texts(i['chances'])}, the wealth of bets of {list_texts(i['bets'])} against the "
        f"mean {p['mean']} has the expectation {p['expected']}, its square "
        f"{p['square']}, and it is at least 1 / {i['level']} with the probability "
        f"{p['winning']}."
    ),
)

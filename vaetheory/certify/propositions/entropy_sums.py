"""23b-true: how far minus the entropy is from the stationary likelihood of counts."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**30)
#: Of the terms that are left out; they count with at most this weight.
_TAIL = Fraction(1, 10**34)
_MOST = 500


def _cut(rate: Fraction) -> tuple[int, Fraction]:
    """So many terms of E log x! that those after them are below `_TAIL`, and their bound.

    log k! is at most k(k - 1)/2, and the mean of x(x - 1) over x > K is rate^2 P(x > K - 2), where
    the probability is at most rate^(K - 1) / (K - 1)! over 1 - rate/K.
    """
    power = Fraction(1)
    for k in range(1, _MOST):
        if k > 2 * rate and (bound := rate**2 * power) <= _TAIL:
            return k, bound
        power *= rate / k
    raise ValueError(f"counts: expected a mean of at most about {_MOST // 4}, got {rate}")


def _counts(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    counts = [
        _exact.whole(f"counts[{i}]", v, low=0, high=_MOST) for i, v in enumerate(inputs["counts"])
    ]
    demand(any(counts), "not all counts are zero")
    rate = Fraction(sum(counts), len(counts))
    # The two sides are equal term by term: log(rate) has the factor mean of x, and rate.
    score = sum(Fraction(x) / rate - 1 for x in counts)
    demand(score == 0, "the likelihood is stationary at this rate")
    last, missing = _cut(rate)

    def of_data(F: Arithmetic) -> Number:
        logs = (F.log(F.exact(factorial(x))) for x in counts)
        return sum(logs, F.exact(0)) / len(counts)

    def of_law(F: Arithmetic) -> Number:
        found = F.exact(0)
        for k in range(2, last + 1):
            weight = rate**k / factorial(k)
            found = found + F.exact(weight) * F.log(F.exact(factorial(k)))
        return F.widen(found * F.exp(F.exact(-rate)), F.exact(missing))

    def pseudo(F: Arithmetic) -> Number:
        return F.exact(rate) - F.exact(rate) * F.log(F.exact(rate))

    likelihood, entropy, difference = (
        work.enclose(attempt, _RADIUS)
        for attempt in (
            lambda F, bits: -pseudo(F) - of_data(F),
            lambda F, bits: pseudo(F) + of_law(F),
            lambda F, bits: of_law(F) - of_data(F),
        )
    )
    demand(difference.lower > 0 or difference.upper < 0, "minus the entropy is another number")
    return {
        "rate": rate,
        "likelihood": likelihood,
        "entropy": entropy,
        "difference": difference,
    }


COUNTS = Certified(
    label="23b-true",
    title="Minus the entropy is not the stationary likelihood of counts",
    statement=r"\lambda = \bar x: \quad \mathbb E_n \log p(x_n) ="
    r" -(\lambda - \lambda \log \lambda) - \mathbb E_n \log x_n! ="
    r" -H[\mathrm{Poisson}(\lambda)] + \Delta,\ \Delta \ne 0",
    keys=("counts",),
    hints=(),
    instances=(
        {"counts": ["4", "4", "4"]},
        {"counts": ["0", "0", "1", "11"]},
    ),
    prepare=nothing_to_find,
    prove=_counts,
    sentence=lambda i, p: (
        f"The counts {list_texts(i['counts'])} have the mean log likelihood {p['likelihood']} at "
        f"their best Poisson rate, {p['rate']}; its entropy is {p['entropy']}, so that minus the "
        f"entropy misses the likelihood by {p['difference']}."
    ),
)

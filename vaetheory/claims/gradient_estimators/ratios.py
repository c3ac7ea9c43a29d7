"""Check of 20c-exact: moments of self-normalised sums are one-dimensional integrals, for any K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._quadrature.weight_ratios import WeightedSums
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.rounding import gamma

#: Numbers of weights that are enumerated, and powers of the shares.
_COUNTS, _POWERS = (2, 3, 4, 5), (1, 2)
#: The logarithms of t at which the check sums; weights are relative to the greatest.
_STEP = 0.125
_LOG_T = np.arange(-50.0, 120.0, _STEP)


@dataclass(frozen=True)
class Law:
    """A law of (log w, h) on four points, by weights of the points."""

    logs: tuple[float, ...]
    values: tuple[float, ...]
    shares: tuple[int, ...]

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """Log weights relative to the greatest, h, and probabilities."""
        masses = np.array(self.shares) / sum(self.shares)
        logs = np.array(self.logs)
        return logs - logs.max(), np.array(self.values), masses


@st.composite
def laws(draw: DrawFn) -> Law:
    """Laws whose weights differ by up to fifty nats."""
    return Law(
        draw(st.tuples(*[st.sampled_from((0.0, 1.0, -2.0, 3.5, -50.0))] * 4)),
        draw(st.tuples(*[strategies.fractions(-4, 4, 2)] * 4)),
        draw(st.tuples(*[st.integers(1, 4)] * 4)),
    )


def _enumerated(law: Law, count: int) -> Array:
    """Means and second moments for each power, `(2, n)`, over all tuples of points."""
    logs, values, masses = law.arrays
    which = np.array(list(product(range(4), repeat=count)))
    chance = masses[which].prod(axis=1)
    w = np.exp(logs[which])
    u = w / w.sum(axis=1, keepdims=True)
    g = np.stack([(u**power * values[which]).sum(axis=1) for power in _POWERS])
    return np.stack([g @ chance, g**2 @ chance])


@once
def enumerated(laws_: tuple[Law, ...]) -> Array:
    """The same for all laws and counts, `(I, counts, 2, powers)`."""
    return np.array([[_enumerated(law, count) for count in _COUNTS] for law in laws_])


@once
def library(laws_: tuple[Law, ...]) -> Array:
    """The library's integrals, as `enumerated`."""
    logs, values, masses = (np.stack(a) for a in zip(*(law.arrays for law in laws_), strict=True))
    found = WeightedSums.of(
        logs, masses, np.zeros(4, dtype=int), values[..., None], float(max(_COUNTS))
    )
    told = [found.moments(_COUNTS, power, slice(0, 1)) for power in _POWERS]
    each = [
        [[told[i][k][field][:, 0, 0] for i in range(len(_POWERS))] for field in (0, 2)]
        for k in range(len(_COUNTS))
    ]
    return np.moveaxis(np.array(each), -1, 0)


def written_out(law: Law, fewer: int, cross: bool, power_of_t: int) -> Array:
    """The integrals as they stand, `(counts, 2, powers)`."""
    logs, values, masses = law.arrays
    w, t = np.exp(logs), np.exp(_LOG_T)
    with np.errstate(under="ignore"):
        decay = np.exp(-t[:, None] * w) * masses
    phi = decay.sum(axis=1)
    found = np.empty((len(_COUNTS), 2, len(_POWERS)))
    for k, count in enumerate(_COUNTS):
        for i, p in enumerate(_POWERS):
            # dt = t dv.
            one, two = decay @ (w**p * values), decay @ (w ** (2 * p) * values**2)
            mean = t**p * count * one * phi ** (count - fewer) / factorial(p - 1)
            both = count * two * phi ** (count - fewer)
            if cross:
                both = both + count * (count - 1) * one**2 * phi ** (count - fewer - 1)
            square = t ** (2 * p - 1 + power_of_t) * both / factorial(2 * p - 1)
            found[k, :, i] = mean.sum() * _STEP, square.sum() * _STEP
    return found


@together
def ratios(
    laws_: Sequence[Law], *, fewer: int = 1, cross: bool = True, power_of_t: int = 1
) -> list[Comparison]:
    """Compare the integrals, written out and the library's, with sums over all tuples."""
    key = tuple(laws_)
    exact, own = enumerated(key), library(key)
    told = np.array([written_out(law, fewer, cross, power_of_t) for law in laws_])
    top = np.array([max(np.abs(law.values).max(), 0.5) for law in laws_])
    size = np.stack([5 * top, 25 * top**2], axis=-1)[:, None, :, None]
    return [
        Comparison.all_of(
            Comparison.identity(mine, right, scale=s, rounding=gamma(4000) * s),
            # The trapezoid rule in v errs by exp(-2 pi (pi / 2) / step), which is nothing.
            Comparison.identity(plain, right, scale=s, rounding=gamma(20000) * s),
        )
        for mine, plain, right, s in zip(own, told, exact, size, strict=True)
    ]


EXACT = Proposition(
    label="20c-exact",
    title="For any number of samples mean and variance are one-dimensional integrals",
    statement=(
        r"\mathbb E\textstyle\sum u_k^ph_k = \tfrac{K}{(p-1)!}\int t^{p-1}\psi_p\,\phi^{K-1}\,"
        r"\mathrm dt,\quad \mathbb E\big(\sum u_k^ph_k\big)^2 = \tfrac1{(2p-1)!}\int t^{2p-1}"
        r"\big[K\chi_p\,\phi^{K-1} + K(K-1)\psi_p^2\phi^{K-2}\big]\mathrm dt,\quad "
        r"\phi = \mathbb Ee^{-tw},\ \psi_p = \mathbb E\,w^phe^{-tw},\ "
        r"\chi_p = \mathbb E\,w^{2p}h^2e^{-tw}"
    ),
    hypotheses=(
        ("independent pairs", r"(w_k, h_k) \text{ of one law},\ w_k > 0,\ u_k = w_k/\sum w"),
        ("moments", r"\mathbb E\,h^2 < \infty"),
    ),
    kind="identity",
    instances=laws(),
    check=ratios,
    controls=wrong(
        ratios,
        {
            "phi to the power K": {"fewer": 0},
            "the squares of single terms alone": {"cross": False},
            "1/S for 1/S^2": {"power_of_t": 0},
        },
    ),
    uses=("14a",),
    examples=8,
)

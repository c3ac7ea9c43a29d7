"""Check of 14d-bounded: the weights of a decoder with bounded outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.weight_moments import importance_weighted_expansion
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.claims.importance_weighting.scenes import WEIGHTS
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Half-widths of the interval and of the two shells around it over which moments are summed, and
#: where the exponent is bent.
_REACHES = (75.0, 150.0, 300.0)
_FAR, _STEP = 60.0, 4.0


@dataclass(frozen=True)
class Bounded:
    """The decoder f(z) = (a, b) tanh(slope z + shift), a datum, and a Gaussian q."""

    slope: float
    shift: float
    ends: tuple[float, float]
    noise: float
    x: tuple[float, float]
    loc: float
    variance: float
    power: int

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.TanhNetwork(
            [[[self.slope]], np.array(self.ends)[:, None]], [[self.shift], [0.0, 0.0]]
        )
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise), 1)

    @property
    def posterior(self) -> Posterior:
        """q, for one datum."""
        return Posterior([[self.loc]], scale=self.variance**0.5)


@st.composite
def bounded(draw: DrawFn) -> Bounded:
    """Variances on both sides of (n - 1) / n, and on it for n = 2.

    Where the noise is small a posterior's middle shows nothing of the tails.
    """
    return Bounded(
        draw(st.sampled_from((1.0, 2.0, 0.5))),
        draw(strategies.fractions(-2, 2, 2)),
        draw(st.tuples(*[strategies.nonzero_fractions(4, 2)] * 2)),
        draw(st.sampled_from((0.25, 0.125, 0.5, 1.0))),
        draw(st.tuples(*[strategies.fractions(-2, 2, 2)] * 2)),
        draw(strategies.fractions(-2, 2, 4)),
        draw(st.sampled_from((0.75, 0.25, 0.5, 0.0625, 0.625, 1.0))),
        draw(st.sampled_from((2, 3))),
    )


def exponent(scenes: Sequence[Bounded], z: Array) -> Array:
    """The log of p(x, z)^n / q(z)^(n - 1) at `(M,)`, written out, `(I, M)`."""

    def of(name: str) -> Array:
        return np.array([getattr(s, name) for s in scenes])[..., None]

    ends, data = of("ends"), of("x")
    value = np.tanh(of("slope") * z + of("shift"))
    square = (data[:, 0] - ends[:, 0] * value) ** 2 + (data[:, 1] - ends[:, 1] * value) ** 2
    noise, v, n = of("noise"), of("variance"), of("power")
    joint = -square / (2 * noise**2) - np.log(2 * np.pi * noise**2)
    joint = joint - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    own = -0.5 * (z - of("loc")) ** 2 / v - 0.5 * np.log(2 * np.pi * v)
    return np.asarray(n * joint - (n - 1) * own)


@once
def sums_over(scenes: tuple[Bounded, ...]) -> Array:
    """Logs of E_q[w^n; z] over an interval and two shells around it, `(I, 3)`, by sums."""
    found = []
    for inner, outer in pairwise((0.0, *_REACHES)):
        t = np.linspace(np.arcsinh(inner), np.arcsinh(outer), 601)
        weights = np.cosh(t) * (t[1] - t[0])
        weights[[0, -1]] /= 2
        logs = np.concatenate(
            [exponent(scenes, side * np.sinh(t)) + np.log(weights) for side in (1, -1)], axis=-1
        )
        top = logs.max(axis=-1)
        found.append(np.log(np.exp(logs - top[:, None]).sum(axis=-1)) + top)
    return np.stack(found, axis=-1)


@once
def found_moments(scenes: tuple[Bounded, ...]) -> tuple[Array, Array, Array, Array]:
    """The library's E_q wbar^n with errors, and log evidences with errors, `(I,)`."""
    rows = []
    for s in scenes:
        found = importance_weighted_expansion(s.model, [s.x], s.posterior)
        raw = 1 + found.variance[0]
        if s.power == 3:
            raw = 1 + found.third[0] + 3 * found.variance[0]
        error = found.error[0, 0] if s.power == 2 else found.error[0, :2] @ [3.0, 1.0]
        evidence = log_evidence(s.model, [s.x])
        rows.append([raw, error, evidence.value[0], evidence.error[0]])
    raw, error, value, off = np.array(rows).T
    return raw, error, value, off


@together
def bounded_decoders(
    scenes: Sequence[Bounded], *, least: float = 1.0, always: bool = False
) -> list[Comparison]:
    """Check the tails of the moment, its sums over intervals, and what the library says."""
    key = tuple(scenes)
    v, n = (np.array([getattr(s, name) for s in scenes]) for name in ("variance", "power"))
    exists = (v > least * (n - 1) / n) | always
    ends = np.array([_FAR - _STEP, _FAR, _FAR + _STEP])
    bends = []
    for side in (1.0, -1.0):
        a, b, c = exponent(scenes, side * ends).T
        bends.append((a - 2 * b + c) / _STEP**2)
    bent = np.stack(bends, axis=-1)
    told = (n - 1) / v - n
    size = 1 + np.abs(told)
    lost = gamma(400) * size * _FAR**2
    sums = sums_over(key)
    grows = sums[:, 2] - sums[:, 1]
    raw, error, evidence, off = found_moments(key)
    certain = np.isfinite(error)
    total = np.exp(np.where(exists & certain, sums[:, 0] - n * evidence, 0.0))
    raw = np.where(exists & certain, raw, 1.0)
    each = [
        # Beyond the decoder's bend the exponent is a parabola, whatever the datum.
        Comparison.identities(bent, told[:, None], scale=size[:, None], rounding=lost[:, None]),
        Comparison.each_at_most(
            np.where(exists, sums[:, 1] - sums[:, 0], np.log(gamma(1))), np.log(gamma(1)),
            scale=1.0, exact=0.0,
        ),
        # A shell twice as wide holds twice as much, or more.
        Comparison.each_at_most(
            np.where(exists, grows, 0.95 * np.log(2)), grows, scale=1.0, rounding=gamma(4000)
        ),
        # The library is sure of no moment that does not exist.
        Comparison.each_at_most(certain.astype(float), exists, scale=1.0, exact=0.0),
        Comparison.identities(
            raw, total, scale=total, library=np.where(exists & certain, error, 0.0),
            evidence=n * off * total, rounding=gamma(20_000) * total,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


BOUNDED_DECODERS = Proposition(
    label="14d-bounded",
    title="With bounded outputs, weights have a variance only if q is wider than half the prior",
    statement=(
        r"\sup_z\|f(z)\| < \infty,\ q = \mathcal N(m, S):\quad \mathbb E_q\bar w^n < \infty \iff "
        r"S \succ \tfrac{n-1}nI,\quad \operatorname{Var}_q\bar w < \infty \iff S \succ \tfrac12I,\ "
        r"\text{whatever the datum}"
    ),
    hypotheses=(
        WEIGHTS,
        ("bounded", r"\log p(x|z) \text{ is bounded in } z: \text{ a tanh network, fixed noise}"),
    ),
    kind="counterexample",
    instances=bounded(),
    check=bounded_decoders,
    controls=wrong(
        bounded_decoders,
        {
            "a quarter of the prior's variance is enough": {"least": 0.4},
            "as wide as the prior": {"least": 1.9},
            "there is a variance always": {"always": True},
        },
    ),
    uses=("14b",),
    resolution=1e-4,
    examples=8,
)

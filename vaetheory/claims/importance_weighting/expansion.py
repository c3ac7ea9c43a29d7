"""Check of 14b: the gap in powers of 1/K, and the moments that are its coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.weight_moments import WeightExpansion, importance_weighted_expansion
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.importance_weighting.scenes import (
    BOUND,
    WEIGHTS,
    CurvedScene,
    Line,
    curved_scenes,
    evidences,
    gaps_of,
    lattice_over_q,
)
from vaetheory.rounding import gamma

#: Each is four times the one before: the scale 1 / sqrt(K) halves.
_COUNTS = (16, 64, 256, 1024)


@dataclass(frozen=True)
class Weighted:
    """A Gaussian posterior and a q with enough moments, and a curved decoder."""

    line: Line
    curve: CurvedScene


@st.composite
def weighted(draw: DrawFn) -> Weighted:
    """Ratios of at least 0.9, so that ten moments exist; curves under a q wider than the prior."""
    line = Line(
        draw(st.sampled_from((0.5, 0.25))),
        draw(st.sampled_from((2.0, 1.5, 1.25, 3.0, 0.9))),
        draw(st.sampled_from((0.0, 0.5, -0.25))),
    )
    curve = draw(curved_scenes())
    bend, scale = draw(st.sampled_from((0.5, 0.25))), draw(st.sampled_from((1.25, 1.5)))
    return Weighted(line, replace(curve, bend=bend, scale=scale, exact=False))


@once
def moments_of(scenes: tuple[Line | CurvedScene, ...]) -> tuple[Array, Array]:
    """The library's central moments `(I, 3)` with errors."""
    found: list[WeightExpansion] = [
        importance_weighted_expansion(
            s.model, [s.x] if isinstance(s, CurvedScene) else [[0.0]], s.posterior
        )
        for s in scenes
    ]
    values = np.stack([[f.variance[0], f.third[0], f.fourth[0]] for f in found])
    return values, np.stack([f.error[0] for f in found])


def _direct(logs: Array, masses: Array) -> Array:
    """E_q (wbar - 1)^k for k = 2, 3, 4 from log weights and log masses of q `(I, M)`."""
    away, mass = np.expm1(logs), np.exp(masses)
    return np.stack([(mass * away**k).sum(axis=-1) for k in (2, 3, 4)], axis=-1)


@once
def told_gaps(scenes: tuple[Line, ...]) -> Array:
    """The library's two terms of the gap for each number of samples, `(I, n)`."""
    found = [importance_weighted_expansion(s.model, [[0.0]], s.posterior) for s in scenes]
    return np.stack([f.gap(np.array(_COUNTS, dtype=float)) for f in found])


@once
def line_moments(scenes: tuple[Line, ...]) -> tuple[Array, Array]:
    """The same of lines by two plain lattices: values and differences, `(I, 3)`."""
    step, found = 0.1, []
    for offset in (0.0, 0.5):
        z = step * (np.arange(-400, 401) + offset)
        logs = np.stack([s.log_weights(z) for s in scenes])
        own = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        # q is p / wbar; where p is nothing, so is the moment.
        far = own - logs + 4 * np.maximum(logs, 0) < -700
        found.append(_direct(np.where(far, 0.0, logs), own - logs + np.log(step)))
    return (found[0] + found[1]) / 2, np.abs(found[0] - found[1])


@once
def curve_moments(scenes: tuple[CurvedScene, ...]) -> tuple[Array, Array]:
    """The same of curves, relative to the engine's evidence."""
    evidence, _ = evidences(scenes)
    found = []
    for offset in (0.0, 0.5):
        logs, masses = lattice_over_q(scenes, 0.0625, offset)
        found.append(_direct(logs - evidence[:, None], np.log(masses)))
    return (found[0] + found[1]) / 2, np.abs(found[0] - found[1])


@together
def expansion(
    scenes: Sequence[Weighted],
    *,
    first: float = 0.5,
    sign: float = 1.0,
    square: float = 0.75,
    divergence: bool = False,
) -> list[Comparison]:
    """Compare the gaps for many samples with the moments, and these with plain sums."""
    lines = tuple(s.line for s in scenes)
    gaps, errors = gaps_of(lines, _COUNTS)
    moments, moment_errors = moments_of(lines)
    direct, spread = line_moments(lines)
    curves = tuple(s.curve for s in scenes)
    curved, curved_errors = moments_of(curves)
    other_direct, other_spread = curve_moments(curves)
    _, evidence_error = evidences(curves)
    two, three, _ = moments.T
    ratio, shift = (np.array([getattr(s, name) for s in lines]) for name in ("ratio", "shift"))
    leading = first * two
    if divergence:
        leading = 0.5 * (ratio + shift**2 - 1 - np.log(ratio))
    second = -sign * (three / 3 - square * two**2)
    count = np.array(_COUNTS, dtype=float)
    found = [
        (
            extrapolate(count * g, count * e),
            extrapolate(count**2 * (g - c / count), count**2 * e + count * gamma(8) * abs(c)),
        )
        for g, e, c in zip(gaps, errors, leading, strict=True)
    ]
    one, other = (np.array([f[i] for f in found]) for i in (0, 1))
    size = 1 + np.abs(direct)
    lost = moment_errors[:, 0] + moment_errors[:, 1]
    each = [
        Comparison.identities(
            one[:, 0], leading, scale=1 + leading, expansion=one[:, 1], numerics=one[:, 2],
            moments=moment_errors[:, 0],
        ),
        Comparison.identities(
            other[:, 0], second, scale=1 + np.abs(second), expansion=other[:, 1],
            numerics=other[:, 2], moments=lost * (1 + two),
        ),
        Comparison.identities(
            moments, direct, scale=size, library=moment_errors, lattices=spread,
            rounding=gamma(4000) * size,
        ),
        Comparison.identities(
            curved, other_direct, scale=1 + np.abs(curved), library=curved_errors,
            lattices=other_spread, evidence=8 * evidence_error[:, None] * (1 + np.abs(curved)),
            rounding=gamma(4000) * (1 + np.abs(curved)),
        ),
        Comparison.identities(
            told_gaps(lines), leading[:, None] / count + second[:, None] / count**2, scale=1.0,
            moments=lost[:, None] * (1 + two[:, None]), rounding=gamma(40) * (1 + two[:, None]),
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


EXPANSION = Proposition(
    label="14b",
    title="With enough moments the gap closes like 1/K, with a known second coefficient",
    statement=(
        r"\log p(x) - L_K = \frac{\mu_2}{2K} - \frac1{K^2}\Big(\frac{\mu_3}3 - \frac{3\mu_2^2}4"
        r"\Big) + O(K^{-3}),\quad \mu_k = \mathbb E_q(\bar w - 1)^k,\quad "
        r"\mu_2 = \chi^2(p(z|x)\,\|\,q)"
    ),
    hypotheses=(
        WEIGHTS,
        BOUND,
        ("moments", r"\mu_4 < \infty,\ \mathbb E_q|\log w| < \infty"),
    ),
    kind="rate",
    instances=weighted(),
    check=expansion,
    controls=wrong(
        expansion,
        {
            "mu_2 / K": {"first": 1.0},
            "the second coefficient with the other sign": {"sign": -1.0},
            "the second coefficient without mu_2^2": {"square": 0.0},
            "the divergence over K": {"divergence": True},
        },
    ),
    uses=("14a",),
    figure="importance-weighting",
    resolution=1e-2,
    examples=6,
)

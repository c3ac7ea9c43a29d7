"""Check of 14c: the law of the gap where the weights have no variance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.weight_moments import importance_weighted_expansion
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.importance_weighting.scenes import BOUND, LINEAR, WEIGHTS, Line, gaps_of
from vaetheory.rounding import gamma

#: Numbers of samples at which the library's gaps are enclosed, and logarithms of those at which the
#: first term of the gap is extrapolated.
_COUNTS = (10**3, 10**6, 10**9)
_LOGS = np.log(10.0) * np.array([40.0, 60.0, 85.0, 120.0, 165.0, 225.0, 300.0])
#: The whole line in standard deviations of q, and the logarithms of t, of the sums.
_Y = np.arange(0.0, 66.0, 0.0125)
_LOG_T = np.arange(-32.0, 4.2, 0.25)


def tail(ratio: Array) -> tuple[Array, Array]:
    """A and C of P(wbar > t) ~ C t^-a / sqrt(log t), for q = N(mu, ratio S)."""
    a = 1 / (1 - ratio)
    return a, ratio ** (a / 2) / np.sqrt(np.pi * a)


def coefficient(ratio: Array) -> Array:
    """C of gap ~ c K^-(a - 1) / sqrt(log K) for 1 < a < 2."""
    a, C = tail(ratio)
    return np.asarray(C * np.pi / np.sin(np.pi * (a - 1)))


@st.composite
def narrow_lines(draw: DrawFn) -> Line:
    """Encoders with less than half the posterior's variance, down to an eighth."""
    return Line(
        draw(st.sampled_from((0.5, 0.25))),
        draw(st.sampled_from((0.25, 0.2, 0.125, 0.1875, 0.3))),
    )


def limits(values: Array, errors: Array, x: Array) -> Array:
    """Values of polynomials in x `(I, n)` at 0, without a last point, and effects of errors."""

    def at_zero(points: Array) -> Array:
        others = [np.delete(points, i) for i in range(len(points))]
        return np.array(
            [np.prod(rest / (rest - own)) for rest, own in zip(others, points, strict=True)]
        )

    full, shorter = at_zero(x), at_zero(x[1:])
    last = values @ full
    # Without the point of fewest samples, with the effect of the errors of all.
    left = np.abs(last - values[:, 1:] @ shorter)
    return np.stack([last, left, errors @ np.abs(full)], axis=-1)


def _log_weights(ratio: float) -> Array:
    """Log of wbar at `_Y`, for q = N(0, ratio S)."""
    return np.asarray(0.5 * np.log(ratio) + 0.5 * (1 - ratio) * _Y**2)


def _log_sums(logs: Array) -> Array:
    """Log of E_q exp(logs) over the last axis, for functions of `_Y` that are even."""
    top = logs.max(axis=-1)
    # At zero the lattice has a node, which is on both sides.
    weights = np.where(_Y == 0, 0.5, 1.0) * (_Y[1] - _Y[0])
    return np.asarray(np.log(2 * (np.exp(logs - top[..., None]) @ weights)) + top)


_OWN = -0.5 * _Y**2 - 0.5 * np.log(2 * np.pi)


def _log_h(logs: Array) -> Array:
    """Log of x - log(1 + x) from log x."""
    x = np.exp(np.minimum(logs, 700))
    y = np.minimum(x, 1e-3)
    small = 2 * logs - np.log(2) + np.log1p(-2 * y / 3 + y**2 / 2 - 2 * y**3 / 5)
    with np.errstate(divide="ignore"):
        return np.where(logs < -7, small, np.log(np.maximum(x - np.log1p(x), 0)))


def _log_k(logs: Array) -> Array:
    """Log of exp(-x) - 1 + x from log x."""
    x = np.exp(np.minimum(logs, 700))
    y = np.minimum(x, 1e-3)
    small = 2 * logs - np.log(2) + np.log1p(-y / 3 + y**2 / 12 - y**3 / 60)
    with np.errstate(divide="ignore"):
        return np.where(logs < -7, small, np.log(np.maximum(np.expm1(-x) + x, 0)))


@once
def first_terms(ratios: tuple[float, ...], logs: tuple[float, ...]) -> Array:
    """Log of H(K) = K E_q h(wbar / K), h(x) = x - log(1 + x), `(I, n)`."""
    found = []
    for ratio in ratios:
        ell = _log_weights(ratio) - np.array(logs)[:, None]
        found.append(_log_sums(_OWN + _log_h(ell)) + np.array(logs))
    return np.array(found)


@once
def enclosures(scenes: tuple[Line, ...]) -> tuple[Array, Array]:
    """U(K) and E(K), between which and whose difference the gap lies, `(I, n)`."""
    upper, less = np.empty((2, len(scenes), len(_COUNTS)))
    t, step = np.exp(_LOG_T), _LOG_T[1] - _LOG_T[0]
    near = _Y <= 27
    for i, scene in enumerate(scenes):
        ell = _log_weights(scene.ratio)[near]
        for j, count in enumerate(_COUNTS):
            each = np.exp(_log_k(ell + _LOG_T[:, None] - np.log(count)) + _OWN[near])
            kappa = count * 2 * (each @ np.where(_Y[near] == 0, 0.5, 1.0)) * (_Y[1] - _Y[0])
            upper[i, j] = (np.exp(-t) * np.expm1(kappa)).sum() * step
            more = t**2 * np.exp(t / count + kappa - t) / (2 * count)
            less[i, j] = more.sum() * step
    return upper, less


@once
def tail_probabilities(scenes: tuple[Line, ...]) -> Array:
    """C by extrapolation of P(wbar > t) t^a sqrt(log t) from normal tails, `(I, 3)`."""
    ratio = np.array([s.ratio for s in scenes])[:, None]
    log_t = np.array([30.0, 45.0, 70.0, 100.0, 150.0, 220.0, 300.0])
    a = 1 / (1 - ratio)
    # wbar > t beyond |y| = r; the scaled tail of the normal law has no exponential in it.
    r = np.sqrt(2 * a * (log_t - 0.5 * np.log(ratio)))
    scaled = ratio ** (a / 2) * np.sqrt(log_t) * 2 * mills(r) / np.sqrt(2 * np.pi)
    return limits(scaled, gamma(100) * scaled, 1 / log_t)


def mills(r: Array) -> Array:
    """Probability beyond r over the density at r, of the normal law, by its continued fraction."""
    value = np.array(r)
    for k in range(60, 0, -1):
        value = r + k / value
    return np.asarray(1 / value)


@together
def without_variance(
    scenes: Sequence[Line],
    *,
    power: float | None = None,
    shift: float = 1.0,
    root: float = 0.5,
    scale: float = 1.0,
    finite: bool = False,
    border: float = 0.5,
) -> list[Comparison]:
    """Enclose the gaps by integrals, whose first term is extrapolated to its law."""
    lines = tuple(scenes)
    ratio = np.array([s.ratio for s in lines])
    a, C = tail(ratio)
    gaps, errors = gaps_of(lines, _COUNTS)
    upper, less = enclosures(lines)
    lost = gamma(10_000) * (1 + upper)
    first = np.exp(first_terms(tuple(ratio), tuple(np.log(_COUNTS))))
    exponent = np.full_like(a, power) if power is not None else a - shift
    logs = first_terms(tuple(ratio), tuple(_LOGS))
    reduced = np.exp(logs + exponent[:, None] * _LOGS + root * np.log(_LOGS))
    found = limits(reduced, gamma(10_000) * reduced, 1 / _LOGS)
    expected = scale * coefficient(ratio)
    tails = tail_probabilities(lines)
    # At v = S/2 the law is 2 C sqrt(log K) / K, with terms of lower order in 1 / sqrt(log K).
    half = np.exp(first_terms((0.5,), tuple(_LOGS)) + _LOGS - border * np.log(_LOGS))
    last = limits(half, gamma(10_000) * half, _LOGS**-0.5)[0]
    own = [importance_weighted_expansion(s.model, [[0.0]], s.posterior).variance[0] for s in lines]
    infinite = np.isinf(own) == (not finite)
    one = np.ones(len(lines))
    each = [
        Comparison.each_at_most(gaps, upper, scale=upper, library=errors, rounding=lost),
        Comparison.each_at_most(upper - less, gaps, scale=upper, library=errors, rounding=lost),
        Comparison.each_at_most(first - less, gaps, scale=upper, library=errors, rounding=lost),
        Comparison.identities(
            found[:, 0], expected, scale=expected, expansion=found[:, 1], numerics=found[:, 2]
        ),
        Comparison.identities(
            tails[:, 0], C, scale=C, expansion=tails[:, 1], numerics=tails[:, 2]
        ),
        Comparison.identities(
            last[0] * one, 1 / np.sqrt(2 * np.pi), scale=1.0, expansion=last[1], numerics=last[2]
        ),
        Comparison.identities(infinite.astype(float), 1.0, scale=1.0, exact=0.0),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


WITHOUT_VARIANCE = Proposition(
    label="14c",
    title="Without a variance the gap closes more slowly than 1/K",
    statement=(
        r"\rho = v/S < \tfrac12,\ a = \frac1{1 - \rho}:\quad P(\bar w > t) \sim "
        r"\frac{C\,t^{-a}}{\sqrt{\log t}},\ C = \frac{\rho^{a/2}}{\sqrt{\pi a}},\quad "
        r"\log p(x) - L_K \sim \frac{\pi C}{\sin\pi(a - 1)}\,\frac{K^{1-a}}{\sqrt{\log K}};\quad "
        r"\rho = \tfrac12:\ \sim \sqrt{\frac{\log K}{2\pi}}\,\frac1K"
    ),
    hypotheses=(WEIGHTS, BOUND, LINEAR, ("no variance", r"v \le S/2")),
    kind="counterexample",
    instances=narrow_lines(),
    check=without_variance,
    controls=wrong(
        without_variance,
        {
            "1/K always": {"power": 1.0},
            "K to the power -a": {"shift": 0.0},
            "no logarithm": {"root": 0.0},
            "half of the coefficient": {"scale": 0.5},
            "the variance is finite": {"finite": True},
            "1/K without a logarithm at v = S/2": {"border": 0.0},
        },
    ),
    uses=("14a", "14b"),
    figure="importance-weighting",
    resolution=1e-2,
    examples=3,
)

"""Checks of 10b, 10c, 10d and 10f: BAGGINS is bounded, free of scale, and refuses no spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from autograd import grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.rounding import EPS, gamma


@dataclass(frozen=True)
class FitScene:
    """A batch, its reconstructions, and the presumed information of each dimension."""

    x: tuple[Vector, ...]
    xhat: tuple[Vector, ...]
    information: Vector
    pooled: bool

    @property
    def data(self) -> Array:
        """The batch `(B, D)`."""
        return np.array(self.x)

    @property
    def fits(self) -> Array:
        """The reconstructions `(B, D)`."""
        return np.array(self.xhat)

    @property
    def presumed(self) -> Array:
        """h, `(D,)`; all the same where the dimensions are pooled."""
        shape = len(self.x[0])
        return np.full(shape, self.information[0]) if self.pooled else np.array(self.information)

    def moments(self) -> tuple[Array, Array]:
        """Residual r and spread v of each dimension `(D,)`, by rational arithmetic."""
        columns = zip(zip(*self.x, strict=True), zip(*self.xhat, strict=True), strict=True)
        residual, spread = [], []
        for x, fit in columns:
            data, fits = [Fraction(v) for v in x], [Fraction(v) for v in fit]
            mean = sum(data) / len(data)
            residual.append(sum((a - b) ** 2 for a, b in zip(data, fits, strict=True)) / len(data))
            spread.append(sum((a - mean) ** 2 for a in data) / len(data))
        if self.pooled:
            residual = [sum(residual) / len(residual)] * len(residual)
            spread = [sum(spread) / len(spread)] * len(spread)
        return np.array([float(r) for r in residual]), np.array([float(v) for v in spread])


@st.composite
def fit_scenes(
    draw: DrawFn,
    *,
    levels: tuple[float, ...] = (1.0, 0.5, 0.0, 2.0, 4.0, 20.0, 400.0),
    perfect: bool = True,
) -> FitScene:
    """Batches of two to five data in one to three dimensions, perfect fits among them."""
    dim, pooled = draw(st.integers(1, 3)), draw(st.booleans())
    rows = st.lists(strategies.vectors(dim), min_size=2, max_size=5)
    x = tuple(draw(rows))
    fit = tuple(draw(st.tuples(*[strategies.vectors(dim)] * len(x))))
    if perfect and draw(st.sampled_from((False, False, True))):
        fit = x
    level = st.sampled_from(levels)
    information = draw(st.tuples(*[level] * (1 if pooled else dim)))
    scene = FitScene(x, fit, information, pooled)
    spread = scene.moments()[1]
    assume(spread.min() > 0)
    assume(perfect or scene.moments()[0].min() > 0)
    return scene


def _library(scene: FitScene, x: Array, xhat: Array) -> tuple[float, Array]:
    """Value and aggregate information of the library."""
    h = scene.information[0] if scene.pooled else scene.presumed
    found = baggins(x, xhat, information=h, pooled=scene.pooled)
    return float(found.value), np.asarray(found.information)


# 10a-weighted -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeightedFit:
    """A fit, and how often each of its data counts."""

    fit: FitScene
    counts: tuple[int, ...]


@st.composite
def weighted_fits(draw: DrawFn) -> WeightedFit:
    """Fits at up to four nats whose data count nought to three times; what counts varies."""
    fit = draw(fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)))
    counts = draw(st.tuples(*[st.integers(0, 3)] * len(fit.x)))
    kept = np.repeat(fit.data, counts, axis=0)
    assume(len(kept) > 0 and np.ptp(kept, axis=0).min() > 0)
    return WeightedFit(fit, counts)


def weights_are_counts(
    scene: WeightedFit, *, weighted: Callable[[Any], Any] = lambda k: k
) -> Comparison:
    """The term of weighted data against that of the data repeated."""
    fit, counts = scene.fit, np.array(scene.counts)
    h = fit.information[0] if fit.pooled else fit.presumed
    options: dict[str, Any] = {"information": h, "pooled": fit.pooled}
    rows = np.repeat(np.arange(len(counts)), counts)
    repeated = baggins(fit.data[rows], fit.fits[rows], **options)
    weights = np.asarray(weighted(counts), dtype=float)
    found = baggins(fit.data, fit.fits, weights=weights, **options)
    size = 10 + float(np.abs(repeated.log_scale).sum())
    spread = float(np.ptp(fit.data[rows], axis=0).min()) / float(np.abs(fit.data).max() + 1)
    rounding = gamma(200) * size / spread**2
    return Comparison.all_of(
        Comparison.identity(found.value, repeated.value, scale=size, rounding=rounding),
        Comparison.identity(found.log_scale, repeated.log_scale, scale=size, rounding=rounding),
        Comparison.identity(found.information, repeated.information, scale=size, rounding=rounding),
    )


# 10b --------------------------------------------------------------------------------------------

#: Logarithm of sigma_i^2 from r, v and h.
LogVariance = Callable[[Array, Array, Array], Array]


def log_variance(residual: Array, spread: Array, presumed: Array) -> Array:
    """The right one, log(r + v exp(-2 h))."""
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(residual), np.log(spread) - 2 * presumed)


def no_two(residual: Array, spread: Array, presumed: Array) -> Array:
    """exp(-h) for exp(-2 h)."""
    return log_variance(residual, spread, presumed / 2)


def no_information(residual: Array, spread: Array, presumed: Array) -> Array:
    """The variance r + v."""
    return log_variance(residual, spread, 0 * presumed)


def sum_of_deviations(residual: Array, spread: Array, presumed: Array) -> Array:
    """Deviations added in place of variances."""
    return 2 * np.log(np.sqrt(residual) + np.sqrt(spread) * np.exp(-presumed))


def bounded(
    scene: FitScene,
    *,
    variance: LogVariance = log_variance,
    allowance: float = 1.0,
) -> Comparison:
    """The term against its formula, its bound, the deficit, and the perfect fit that attains it."""
    residual, spread = scene.moments()
    h = scene.presumed
    value, information = _library(scene, scene.data, scene.fits)
    formula = -0.5 * (1 + LOG_2PI + variance(residual, spread, h)).sum()
    most = -0.5 * (1 + LOG_2PI + np.log(spread)).sum() + allowance * h.sum()
    with np.errstate(over="ignore", divide="ignore"):
        # log(1 + r / v exp(2 h)), which can be huge.
        deficit = 0.5 * np.logaddexp(0.0, np.log(residual / spread) + 2 * h)
    size = 10 + float(h.sum()) + abs(formula)
    rounding = gamma(100) * size
    perfect, at_most_h = _library(scene, scene.data, scene.data)
    return Comparison.all_of(
        Comparison.identity(value, formula, scale=size, rounding=rounding),
        Comparison.at_most(value, most, scale=size, rounding=rounding),
        Comparison.at_most(information, h, scale=size, rounding=rounding),
        Comparison.identity(most - value, deficit.sum(), scale=size, rounding=rounding),
        Comparison.identity(h - information, deficit, scale=size, rounding=rounding),
        Comparison.identity(perfect, most, scale=size, rounding=rounding),
        Comparison.identity(at_most_h, h, scale=size, rounding=rounding),
    )


# 10c --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScaledScene:
    """A fit, and a change of units x -> sign 10^power (x + shift) for each dimension."""

    fit: FitScene
    powers: tuple[int, ...]
    signs: Vector
    shifts: Vector

    @property
    def factors(self) -> Array:
        """The factors a, `(D,)`."""
        return np.array(self.signs) * 10.0 ** np.array(self.powers)


@st.composite
def scaled_scenes(draw: DrawFn) -> ScaledScene:
    """Factors from 1e-6 to 1e6, one for all where the dimensions are pooled."""
    fit = draw(fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)))
    dim = len(fit.x[0])
    powers = draw(st.tuples(*[st.integers(-6, 6)] * dim))
    signs = draw(st.tuples(*[st.sampled_from((1.0, -1.0))] * dim))
    if fit.pooled:
        powers = powers[:1] * dim
    shifts = draw(st.tuples(*[strategies.fractions(-100, 100)] * dim))
    return ScaledScene(fit, powers, signs, shifts)


def change_of_units(
    scene: ScaledScene,
    *,
    sign: float = -1.0,
    power: float = 1.0,
    relative: float = 1.0,
) -> Comparison:
    """The value shifts by -sum log|a|, and the gradient in relative coordinates stays.

    `relative` is the power of |a| by which the gradient is multiplied.
    """
    fit, a, shift = scene.fit, scene.factors, np.array(scene.shifts)
    x, xhat = fit.data, fit.fits
    moved, moved_fit = a * (x + shift), a * (xhat + shift)
    value, information = _library(fit, x, xhat)
    other, other_information = _library(fit, moved, moved_fit)
    # What rounding in the new units changes of sigma: each entry by a few of its own roundings.
    largest = np.maximum(np.abs(x + shift), np.abs(xhat + shift)).max(axis=0)
    h = fit.information[0] if fit.pooled else fit.presumed
    deviation = baggins(x, xhat, information=h, pooled=fit.pooled).scale
    lost = 8 * EPS * (largest.max() if fit.pooled else largest) / deviation
    size = 10 + abs(value) + np.abs(np.log(np.abs(a))).sum()
    rounding = gamma(100) * size + 2 * lost.sum()
    shift_of_value = sign * power * np.log(np.abs(a)).sum()

    def slope(data: Array, fits: Array) -> Array:
        return np.asarray(
            grad(lambda f: baggins(data, f, information=h, pooled=fit.pooled).value)(fits)
        )

    before = slope(x, xhat)
    after = slope(moved, moved_fit) * np.sign(a) * np.abs(a) ** relative
    count = len(x)
    # (x - xhat) / (B sigma^2), of which both move.
    steep = (gamma(100) + 4 * lost) * np.abs(before) + 2 * lost / (count * deviation)
    return Comparison.all_of(
        Comparison.identity(other, value + shift_of_value, scale=size, rounding=rounding),
        Comparison.identity(other_information, information, scale=size, rounding=rounding),
        Comparison.identity(after, before, scale=1 / deviation, rounding=steep),
    )


# 10d --------------------------------------------------------------------------------------------


def profile_excess(scene: FitScene, levels: Array) -> tuple[Array, Array]:
    """The profile likelihood less the term at each presumed information `(L,)`; its rounding."""
    x, xhat = scene.data, scene.fits
    limit = float(profile_likelihood(x, xhat, pooled=scene.pooled).value)
    found = [
        float(baggins(x, xhat, information=float(h), pooled=scene.pooled).value) for h in levels
    ]
    return limit - np.array(found), np.full(len(found), gamma(100) * (10 + abs(limit)))


def profile_limit(
    scene: FitScene, *, exponent: float = 2.0, share: float = 0.5, inverse: bool = False
) -> Comparison:
    """The profile likelihood less the term falls as 1/2 sum (v / r) exp(-2 h)."""
    residual, spread = scene.moments()
    ratio = spread / residual
    # From where v exp(-2 h) is a small share of r, halving exp(-h).
    start = max(0.5 * float(np.log(ratio.max())) + 1.5, 0.0)
    scales = np.exp(-start) / 2.0 ** np.arange(4)
    x, xhat = scene.data, scene.fits
    excess, errors = profile_excess(scene, -np.log(scales))
    limit = profile_likelihood(x, xhat, pooled=scene.pooled)
    size = 10 + abs(float(limit.value))
    # Beyond the reach of exp: exactly the limit.
    beyond = baggins(x, xhat, information=1e3, pooled=scene.pooled).value
    direct = -0.5 * (1 + LOG_2PI + np.log(residual)).sum()
    return Comparison.all_of(
        power_law(
            excess,
            errors,
            scales,
            exponent=exponent,
            coefficient=share * float((1 / ratio if inverse else ratio).sum()),
            rounding=gamma(100) * float(ratio.sum()),
        ),
        Comparison.identity(limit.value, direct, scale=size, rounding=gamma(100) * size),
        Comparison.identity(beyond, direct, scale=size, rounding=gamma(100) * size),
    )


# 10f --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConstantScene:
    """A batch with one column that varies and one that is constant."""

    column: Vector
    constant: float
    information: float


@st.composite
def constant_scenes(draw: DrawFn) -> ConstantScene:
    """Two to five data."""
    column = draw(st.lists(strategies.fractions(-4, 4, 2), min_size=2, max_size=5))
    assume(len(set(column)) > 1)
    constant = draw(st.sampled_from((0.1, 0.0, -1e8, 1 / 3)))
    return ConstantScene(tuple(column), constant, draw(st.sampled_from((1.0, 0.0, 3.0))))


def _refused(x: Array, information: float, *, pooled: bool) -> bool:
    try:
        baggins(x, x, information=information, pooled=pooled)
    except ValueError:
        return True
    return False


def refusals(
    scene: ConstantScene, *, refused: bool = True, pooled: bool = False, slope: float = -1.0
) -> Comparison:
    """A constant column and a batch of one are refused; as a spread vanishes the bound does."""
    column, h = np.array(scene.column), scene.information
    x = np.stack([column, np.full_like(column, scene.constant)], axis=-1)
    equal = np.broadcast_to(x[:1], x.shape)
    verdicts = [
        (_refused(x, h, pooled=False), refused),
        (_refused(x[:1], h, pooled=False), refused),
        (_refused(x[:1], h, pooled=True), refused),
        (_refused(equal, h, pooled=True), refused),
        (_refused(x, h, pooled=True), pooled),
    ]
    wrong = float(sum(came != expected for came, expected in verdicts))
    parts = [Comparison.identity(wrong, 0.0, scale=1.0)]
    # What the refusal spares: the greatest value of a column of spread s is -log s + a constant.
    spreads = 10.0 ** np.arange(0, -13, -3.0)
    values = np.array(
        [
            float(baggins((s * column)[:, None], (s * column)[:, None], information=h).value)
            for s in spreads
        ]
    )
    size = 10 + float(np.abs(values).max())
    parts.append(
        Comparison.identity(
            values - values[0], slope * np.log(spreads), scale=size, rounding=gamma(200) * size
        )
    )
    # Pooled, the constant column has its share of the common variance.
    pooled_value = baggins(x, x, information=h, pooled=True).value
    direct = -(1 + LOG_2PI + np.log(column.var() / 2)) + 2 * h
    parts.append(
        Comparison.identity(
            pooled_value, direct, scale=size, rounding=gamma(200) * (size + abs(direct))
        )
    )
    return Comparison.all_of(*parts)

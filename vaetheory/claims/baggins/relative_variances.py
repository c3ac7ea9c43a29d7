"""Checks of 10g: variances that vary from datum to datum, and why they are relative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins, with_relative_variances
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes
from vaetheory.rounding import gamma

RELATIVE = (
    "relative log variances",
    r"g \in \mathbb R^{B \times D},\ g' = g - \mathbb E_B[g]",
)


@dataclass(frozen=True)
class VaryingScene:
    """A fit, and relative log variances of each datum and dimension."""

    fit: FitScene
    relative: tuple[Vector, ...]

    @property
    def log_variances(self) -> Array:
        """g, `(B, D)`."""
        return np.array(self.relative)


@st.composite
def varying_scenes(draw: DrawFn) -> VaryingScene:
    """Fits at up to four nats, and log variances of -2 to 2 that differ in a dimension."""
    fit = draw(fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)))
    entry = strategies.fractions(-4, 4, 2)
    rows = tuple(draw(st.tuples(*[st.tuples(*[entry] * len(fit.x[0]))] * len(fit.x))))
    assume(any(len(set(column)) > 1 for column in zip(*rows, strict=True)))
    return VaryingScene(fit, rows)


def varying(
    scene: VaryingScene, *, centred: bool = True, power: float = 1.0, allowance: float = 1.0
) -> Comparison:
    """Compare BAGGINS of the reconstructions with the model's densities, and with its bound."""
    fit, g = scene.fit, scene.log_variances
    x, xhat = fit.data, fit.fits
    spread, presumed = fit.moments()[1], fit.presumed
    term = baggins(x, with_relative_variances(x, xhat, g), **fit.options)
    moved = with_relative_variances(x, xhat, g + np.arange(1.0, 1.0 + x.shape[1]))
    again = baggins(x, moved, **fit.options)
    away = power * (g - g.mean(axis=0) if centred else g)
    residual = ((x - xhat) ** 2 * np.exp(-away)).mean(axis=0)
    if fit.pooled:
        residual = np.full_like(residual, residual.mean())
    noise = spread * np.exp(-2 * presumed)
    variance = residual + noise
    each = variance * np.exp(away)
    density = -0.5 * (LOG_2PI + np.log(each) + (x - xhat) ** 2 / each)
    direct = density.mean(axis=0).sum() - 0.5 * (noise / variance).sum()
    most = -0.5 * (1 + LOG_2PI + np.log(spread)).sum() + allowance * presumed.sum()
    size = 10 + float(np.abs(np.log(variance)).sum() + np.abs(g).sum())
    # The reconstructions are rounded where the data are.
    shift = float((np.abs(x).max() + np.abs(x - xhat).max()) * np.exp(2.0) / variance.min() ** 0.5)
    rounding = gamma(200) * size + gamma(10) * shift * (1 + gamma(10) * shift) * x.size
    return Comparison.all_of(
        Comparison.identity(term.value, direct, scale=size, rounding=rounding),
        Comparison.at_most(term.value, most, scale=size, rounding=rounding),
        Comparison.identity(again.value, term.value, scale=size, rounding=rounding),
    )


VARYING = Proposition(
    label="10g",
    title="Variances that vary over the batch, relative to their mean, keep the term's bound",
    statement=(
        r"T_g = \mathbb E_B[\log\mathcal N(x; \hat x, \sigma_i^2e^{g'_i})]"
        r" - \tfrac12\sum_i v_ie^{-2h_i}/\sigma_i^2"
        r" \le -\tfrac12\sum_i\log 2\pi e\,v_i + \sum_i h_i,\quad "
        r"\sigma_i^2 = \mathbb E_B[(x_i - \hat x_i)^2e^{-g'_i}] + v_ie^{-2h_i}"
    ),
    hypotheses=(MOMENTS, TERM, RELATIVE),
    kind="inequality",
    instances=varying_scenes(),
    check=varying,
    controls=wrong(
        varying,
        {
            "g not centred": {"centred": False},
            "deviations for variances": {"power": 2.0},
            "the opposite sign": {"power": -1.0},
            "half of the presumed information": {"allowance": 0.5},
        },
    ),
    uses=("10a", "10b"),
    examples=20,
)


# 10g-absolute -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AbsoluteScene:
    """A perfect fit, and log variances whose mean over the batch is not taken away."""

    fit: FitScene
    level: float


def absolute_scenes() -> st.SearchStrategy[AbsoluteScene]:
    """Levels of -1 to -100: variances that are the same multiple for all data."""
    fits = fit_scenes(levels=(1.0, 0.5, 0.0, 2.0))
    return st.builds(AbsoluteScene, fits, st.sampled_from((-1.0, -4.0, -10.0, -100.0)))


def absolute(scene: AbsoluteScene, *, bounded: bool = False, slope: float = -0.5) -> Comparison:
    """By how much the likelihood of a perfect fit passes the bound, if g is not relative."""
    fit, level = scene.fit, scene.level
    x = fit.data
    dim = x.shape[1]
    presumed, spread = fit.presumed, fit.moments()[1]
    most = -0.5 * (1 + LOG_2PI + np.log(spread)).sum() + presumed.sum()
    term = baggins(x, with_relative_variances(x, x, np.full_like(x, level)), **fit.options)
    # Log determinants with g in place of g'.
    value = float(term.value) - 0.5 * level * dim
    size = 10 + float(np.abs(np.log(spread)).sum() + presumed.sum()) + abs(level) * dim
    rounding = gamma(100) * size
    return Comparison.all_of(
        Comparison.identity(value - most, slope * level * dim, scale=size, rounding=rounding),
        Comparison.identity(float(value <= most), float(bounded), scale=1.0),
    )


ABSOLUTE = Proposition(
    label="10g-absolute",
    title="Free variances undo the bound: only relative ones keep it",
    statement=(
        r"\hat x = x,\ g = -c < 0 \text{ for all data}:\quad "
        r"T - \tfrac12\sum_i\mathbb E_B[g_i] = -\tfrac12\sum_i\log 2\pi e\,v_i + \sum_i h_i"
        r" + \tfrac12 Dc \to \infty"
    ),
    hypotheses=(MOMENTS, TERM, ("absolute log variances", r"g \text{ in place of } g'")),
    kind="counterexample",
    instances=absolute_scenes(),
    check=absolute,
    controls=wrong(
        absolute,
        {"bounded all the same": {"bounded": True}, "D c for D c / 2": {"slope": -1.0}},
    ),
    uses=("10g",),
    examples=10,
)

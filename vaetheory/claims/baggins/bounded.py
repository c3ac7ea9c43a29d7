"""Checks of 10b and 10d: the bound of the term, and its limit, the profile likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes, library_term
from vaetheory.rounding import gamma

# 10b --------------------------------------------------------------------------------------------

#: Logarithm of sigma_i^2 from r, v and h.
LogVariance = Callable[[Array, Array, Array], Array]


def log_variance(residual: Array, spread: Array, presumed: Array) -> Array:
    """The right logarithm, log(r + v exp(-2 h))."""
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
    """Compare the term with its formula and its bound, which a perfect fit attains."""
    residual, spread = scene.moments()
    h = scene.presumed
    value, information = library_term(scene, scene.data, scene.fits)
    formula = -0.5 * (1 + LOG_2PI + variance(residual, spread, h)).sum()
    most = -0.5 * (1 + LOG_2PI + np.log(spread)).sum() + allowance * h.sum()
    with np.errstate(over="ignore", divide="ignore"):
        # log(1 + r / v exp(2 h)), which can be huge.
        deficit = 0.5 * np.logaddexp(0.0, np.log(residual / spread) + 2 * h)
    size = 10 + float(h.sum()) + abs(formula)
    rounding = gamma(100) * size
    perfect, at_most_h = library_term(scene, scene.data, scene.data)
    return Comparison.all_of(
        Comparison.identity(value, formula, scale=size, rounding=rounding),
        Comparison.at_most(value, most, scale=size, rounding=rounding),
        Comparison.at_most(information, h, scale=size, rounding=rounding),
        Comparison.identity(most - value, deficit.sum(), scale=size, rounding=rounding),
        Comparison.identity(h - information, deficit, scale=size, rounding=rounding),
        Comparison.identity(perfect, most, scale=size, rounding=rounding),
        Comparison.identity(at_most_h, h, scale=size, rounding=rounding),
    )


BOUNDED = Proposition(
    label="10b",
    title="The term is bounded, and the aggregate information never exceeds the presumed",
    statement=(
        r"T = -\tfrac12\sum_i\log 2\pi e\,v_i + \sum_i h_i"
        r" - \tfrac12\sum_i\log\big(1 + \tfrac{r_i}{v_i}e^{2h_i}\big),\quad "
        r"\tfrac12\log\frac{v_i}{\sigma_i^2} \le h_i,"
        r"\text{ with equality iff } \hat x = x"
    ),
    hypotheses=(MOMENTS, TERM),
    kind="inequality",
    instances=fit_scenes(),
    check=bounded,
    controls=wrong(
        bounded,
        {
            "exp(-h) for exp(-2 h)": {"variance": no_two},
            "r + v for r + v exp(-2 h)": {"variance": no_information},
            "deviations added for variances": {"variance": sum_of_deviations},
            "half of the presumed information": {"allowance": 0.5},
        },
    ),
    figure="baggins",
)


# 10d --------------------------------------------------------------------------------------------


def profile_excess(scene: FitScene, levels: Array) -> tuple[Array, Array]:
    """Profile likelihood minus term at each presumed information `(L,)`, and its rounding."""
    x, xhat = scene.data, scene.fits
    limit = float(profile_likelihood(x, xhat, pooled=scene.pooled).value)
    terms = [
        float(baggins(x, xhat, information=float(h), pooled=scene.pooled).value) for h in levels
    ]
    return limit - np.array(terms), np.full(len(terms), gamma(100) * (10 + abs(limit)))


def profile_limit(
    scene: FitScene, *, exponent: float = 2.0, share: float = 0.5, inverse: bool = False
) -> Comparison:
    """Check that profile likelihood minus term falls as 1/2 sum (v / r) exp(-2 h)."""
    residual, spread = scene.moments()
    ratio = spread / residual
    # Begin where v exp(-2 h) is a small share of r, and halve exp(-h).
    start = max(0.5 * float(np.log(ratio.max())) + 1.5, 0.0)
    scales = np.exp(-start) / 2.0 ** np.arange(4)
    x, xhat = scene.data, scene.fits
    excess, errors = profile_excess(scene, -np.log(scales))
    limit = profile_likelihood(x, xhat, pooled=scene.pooled)
    size = 10 + abs(float(limit.value))
    # Here exp(-2 h) underflows: the term is the limit itself.
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


PROFILE_LIMIT = Proposition(
    label="10d",
    title="As the presumed information grows the term becomes the profile likelihood",
    statement=(
        r"-\tfrac12\sum_i\log 2\pi e\,r_i - T_h"
        r" = \tfrac12\sum_i\frac{v_i}{r_i}\,e^{-2h} + O(e^{-4h})"
    ),
    hypotheses=(MOMENTS, TERM, ("no perfect fit", r"r_i > 0")),
    kind="rate",
    instances=fit_scenes(levels=(1.0,), perfect=False),
    check=profile_limit,
    controls=wrong(
        profile_limit,
        {
            "exp(-h) for exp(-2 h)": {"exponent": 1.0},
            "no factor 1/2": {"share": 1.0},
            "r / v for v / r": {"inverse": True},
        },
    ),
    figure="baggins",
    resolution=0.01,
)

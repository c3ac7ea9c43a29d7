"""The check of 4b-variances: how the variances of the estimators scale with the covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.rates import extrapolate, leading_coefficient, power_law, settled
from vaetheory.claims.hessian_estimator.estimators import ESTIMATORS, Seen
from vaetheory.claims.hessian_estimator.smooth_functions import (
    SmoothFunction,
    by_rules,
    flat,
    smooth_functions,
)
from vaetheory.rounding import gamma

SCALES = 1 / 32 / 2.0 ** np.arange(4)


@once
def total_variances(
    function: SmoothFunction, scales: Array = SCALES
) -> dict[str, tuple[Array, Array]]:
    """Variance of one draw of each estimator, summed over the entries, under S = s^2 I.

    Returns the variances `(len(scales),)` and their error estimates by name.
    """
    loc = function.loc
    dim = len(loc)
    centre = float(function.values(loc[None])[0])
    slope = float(np.linalg.norm(function.gradients(loc[None])))
    variances, errors = [], []
    for scale in scales:
        root, cov = scale * np.eye(dim), scale**2 * np.eye(dim)
        mean, _ = by_rules(lambda z: flat(function.hessians(z)), loc, cov)

        def squares(z: Array, rows: Array, root: Array = root, mean: Array = mean) -> Array:
            points = z[0][:, None]
            noise = (points - loc) / root[0, 0]
            seen = Seen.at(function, points)
            draws = [e(seen, centre, noise, root).value for e in ESTIMATORS.values()]
            return ((flat(np.stack(draws)) - mean) ** 2).sum(axis=-1)[rows]

        means = gaussian_expectation(
            squares, np.tile(loc, (len(ESTIMATORS), 1)), np.tile(cov, (len(ESTIMATORS), 1, 1))
        )
        # Each draw has the rounding of the terms it is computed from.
        by_value, by_slope = (1 + abs(centre)) / scale**2, (1 + slope) / scale
        sizes = np.array([by_value, by_value, by_slope, 1 + float(np.linalg.norm(mean))])
        lost = gamma(100) * sizes
        variances.append(means.value)
        errors.append(means.error + 2 * lost * np.sqrt(np.maximum(means.value, 0)) + lost**2)
    return dict(
        zip(
            ESTIMATORS, zip(np.transpose(variances), np.transpose(errors), strict=True), strict=True
        )
    )


@once
def leading_variance(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """Coefficient and exponent of s of the total variance as s -> 0, and the error."""
    at = function.loc[None]
    dim = at.shape[-1]
    slope = float((function.gradients(at) ** 2).sum())
    if name == "values":
        return (dim**2 + dim) * float(function.values(at)[0]) ** 2, -4.0, 0.0
    if name == "values less g(m)":
        return ((dim + 2) ** 2 + dim) * slope, -2.0, 0.0
    if name == "gradients":
        return (dim + 1) / 2 * slope, -2.0, 0.0
    value, error = 0.0, 0.0
    for unit in np.eye(dim):
        steps = 1 / 16 / 2.0 ** np.arange(5)
        ahead, back = (function.hessians(at + s * steps[:, None] * unit) for s in (1, -1))
        differences = flat(ahead - back) / (2 * steps[:, None])
        lost = gamma(50) * (1 + np.abs(flat(ahead)).max()) / steps
        for column in differences.T:
            limit, left, noise = extrapolate(column, lost)
            value += limit**2
            error += 2 * abs(limit) * (left + noise) + (left + noise) ** 2
    return value, 2.0, error


def variances_scale(
    function: SmoothFunction,
    *,
    leading: Callable[[SmoothFunction, str], tuple[float, float, float]] = leading_variance,
) -> Comparison:
    """Compare exponent and coefficient of each total variance with the law as S = s^2 I shrinks."""
    parts = []
    for name, (values, errors) in total_variances(function).items():
        coefficient, exponent, error = leading(function, name)
        even = settled(values, errors, SCALES, exponent=exponent)
        law = power_law if even and coefficient > 2 * error else leading_coefficient
        lost = error + gamma(200) * coefficient
        parts.append(
            law(values, errors, SCALES, exponent=exponent, coefficient=coefficient, rounding=lost)
        )
    return Comparison.all_of(*parts)


def independent_entries(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """The coefficient of values as if all d^2 entries varied like the diagonal ones."""
    coefficient, exponent, error = leading_variance(function, name)
    dim = len(function.loc)
    return (2 * dim / (dim + 1) if name == "values" else 1.0) * coefficient, exponent, error


def unsymmetrised(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """The coefficient of gradients before the symmetric part is taken, d ||grad g||^2."""
    coefficient, exponent, error = leading_variance(function, name)
    dim = len(function.loc)
    return (2 * dim / (dim + 1) if name == "gradients" else 1.0) * coefficient, exponent, error


def baseline_like_gradients(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """The law as if a baseline gave values the variance of gradients."""
    return leading_variance(function, "gradients" if name == "values less g(m)" else name)


def one_order_more(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """The law with the next power of s."""
    coefficient, exponent, error = leading_variance(function, name)
    return coefficient, exponent + 1, error


VARIANCES_SCALE = Proposition(
    label="4b-variances",
    title="What an estimator does not see costs powers of the posterior's width",
    statement=(
        r"S = s^2 I:\quad \operatorname{tr}\operatorname{Var} \sim"
        r" \frac{(d^2+d)\,g^2}{s^4},\ \frac{((d+2)^2+d)\,\|\nabla g\|^2}{s^2},\ "
        r" \frac{(d+1)\,\|\nabla g\|^2}{2 s^2},\ s^2\,\|\nabla^3 g\|^2"
        r"\quad\text{for values, values less } g(m)\text{, gradients, Hessians}"
    ),
    hypotheses=(
        ("smooth", r"g \in C^4,\ \text{of moderate growth}"),
        ("isotropic", r"S = s^2 I,\ s \to 0"),
    ),
    kind="rate",
    instances=smooth_functions(),
    check=variances_scale,
    controls=wrong(
        variances_scale,
        {
            "d^2 independent entries": {"leading": independent_entries},
            "no symmetric part": {"leading": unsymmetrised},
            "a baseline as good as gradients": {"leading": baseline_like_gradients},
            "one power of s more": {"leading": one_order_more},
        },
    ),
    uses=("4b",),
    figure="hessian-estimator",
    resolution=5e-2,
    examples=10,
)

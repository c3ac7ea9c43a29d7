"""Checks of 4b's samples: the estimators of the Hessian are unbiased, and how much they vary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders
from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking.claim import Certificate
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.rates import extrapolate, leading_coefficient, power_law, settled
from vaetheory.claims.hessian_estimator.smoothed import (
    LOG_LIKELIHOOD,
    SmoothFunction,
    by_rules,
    flat,
    smooth_functions,
)
from vaetheory.concentration import mean_deviation
from vaetheory.hessian_estimators import Estimate, price_hessian, stein_hessian
from vaetheory.likelihoods import Support
from vaetheory.rounding import gamma

_DRAWS = {1: 2**19, 2: 2**18}
# Moments of one draw up to this order; of its squared deviation up to half of it.
_ORDER = 20
# So far out even eps^(4 * 20), the greatest power in the moments, has died away.
_REACH = 16.0

#: Values, gradients and Hessians at the points, the baseline, noise and L -> estimate.
Estimator = Callable[["Seen", float, Array, Array], Estimate]


@dataclass(frozen=True)
class Seen:
    """What is seen of g at the perturbed points `(..., n)`, of which each estimator uses a part."""

    values: Array
    gradients: Array
    hessians: Array

    @classmethod
    def at(cls, function: SmoothFunction, z: Array) -> Seen:
        """Values, gradients and Hessians at z `(..., n, d)`."""
        return cls(function.values(z), function.gradients(z), function.hessians(z))


def _hessian_average(seen: Seen, baseline: float, noise: Array, root: Array) -> Estimate:
    hessians = seen.hessians
    count = hessians.shape[-3]
    spread = hessians.std(axis=-3, ddof=1) if count > 1 else np.full_like(hessians[..., 0, :, :], 0)
    return Estimate(hessians.mean(axis=-3), spread / np.sqrt(count), count)


#: The four estimators, from the one that sees least to the one that sees most.
ESTIMATORS: dict[str, Estimator] = {
    "values": lambda seen, g, noise, root: stein_hessian(seen.values, noise, root),
    "values less g(m)": lambda seen, g, noise, root: stein_hessian(
        seen.values, noise, root, baseline=g
    ),
    "gradients": lambda seen, g, noise, root: price_hessian(seen.gradients, noise, root),
    "Hessians": _hessian_average,
}


def doubled(seen: Seen, g: float, noise: Array, root: Array) -> Estimate:
    """The estimator from gradients without the 1/2 of its symmetric part."""
    found = price_hessian(seen.gradients, noise, root)
    return Estimate(2 * found.value, 2 * found.error, found.draws)


def uncentred(seen: Seen, g: float, noise: Array, root: Array) -> Estimate:
    """The estimator from values without its term -S^-1."""
    found = stein_hessian(seen.values, noise, root)
    extra = np.linalg.inv(root @ root.T)
    return Estimate(
        found.value + seen.values.mean(axis=-1)[..., None, None] * extra, found.error, found.draws
    )


def deviation_for_error(seen: Seen, g: float, noise: Array, root: Array) -> Estimate:
    """The estimator from gradients with the deviation of one draw as its standard error."""
    found = price_hessian(seen.gradients, noise, root)
    return Estimate(found.value, found.error * np.sqrt(found.draws), found.draws)


# 4b-sampled -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampled:
    """A smooth function under a Gaussian, and the seed of the sample."""

    function: SmoothFunction
    seed: int


def _is_tame(function: SmoothFunction) -> bool:
    """Whether few draws tell the variance, which huge higher moments would hide in rare draws."""
    scene = function.scene
    # A saturated tanh is flat but for the rare draw that leaves the plateau.
    if isinstance(scene.decoder, decoders.TanhNetwork):
        sums = scene.decoder.weights[0] @ function.loc + scene.decoder.biases[0]
        if np.abs(sums).max() > 2:
            return False
    # Quartics and exponentials of the noise.
    return function.output != LOG_LIKELIHOOD or not (
        scene.likelihood.support is Support.COUNTS or isinstance(scene.decoder, decoders.Polynomial)
    )


def sampled_functions() -> SearchStrategy[Sampled]:
    """Functions that grow no faster than a square, and small seeds."""
    return st.builds(
        Sampled, smooth_functions(dims=(1, 1, 1, 2)).filter(_is_tame), st.integers(0, 999)
    )


def _lower(matrices: Array) -> Array:
    """Entries on and below the diagonal, `(..., d, d) -> (..., K)`."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


@dataclass(frozen=True)
class Moments:
    """Of one draw of each entry of an estimator: variance, and upper bounds of further moments.

    `draw` `(K, 19)` holds the central moments of orders 2 to 20, `square` `(K, 9)` those of the
    squared deviation, orders 2 to 10; the quadrature's error estimate is added to each.
    """

    variance: Array
    error: Array
    draw: Array
    square: Array


def exact_moments(instance: Sampled, estimator: Estimator, mean: Array) -> Moments:
    """Moments of one draw by a lattice over the noise."""
    function = instance.function
    root = np.linalg.cholesky(function.cov)
    dim = len(root)
    centre = float(function.values(function.loc[None])[0])

    def deviations(noise: Array) -> Array:
        seen = Seen.at(function, (function.loc + noise @ root.T)[:, None])
        return _lower(estimator(seen, centre, noise[:, None], root).value) - mean

    def integrate(columns: Callable[[Array], Array]) -> tuple[Array, Array]:
        def weighted(noise: Array) -> Array:
            powers = columns(deviations(noise))
            density = np.exp(standard_log_prob(noise))
            return (powers * density[:, None, None]).reshape(len(noise), -1)

        box = np.full(dim, _REACH)
        value, error = lattice_integral(weighted, -box, box, step=0.25 if dim == 1 else 0.4)
        return value.reshape(len(mean), -1), error.reshape(len(mean), -1)

    variance, error = integrate(lambda x: x[..., None] ** 2)
    higher, doubt = integrate(
        lambda x: np.concatenate(
            [_powers(x, _ORDER), _powers(x**2 - variance[:, 0], _ORDER // 2)], axis=-1
        )
    )
    above = np.abs(higher) + doubt
    return Moments(variance[:, 0], error[:, 0], above[:, : _ORDER - 1], above[:, _ORDER - 1 :])


def _powers(x: Array, order: int) -> Array:
    """x^2, ..., x^order along a new last axis."""
    return np.multiply.accumulate(np.repeat(x[..., None], order, axis=-1), axis=-1)[..., 1:]


def sampled_estimators(
    instance: Sampled, *, replaced: str = "", by: Estimator | None = None, term: float = 1.0
) -> Certificate:
    """Sample mean and sample variance of each estimator against the exact ones."""
    function = instance.function
    root = np.linalg.cholesky(function.cov)
    dim = len(root)
    count = _DRAWS[dim]
    hessian, doubt = by_rules(lambda z: flat(function.hessians(z)), function.loc, function.cov)
    mean, mean_error = (_lower(v.reshape(dim, dim)) for v in (hessian, doubt))
    noise = np.random.default_rng(instance.seed).standard_normal((count, dim))
    seen = Seen.at(function, function.loc + noise @ root.T)
    centre = float(function.values(function.loc[None])[0])
    largest = 1 + abs(centre) + float(np.abs(seen.values).max())
    inverse = float(np.linalg.norm(np.linalg.inv(function.cov), 2))
    rounding = gamma(500) * inverse * largest * (1 + float(np.linalg.cond(function.cov)))
    parts, spreads = [], {}
    # What a control leaves as it is need not be compared again.
    compared = ESTIMATORS if by is None else {replaced: ESTIMATORS[replaced]}
    for name, estimator in compared.items():
        found = (estimator if by is None else by)(seen, centre, noise, root)
        exact = exact_moments(instance, estimator, mean)
        one, square = mean_deviation(exact.draw, count), mean_deviation(exact.square, count)
        deviation = np.sqrt(exact.variance)
        # The unbiased variance: n / (n - 1) (mean square - squared mean) of the deviations.
        variance = _lower(found.error) ** 2 * count
        around = (square + one**2) * count / (count - 1) + exact.variance / (count - 1)
        parts += [
            Certificate.identity(
                _lower(found.value),
                term * mean,
                scale=1 + np.abs(mean).max() + deviation.max(),
                deviation=one,
                quadrature=mean_error,
                rounding=rounding,
            ),
            Certificate.identity(
                variance,
                exact.variance,
                scale=1 + exact.variance.max() + np.sqrt(exact.square[:, 0].max()),
                deviation=around,
                quadrature=exact.error + 2 * deviation * mean_error,
                rounding=rounding * (deviation + rounding),
            ),
        ]
        spreads[name] = float(exact.variance.sum())
    order = sorted(spreads, key=spreads.__getitem__)
    # A constant Hessian, or a constant g, leaves variances that are rounding alone.
    told = spreads[order[0]] > 1e-9 * (1 + spreads[order[-1]])
    findings = (f"least variance first: {', '.join(order)}",) if told else ()
    return Certificate.all_of(*parts, findings=findings)


# 4b-variances -----------------------------------------------------------------------------------

SCALES = 1 / 32 / 2.0 ** np.arange(4)


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

        found = gaussian_expectation(
            squares, np.tile(loc, (len(ESTIMATORS), 1)), np.tile(cov, (len(ESTIMATORS), 1, 1))
        )
        # Each draw carries the rounding of what it is made of.
        by_value, by_slope = (1 + abs(centre)) / scale**2, (1 + slope) / scale
        sizes = np.array([by_value, by_value, by_slope, 1 + float(np.linalg.norm(mean))])
        lost = gamma(100) * sizes
        variances.append(found.value)
        errors.append(found.error + 2 * lost * np.sqrt(np.maximum(found.value, 0)) + lost**2)
    return dict(
        zip(
            ESTIMATORS, zip(np.transpose(variances), np.transpose(errors), strict=True), strict=True
        )
    )


def leading_variance(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """Coefficient and exponent of s of the total variance as s -> 0, and the former's error."""
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
) -> Certificate:
    """Exponent and coefficient of each estimator's total variance as S = s^2 I shrinks."""
    parts = []
    for name, (values, errors) in total_variances(function).items():
        coefficient, exponent, error = leading(function, name)
        even = settled(values, errors, SCALES, exponent=exponent)
        law = power_law if even and coefficient > 2 * error else leading_coefficient
        lost = error + gamma(200) * coefficient
        parts.append(
            law(values, errors, SCALES, exponent=exponent, coefficient=coefficient, rounding=lost)
        )
    return Certificate.all_of(*parts)


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
    """A baseline that brings the values down to the variance of the gradients."""
    return leading_variance(function, "gradients" if name == "values less g(m)" else name)


def one_order_more(function: SmoothFunction, name: str) -> tuple[float, float, float]:
    """Variances of the next power of s."""
    coefficient, exponent, error = leading_variance(function, name)
    return coefficient, exponent + 1, error

"""The four estimators of a smoothed Hessian, and wrong versions of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaetheory._validation import Array
from vaetheory.claims.hessian_estimator.smooth_functions import (
    SmoothFunction,
)
from vaetheory.hessian_estimators import Estimate, price_hessian, stein_hessian

#: Values, gradients and Hessians at the points, the baseline, noise and L -> estimate.
Estimator = Callable[["Seen", float, Array, Array], Estimate]


@dataclass(frozen=True)
class Seen:
    """Samples of g at the perturbed points `(..., n)`, of which each estimator uses a part."""

    values: Array
    gradients: Array
    hessians: Array

    @classmethod
    def at(cls, function: SmoothFunction, z: Array) -> Seen:
        """Values, gradients and Hessians at z `(..., n, d)`."""
        return cls(function.values(z), *function.derivatives(z))


def _hessian_average(seen: Seen, baseline: float, noise: Array, root: Array) -> Estimate:
    hessians = seen.hessians
    count = hessians.shape[-3]
    spread = hessians.std(axis=-3, ddof=1) if count > 1 else np.full_like(hessians[..., 0, :, :], 0)
    return Estimate(hessians.mean(axis=-3), spread / np.sqrt(count), count)


#: The four estimators, from the one that uses least of g to the one that uses most.
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
    estimate = price_hessian(seen.gradients, noise, root)
    return Estimate(2 * estimate.value, 2 * estimate.error, estimate.draws)


def uncentred(seen: Seen, g: float, noise: Array, root: Array) -> Estimate:
    """The estimator from values without its term -S^-1."""
    estimate = stein_hessian(seen.values, noise, root)
    extra = np.linalg.inv(root @ root.T)
    return Estimate(
        estimate.value + seen.values.mean(axis=-1)[..., None, None] * extra,
        estimate.error,
        estimate.draws,
    )


def deviation_for_error(seen: Seen, g: float, noise: Array, root: Array) -> Estimate:
    """The estimator from gradients with the deviation of one draw as its standard error."""
    estimate = price_hessian(seen.gradients, noise, root)
    return Estimate(estimate.value, estimate.error * np.sqrt(estimate.draws), estimate.draws)

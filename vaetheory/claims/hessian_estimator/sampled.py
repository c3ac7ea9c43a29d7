"""The check of 4b-sampled: sampled estimators are unbiased and vary as much as computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.claims.hessian_estimator.estimators import (
    ESTIMATORS,
    Estimator,
    Seen,
    deviation_for_error,
    doubled,
    uncentred,
)
from vaetheory.claims.hessian_estimator.smooth_functions import (
    LOG_LIKELIHOOD,
    SAMPLE,
    SmoothFunction,
    by_rules,
    flat,
    smooth_functions,
)
from vaetheory.concentration import mean_deviation
from vaetheory.likelihoods import Support
from vaetheory.rounding import gamma

_DRAWS = {1: 2**19, 2: 2**18}
# The highest order of the moments of one draw; half of it for its squared deviation.
_ORDER = 20
# Beyond this even eps^(4 * 20), the greatest power in the moments, is negligible.
_REACH = 16.0


@dataclass(frozen=True)
class Sampled:
    """A smooth function under a Gaussian, and the seed of the sample."""

    function: SmoothFunction
    seed: int


def _is_tame(function: SmoothFunction) -> bool:
    """Whether the higher moments are so small that a sample shows the variance."""
    scene = function.scene
    # A saturated tanh is flat, except for the rare draw that leaves the plateau.
    if isinstance(scene.decoder, decoders.TanhNetwork):
        sums = scene.decoder.weights[0] @ function.loc + scene.decoder.biases[0]
        if np.abs(sums).max() > 2:
            return False
    # These are quartics and exponentials of the noise.
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
    """Variance of one draw of each entry of an estimator, and upper bounds of further moments.

    `draw` `(K, 19)` holds the central moments of orders 2 to 20, `square` `(K, 9)` those of the
    squared deviation, orders 2 to 10; the quadrature's error estimate is added to each.
    """

    variance: Array
    error: Array
    draw: Array
    square: Array


@once
def _seen(function: SmoothFunction, z: Array) -> Seen:
    """What all estimators see at the nodes of the lattice."""
    return Seen.at(function, z)


@once
def exact_moments(instance: Sampled, estimator: Estimator, mean: Array) -> Moments:
    """Moments of one draw by a lattice over the noise."""
    function = instance.function
    root = np.linalg.cholesky(function.cov)
    dim = len(root)
    centre = float(function.values(function.loc[None])[0])

    def deviations(noise: Array) -> Array:
        seen = _seen(function, (function.loc + noise @ root.T)[:, None])
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


@once
def _expected(function: SmoothFunction) -> tuple[Array, Array]:
    """The expected Hessian, its entries on and below the diagonal, and their errors."""
    dim = len(function.loc)
    found = by_rules(lambda z: flat(function.hessians(z)), function.loc, function.cov)
    hessian, error = (_lower(v.reshape(dim, dim)) for v in found)
    return hessian, error


@once
def _sample(instance: Sampled) -> tuple[Array, Seen]:
    """The noise of all draws, and what is seen of the function."""
    function = instance.function
    root = np.linalg.cholesky(function.cov)
    rng = np.random.default_rng(instance.seed)
    noise = rng.standard_normal((_DRAWS[len(root)], len(root)))
    return noise, Seen.at(function, function.loc + noise @ root.T)


def sampled_estimators(
    instance: Sampled, *, replaced: str = "", by: Estimator | None = None, term: float = 1.0
) -> Comparison:
    """Compare sample mean and sample variance of each estimator with the exact ones."""
    function = instance.function
    root = np.linalg.cholesky(function.cov)
    dim = len(root)
    count = _DRAWS[dim]
    mean, mean_error = _expected(function)
    noise, seen = _sample(instance)
    centre = float(function.values(function.loc[None])[0])
    largest = 1 + abs(centre) + float(np.abs(seen.values).max())
    inverse = float(np.linalg.norm(np.linalg.inv(function.cov), 2))
    rounding = gamma(500) * inverse * largest * (1 + float(np.linalg.cond(function.cov)))
    parts, spreads = [], {}
    # A wrong version changes one estimator; the others need not be compared again.
    compared = ESTIMATORS if by is None else {replaced: ESTIMATORS[replaced]}
    for name, estimator in compared.items():
        estimate = (estimator if by is None else by)(seen, centre, noise, root)
        exact = exact_moments(instance, estimator, mean)
        one, square = mean_deviation(exact.draw, count), mean_deviation(exact.square, count)
        deviation = np.sqrt(exact.variance)
        # The unbiased variance: n / (n - 1) (mean square - squared mean) of the deviations.
        variance = _lower(estimate.error) ** 2 * count
        around = (square + one**2) * count / (count - 1) + exact.variance / (count - 1)
        parts += [
            Comparison.identity(
                _lower(estimate.value),
                term * mean,
                scale=1 + np.abs(mean).max() + deviation.max(),
                deviation=one,
                quadrature=mean_error,
                rounding=rounding,
            ),
            Comparison.identity(
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
    # With a constant Hessian or a constant g, the variances are rounding only.
    distinct = spreads[order[0]] > 1e-9 * (1 + spreads[order[-1]])
    findings = (f"least variance first: {', '.join(order)}",) if distinct else ()
    return Comparison.all_of(*parts, findings=findings)


SAMPLED_ESTIMATORS = Proposition(
    label="4b-sampled",
    title="The sampled estimators are unbiased and vary as much as computed",
    statement=(
        r"\Pr\big(|\bar h_n - \mathbb E[\nabla^2 g]| > t\big) \le 10^{-9},\quad "
        r" t = \min_p \big(\mathbb E|\bar h_n - \mathbb E[\nabla^2 g]|^{2p}\,10^9"
        r"\big)^{1/2p};\text{ likewise for the sample variance}"
    ),
    hypotheses=(
        SAMPLE,
        ("independent draws", r"\varepsilon_1, \dots, \varepsilon_n \text{ i.i.d.}"),
        ("light tails", r"g(z) = O(\|z\|^2),\ \text{no unit saturated at } m"),
    ),
    kind="statistical",
    instances=sampled_functions(),
    check=sampled_estimators,
    controls=wrong(
        sampled_estimators,
        {
            "no term -S^-1": {"replaced": "values", "by": uncentred},
            "no 1/2 in the symmetric part": {"replaced": "gradients", "by": doubled},
            "the deviation of a draw for that of the mean": {
                "replaced": "gradients",
                "by": deviation_for_error,
            },
            "half the Hessian": {"term": 0.5},
        },
    ),
    uses=("4b",),
    figure="hessian-estimator",
    resolution=9e-2,
    examples=5,
)

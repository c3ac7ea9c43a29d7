"""The check of 4b: values, gradients and Hessians estimate the same smoothed Hessian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.hessian_estimator.smooth_functions import (
    SAMPLE,
    SMOOTH,
    SmoothFunction,
    by_lattice,
    by_rules,
    flat,
    smooth_functions,
)
from vaetheory.hessian_estimators import price_hessian, stein_hessian
from vaetheory.rounding import gamma

#: One estimate for each draw: values, gradients, noise (M, d) and L -> (M, d, d).
Draw = Callable[[Array, Array, Array, Array], Array]


def stein_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """The library's estimator from values, with one draw for each estimate."""
    return stein_hessian(values[..., None], noise[..., None, :], root).value


def price_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """The library's estimator from gradients, with one draw for each estimate."""
    return price_hessian(gradients[..., None, :], noise[..., None, :], root).value


def uncentred_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form without its term -S^-1."""
    inverse = np.linalg.inv(root @ root.T)
    return stein_draw(values, gradients, noise, root) + values[..., None, None] * inverse


def covariance_for_precision(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form with S in place of S^-1."""
    away = noise @ root.T
    cov = root @ root.T
    scores = away @ cov
    weights = scores[..., :, None] * scores[..., None, :] - cov
    return weights * values[..., None, None]


def halved_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Stein's form with the factor 1/2 of the derivative in S."""
    return 0.5 * stein_draw(values, gradients, noise, root)


def unwhitened_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Price's form with the noise itself in place of L^-T eps."""
    return price_draw(values, gradients, noise, np.eye(len(root)))


def transposed_root_draw(values: Array, gradients: Array, noise: Array, root: Array) -> Array:
    """Price's form with L^-1 eps in place of L^-T eps."""
    scores = noise @ np.linalg.inv(root).T
    draws = scores[..., :, None] * gradients[..., None, :]
    return (draws + np.swapaxes(draws, -1, -2)) / 2


@once
def _by_lattice(instance: SmoothFunction) -> tuple[Array, Array]:
    """E[Hess g], E[S^-1 (z - m) grad g^T] and E|g| with their errors."""
    loc, cov = instance.loc, instance.cov
    inverse = np.linalg.inv(cov)

    def columns(z: Array) -> Array:
        away = z - loc
        scores = away @ inverse
        density = np.exp(instance.scene.posterior.log_prob(z))[:, None]
        by_gradient = scores[:, :, None] * instance.gradients(z)[:, None, :]
        sizes = np.abs(instance.values(z))[:, None]
        return density * np.concatenate(
            [flat(instance.hessians(z)), flat(by_gradient), sizes], axis=-1
        )

    return by_lattice(columns, loc, cov)


@once
def _seen(instance: SmoothFunction, z: Array) -> tuple[Array, Array]:
    """Values and gradients at the nodes of a rule, which all versions of the check share."""
    return instance.values(z), instance.gradients(z)


def stein_identities(
    instance: SmoothFunction, *, stein: Draw = stein_draw, price: Draw = price_draw
) -> Comparison:
    """Compare the estimators' expectations by the library's rules with E[Hess g] by a lattice.

    The lattice also sums the gradient's form, before its symmetric part is taken.
    """
    loc, cov = instance.loc, instance.cov
    root = np.linalg.cholesky(cov)
    inverse = np.linalg.inv(cov)
    dim = len(loc)

    def entries(z: Array) -> Array:
        noise = np.linalg.solve(root, (z - loc)[..., None])[..., 0]
        values, gradients = _seen(instance, z)
        parts = [draw(values, gradients, noise, root) for draw in (stein, price)]
        return np.concatenate([flat(p) for p in parts], axis=-1)

    estimates, errors = by_rules(entries, loc, cov)

    value, lost = _by_lattice(instance)
    hessian, by_gradient = value[: dim * dim], value[dim * dim : -1]
    # Values and gradients times the precision cancel, so that their rounding has its size.
    swing = float(np.linalg.norm(inverse, 2)) * (1 + float(value[-1]))
    swing += float(np.abs(value[:-1]).max())
    rounding = gamma(200) * swing * (1 + float(np.linalg.cond(cov)))
    expected = np.tile(hessian, 2)
    return Comparison.all_of(
        Comparison.identity(
            estimates,
            expected,
            scale=swing,
            quadrature=errors,
            lattice=np.tile(lost[: dim * dim], 2),
            rounding=rounding,
        ),
        Comparison.identity(
            by_gradient,
            hessian,
            scale=swing,
            lattice=lost[: dim * dim] + lost[dim * dim : -1],
            rounding=rounding,
        ),
    )


STEIN_IDENTITIES = Proposition(
    label="4b",
    title="Values, gradients and Hessians all estimate the smoothed Hessian without bias",
    statement=(
        r"\mathbb E[(S^{-1}(z-m)(z-m)^\top S^{-1} - S^{-1})\,g(z)]"
        r" = \mathbb E[S^{-1}(z-m)\nabla g(z)^\top] = \mathbb E[\nabla^2 g(z)]"
    ),
    hypotheses=(SMOOTH, SAMPLE),
    kind="identity",
    instances=smooth_functions(),
    check=stein_identities,
    controls=wrong(
        stein_identities,
        {
            "no term -S^-1": {"stein": uncentred_draw},
            "S for S^-1": {"stein": covariance_for_precision},
            "a factor 1/2": {"stein": halved_draw},
            "eps for L^-T eps": {"price": unwhitened_draw},
            "L^-1 eps for L^-T eps": {"price": transposed_root_draw},
        },
    ),
    uses=("4a",),
    figure="hessian-estimator",
    examples=15,
)

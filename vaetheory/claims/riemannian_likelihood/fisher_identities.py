"""Checks of 7a: the three forms of the Fisher information, and the divergence itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.checking.claim import Certificate
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, FamilyScene, family_scenes
from vaetheory.geometry import fisher_information
from vaetheory.likelihoods import ElementwiseLikelihood, ExponentialFamily
from vaetheory.rounding import gamma

_STEPS = 0.25 / 2.0 ** np.arange(6)

Closed = Callable[[FamilyScene], Array]


def closed_form(scene: FamilyScene) -> Array:
    """The library's Fisher information, `(D, D)`."""
    return fisher_information(scene.likelihood, scene.params)


def twice(scene: FamilyScene) -> Array:
    """Off by a factor 2."""
    return 2 * closed_form(scene)


def doubled_in_one_family(scene: FamilyScene, *, family: str) -> Certificate:
    """7a with the Fisher information of one family off by a factor 2; of no other."""
    if scene.family != family:
        return Certificate.identity(0.0, 0.0, scale=1.0)
    return fisher_identities(scene, closed=twice)


def of_the_mean(scene: FamilyScene) -> Array:
    """The Fisher information of the mean parameters: where these are not the params, another."""
    likelihood = scene.likelihood
    return np.linalg.pinv(closed_form(scene)) if likelihood.natural else closed_form(scene)


def second_moment(scene: FamilyScene) -> Array:
    """E[T T^T] for the covariance of T: the term E[T] E[T]^T is missing."""
    likelihood, params = scene.likelihood, np.array(scene.params)
    if not (likelihood.natural and likelihood.exponential):
        return closed_form(scene)
    mean = cast(ExponentialFamily, likelihood).mean(params)
    return closed_form(scene) + np.outer(mean, mean)


def _directions(dim: int) -> Array:
    """Unit vectors and their pairwise sums: a quadratic form is known by its values there."""
    units = np.eye(dim)
    pairs = [units[i] + units[j] for i in range(dim) for j in range(i)]
    return np.concatenate([units, np.reshape(pairs, (-1, dim))])


def fisher_identities(scene: FamilyScene, *, closed: Closed = closed_form) -> Certificate:
    """Closed form, E[score score^T], -E[Hessian] and the second derivative of KL agree."""
    likelihood, params = scene.likelihood, np.array(scene.params)
    dim = len(params)
    directions = _directions(dim)
    shifts = (_STEPS[:, None, None] * directions).reshape(-1, dim)

    def columns(x: Array) -> Array:
        score = likelihood.score(x, params)
        information = likelihood.observed_information(x, params, np.eye(dim))
        information = np.broadcast_to(information, (len(x), dim, dim))
        log_prob = likelihood.log_prob(x, params)
        # KL(theta || theta + h u) + KL(theta || theta - h u), before the sum over x.
        both = [
            2 * log_prob - likelihood.log_prob(x, params + h) - likelihood.log_prob(x, params - h)
            for h in shifts
        ]
        outer = score[:, :, None] * score[:, None, :]
        parts = [np.ones((len(x), 1)), score, outer.reshape(len(x), -1)]
        return np.concatenate(
            [*parts, information.reshape(len(x), -1), log_prob[:, None], np.stack(both, axis=-1)],
            axis=-1,
        )

    value, error, size = scene.expectation(columns)
    cuts = np.cumsum([1, dim, dim * dim, dim * dim, 1])
    one, score, outer, information, _, both = np.split(value, cuts)
    off = np.split(error, cuts)
    sizes = np.split(size, cuts)
    fisher = closed(scene)
    own = gamma(200) * np.abs(fisher)
    largest = float(np.abs(fisher).max()) + float(sizes[2].max())
    parts = [
        Certificate.identity(one, 1.0, scale=1.0, support=off[0]),
        Certificate.identity(score, 0.0, scale=sizes[1].max() + largest, support=off[1]),
        Certificate.identity(
            outer, fisher.ravel(), scale=largest, support=off[2], rounding=own.ravel()
        ),
        Certificate.identity(
            information, fisher.ravel(), scale=largest, support=off[3], rounding=own.ravel()
        ),
    ]
    squares = np.repeat(_STEPS**2, len(directions))
    # The logs of the densities carry rounding of their own size into the divergence.
    noise = off[5] + gamma(100) * (1 + sizes[4])
    ladder = (both / squares).reshape(len(_STEPS), -1)
    noises = (noise / squares).reshape(len(_STEPS), -1)
    for k, u in enumerate(directions):
        limit, left, spread = extrapolate(ladder[:, k], noises[:, k])
        parts.append(
            Certificate.identity(
                limit,
                u @ fisher @ u,
                scale=largest * float(u @ u),
                expansion=left,
                support=spread,
                rounding=float(np.abs(u) @ own @ np.abs(u)),
            )
        )
    if likelihood.elementwise:
        parts.append(_slope(cast(ElementwiseLikelihood, likelihood), params))
    return Certificate.all_of(*parts)


def _slope(likelihood: ElementwiseLikelihood, params: Array) -> Certificate:
    """The derivative of log F in its own parameter, which curvatures need, by differences."""
    found = []
    for step in (0.01, 0.02):
        shifts = step * np.array([[-2.0], [-1.0], [1.0], [2.0]])
        logs = np.log(likelihood.fisher_diagonal(params + shifts))
        found.append(np.array([1.0, -8.0, 8.0, -1.0]) @ logs / (12 * step))
    # Of fourth order: the finer of two is off by about a fifteenth of their difference.
    return Certificate.identity(
        likelihood.fisher_log_slope(params),
        found[0],
        scale=1.0,
        differences=np.abs(found[0] - found[1]) / 5,
        rounding=gamma(200) / 0.01,
    )


# 7a-divergence ----------------------------------------------------------------------------------

Divergence = Callable[[Array, Array], Array]
#: Families whose divergence has a closed form.
WITH_DIVERGENCE = tuple(name for name in FAMILIES if name != "Student-t")


@dataclass(frozen=True)
class Pair:
    """A member of a family, and the parameters of another."""

    scene: FamilyScene
    other: Vector


def pairs() -> SearchStrategy[tuple[Pair, ...]]:
    """Two members of every family, each two with the same constants: no family is left to luck."""
    return st.tuples(
        *[
            st.builds(Pair, family_scenes((name,)), FAMILIES[name].params).filter(
                lambda pair: pair.scene.params != pair.other
            )
            for name in WITH_DIVERGENCE
        ]
    )


def divergence_is_mean_ratio(
    members: tuple[Pair, ...],
    *,
    lowered: str = "",
    reverse: bool = False,
    to_second_order: bool = False,
) -> Certificate:
    """The closed form against the sum of p log(p / p') over each family's support."""
    parts = []
    for pair in members:
        factor = 0.9 if pair.scene.family == lowered else 1.0
        parts.append(_mean_ratio(pair, factor, reverse, to_second_order))
    return Certificate.all_of(*parts)


def _mean_ratio(pair: Pair, factor: float, reverse: bool, to_second_order: bool) -> Certificate:
    scene, other = pair.scene, np.array(pair.other)
    likelihood, params = scene.likelihood, np.array(scene.params)
    divergence: Divergence = likelihood.kl_divergence  # type: ignore[attr-defined]

    def columns(x: Array) -> Array:
        here, there = likelihood.log_prob(x, params), likelihood.log_prob(x, other)
        return np.stack([here - there, here, there, np.ones(len(x))], axis=-1)

    value, error, size = scene.expectation(columns)
    if to_second_order:
        away = other - params
        found = 0.5 * float(away @ closed_form(scene) @ away)
    elif reverse:
        found = float(divergence(other, params))
    else:
        found = float(divergence(params, other))
    scale = 1 + float(size[:3].max())
    found *= factor
    return Certificate.all_of(
        # The logs of both densities are rounded at their own size.
        Certificate.identity(
            found, value[0], scale=scale, support=error[0], rounding=gamma(500) * scale
        ),
        Certificate.identity(value[3], 1.0, scale=1.0, support=error[3]),
        Certificate.at_most(0.0, found, scale=scale, rounding=gamma(100) * scale),
    )

"""The check of 7a: score, Hessian and divergence give the same Fisher information."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.rates import extrapolate
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
    """Twice the Fisher information."""
    return 2 * closed_form(scene)


def doubled_in_one_family(scene: FamilyScene, *, family: str) -> Comparison:
    """The check with twice the Fisher information in one family, and no change in the others."""
    if scene.family != family:
        return Comparison.identity(0.0, 0.0, scale=1.0)
    return fisher_identities(scene, closed=twice)


def of_the_mean(scene: FamilyScene) -> Array:
    """The Fisher information of the mean parameters, where these are not the params."""
    likelihood = scene.likelihood
    return np.linalg.pinv(closed_form(scene)) if likelihood.natural else closed_form(scene)


def second_moment(scene: FamilyScene) -> Array:
    """E[T T^T] in place of the covariance of T: the term E[T] E[T]^T is missing."""
    likelihood, params = scene.likelihood, np.array(scene.params)
    if not (likelihood.natural and likelihood.exponential):
        return closed_form(scene)
    mean = cast(ExponentialFamily, likelihood).mean(params)
    return closed_form(scene) + np.outer(mean, mean)


def _directions(dim: int) -> Array:
    """Unit vectors and their pairwise sums: their values determine a quadratic form."""
    units = np.eye(dim)
    pairs = [units[i] + units[j] for i in range(dim) for j in range(i)]
    return np.concatenate([units, np.reshape(pairs, (-1, dim))])


@once
def _expectations(scene: FamilyScene) -> tuple[Array, Array, Array]:
    """Expectations over x of all that the identities compare, their errors, and their sizes."""
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
        ahead, back = (likelihood.log_prob(x[:, None], params + s * shifts) for s in (1, -1))
        both = 2 * log_prob[:, None] - ahead - back
        outer = score[:, :, None] * score[:, None, :]
        parts = [np.ones((len(x), 1)), score, outer.reshape(len(x), -1)]
        return np.concatenate(
            [*parts, information.reshape(len(x), -1), log_prob[:, None], both],
            axis=-1,
        )

    return scene.expectation(columns)


def fisher_identities(scene: FamilyScene, *, closed: Closed = closed_form) -> Comparison:
    """Closed form, E[score score^T], -E[Hessian] and the second derivative of KL agree."""
    likelihood, params = scene.likelihood, np.array(scene.params)
    dim = len(params)
    directions = _directions(dim)
    value, error, size = _expectations(scene)
    cuts = np.cumsum([1, dim, dim * dim, dim * dim, 1])
    one, score, outer, information, _, both = np.split(value, cuts)
    off = np.split(error, cuts)
    sizes = np.split(size, cuts)
    fisher = closed(scene)
    own = gamma(200) * np.abs(fisher)
    largest = float(np.abs(fisher).max()) + float(sizes[2].max())
    parts = [
        Comparison.identity(one, 1.0, scale=1.0, support=off[0]),
        Comparison.identity(score, 0.0, scale=sizes[1].max() + largest, support=off[1]),
        Comparison.identity(
            outer, fisher.ravel(), scale=largest, support=off[2], rounding=own.ravel()
        ),
        Comparison.identity(
            information, fisher.ravel(), scale=largest, support=off[3], rounding=own.ravel()
        ),
    ]
    squares = np.repeat(_STEPS**2, len(directions))
    # The divergence has the rounding of the log densities, which is of their own size.
    noise = off[5] + gamma(100) * (1 + sizes[4])
    ladder = (both / squares).reshape(len(_STEPS), -1)
    noises = (noise / squares).reshape(len(_STEPS), -1)
    for k, u in enumerate(directions):
        limit, left, spread = extrapolate(ladder[:, k], noises[:, k])
        parts.append(
            Comparison.identity(
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
    return Comparison.all_of(*parts)


def _slope(likelihood: ElementwiseLikelihood, params: Array) -> Comparison:
    """Compare the derivative of log F in its parameter, which curvatures use, with differences."""
    estimates = []
    for step in (0.01, 0.02):
        shifts = step * np.array([[-2.0], [-1.0], [1.0], [2.0]])
        logs = np.log(likelihood.fisher_diagonal(params + shifts))
        estimates.append(np.array([1.0, -8.0, 8.0, -1.0]) @ logs / (12 * step))
    # Of fourth order: the error of the finer one is about a fifteenth of their difference.
    return Comparison.identity(
        likelihood.fisher_log_slope(params),
        estimates[0],
        scale=1.0,
        differences=np.abs(estimates[0] - estimates[1]) / 5,
        rounding=gamma(200) / 0.01,
    )


FISHER_IDENTITIES = Proposition(
    label="7a",
    title="Score, Hessian and KL give the same Fisher information",
    statement=(
        r"F(\theta) = \mathbb E[s s^\top] = -\mathbb E[\nabla^2\log p]"
        r" = \nabla^2_{\theta'}\mathrm{KL}(p_\theta\|p_{\theta'})\big|_{\theta'=\theta},"
        r"\quad \mathbb E[s] = 0,\ s = \nabla_\theta\log p(x|\theta)"
    ),
    hypotheses=(
        ("fixed support", r"\{x: p(x|\theta) > 0\}\text{ does not depend on }\theta"),
        ("smooth", r"\log p(x|\cdot)\in C^2\text{ for almost every } x"),
        (
            "dominated",
            r"\text{derivatives in }\theta\text{ may be taken under the integral}",
        ),
    ),
    kind="identity",
    instances=family_scenes(),
    check=fisher_identities,
    controls=wrong(
        fisher_identities,
        {
            **{
                f"a factor 2 ({name})": partial(doubled_in_one_family, family=name)
                for name in FAMILIES
            },
            "the information of the mean parameters": {"closed": of_the_mean},
            "second moment of the statistics for their covariance": {"closed": second_moment},
        },
    ),
    figure="riemannian-likelihood",
    examples=60,
)

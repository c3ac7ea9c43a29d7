"""The check of 7a-divergence: the divergence within each family is the mean of the log ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, FamilyScene, family_scenes
from vaetheory.claims.riemannian_likelihood.fisher_identities import closed_form
from vaetheory.rounding import gamma

Divergence = Callable[[Array, Array], Array]


#: Families whose divergence has a closed form.
WITH_DIVERGENCE = tuple(name for name, family in FAMILIES.items() if family.divergence)


@dataclass(frozen=True)
class Pair:
    """A member of a family, and the parameters of another member."""

    scene: FamilyScene
    other: Vector


def pairs() -> SearchStrategy[tuple[Pair, ...]]:
    """Two members of every family, with the same constants; every instance has all families."""
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
) -> Comparison:
    """Compare the closed form with the sum of p log(p / p') over each family's support."""
    parts = []
    for pair in members:
        factor = 0.9 if pair.scene.family == lowered else 1.0
        parts.append(_mean_ratio(pair, factor, reverse, to_second_order))
    return Comparison.all_of(*parts)


@once
def _expectations(pair: Pair) -> tuple[Array, Array, Array]:
    """Expectations of the log ratio, both log densities and 1, their errors, and their sizes."""
    scene, other = pair.scene, np.array(pair.other)
    likelihood, params = scene.likelihood, np.array(scene.params)

    def columns(x: Array) -> Array:
        here, there = likelihood.log_prob(x, params), likelihood.log_prob(x, other)
        return np.stack([here - there, here, there, np.ones(len(x))], axis=-1)

    return scene.expectation(columns)


@once
def _mean_ratio(pair: Pair, factor: float, reverse: bool, to_second_order: bool) -> Comparison:
    scene, other = pair.scene, np.array(pair.other)
    likelihood, params = scene.likelihood, np.array(scene.params)
    divergence: Divergence = likelihood.kl_divergence  # type: ignore[attr-defined]
    value, error, size = _expectations(pair)
    if to_second_order:
        away = other - params
        closed = 0.5 * float(away @ closed_form(scene) @ away)
    elif reverse:
        closed = float(divergence(other, params))
    else:
        closed = float(divergence(params, other))
    scale = 1 + float(size[:3].max())
    closed *= factor
    return Comparison.all_of(
        # The log densities have rounding of their own size.
        Comparison.identity(
            closed, value[0], scale=scale, support=error[0], rounding=gamma(500) * scale
        ),
        Comparison.identity(value[3], 1.0, scale=1.0, support=error[3]),
        Comparison.at_most(0.0, closed, scale=scale, rounding=gamma(100) * scale),
    )


DIVERGENCE_IS_MEAN_RATIO = Proposition(
    label="7a-divergence",
    title="The divergence within each family is the mean of the log ratio",
    statement=(
        r"\mathrm{KL}(p_\theta\,\|\,p_{\theta'}) = "
        r"\mathbb E_{p_\theta}[\log p(x|\theta) - \log p(x|\theta')] \ge 0"
    ),
    hypotheses=(
        ("fixed support", r"\{x: p(x|\theta) > 0\}\text{ does not depend on }\theta"),
        ("a closed form", r"\text{every family but Student's } t"),
    ),
    kind="identity",
    instances=pairs(),
    check=divergence_is_mean_ratio,
    controls=wrong(
        divergence_is_mean_ratio,
        {
            **{f"nine tenths ({name})": {"lowered": name} for name in WITH_DIVERGENCE},
            "the reverse divergence": {"reverse": True},
            "half the Fisher length": {"to_second_order": True},
        },
    ),
    uses=("7a",),
    examples=6,
)

"""The check of 7a-continuous: the identities of Fisher for the continuous Bernoulli family."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.riemannian_likelihood.families import LATER, FamilyScene, family_scenes
from vaetheory.claims.riemannian_likelihood.fisher_identities import (
    Closed,
    closed_form,
    fisher_identities,
    twice,
)
from vaetheory.rounding import gamma

Formula = Callable[[float], float]


def of_the_book(t: float) -> float:
    """The variance of a continuous Bernoulli, from its log partition log((e^t - 1) / t)."""
    return 1 / t**2 - 1 / (4 * np.sinh(t / 2) ** 2) if t else 1 / 12


def of_the_bernoulli(scene: FamilyScene) -> Array:
    """The information of a Bernoulli of the same logit, whose data are 0 and 1 only."""
    (t,) = scene.params
    return np.array([[expit(t) * expit(-t)]])


def without_the_hyperbolic_sine(t: float) -> float:
    """The first term of the formula, which is right for large t."""
    return 1 / t**2 if t else 1 / 12


def continuous_bernoulli(
    scene: FamilyScene,
    *,
    closed: Closed = closed_form,
    formula: Formula = of_the_book,
) -> Comparison:
    """Compare the Fisher information with its three forms as in 7a, and with the formula."""
    (t,) = scene.params
    value = scene.likelihood.fisher_information(np.array([t]))[0, 0]
    # Both terms of the formula are about 1 / t^2, and cancel for small t.
    lost = gamma(50) * (1 + (1 / t**2 if t else 0.0))
    return Comparison.all_of(
        fisher_identities(scene, closed=closed),
        Comparison.identity(value, formula(t), scale=1.0, rounding=lost),
    )


(_NAME,) = LATER

CONTINUOUS_BERNOULLI = Proposition(
    label="7a-continuous",
    title="The continuous Bernoulli has the variance of its density as its Fisher information",
    statement=(
        r"p(x|\theta) = \theta e^{\theta x}/(e^\theta - 1),\ 0\le x\le 1:\quad "
        r"F(\theta) = \mathbb E[s^2] = -\mathbb E[\partial_\theta^2\log p]"
        r" = \frac{1}{\theta^2} - \frac{1}{4\sinh^2(\theta/2)},\quad F(0) = \frac{1}{12}"
    ),
    hypotheses=(("grey values", r"x\in[0, 1]\text{ with a density, and not only }0\text{ and }1"),),
    kind="identity",
    instances=family_scenes((_NAME,)),
    check=continuous_bernoulli,
    controls=wrong(
        continuous_bernoulli,
        {
            "a factor 2": {"closed": twice},
            "the information of a Bernoulli": {"closed": of_the_bernoulli},
            "the formula without its second term": {"formula": without_the_hyperbolic_sine},
        },
    ),
    uses=("7a",),
)

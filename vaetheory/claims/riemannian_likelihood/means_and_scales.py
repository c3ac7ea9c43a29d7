"""The check of 7a-scales: the metric and the divergence of a mean and a log scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.riemannian_likelihood.families import (
    OF_TWO_PARAMETERS,
    FamilyScene,
    family_scenes,
)
from vaetheory.claims.riemannian_likelihood.fisher_identities import (
    closed_form,
    fisher_identities,
    twice,
)
from vaetheory.decoders import FunctionDecoder
from vaetheory.geometry import gaussian_curvature
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


def _parameters_themselves(z: Array) -> Array:
    """The decoder whose latents are the mean and the log scale."""
    return 1.0 * z


@once
def _curvatures(scenes: tuple[FamilyScene, ...]) -> Array:
    """The curvature of the metric at the parameters of scenes of one likelihood, `(n,)`."""
    model = LatentModel(FunctionDecoder(_parameters_themselves), scenes[0].likelihood, 2)
    return gaussian_curvature(model, [scene.params for scene in scenes])


def _likelihood(scene: FamilyScene) -> Likelihood:
    return scene.likelihood


@together(alike=_likelihood)
def means_and_scales(
    scenes: Sequence[FamilyScene],
    *,
    closed: Callable[[FamilyScene], Array] = closed_form,
    curvature: float = -0.5,
    flat: bool = False,
) -> list[Comparison]:
    """Compare the closed form with sums over the line, and the curvature with -1/2."""
    comparisons = []
    for scene, found in zip(scenes, _curvatures(tuple(scenes)), strict=True):
        fisher = closed(scene)
        diagonal = np.array([1.0 if flat else np.exp(-2 * scene.params[1]), 2.0])
        size = diagonal.max()
        # The metric is differentiated by differences with about nine digits.
        comparisons.append(
            Comparison.all_of(
                fisher_identities(scene, closed=closed),
                Comparison.identity(
                    fisher, np.diag(diagonal), scale=size, rounding=gamma(50) * size
                ),
                Comparison.identity(found, curvature, scale=0.5, differences=1e-7),
            )
        )
    return comparisons


def _of_the_scale(scene: FamilyScene) -> Array:
    """The information of the scale itself in place of that of its logarithm."""
    return closed_form(scene) * np.array([[1.0, 1.0], [1.0, np.exp(-2 * scene.params[1])]])


def _without_the_scale(scene: FamilyScene) -> Array:
    """One in place of two for the log scale, as if its mean were known to be zero."""
    return closed_form(scene) - np.diag([0.0, 1.0])


MEANS_AND_SCALES = Proposition(
    label="7a-scales",
    title="Means and log scales have the metric diag(1/s^2, 2), of curvature -1/2",
    statement=(
        r"F(m, \log s) = \mathbb E[\sigma\sigma^\top] = -\mathbb E[\nabla^2\log p]"
        r" = \operatorname{diag}(s^{-2}, 2),\quad K = -\tfrac12,\quad "
        r"\sigma = \nabla\log\mathcal N(x; m, s^2)"
    ),
    hypotheses=(("Gaussian likelihood", r"x \sim \mathcal N(m, s^2),\ (m, \log s) = f(z)"),),
    kind="identity",
    instances=family_scenes(tuple(OF_TWO_PARAMETERS)),
    check=means_and_scales,
    controls=wrong(
        means_and_scales,
        {
            "a factor 2": {"closed": twice},
            "the information of the scale itself": {"closed": _of_the_scale},
            "one in place of two": {"closed": _without_the_scale},
            "a flat metric": {"flat": True},
            "curvature -1": {"curvature": -1.0},
        },
    ),
    uses=("7a",),
    examples=20,
)

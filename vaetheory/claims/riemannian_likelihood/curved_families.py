"""The check of 7d-curved: in a curved family the averaged Hessian is not the metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES
from vaetheory.geometry import decoder_hessian
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class CurvedPair:
    """Two data at +-spread with equal weights under a curved family, and a decoder's slope."""

    family: str
    constants: Vector
    spread: float
    slope: float


@st.composite
def curved_pairs(draw: DrawFn) -> CurvedPair:
    """Pairs whose stationary parameter is 0 by symmetry."""
    name = draw(st.sampled_from(("Student-t", "von Mises")))
    constants = draw(FAMILIES[name].constants)
    spread = draw(strategies.fractions(1, 5, 4))
    return CurvedPair(name, constants, spread, draw(strategies.nonzero_fractions(4, 2)))


def curved_form(scene: CurvedPair) -> float:
    """The averaged Hessian at parameter 0, worked out by hand, for a slope of 1."""
    if scene.family == "von Mises":
        return scene.constants[0] * float(np.cos(scene.spread))
    dof, scale = scene.constants
    square = (scene.spread / scale) ** 2
    return (dof + 1) * (dof - square) / (scale * (dof + square)) ** 2


def curved_metric(scene: CurvedPair) -> float:
    """The Fisher information at parameter 0, which is not the averaged Hessian."""
    family = FAMILIES[scene.family].build(*scene.constants)
    return float(family.fisher_information(np.zeros(1))[0, 0])


def information_at_the_mode(scene: CurvedPair) -> float:
    """The observed information of a datum at the parameter itself."""
    family = FAMILIES[scene.family].build(*scene.constants)
    return float(family.observed_information(np.zeros(1), np.zeros(1), np.eye(1))[0, 0])


def curved_average(
    scene: CurvedPair, *, closed: Callable[[CurvedPair], float] = curved_form
) -> Comparison:
    """Compare the average of -Hess_z log p over the pair with the closed form, at zero score."""
    family = FAMILIES[scene.family].build(*scene.constants)
    # The decoder is not linear: the residual term must average out as well.
    model = LatentModel(decoders.Polynomial([[1], [2]], [[scene.slope], [1.0]]), family, 1)
    data = scene.spread * np.array([[1.0], [-1.0]])
    average = float(decoder_hessian(model, data, np.zeros((2, 1))).full.mean())
    score = family.score(data, np.zeros((2, 1)))
    value = scene.slope**2 * closed(scene)
    size = scene.slope**2 * abs(information_at_the_mode(scene)) + float(np.abs(score).sum())
    return Comparison.all_of(
        Comparison.identity(score.sum(), 0.0, scale=size, rounding=gamma(50) * size),
        Comparison.identity(average, value, scale=size, rounding=gamma(200) * size),
    )


CURVED_AVERAGE = Proposition(
    label="7d-curved",
    title="In a family with fewer parameters than statistics the average is not the metric",
    statement=(
        r"x = \pm a\text{ of equal weight},\ f^* = 0:\quad "
        r"\mathbb E[-\nabla_z^2\log p] = J^2\kappa\cos a\text{ (von Mises)},\quad "
        r"J^2\frac{(\nu+1)(\nu - a^2/s^2)}{s^2(\nu + a^2/s^2)^2}\text{ (Student-t)},"
        r"\quad\ne J^2 F"
    ),
    hypotheses=(("curved family", r"\mathbb E_{p(x|f^*)}[T]\ne\mathbb E_{q(x|z)}[T]"),),
    kind="counterexample",
    instances=curved_pairs(),
    check=curved_average,
    controls=wrong(
        curved_average,
        {
            "the pull-back metric": {"closed": curved_metric},
            "the information at the mode": {"closed": information_at_the_mode},
        },
    ),
    uses=("7d",),
)

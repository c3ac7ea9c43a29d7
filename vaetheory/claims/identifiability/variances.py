"""Checks of 21d: environments that change variances alone determine lengths, or nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.claims.identifiability.environment_scenes import (
    INJECTIVE,
    Environments,
    curved_decoders,
    log_densities,
)
from vaetheory.claims.identifiability.scenes import (
    TWIST,
    MovedScene,
    lattice_evidence,
    moved_scenes,
)
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

SCALED = ("scaled priors", r"z|u \sim \mathcal N(0, v_uI),\ \text{any number of } v_u > 0")


@dataclass(frozen=True)
class ScaledScene:
    """A model, a map of its latents, and variances of environments."""

    moved: MovedScene
    variances: tuple[float, ...]


@st.composite
def scaled_scenes(draw: DrawFn) -> ScaledScene:
    """Twists, and three variances each: as many environments as 21c needs."""
    scene = draw(moved_scenes((0.125, -0.125, 0.0625)))
    some = st.sampled_from((0.5, 0.75, 1.25, 1.5))
    return ScaledScene(scene, tuple(draw(st.lists(some, min_size=3, max_size=3, unique=True))))


@once
def by_quadrature(scene: ScaledScene) -> tuple[Array, Array]:
    """The library's log evidences of f o T under each prior, and their errors."""
    values, errors = [], []
    for v in scene.variances:
        decoder = decoders.Reparametrised(scene.moved.model.decoder, np.sqrt(v) * np.eye(2))
        found = log_evidence(LatentModel(decoder, scene.moved.scene.likelihood), scene.moved.x)
        values.append(float(found.value))
        errors.append(float(found.error))
    return np.array(values), np.array(errors)


def twist_invisible(scene: ScaledScene, *, prior: str = "scaled", kind: str = "") -> Comparison:
    """Compare the evidences of f o T and of f under each of the priors."""
    parts = []
    if prior != "scaled":
        loc = (1.0, 0.5) if prior == "shifted" else (0.0, 0.0)
        widths = (1.0, 1.0) if prior == "shifted" else (0.5, 1.5)
        left, off = lattice_evidence(scene.moved, "twist", loc, widths)
        right, lost = lattice_evidence(scene.moved, "", loc, widths)
        parts.append(Comparison.identity(left, right, scale=1 + abs(right), own=off, other=lost))
    values, errors = by_quadrature(scene)
    for value, error, v in zip(values, errors, scene.variances, strict=True):
        right, lost = lattice_evidence(scene.moved, kind, (0.0, 0.0), (v, v))
        parts.append(
            Comparison.identity(value, right, scale=1 + abs(right), quadrature=error, lattice=lost)
        )
    return Comparison.all_of(*parts)


INVISIBLE = Proposition(
    label="21d",
    title="Environments that scale the prior never show a twist, however many they are",
    statement=(
        r"p_{f \circ T}(x|u) = p_f(x|u) \text{ for all } x \text{ and all } v_u:\quad "
        r"\text{the sufficient statistic is } \|z\|^2, \text{ of rank } 1 \text{ for any number of "
        r"} u"
    ),
    hypotheses=(
        SCALED,
        TWIST,
        ("any likelihood", r"\text{the check: } d = 2, \text{ four families}"),
    ),
    kind="counterexample",
    instances=scaled_scenes(),
    check=twist_invisible,
    controls=wrong(
        twist_invisible,
        {
            "any informative u identifies nothing: shifted priors as well": {"prior": "shifted"},
            "variances that differ by axis as well": {"prior": "stretched"},
            "a shear as well": {"kind": "shear"},
        },
    ),
    uses=("21a", "21a-maps"),
    examples=3,
)


@st.composite
def scaled_environments(draw: DrawFn, *, by_axis: bool = False) -> Environments:
    """Priors N(0, diag v_u): two of one variance each, or d + 1 of independent precisions."""
    decoder = draw(curved_decoders((1, 2, 2, 3, 5, 8)))
    d = decoder.dim
    base = draw(st.sampled_from((1.0, 0.5, 4.0)))
    factor = draw(st.sampled_from((2.0, 0.25, 1.25)))
    if by_axis:
        rows = [base * np.ones(d)]
        rows += [base * np.where(np.arange(d) == j, factor, 1.0) for j in range(d)]
        # The last also moves all others.
        rows[-1] = rows[-1] * np.where(np.arange(d) == d - 1, 1.0, 1.5)
    else:
        rows = [base * np.ones(d), base * factor * np.ones(d)]
    variances = tuple(tuple(float(v) for v in row) for row in rows)
    zero = ((0.0,) * d,) * len(rows)
    return Environments(decoder, draw(strategies.vectors(d, -6, 6, 2)), zero, variances)


@together(alike=lambda scene: scene.shape)
def lengths(
    scenes: Sequence[Environments],
    *,
    normaliser: bool = True,
    power: float = -1.0,
    signed: bool = False,
) -> list[Comparison]:
    """Compare squares of latents, or their sum, with what ratios of densities say."""
    logs, errors = log_densities(tuple(scenes))
    z = np.array([s.z for s in scenes])
    v = np.array([s.variances for s in scenes])
    d = z.shape[1]
    heights = logs + 0.5 * normaliser * np.log(v).sum(axis=-1)
    steps = -0.5 * (v**power - v[:, :1] ** power)[:, 1:]
    if v.shape[1] == 2:
        steps = steps[..., :1]
    right = (heights - heights[:, :1])[:, 1:]
    found = np.linalg.solve(steps, right[..., None])[..., 0]
    exact = z**2 if steps.shape[-1] == d else (z**2).sum(axis=-1, keepdims=True)
    if signed:
        exact = np.sign(z) * z**2 if steps.shape[-1] == d else z.sum(axis=-1, keepdims=True) ** 2
    inverse = np.abs(np.linalg.inv(steps))
    off = errors[:, 1:] + errors[:, :1] + gamma(40 * d) * (1 + np.abs(logs[:, 1:]))
    off = off + gamma(40 * d) * np.abs(np.log(v)).sum(axis=-1)[:, 1:]
    bound = (inverse @ off[..., None])[..., 0]
    size = 1 + (z**2).sum(axis=-1, keepdims=True)
    spread = np.linalg.cond(steps)[:, None]
    return Comparison.identities(
        found, exact, scale=size, densities=bound, rounding=gamma(60 * d) * spread * size
    )


LENGTH = Proposition(
    label="21d-length",
    title="Two environments that scale the prior determine the length of the latent",
    statement=(
        r"\tfrac12\Big(\frac1{v_0} - \frac1{v_1}\Big)\|f^{-1}(x)\|^2 = \log\frac{p(x|1)}{p(x|0)} + "
        r"\frac d2\log\frac{v_1}{v_0}"
    ),
    hypotheses=(INJECTIVE, SCALED, ("two of them", r"v_0 \ne v_1")),
    kind="identity",
    instances=scaled_environments(),
    check=lengths,
    controls=wrong(
        lengths,
        {
            "without the normalising constants": {"normaliser": False},
            "variances for precisions": {"power": 1.0},
            "the sum of the latents": {"signed": True},
        },
    ),
    uses=("21c",),
    examples=12,
)

AXES = Proposition(
    label="21d-axes",
    title="Variances that change axis by axis determine every latent up to its sign",
    statement=(
        r"\sum_j\tfrac12\Big(\frac1{v_{0j}} - \frac1{v_{uj}}\Big)f^{-1}(x)_j^2 = "
        r"\log\frac{p(x|u)}{p(x|0)} + \tfrac12\sum_j\log\frac{v_{uj}}{v_{0j}},\quad u = 1, \dots, d"
    ),
    hypotheses=(
        INJECTIVE,
        ("priors scaled by axis", r"z|u \sim \mathcal N(0, \operatorname{diag}v_u),\ \text{the } d "
         r"\text{ vectors } 1/v_u - 1/v_0 \text{ linearly independent}"),
    ),
    kind="identity",
    instances=scaled_environments(by_axis=True),
    check=lengths,
    controls=wrong(
        lengths,
        {
            "without the normalising constants": {"normaliser": False},
            "variances for precisions": {"power": 1.0},
            "signs as well": {"signed": True},
        },
    ),
    uses=("21d-length",),
    examples=12,
)  # fmt: skip

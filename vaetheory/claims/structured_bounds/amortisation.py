"""Checks of 22a: the gap of an encoder is approximation, diagonal covariance, amortisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis.strategies import SearchStrategy

from vaetheory import _gaussians
from vaetheory._validation import Array
from vaetheory.bounds.gap import GapSplit, gap_split
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.claims.structured_bounds.scenes import (
    EncodedScene,
    encoded_scenes,
    log_dets,
    stacked,
)
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma

LINEAR = (
    "linear model, Gaussian noise",
    r"p(z|x) = \mathcal N(m^*, P^{-1}),\ P = I + W^\top\Lambda^{-1}W",
)
ENCODER = ("diagonal encoder", r"q = \mathcal N(m, \mathrm{diag}(v)),\ a = m - m^*")


@once
def splits(scenes: tuple[EncodedScene, ...]) -> tuple[Array, Array]:
    """The library's three parts of each gap `(I, 3)`, and their errors."""
    found = [gap_split(s.linear.model, s.linear.x, s.diagonal) for s in scenes]
    return parts_of(found)


def parts_of(found: Sequence[GapSplit]) -> tuple[Array, Array]:
    """Parts and errors of single data, `(I, 3)`."""
    values = [(f.approximation, f.diagonal, f.amortisation) for f in found]
    errors = [(f.approximation_error, f.diagonal_error, f.amortisation_error) for f in found]
    return np.array(values, dtype=float), np.array(errors, dtype=float)


@together(alike=lambda scene: scene.dim)
def parts_of_the_gap(
    scenes: Sequence[EncodedScene],
    *,
    metric: str = "P",
    widths: str = "P",
    unhalved: bool = False,
) -> list[Comparison]:
    """Compare differences of ELBOs and evidences with the formulas in P."""
    values, errors = splits(tuple(scenes))
    precision, shift, variances, condition = stacked(scenes)
    own = np.diagonal(precision, axis1=-2, axis2=-1)
    matrices = {
        "P": precision,
        "diag P": precision * np.eye(precision.shape[-1]),
        "1/v": np.eye(precision.shape[-1]) / variances[:, None],
    }
    moved = 0.5 * np.einsum("ni,nij,nj->n", shift, matrices[metric], shift)
    scaled = variances * own
    if widths == "covariance":
        scaled = variances / np.diagonal(np.linalg.inv(precision), axis1=-2, axis2=-1)
    narrowed = 0.5 * (scaled - 1 - np.log(scaled)).sum(axis=-1)
    half = 1.0 if unhalved else 0.5
    diagonal = half * (np.log(own).sum(axis=-1) - log_dets(precision))
    told = np.stack([np.zeros(len(values)), diagonal, moved + narrowed], axis=-1)
    size = 1 + np.abs(told[:, 2]) + np.abs(np.log(own)).sum(axis=-1)
    return Comparison.identities(
        values, told, scale=size[:, None], library=errors,
        rounding=gamma(200) * (condition * size)[:, None],
    )  # fmt: skip


SPLIT = Proposition(
    label="22a",
    title="The gap of an encoder is the price of its family and of its outputs, exactly",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \underbrace{\tfrac12\big(\log\det\mathrm{diag}\,P - "
        r"\log\det P\big)}_{\text{approximation}} + \underbrace{\tfrac12 a^\top Pa + "
        r"\tfrac12\textstyle\sum_j(P_{jj}v_j - 1 - \log P_{jj}v_j)}_{\text{amortisation}}"
    ),
    hypotheses=(LINEAR, ENCODER),
    kind="identity",
    instances=encoded_scenes(),
    check=parts_of_the_gap,
    controls=wrong(
        parts_of_the_gap,
        {
            "diag P for P in the shift of the mean": {"metric": "diag P"},
            "the shift in units of q's own variances": {"metric": "1/v"},
            "q's best variances are those of the posterior": {"widths": "covariance"},
            "the approximation without the 1/2": {"unhalved": True},
        },
    ),
    uses=("3a", "3d"),
    figure="structured-bounds",
    examples=14,
)


@once
def shifted(scenes: tuple[EncodedScene, ...]) -> tuple[Array, Array, Array]:
    """Amortisation of q moved along both extreme axes of P - diag P, errors, and the moves."""
    values, errors, moves = [], [], []
    for scene in scenes:
        apart = scene.precision * (1 - np.eye(scene.dim))
        axes = np.linalg.eigh(apart)[1]
        along = np.stack([axes[:, 0], axes[:, -1]]) / np.sqrt(np.diagonal(scene.precision).max())
        x = np.broadcast_to(scene.linear.x, (2, len(scene.linear.x)))
        q = Posterior(scene.mean + along, scale=np.sqrt(scene.spread.variances))
        found = gap_split(scene.linear.model, x, q)
        values.append(found.amortisation)
        errors.append(found.amortisation_error)
        moves.append(q.loc - scene.mean)
    return np.array(values), np.array(errors), np.array(moves)


@together(alike=lambda scene: scene.dim)
def not_a_divergence(
    scenes: Sequence[EncodedScene], *, equal: bool = False, order: int = 0
) -> list[Comparison]:
    """Compare the amortisation gap with KL(q || q*), q* the best diagonal Gaussian."""
    values, errors, moves = shifted(tuple(scenes))
    precision, _, variances, condition = stacked(scenes)
    d = precision.shape[-1]
    best = np.linalg.inv(precision * np.eye(d))[:, None]
    own = (variances[:, :, None] * np.eye(d))[:, None]
    divergence = _gaussians.kl_divergence(moves, own, np.zeros(d), best)
    apart = precision * (1 - np.eye(d))
    excess = 0.5 * np.einsum("nki,nij,nkj->nk", moves, apart, moves)
    size = 1 + np.abs(values) + np.abs(divergence)
    rounding = gamma(200) * condition[:, None] * size
    if order:
        low, high = (divergence, values) if order > 0 else (values, divergence)
        return Comparison.each_at_most(low, high, scale=size, library=errors, rounding=rounding)
    return Comparison.identities(
        values - divergence, 0.0 if equal else excess, scale=size, library=errors,
        rounding=rounding,
    )  # fmt: skip


NOT_A_DIVERGENCE = Proposition(
    label="22a-divergence",
    title="The amortisation gap is not the divergence from the best diagonal Gaussian",
    statement=(
        r"\text{amortisation} - \mathrm{KL}(q\,\|\,q^*) = "
        r"\tfrac12 a^\top(P - \mathrm{diag}\,P)a \text{, of either sign};\quad "
        r"q^* = \mathcal N(m^*, (\mathrm{diag}\,P)^{-1})"
    ),
    hypotheses=(LINEAR, ENCODER, ("correlations", r"P \ne \mathrm{diag}\,P")),
    kind="counterexample",
    instances=encoded_scenes(dims=(2, 2, 3, 4, 8)),
    check=not_a_divergence,
    controls=wrong(
        not_a_divergence,
        {
            "it is KL(q || q*)": {"equal": True},
            "KL(q || q*) is a lower bound of it": {"order": 1},
            "KL(q || q*) is an upper bound of it": {"order": -1},
        },
    ),
    uses=("22a",),
    figure="structured-bounds",
    examples=12,
)


def _encoder(scene: ModelScene) -> Posterior:
    """A diagonal q of the scene."""
    return Posterior(np.array(scene.loc), scale=np.sqrt(scene.cov.variances))


@once
def curved_split(scene: ModelScene) -> GapSplit:
    """The library's parts."""
    return gap_split(scene.model, scene.x, _encoder(scene))


@once
def by_lattice(scene: ModelScene) -> tuple[Array, Array, Posterior]:
    """KL(r || p(z|x)) of the encoder, of the best Gaussian, and of that of the same moments.

    Returns the divergences `(3,)`, KL of the posterior from the best Gaussian as a fourth, and
    error estimates; the posterior is normalised by its own sum.
    """
    found = curved_split(scene)
    x, d = np.array(scene.x), len(scene.loc)
    grid = np.linspace(-6.0, 6.0, 61)[:, None] * np.ones(d)
    height = float(max(scene.model.log_joint(x, z).max() for z in (grid, found.full.loc[None])))
    gaussians = [_encoder(scene), found.full]

    def moments(z: Array) -> Array:
        mass = np.exp(scene.model.log_joint(x, z) - height)
        products = np.einsum("mi,mj->mij", z, z).reshape(len(z), -1)
        return np.concatenate([mass[:, None], mass[:, None] * z, mass[:, None] * products], axis=1)

    deviations = [np.sqrt(np.diagonal(g.cov)) for g in gaussians]
    lower = np.min([g.loc - 9 * s for g, s in zip(gaussians, deviations, strict=True)], axis=0)
    upper = np.max([g.loc + 9 * s for g, s in zip(gaussians, deviations, strict=True)], axis=0)
    lower, upper = np.minimum(lower, -9.0), np.maximum(upper, 9.0)
    narrow = np.sqrt(min(np.linalg.eigvalsh(g.cov)[0] for g in gaussians))
    step = narrow * (0.1 if d == 1 else 0.25)
    sums, _ = lattice_integral(moments, lower, upper, step=step)
    mean = sums[1 : d + 1] / sums[0]
    cov = sums[d + 1 :].reshape(d, d) / sums[0] - np.outer(mean, mean)
    gaussians.append(Posterior(mean, cov=(cov + cov.T) / 2))

    def terms(z: Array) -> Array:
        joint = scene.model.log_joint(x, z) - height
        logs = np.stack([g.log_prob(z) for g in gaussians], axis=-1)
        own = np.exp(logs) * (logs - joint[:, None])
        mass = np.exp(joint)
        back = mass * (joint - logs[:, 1])
        return np.concatenate([own, back[:, None], mass[:, None]], axis=-1)

    value, error = lattice_integral(terms, lower, upper, step=step)
    log_mass, relative = np.log(value[4]), error[4] / value[4]
    divergences = np.append(value[:3] + log_mass, value[3] / value[4] - log_mass)
    off = error[:4] / np.append(np.ones(3), value[4]) + relative * (1 + np.abs(divergences))
    return divergences, off, gaussians[2]


def curved_parts(
    scene: ModelScene, *, moments: bool = False, backwards: bool = False, none: bool = False
) -> Comparison:
    """Compare the parts with divergences by a lattice; none of them is negative."""
    found = curved_split(scene)
    parts, errors = (a[0] for a in parts_of([found]))
    divergences, off, _ = by_lattice(scene)
    which = 2 if moments else 3 if backwards else 1
    told = 0.0 if none else divergences[which]
    size = 1 + abs(float(found.elbo)) + divergences[0]
    rounding = gamma(500) * size
    return Comparison.all_of(
        Comparison.identity(
            parts.sum(), divergences[0], scale=size, library=errors.sum(), lattice=off[0],
            rounding=rounding,
        ),
        Comparison.identity(
            parts[0], told, scale=size, library=errors[0], lattice=off[which], rounding=rounding
        ),
        Comparison.at_most(-parts, 0.0, scale=size, library=errors),
    )  # fmt: skip


def diagonal_scenes() -> SearchStrategy[ModelScene]:
    """Models of one or two latents with a q without correlations."""
    return model_scenes(smallest=0.25, dims=(1, 1, 1, 2)).map(
        lambda s: replace(s, cov=replace(s.cov, angles=(0,) * (len(s.loc) - 1)))
    )


CURVED = Proposition(
    label="22a-curved",
    title="For any decoder the parts are divergences from the posterior, and none is negative",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \mathrm{KL}(q\,\|\,p(z|x)),\quad "
        r"\text{approximation} = \min_{m, S}\mathrm{KL}(\mathcal N(m, S)\,\|\,p(z|x)) \ge 0"
    ),
    hypotheses=(
        ("any model", r"d \le 2,\ \text{four families}"),
        ("the best Gaussian", r"\text{the best one that is found from the modes and from } q"),
    ),
    kind="identity",
    instances=diagonal_scenes(),
    check=curved_parts,
    controls=wrong(
        curved_parts,
        {
            "the best Gaussian has the posterior's moments": {"moments": True},
            "the divergence of the posterior from the Gaussian": {"backwards": True},
            "no approximation gap": {"none": True},
        },
    ),
    uses=("3a", "3b", "22a"),
    examples=8,
)

"""Checks of 19e: the natural gradient's step from any Gaussian, and of linear models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice
from vaetheory.checking.linear_models import LinearScene, linear_scenes, wide_linear_scenes
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.score_identities.scenes import log_density
from vaetheory.encoders import Posterior
from vaetheory.jets import Jet, push
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma
from vaetheory.scores import natural_gradient_step

STEP = ("any step", r"0 < \rho \le 1,\ (1 - \rho)S^{-1} + \rho\,\mathbb E_q[A] \succ 0")
#: Half the width of the lattices in standard deviations of q and their step, by dimension.
_LATTICES = {1: (10.0, 1 / 16), 2: (10.0, 1 / 5)}


@dataclass(frozen=True)
class StepScene:
    """A model, a datum, any Gaussian q, and the length of a step."""

    scene: ModelScene
    step: float

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.scene.loc)


def _stays_gaussian(scene: StepScene) -> bool:
    """Whether the new precision is positive definite, by a coarse rule and with a margin."""
    inner, d = scene.scene, scene.dim
    nodes, weights = hermite_rule(8, d)
    z = np.array(inner.loc) + nodes @ np.linalg.cholesky(inner.cov.matrix).T
    hessian = inner.model.potential_derivatives(np.array(inner.x), z)[1]
    mean = np.einsum("m,mij->ij", weights, hessian)
    new = (1 - scene.step) * np.linalg.inv(inner.cov.matrix) + scene.step * mean
    return bool(np.linalg.eigvalsh(new)[0] > 0.1)


def step_scenes() -> st.SearchStrategy[StepScene]:
    """Models of one or two latents under four likelihoods, from a q that may be far off."""
    found = st.builds(StepScene, model_scenes(smallest=0.0625), st.sampled_from((1.0, 0.5, 0.25)))
    return found.filter(_stays_gaussian)


def _root(d: int, entries: Jet) -> tuple[list[Jet], dict[tuple[int, int], Jet]]:
    """Mean and lower triangle of series of coordinates, each `(V,)`."""
    places = [(0, 0)] if d == 1 else [(0, 0), (1, 0), (1, 1)]
    mean = [entries[..., i] for i in range(d)]
    return mean, {place: entries[..., d + k] for k, place in enumerate(places)}


@once
def tangents(scenes: tuple[StepScene, ...]) -> tuple[Array, ...]:
    """How mean and precision move along the natural gradient; from series in coordinates (m, L).

    The gradient is that of E U(m + L w), the Fisher matrix the mean of products of scores of q;
    nothing is known of natural parameters. Returns both `(I, d)`, `(I, d, d)`, and their errors.
    """
    found = [_tangent(s.scene, k) for s in scenes for k in (0.0, 0.5)]
    slope, bend = (np.array([f[i] for f in found]) for i in (0, 1))
    size = np.array([f[2] for f in found])[::2]
    means = [(a[::2] + a[1::2]) / 2 for a in (slope, bend)]
    lost = gamma(1000) * size
    errors = [np.abs(a[::2] - a[1::2]) for a in (slope, bend)]
    return (*means, errors[0] + lost[:, None], errors[1] + lost[:, None, None])


def _tangent(scene: ModelScene, offset: float) -> tuple[Array, Array, float]:
    d = len(scene.loc)
    reach, step = _LATTICES[d]
    w = lattice(np.full(d, -reach), np.full(d, reach), step, offset)
    share = np.exp(-0.5 * (w**2).sum(axis=-1))
    share /= share.sum()
    root = np.linalg.cholesky(scene.cov.matrix)
    start = np.concatenate([np.array(scene.loc), root[np.tril_indices(d)]])
    count = len(start)
    path = Jet(np.stack([np.broadcast_to(start, (count, count)), np.eye(count)]))
    mean, L = _root(d, path[:, None])
    one = mean[0] + L[0, 0] * w[:, 0]
    columns = [one] if d == 1 else [one, mean[1] + L[1, 0] * w[:, 0] + L[1, 1] * w[:, 1]]
    z = np.stack(columns, axis=-1)
    outputs = push(scene.decoder, cast(Jet, z))
    joint = log_density(scene.likelihood, np.array(scene.x), outputs)
    joint = joint - 0.5 * np.sum(np.square(z), axis=-1)
    slopes = joint.coefficients[1] @ share
    sizes = np.abs(joint.coefficients[1]) @ share
    # The entropy is the log determinant of L.
    slopes[d + np.flatnonzero(np.equal(*np.tril_indices(d)))] += 1 / np.diagonal(root)
    # Log q at fixed points, by L y = z - m.
    points = np.array(scene.loc) + w @ root.T
    y = (points[:, 0] - mean[0]) / L[0, 0]
    log_q = -0.5 * np.square(y) - np.log(L[0, 0])
    if d == 2:
        rest = (points[:, 1] - mean[1] - L[1, 0] * y) / L[1, 1]
        log_q = log_q - 0.5 * np.square(rest) - np.log(L[1, 1])
    scores = log_q.coefficients[1]
    fisher = (scores * share) @ scores.T
    along = np.linalg.solve(fisher, slopes)
    turn = np.zeros((d, d))
    turn[np.tril_indices(d)] = along[d:]
    precision = np.linalg.inv(scene.cov.matrix)
    spread = turn @ root.T + root @ turn.T
    size = np.linalg.norm(sizes) * np.linalg.norm(np.linalg.inv(fisher), 2)
    inner = np.linalg.norm(precision, 2)
    size *= np.linalg.cond(fisher) * (1 + inner**2 * np.linalg.norm(root, 2))
    return along[:d], -precision @ spread @ precision, float(size)


@once
def of_library(scenes: tuple[StepScene, ...]) -> tuple[Array, ...]:
    """The library's new means and covariances, and their errors."""
    found = [natural_gradient_step(s.scene.model, [s.scene.x], Posterior(
        [s.scene.loc], cov=s.scene.cov.matrix), s.step) for s in scenes]  # fmt: skip
    parts = [(f.loc, f.cov, f.loc_error, f.cov_error) for f in found]
    return tuple(np.concatenate(p) for p in zip(*parts, strict=True))


def _dim(scene: StepScene) -> int:
    return scene.dim


@together(alike=_dim)
def natural_step(
    scenes: Sequence[StepScene], *, old: bool = False, prior: float = 1.0, straight: bool = False
) -> list[Comparison]:
    """Compare the library's step with one along the natural gradient of other coordinates."""
    loc, cov, loc_error, cov_error = of_library(tuple(scenes))
    slope, bend, slope_error, bend_error = tangents(tuple(scenes))
    m = np.array([s.scene.loc for s in scenes])
    S = np.array([s.scene.cov.matrix for s in scenes])
    rho = np.array([s.step for s in scenes])[:, None]
    d = m.shape[-1]
    P = np.linalg.inv(S)
    precision = np.linalg.inv(cov)
    told = P + rho[..., None] * bend
    if straight:
        # A straight line in (m, S), whose tangent is the same.
        told = np.linalg.inv(S - rho[..., None] * S @ bend @ S)
        mean = m + rho * slope
    else:
        pull = np.einsum("nij,nj->ni", P, m + rho * slope)
        pull += rho * np.einsum("nij,nj->ni", bend, m)
        mean = np.linalg.solve(told, pull[..., None])[..., 0]
    own, moved = precision, loc - m
    if old:
        moved = np.einsum("nij,nj->ni", S @ precision, moved)
    if prior != 1:
        own = precision - (1 - prior) * rho[..., None] * np.eye(d)
        moved = np.linalg.solve(own, precision @ moved[..., None])[..., 0]
    norm = np.linalg.norm(precision, axis=(1, 2))
    off = norm**2 * np.linalg.norm(cov_error, axis=(1, 2))
    lost = gamma(200) * (norm + np.linalg.norm(P, axis=(1, 2)) * np.linalg.cond(S))
    carried = np.linalg.norm(bend_error, axis=(1, 2))
    # The mean solves a system with the new precision.
    wide = np.linalg.norm(np.linalg.inv(told), axis=(1, 2))
    reach = 1 + np.abs(m).max(axis=1) + np.abs(mean).max(axis=1)
    pulled = np.linalg.norm(P, axis=(1, 2)) * np.linalg.norm(slope_error, axis=1)
    means = wide * (pulled + reach * (carried + lost))
    each = (
        Comparison.identities(
            own, told, scale=(1 + norm)[:, None, None], library=off[:, None, None],
            lattice=carried[:, None, None], rounding=lost[:, None, None],
        ),
        Comparison.identities(
            moved, mean - m, scale=reach[:, None], library=loc_error, lattice=means[:, None]
        ),
    )  # fmt: skip
    return [Comparison.all_of(*pair) for pair in zip(*each, strict=True)]


NATURAL = Proposition(
    label="19e",
    title="A step of the natural gradient mixes precisions, and moves the mean by the new one",
    statement=(
        r"\tilde\nabla\ \text{in natural parameters}:\quad S_+^{-1} = (1 - \rho)S^{-1} + "
        r"\rho\,\mathbb E_q[A],\quad m_+ = m - \rho\,S_+\,\mathbb E_q[\nabla U],\quad "
        r"q = \mathcal N(m, S) \text{ any}"
    ),
    hypotheses=(
        STEP,
        ("natural gradient", r"\tilde\nabla = F^{-1}\nabla\,\mathrm{ELBO},\ F = "
         r"\mathbb E_q[\nabla\log q\,\nabla\log q^\top]"),
    ),
    kind="identity",
    instances=step_scenes(),
    check=natural_step,
    controls=wrong(
        natural_step,
        {
            "the old covariance for the mean": {"old": True},
            "the likelihood's Hessian without the prior's": {"prior": 0.0},
            "a straight step in mean and covariance": {"straight": True},
        },
    ),
    uses=("3b",),
    examples=12,
)  # fmt: skip


@dataclass(frozen=True)
class LinearStep:
    """A linear model and a datum, a Gaussian q, and the length of a step."""

    scene: LinearScene
    cov: Covariance
    step: float

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.scene.start)

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return self.scene.model


@st.composite
def linear_steps(draw: DrawFn) -> LinearStep:
    """Linear models of up to 32 latents, and steps from half to the whole way."""
    scene = draw(st.one_of(linear_scenes(), linear_scenes(), wide_linear_scenes()))
    start = tuple(8 * v for v in scene.start)
    cov = draw(strategies.wide_covariances(len(start), (1.0, 0.25, 4.0)))
    return LinearStep(replace(scene, start=start), cov, draw(st.sampled_from((1.0, 0.5, 0.75))))


@once
def of_linear(scenes: tuple[LinearStep, ...]) -> tuple[Array, ...]:
    """The library's new means and covariances of linear models, and their errors."""
    found = [
        natural_gradient_step(
            s.model, [s.scene.x], Posterior([s.scene.start], cov=s.cov.matrix), s.step
        )
        for s in scenes
    ]
    parts = [(f.loc, f.cov, f.loc_error, f.cov_error) for f in found]
    return tuple(np.concatenate(p) for p in zip(*parts, strict=True))


def _shape(scene: LinearStep) -> tuple[int, int]:
    return len(scene.scene.x), scene.dim


@together(alike=_shape)
def mixture(
    scenes: Sequence[LinearStep], *, prior: float = 1.0, whole: bool = False, plain: bool = False
) -> list[Comparison]:
    """Compare the library's step with the geometric mixture of q and the exact posterior."""
    loc, cov, loc_error, cov_error = of_linear(tuple(scenes))
    W = np.array([s.scene.weight for s in scenes])
    noise = np.array([s.scene.noise.matrix for s in scenes])
    m, S = np.array([s.scene.start for s in scenes]), np.array([s.cov.matrix for s in scenes])
    away = np.array([np.array(s.scene.x) - s.scene.bias for s in scenes])[..., None]
    rho = np.array([1.0 if whole else s.step for s in scenes])[:, None, None]
    root = np.linalg.cholesky(noise)
    left, values, turned = np.linalg.svd(np.linalg.solve(root, W), full_matrices=False)
    # The exact posterior has the precision V (1 + s^2) V^T, and the pull V s U^T r.
    exact = np.einsum("nki,nk,nkj->nij", turned, prior + values**2, turned)
    force = np.linalg.solve(root, away)
    pull = np.swapaxes(turned, -1, -2) @ (values[..., None] * (np.swapaxes(left, -1, -2) @ force))
    P = np.linalg.inv(S)
    told = (1 - rho) * P + rho * exact
    mixed = (1 - rho) * P @ m[..., None] + rho * pull
    mean = np.linalg.solve(told, mixed)[..., 0]
    if plain:
        mean = m + (rho * (pull - exact @ m[..., None]))[..., 0]
    covariance = np.linalg.inv(told)
    d = m.shape[-1]
    spread = np.linalg.eigvalsh(told)
    most = 1 + values.max(axis=-1) ** 2
    condition = np.linalg.cond(noise) * (most + np.linalg.cond(S)) / spread[:, 0]
    lost = gamma(200 * (d + W.shape[1])) * condition
    reach = 1 + np.abs(m).max(axis=1) + np.linalg.norm(force[..., 0], axis=1) * np.sqrt(most)
    each = (
        Comparison.identities(
            cov, covariance, scale=(1 / spread[:, 0])[:, None, None], library=cov_error,
            rounding=(lost / spread[:, 0])[:, None, None],
        ),
        Comparison.identities(
            loc, mean, scale=reach[:, None], library=loc_error, rounding=(lost * reach)[:, None]
        ),
    )  # fmt: skip
    return [Comparison.all_of(*pair) for pair in zip(*each, strict=True)]


MIXTURE = Proposition(
    label="19e-linear",
    title="For a linear decoder a step mixes q with the posterior; a whole step is the posterior",
    statement=(
        r"f(z) = Wz + b,\ p(x|z) = \mathcal N(f(z), \Lambda):\quad "
        r"q_+ \propto q^{1-\rho}\,p(z|x)^{\rho} \text{ from any } q,\quad \rho = 1:\ q_+ = p(z|x)"
    ),
    hypotheses=(
        ("any step", r"0 < \rho \le 1"),
        ("linear decoder, Gaussian noise", r"f(z) = Wz + b"),
    ),
    kind="identity",
    instances=linear_steps(),
    check=mixture,
    controls=wrong(
        mixture,
        {
            "without the prior": {"prior": 0.0},
            "every step arrives": {"whole": True},
            "the plain gradient for the mean": {"plain": True},
        },
    ),
    uses=("19e", "3c"),
    examples=40,
)

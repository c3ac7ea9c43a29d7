"""Checks of 21a-full, 21a-axes and 21a-diagonal: which rotations an encoder's family sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, flows, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds import StationaryPosterior, elbo, stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_REACH = 9.0
GAUSSIAN_ENCODER = ("Gaussian encoder", r"q(z|x) = \mathcal N(m, S),\ m, S \text{ free for each x}")
LINEAR = ("linear model", r"f(z) = Wz,\ p(x|z) = \mathcal N(f(z), \sigma^2I),\ "
          r"A = I + W^\top W/\sigma^2")  # fmt: skip


@dataclass(frozen=True)
class TurnedScene:
    """A model of two latents with a datum and a posterior, and a rotation in degrees."""

    scene: ModelScene
    degrees: int

    @property
    def turn(self) -> Array:
        """R, `(2, 2)`."""
        return strategies.rotation((self.degrees,), 2)

    @property
    def x(self) -> Array:
        """The datum, as a set of one."""
        return np.array([self.scene.x])

    def model(self, change: Decoder) -> LatentModel:
        """The model with a changed latent."""
        return LatentModel(decoders.Composed(self.scene.decoder, change), self.scene.likelihood, 2)


def turned_scenes() -> st.SearchStrategy[TurnedScene]:
    """Models under four likelihoods, turned by no multiple of a right angle."""
    scenes = model_scenes(dims=(2,), smallest=0.25)
    return st.builds(TurnedScene, scenes, st.sampled_from((30, 45, 20, 75)))


@once
def lattice_elbo(scene: TurnedScene, loc: Array, cov: Array) -> tuple[float, float]:
    """The ELBO of f at N(loc, cov), by a lattice and a closed divergence, and its error."""
    model, root = scene.scene.model, np.linalg.cholesky(cov)

    def terms(w: Array) -> Array:
        density = np.exp(-0.5 * (w**2).sum(axis=-1)) / (2 * np.pi)
        values = density * model.log_likelihood(scene.x[0], loc + w @ root.T)
        return np.stack([values, np.abs(values)], axis=-1)

    side = np.full(2, _REACH)
    value, error = lattice_integral(terms, -side, side, step=1 / 4)
    divergence = 0.5 * (loc @ loc + np.trace(cov) - 2) - float(np.log(np.diagonal(root)).sum())
    # Beyond nine deviations a log likelihood of a bent decoder has a mean below 1e-15 of its size.
    lost = float(error[0]) + gamma(400) * (float(value[1]) + abs(divergence) + 1)
    return float(value[0]) - divergence, lost


@once
def stationary(scene: TurnedScene, change: str, structure: str) -> StationaryPosterior:
    """The library's posterior of f, or of f after a rotation or a twist, from the same start."""
    if not change:
        return stationary_posterior(scene.scene.model, scene.x, structure=structure)
    first = stationary(scene, "", structure)
    if change == "twist":
        return stationary_posterior(scene.model(flows.Twist(2, 0.25)), scene.x, start=first)
    R = scene.turn
    start = Posterior(first.loc @ R, cov=R.T @ first.cov @ R)
    found = scene.model(decoders.Affine(R))
    return stationary_posterior(found, scene.x, structure=structure, start=start)


def turned_elbo(
    scene: TurnedScene,
    *,
    covariance: str = "turned",
    back: bool = False,
    structure: str = "full",
    change: str = "turn",
) -> Comparison:
    """Compare the ELBO of f o R at any q with that of f at q turned, and the stationary values."""
    R = scene.turn
    loc, cov = np.array(scene.scene.loc), scene.scene.cov.matrix
    found = elbo(scene.model(decoders.Affine(R)), scene.x, Posterior(loc[None], cov=cov[None]))
    turn = R.T if back else R
    other = turn @ cov @ turn.T if covariance == "turned" else cov
    value, error = lattice_elbo(scene, turn @ loc, (other + other.T) / 2)
    plain, moved = stationary(scene, "", structure), stationary(scene, change, structure)
    size = 1 + abs(value)
    parts = [
        Comparison.identity(
            float(found.value[0]), value, scale=size, quadrature=float(found.error[0]),
            lattice=error,
        )
    ]  # fmt: skip
    if plain.reached[0]:
        parts.append(
            Comparison.identity(
                moved.value,
                plain.value,
                scale=1 + np.abs(plain.value),
                moved=moved.error,
                plain=plain.error,
            )
        )
    return Comparison.all_of(*parts)


FULL = Proposition(
    label="21a-full",
    title="With a full covariance the ELBO cannot tell rotations of the latents apart",
    statement=(
        r"\mathrm{ELBO}_{f \circ R}(x; m, S) = \mathrm{ELBO}_f(x; Rm, RSR^\top),\quad "
        r"\max_{m, S}\mathrm{ELBO}_{f \circ R} = \max_{m, S}\mathrm{ELBO}_f"
    ),
    hypotheses=(
        GAUSSIAN_ENCODER,
        ("full covariance", r"S \text{ any positive definite matrix}"),
        ("any likelihood", r"\text{the check: } d = D = 2, \text{ four families}"),
    ),
    kind="identity",
    instances=turned_scenes(),
    check=turned_elbo,
    controls=wrong(
        turned_elbo,
        {
            "the mean turns and the covariance does not": {"covariance": "kept"},
            "turned by the inverse": {"back": True},
            "with a diagonal S as well": {"structure": "diagonal"},
            "twists as well": {"change": "twist"},
        },
    ),
    uses=("3b", "21a"),
    figure="identifiability",
    examples=6,
)


def best_axes(scene: TurnedScene, *, axes: str = "posterior") -> Comparison:
    """Check that a diagonal S loses nothing in latents that are turned to the best axes."""
    plain = stationary(scene, "", "full")
    if not plain.reached[0]:
        return Comparison.identity(0.0, 0.0, scale=1.0, rounding=gamma(1))
    _, vectors = np.linalg.eigh(plain.cov[0])
    if axes == "own":
        vectors = np.eye(2)
    if axes == "decoder":
        slopes = scene.scene.decoder.jacobian(np.zeros((1, 2)))[0]
        vectors = np.linalg.svd(slopes)[2].T
    start = Posterior(plain.loc @ vectors, cov=vectors.T @ plain.cov @ vectors)
    found = stationary_posterior(
        scene.model(decoders.Affine(vectors)), scene.x, structure="diagonal", start=start
    )
    return Comparison.identity(
        found.value, plain.value, scale=1 + np.abs(plain.value), diagonal=found.error,
        full=plain.error,
    )  # fmt: skip


AXES = Proposition(
    label="21a-axes",
    title="For one datum some rotation gives a diagonal encoder all that a full one has",
    statement=(
        r"\max_R\max_{m, s}\mathrm{ELBO}_{f \circ R}(x; m, \operatorname{diag}s) = "
        r"\max_{m, S}\mathrm{ELBO}_f(x; m, S), \quad \text{at } R \text{ the eigenvectors of the "
        r"best } S"
    ),
    hypotheses=(
        GAUSSIAN_ENCODER,
        ("one datum", r"\text{or several whose best } S \text{ have the same eigenvectors}"),
    ),
    kind="identity",
    instances=turned_scenes(),
    check=best_axes,
    controls=wrong(
        best_axes,
        {
            "the latents as they are": {"axes": "own"},
            "the axes of the decoder at the prior's mean": {"axes": "decoder"},
        },
    ),
    uses=("21a-full",),
    examples=6,
)


@dataclass(frozen=True)
class TurnedLinear:
    """A linear model in its own axes up to a rotation, a datum, and another rotation."""

    singular_values: Vector
    angles: tuple[int, ...]
    noise: float
    x: Vector
    turn: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.singular_values)

    @cached_property
    def weight(self) -> Array:
        """W `(D, d)`."""
        d, D = self.dim, len(self.x)
        left = strategies.rotation((30,) * (D - 1), D)[:, :d]
        return left @ np.diag(self.singular_values) @ strategies.rotation(self.angles, d).T


@st.composite
def turned_linears(draw: DrawFn) -> TurnedLinear:
    """Models of two to eight latents and at least two data dimensions, some with equal values."""
    dim = draw(st.sampled_from((2, 2, 3, 4, 8)))
    return TurnedLinear(
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0, 4.0))] * dim)),
        draw(strategies.angles(dim)),
        draw(st.sampled_from((1.0, 0.5, 0.125))),
        draw(strategies.vectors(dim + draw(st.integers(0, 2)))),
        draw(strategies.angles(dim)),
    )


@once
def by_library(scenes: tuple[TurnedLinear, ...]) -> tuple[Array, Array]:
    """Best ELBOs `(I, 4)` and errors: full and diagonal of W, diagonal of W R, of W in its axes."""
    values, errors = [], []
    for s in scenes:
        model = LatentModel(decoders.Affine(s.weight), likelihoods.Gaussian(scale=s.noise))
        turn = strategies.rotation(s.turn, s.dim)
        own = np.linalg.svd(s.weight)[2].T
        found = [stationary_posterior(model, np.array([s.x]))]
        for R in (np.eye(s.dim), turn, own):
            turned = LatentModel(decoders.Affine(s.weight @ R), model.likelihood)
            found.append(stationary_posterior(turned, np.array([s.x]), structure="diagonal"))
        values.append([float(q.value[0]) for q in found])
        errors.append([float(q.error[0]) for q in found])
    return np.array(values), np.array(errors)


@together(alike=lambda scene: (scene.dim, len(scene.x)))
def diagonal_cost(
    scenes: Sequence[TurnedLinear], *, formula: str = "diagonal", unturned: bool = False
) -> list[Comparison]:
    """Compare the best diagonal ELBO of W R, found by iteration, with its closed form."""
    values, errors = by_library(tuple(scenes))
    W = np.array([s.weight for s in scenes])
    noise = np.array([s.noise for s in scenes])[:, None, None]
    R = np.array([strategies.rotation(s.turn, s.dim) for s in scenes])
    x = np.array([s.x for s in scenes])
    d, D = W.shape[2], W.shape[1]
    C = W @ np.swapaxes(W, 1, 2) + noise**2 * np.eye(D)
    A = np.eye(d) + np.swapaxes(W, 1, 2) @ W / noise**2
    solved = np.linalg.solve(C, x[..., None])[..., 0]
    log_dets = np.linalg.slogdet(C)[1], np.linalg.slogdet(A)[1]
    evidence = -0.5 * ((x * solved).sum(axis=-1) + log_dets[0] + D * np.log(2 * np.pi))

    def cost(turn: Array) -> Array:
        turned = np.swapaxes(turn, 1, 2) @ A @ turn
        logs = np.log(np.diagonal(turned, axis1=1, axis2=2)).sum(axis=-1)
        if formula == "marginals":
            inverse = np.diagonal(np.linalg.inv(turned), axis1=1, axis2=2)
            logs = -np.log(inverse).sum(axis=-1)
        return 0.5 * (logs - log_dets[1]) * (formula != "none")

    own = np.linalg.eigh(A)[1]
    plain = np.broadcast_to(np.eye(d), R.shape)
    costs = np.stack(
        [0 * evidence, cost(plain), cost(plain if unturned else R), cost(own)], axis=-1
    )
    # Where W has large singular values over the noise, C is ill conditioned.
    spread = np.linalg.cond(C)
    size = 1 + np.abs(evidence) + np.abs(log_dets).sum(axis=0) + (x * np.abs(solved)).sum(axis=-1)
    return Comparison.identities(
        values, evidence[:, None] - costs, scale=size[:, None], iteration=errors,
        rounding=(gamma(100 * D) * spread * size)[:, None],
    )  # fmt: skip


DIAGONAL = Proposition(
    label="21a-diagonal",
    title="A diagonal encoder tells rotations apart: it wants the latents on the model's axes",
    statement=(
        r"\max_{m, s}\mathrm{ELBO}_{f \circ R}(x; m, \operatorname{diag}s) = \log p(x) - "
        r"\tfrac12\Big(\sum_j\log(R^\top AR)_{jj} - \log\det A\Big),\quad \text{the most, } "
        r"\log p(x), \text{ iff } R^\top AR \text{ is diagonal}"
    ),
    hypotheses=(
        LINEAR,
        ("diagonal encoder", r"q(z|x) = \mathcal N(m, \operatorname{diag}s),\ 2 \le d \le 8,\ "
         r"D \ge d"),
    ),
    kind="counterexample",
    instances=turned_linears(),
    check=diagonal_cost,
    controls=wrong(
        diagonal_cost,
        {
            "a rotation does not change the best ELBO": {"unturned": True},
            "a diagonal encoder costs nothing": {"formula": "none"},
            "the marginal variances for s": {"formula": "marginals"},
        },
    ),
    uses=("3d", "12b", "21a-full"),
    figure="identifiability",
    examples=12,
)  # fmt: skip

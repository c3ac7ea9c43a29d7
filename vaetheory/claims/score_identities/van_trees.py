"""Checks of 19d: how well any estimator can know the latents of data from the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import expit, ndtr

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.lattice import lattice
from vaetheory.checking.linear_models import LinearScene, linear_scenes
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.decoders import Decoder
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma
from vaetheory.scores import MatrixBound, linear_estimation_error, van_trees_bound

FROM_THE_MODEL = ("data from the model", r"z \sim \mathcal N(0, I),\ x \sim p(x|z)")
METRIC = ("a metric", r"g = J^\top F J,\ F \text{ the likelihood's Fisher information}")
#: Half the width of the lattices over latents and their step, by their number.
_LATTICES = {1: (9.0, 1 / 40), 2: (8.0, 1 / 6)}


@dataclass(frozen=True)
class Wave:
    """The curve z + a sin(b z), whose slope varies about one."""

    height: float
    frequency: float

    def __call__(self, z: Array) -> Array:
        """The curve at latents `(..., 1)`."""
        return z + self.height * anp.sin(self.frequency * z)


@dataclass(frozen=True)
class Scene:
    """A decoder, and Gaussian noise of one scale, or bits if it is zero."""

    decoder: Decoder | Wave
    dim: int
    noise: float

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        bits = likelihoods.Bernoulli()
        family = likelihoods.Gaussian(scale=self.noise) if self.noise else bits
        return LatentModel(self.decoder, family, self.dim)


def waves() -> st.SearchStrategy[Wave]:
    """Waves with slopes from 0 to 2."""
    return st.builds(Wave, st.sampled_from((0.5, 0.25)), st.sampled_from((2.0, 1.0)))


@st.composite
def scenes(draw: DrawFn) -> Scene:
    """Lines, waves, curves and surfaces, with noise or as bits."""
    dim = draw(st.sampled_from((1, 1, 1, 2)))
    decoder = draw(surfaces() if dim == 2 else st.one_of(curves(), waves(), curves()))
    noise = draw(st.sampled_from((1.0, 0.5, 0.0)))
    if noise and isinstance(decoder, decoders.Polynomial):
        # Between branches of a fold the posterior turns over within sigma^2 over their distance.
        noise = 1.0
    return Scene(decoder, dim, noise)


def mean_covariance(scene: Scene, offset: float) -> Array:
    """E Cov(z given x) `(d, d)` by lattices over latents and over data, or a sum over bits."""
    d = scene.dim
    reach, step = _LATTICES[d]
    z = lattice(np.full(d, -reach), np.full(d, reach), step, offset)
    prior = np.exp(-0.5 * (z**2).sum(axis=-1))
    prior /= prior.sum()
    outputs = scene.model.decoder(z)
    # Of each entry of the datum, its probability or density times the lattice's step, (Mx, Mz).
    if scene.noise:
        laws = [_densities(column, scene.noise, offset) for column in outputs.T]
    else:
        laws = [np.stack([expit(-column), expit(column)]) for column in outputs.T]
    left, right = laws[0], laws[1] if len(laws) == 2 else np.ones((1, len(z)))
    mass = (left * prior) @ right.T
    known = mass > 1e-200
    safe = np.where(known, mass, 1.0)
    first = [np.where(known, (left * (prior * z[:, i])) @ right.T, 0.0) for i in range(d)]
    second = np.einsum("m,mi,mj->ij", prior, z, z)
    for i, j in product(range(d), repeat=2):
        second[i, j] -= (first[i] * first[j] / safe).sum()
    return second


def _densities(column: Array, noise: float, offset: float) -> Array:
    step = noise / 4
    low, high = column.min() - 8 * noise, column.max() + 8 * noise
    x = step * (np.arange(np.floor(low / step), np.ceil(high / step)) + offset)
    density = np.exp(-0.5 * ((x[:, None] - column) / noise) ** 2)
    return np.asarray(density * step / (noise * np.sqrt(2 * np.pi)))


@once
def mean_square_errors(many: tuple[Scene, ...]) -> tuple[Array, Array]:
    """E Cov(z given x) `(I, d, d)`, and its error in the spectral norm."""
    one, other = (np.array([mean_covariance(s, k) for s in many]) for k in (0.0, 0.5))
    off = np.linalg.norm(one - other, axis=(1, 2))
    return (one + other) / 2, off + gamma(2000)


@once
def averages(many: tuple[Scene, ...]) -> tuple[Array, Array]:
    """E[(I + g)^-1] under the prior, and (I + g(0))^-1, by the same lattices."""
    found = []
    for scene in many:
        d, model = scene.dim, scene.model
        reach, step = _LATTICES[d]
        around = lattice(np.full(d, -reach), np.full(d, reach), step, 0.0)
        z = np.concatenate([np.zeros((1, d)), around])
        share = np.exp(-0.5 * (z[1:] ** 2).sum(axis=-1))
        local = np.linalg.inv(
            np.eye(d) + model.pulled_back(model.decode(z), model.decoder.jacobian(z))
        )
        found.append((np.einsum("m,mij->ij", share / share.sum(), local[1:]), local[0]))
    return np.array([f[0] for f in found]), np.array([f[1] for f in found])


@once
def bounds(many: tuple[Scene, ...]) -> tuple[list[MatrixBound], list[MatrixBound]]:
    """The library's bounds from below and above."""
    lower = [van_trees_bound(s.model) for s in many]
    return lower, [linear_estimation_error(s.model) for s in many]


def least(matrices: Array) -> Array:
    """Least eigenvalues."""
    return np.asarray(np.linalg.eigvalsh((matrices + np.swapaxes(matrices, -1, -2)) / 2)[..., 0])


def _dim(scene: Scene) -> int:
    return scene.dim


@together(alike=_dim)
def chain(
    many: Sequence[Scene], *, lower: str = "van Trees", prior: float = 1.0, above: bool = False
) -> list[Comparison]:
    """Compare the library's bounds with the mean posterior covariance from lattices."""
    exact, off = mean_square_errors(tuple(many))
    found, upper = bounds(tuple(many))
    below, most = np.array([f.value for f in found]), np.array([f.value for f in upper])
    error, more = np.array([f.error for f in found]), np.array([f.error for f in upper])
    if lower == "averaged":
        below = averages(tuple(many))[0]
    elif lower == "at zero":
        below = averages(tuple(many))[1]
    if prior != 1:
        # A metric that is singular leaves the latents unbounded.
        d = below.shape[-1]
        below = np.linalg.inv(np.linalg.inv(below) - (1 - prior) * (1 - 1e-9) * np.eye(d))
    if above:
        most = np.array([f.value for f in found])
    each = (
        Comparison.each_at_most(0.0, least(exact - below), scale=1.0, library=error, lattice=off),
        Comparison.each_at_most(0.0, least(most - exact), scale=1.0, library=more, lattice=off),
    )
    return [Comparison.all_of(*pair) for pair in zip(*each, strict=True)]


VAN_TREES = Proposition(
    label="19d",
    title="No encoder knows the latents better than the mean metric allows",
    statement=(
        r"\big(I + \mathbb E_{p(z)}[g(z)]\big)^{-1} \preceq \mathbb E_{p(x)}"
        r"\operatorname{Cov}(z|x) \preceq I - \operatorname{Cov}(z, x)\operatorname{Cov}(x)^{-1}"
        r"\operatorname{Cov}(x, z)"
    ),
    hypotheses=(FROM_THE_MODEL, METRIC),
    kind="inequality",
    instances=scenes(),
    check=chain,
    controls=wrong(
        chain,
        {
            "the average of local covariances": {"lower": "averaged"},
            "the metric at z = 0": {"lower": "at zero"},
            "without the prior's information": {"prior": 0.0},
            "attained by every model": {"above": True},
        },
    ),
    uses=("7a", "7b"),
    figure="score-identities",
    examples=10,
)


@once
def of_linear(many: tuple[LinearScene, ...]) -> tuple[Array, Array, Array, Array]:
    """The library's bounds of linear models `(I, d, d)`, and their errors."""
    found = [(van_trees_bound(s.model), linear_estimation_error(s.model)) for s in many]
    lower, upper = (np.array([f[k].value for f in found]) for k in (0, 1))
    error, more = (np.array([f[k].error for f in found]) for k in (0, 1))
    return lower, upper, error, more


def _shape(scene: LinearScene) -> tuple[int, int]:
    return len(scene.x), len(scene.singular_values)


@together(alike=_shape)
def attained(
    many: Sequence[LinearScene], *, prior: float = 1.0, marginal: bool = False
) -> list[Comparison]:
    """Compare both bounds with the posterior covariance from singular values of W alone."""
    W, noise = np.array([s.weight for s in many]), np.array([s.noise.matrix for s in many])
    lower, upper, error, more = of_linear(tuple(many))
    root = np.linalg.cholesky(noise)
    _, values, turned = np.linalg.svd(np.linalg.solve(root, W), full_matrices=False)
    shares = 1 / (prior + values**2)
    S = np.einsum("nki,nk,nkj->nij", turned, shares, turned)
    if marginal:
        S = np.einsum("nii->ni", S)[..., None] * np.eye(S.shape[-1])
    condition = np.linalg.cond(noise)
    lost = gamma(100 * sum(W.shape[1:])) * condition * (1 + values.max(axis=-1))
    sides = (
        Comparison.identities(
            side, S, scale=1.0, library=e[:, None, None], rounding=lost[:, None, None]
        )
        for side, e in ((lower, error), (upper, more))
    )
    return [Comparison.all_of(*pair) for pair in zip(*sides, strict=True)]


ATTAINED = Proposition(
    label="19d-linear",
    title="For a linear decoder both bounds are the posterior covariance, however many latents",
    statement=(
        r"f(z) = Wz + b,\ p(x|z) = \mathcal N(f(z), \Lambda):\quad "
        r"(I + W^\top\Lambda^{-1}W)^{-1} = I - W^\top(WW^\top + \Lambda)^{-1}W = "
        r"\operatorname{Cov}(z|x)"
    ),
    hypotheses=(FROM_THE_MODEL, ("linear decoder, Gaussian noise", r"f(z) = Wz + b")),
    kind="identity",
    instances=linear_scenes(),
    check=attained,
    controls=wrong(
        attained,
        {
            "without the prior's information": {"prior": 0.0},
            "twice the prior's information": {"prior": 2.0},
            "the variances alone": {"marginal": True},
        },
    ),
    uses=("19d", "3c"),
    examples=40,
)


def counter_waves() -> st.SearchStrategy[Scene]:
    """Waves of which the average of the local covariances exceeds the mean square error."""
    wave = st.builds(Wave, st.sampled_from((0.5, 0.375, 0.25)), st.just(2.0))
    return st.builds(Scene, wave, st.just(1), st.sampled_from((1.0, 0.75, 1.5)))


@together
def averaged(
    many: Sequence[Scene], *, order: tuple[str, ...] = ("bound", "error", "average")
) -> list[Comparison]:
    """Put the bound, the mean square error and the average of local covariances in order."""
    exact, off = mean_square_errors(tuple(many))
    found = bounds(tuple(many))[0]
    values = {
        "bound": np.array([f.value[0, 0] for f in found]),
        "error": exact[:, 0, 0],
        "average": averages(tuple(many))[0][:, 0, 0],
    }
    own = np.array([f.error for f in found])
    each = [
        Comparison.each_at_most(
            values[a], values[b], scale=1.0, library=own, lattice=off, rounding=gamma(2000)
        )
        for a, b in pairwise(order)
    ]
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


AVERAGED = Proposition(
    label="19d-average",
    title="The average of the local covariances is no lower bound of the mean square error",
    statement=(
        r"f(z) = z + \tfrac12\sin 2z,\ \sigma^2 = 1:\quad (1 + \mathbb E g)^{-1} = 0.3609 < "
        r"\mathbb E\operatorname{Var}(z|x) = 0.4513 < \mathbb E[(1 + g)^{-1}] = 0.5101"
    ),
    hypotheses=(FROM_THE_MODEL, METRIC),
    kind="counterexample",
    instances=counter_waves(),
    check=averaged,
    controls=wrong(
        averaged,
        {
            "the average is a lower bound": {"order": ("bound", "average", "error")},
            "the average is below the bound": {"order": ("average", "bound", "error")},
        },
    ),
    uses=("19d",),
    figure="score-identities",
    examples=6,
)


@dataclass(frozen=True)
class Interval:
    """Latents of a uniform law on [-a, a], and x = z with noise of one scale."""

    half: float
    noise: float


def intervals() -> st.SearchStrategy[Interval]:
    """Intervals from a third of the noise to eight times it."""
    return st.builds(
        Interval,
        st.sampled_from((1.0, 0.5, 2.0)),
        st.sampled_from((0.5, 1.0, 0.25, 1.5)),
    )


@once
def by_scores(many: tuple[Interval, ...]) -> tuple[Array, Array]:
    """The mean square error sigma^2 - sigma^4 E[(d/dx log p(x))^2], by lattices over x."""
    values = []
    for offset in (0.0, 0.5):
        each = []
        for s in many:
            step = s.noise / 8
            end = np.ceil((s.half + 9 * s.noise) / step)
            x = step * (np.arange(-end, end + 1) + offset)
            up, down = (x + s.half) / s.noise, (x - s.half) / s.noise
            # The mirror image has the same digits on both sides.
            mass = np.where(x < 0, ndtr(up) - ndtr(down), ndtr(-down) - ndtr(-up))
            slope = (np.exp(-0.5 * up**2) - np.exp(-0.5 * down**2)) / np.sqrt(2 * np.pi) / s.noise
            information = (slope**2 / mass).sum() * step / (2 * s.half)
            each.append(s.noise**2 - s.noise**4 * information)
        values.append(each)
    one, other = np.array(values)
    scale = np.array([s.noise for s in many]) ** 2
    return (one + other) / 2, np.abs(one - other) + gamma(2000) * (1 + scale)


@once
def by_posteriors(many: tuple[Interval, ...]) -> tuple[Array, Array]:
    """The mean square error from moments of posteriors, by Gauss-Legendre rules in z."""
    values = []
    for number, offset in ((120, 0.0), (90, 0.5)):
        nodes, weights = np.polynomial.legendre.leggauss(number)
        each = []
        for s in many:
            step = s.noise / 4
            end = np.ceil((s.half + 9 * s.noise) / step)
            x = step * (np.arange(-end, end + 1) + offset)
            z = s.half * nodes
            density = np.exp(-0.5 * ((x[:, None] - z) / s.noise) ** 2)
            density *= step / np.sqrt(2 * np.pi) / s.noise
            moments = [density @ (weights / 2 * z**k) for k in range(3)]
            each.append((moments[2] - moments[1] ** 2 / moments[0]).sum())
        values.append(each)
    one, other = np.array(values)
    return (one + other) / 2, np.abs(one - other) + gamma(2000)


@together
def jump(
    many: Sequence[Interval], *, free: bool = False, as_gaussian: bool = False
) -> list[Comparison]:
    """Compare two routes to the mean square error, and with what the bounds would be."""
    found, off = by_scores(tuple(many))
    other, more = by_posteriors(tuple(many))
    half, noise = np.array([(s.half, s.noise) for s in many]).T
    linear = half**2 * noise**2 / (half**2 + 3 * noise**2)
    scale = noise**2
    false = (scale if free else linear) if free or as_gaussian else 0.0 * scale
    each = (
        Comparison.identities(found, other, scale=scale, scores=off, posteriors=more),
        # With no information in the prior the bound would be sigma^2 / E g = sigma^2.
        Comparison.each_at_most(other, linear, scale=scale, posteriors=more),
        Comparison.each_at_most(linear, scale, scale=scale, rounding=gamma(10) * scale),
        Comparison.each_at_most(false, other, scale=scale, posteriors=more),
    )
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


JUMP = Proposition(
    label="19d-jump",
    title="A prior with a jump has no information to count: the bound without it is false",
    statement=(
        r"z \sim U[-a, a],\ x|z \sim \mathcal N(z, \sigma^2):\quad \mathbb E\operatorname{Var}"
        r"(z|x) = \sigma^2 - \sigma^4\,\mathbb E\big[(\log p)'(x)^2\big] \le "
        r"\frac{a^2\sigma^2}{a^2 + 3\sigma^2} < \sigma^2 = (0 + \mathbb E g)^{-1}"
    ),
    hypotheses=(("uniform prior", r"p(z) = \tfrac1{2a}\,[|z| \le a],\ p'/p = 0 "
                 r"\text{ where } p > 0"),),
    kind="counterexample",
    instances=intervals(),
    check=jump,
    controls=wrong(
        jump,
        {
            "the bound with no information in the prior": {"free": True},
            "the bound with a Gaussian's information of the same variance": {"as_gaussian": True},
        },
    ),
    uses=("19d", "19c"),
    examples=12,
)  # fmt: skip

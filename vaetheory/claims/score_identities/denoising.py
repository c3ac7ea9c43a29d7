"""Checks of 19c: scores of the data, and posterior means that denoise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import gammaln

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice
from vaetheory.checking.linear_models import LinearScene, linear_scenes
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.score_identities.scenes import (
    directions,
    gradient_and_hessian,
    series_of,
)
from vaetheory.decoders import Decoder
from vaetheory.evidence import posterior_expectation
from vaetheory.jets import Jet
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma
from vaetheory.scores import data_curvature, data_score, denoise, robbins

GAUSSIAN = ("Gaussian noise", r"p(x|z) = \mathcal N(x; f(z), \Lambda)")
#: Half the width of the lattices over latents and their step, by the number of latents.
_LATTICES = {1: (12.0, 1 / 160), 2: (10.0, 1 / 14)}


@dataclass(frozen=True)
class NoisyScene:
    """A decoder with two outputs, Gaussian noise, and a datum."""

    decoder: Decoder
    dim: int
    noise: Covariance
    x: Vector

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, likelihoods.Gaussian(cov=self.noise.matrix), self.dim)


@st.composite
def noisy_scenes(draw: DrawFn) -> NoisyScene:
    """Curves and surfaces under correlated noise, small and large; some data are far."""
    dim = draw(st.sampled_from((1, 1, 1, 2)))
    noise = draw(strategies.covariances(2, (1.0, 0.25) if dim == 2 else (1.0, 0.25, 0.015625)))
    far = draw(st.sampled_from((1.0, 1.0, 4.0)))
    x = tuple(far * v for v in draw(strategies.vectors(2, -2, 2)))
    return NoisyScene(draw(curves() if dim == 1 else surfaces()), dim, noise, x)


class OfData(NamedTuple):
    """Derivatives of log p(x) in x: gradients `(I, D)`, Hessians `(I, D, D)`, their errors."""

    gradient: Array
    hessian: Array
    gradient_error: Array
    hessian_error: Array


@once
def of_data(scenes: tuple[NoisyScene, ...]) -> OfData:
    """Taylor series in x of lattice sums over z, from the density written with the precision."""
    dim = scenes[0].dim
    reach, step = _LATTICES[dim]
    along = directions(2)
    found = []
    for scene in scenes:
        precision = np.linalg.inv(scene.noise.matrix)
        parts = []
        for offset in (0.0, 0.5):
            z = lattice(np.full(dim, -reach), np.full(dim, reach), step, offset)
            away = np.array(scene.x) - scene.decoder(z)
            force = away @ precision
            # -1/2 (r + t v)^T P (r + t v): a parabola in t, with its three coefficients.
            square = np.einsum("mi,mi->m", force, away)
            bend = np.einsum("vi,ij,vj->v", along, precision, along)
            c = np.stack([
                np.broadcast_to(-0.5 * square, (len(along), len(z))),
                -(along @ force.T),
                np.broadcast_to(-0.5 * bend[:, None], (len(along), len(z))),
            ])  # fmt: skip
            value, size = series_of(Jet(c[:, :, None]), -0.5 * (z**2).sum(axis=-1))
            parts.append((*gradient_and_hessian(value, 2), size))
        (g, h, size), (g2, h2, _) = parts
        lost = gamma(400) * size[0, :2].T
        found.append((
            (g + g2) / 2, (h + h2) / 2, np.abs(g - g2) + lost,
            np.abs(h - h2) + gamma(2000) * size[1].max(),
        ))  # fmt: skip
    return OfData(*(np.concatenate(part) for part in zip(*found, strict=True)))


@once
def of_library(scenes: tuple[NoisyScene, ...]) -> tuple[Array, ...]:
    """Posterior means of f, scores and curvatures of the data, their errors, and f(E z)."""
    found = []
    for scene in scenes:
        model, X = scene.model, [scene.x]
        mean, score, bend = denoise(model, X), data_score(model, X), data_curvature(model, X)
        codes = posterior_expectation(model, X, lambda z: z)
        found.append((
            mean.value, score.value, bend.value, mean.error, score.error, bend.error,
            scene.decoder(codes.value),
        ))  # fmt: skip
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def _dim(scene: NoisyScene) -> int:
    return scene.dim


@together(alike=_dim)
def tweedie(
    scenes: Sequence[NoisyScene], *, of_mean: bool = False, root: bool = False, noisy: bool = True,
    sign: float = 1.0,
) -> list[Comparison]:  # fmt: skip
    """Compare the library's posterior means with derivatives of the evidence in x."""
    exact = of_data(tuple(scenes))
    mean, score, bend, mean_error, score_error, bend_error, decoded = of_library(tuple(scenes))
    x, noise = np.array([s.x for s in scenes]), np.array([s.noise.matrix for s in scenes])
    factor = np.array([np.linalg.cholesky(c) for c in noise]) if root else noise
    told = x + sign * np.einsum("nij,nj->ni", factor, exact.gradient)
    carried = np.einsum("nij,nj->ni", np.abs(factor), exact.gradient_error)
    if of_mean:
        mean = decoded
    precision = np.linalg.inv(noise)
    # Cov[f given x] = Lambda + Lambda H Lambda, in units of the score.
    share = precision if noisy else 0 * precision
    most = np.abs(precision).max(axis=(1, 2))
    spread = np.linalg.eigvalsh(noise)
    lost = gamma(200) * spread[:, -1] / spread[:, 0]
    each = (
        Comparison.identities(
            mean, told, scale=1 + np.abs(mean) + np.abs(x), library=mean_error, lattice=carried,
            rounding=(lost * (1 + np.abs(x).max(axis=1)))[:, None],
        ),
        Comparison.identities(
            score, exact.gradient, scale=1 + np.abs(score), library=score_error,
            lattice=exact.gradient_error,
            rounding=(lost * most * (1 + np.abs(x).max(axis=1)))[:, None],
        ),
        Comparison.identities(
            bend + precision, exact.hessian + share, scale=(1 + most)[:, None, None],
            library=bend_error, lattice=exact.hessian_error,
            rounding=(lost * most)[:, None, None],
        ),
    )  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


TWEEDIE = Proposition(
    label="19c",
    title="The posterior-mean reconstruction is the best denoiser, known from the evidence alone",
    statement=(
        r"\mathbb E_{p(z|x)}[f(z)] = x + \Lambda\nabla_x\log p(x),\quad "
        r"\operatorname{Cov}_{p(z|x)}[f(z)] = \Lambda + \Lambda\,\nabla_x^2\log p(x)\,\Lambda"
    ),
    hypotheses=(GAUSSIAN,),
    kind="identity",
    instances=noisy_scenes(),
    check=tweedie,
    controls=wrong(
        tweedie,
        {
            "f(E z) for E f(z)": {"of_mean": True},
            "sigma for sigma^2": {"root": True},
            "away from the score": {"sign": -1.0},
            "the covariance without the noise": {"noisy": False},
        },
    ),
    uses=("3a",),
    figure="score-identities",
    examples=8,
)


@once
def of_linear(scenes: tuple[LinearScene, ...]) -> tuple[Array, Array]:
    """The library's denoised data of linear models, and their errors."""
    found = [denoise(s.model, [s.x]) for s in scenes]
    return np.concatenate([f.value for f in found]), np.concatenate([f.error for f in found])


def _shape(scene: LinearScene) -> tuple[int, int]:
    return len(scene.x), len(scene.singular_values)


@together(alike=_shape)
def linear(
    scenes: Sequence[LinearScene], *, root: bool = False, by_prior: bool = False,
    without: bool = False,
) -> list[Comparison]:  # fmt: skip
    """Compare f(E z) and the score of N(b, W W^T + Lambda) with the library's denoised data."""
    W, noise = np.array([s.weight for s in scenes]), np.array([s.noise.matrix for s in scenes])
    b, x = np.array([s.bias for s in scenes]), np.array([s.x for s in scenes])
    turned = np.swapaxes(W, -1, -2)
    C = W @ turned + (0 if without else noise)
    mean, error = of_linear(tuple(scenes))
    away = (x - b)[..., None]
    if without:
        C = C + 1e-6 * np.eye(x.shape[1])
    factor = np.array([np.linalg.cholesky(c) for c in noise]) if root else noise
    told = x - (factor @ np.linalg.solve(C, away))[..., 0]
    # f at the posterior's mean S W^T Lambda^-1 (x - b).
    inner = np.linalg.solve(noise, np.concatenate([W, away], axis=-1))
    precision = (0 if by_prior else 1) * np.eye(W.shape[-1]) + turned @ inner[..., :-1]
    code = np.linalg.solve(precision, turned @ inner[..., -1:])
    decoded = b + (W @ code)[..., 0]
    size = np.abs(x).max(axis=1) + np.abs(b).max(axis=1) + np.linalg.norm(away[..., 0], axis=1)
    condition = sum(np.linalg.cond(m) for m in (noise, W @ turned + noise, precision))
    lost = (gamma(100 * sum(W.shape[1:])) * condition * (1 + size))[:, None]
    each = (
        Comparison.identities(mean, told, scale=(1 + size)[:, None], library=error, rounding=lost),
        Comparison.identities(
            mean, decoded, scale=(1 + size)[:, None], library=error, rounding=lost
        ),
    )
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


LINEAR = Proposition(
    label="19c-linear",
    title="For a linear decoder the denoiser is the decoded mean, however many latents",
    statement=(
        r"f(z) = Wz + b:\quad \mathbb E_{p(z|x)}[f(z)] = f(\mathbb E_{p(z|x)}z) = "
        r"x - \Lambda(WW^\top + \Lambda)^{-1}(x - b)"
    ),
    hypotheses=(GAUSSIAN, ("linear decoder", r"f(z) = Wz + b")),
    kind="identity",
    instances=linear_scenes(),
    check=linear,
    controls=wrong(
        linear,
        {
            "sigma for sigma^2": {"root": True},
            "the code of least squares, without the prior": {"by_prior": True},
            "the score of data without noise": {"without": True},
        },
    ),
    uses=("19c", "3c"),
    examples=40,
)


@dataclass(frozen=True)
class CountScene:
    """A curve of two log rates, and counts."""

    slopes: Vector
    offsets: Vector
    bend: float
    x: Vector

    @cached_property
    def model(self) -> LatentModel:
        """The latent model, of tanh curves unless the bend is zero."""
        weight = np.array(self.slopes)[:, None]
        if not self.bend:
            return LatentModel(decoders.Affine(weight, self.offsets), likelihoods.Poisson())
        network = decoders.TanhNetwork(
            [[[self.bend]], weight / self.bend], [np.zeros(1), np.array(self.offsets)]
        )
        return LatentModel(network, likelihoods.Poisson())


@st.composite
def count_scenes(draw: DrawFn) -> CountScene:
    """Affine and saturating log rates; small counts and one in the hundreds."""
    return CountScene(
        draw(st.tuples(*[strategies.nonzero_fractions(3, 2)] * 2)),
        draw(strategies.vectors(2, -2, 2, 1)),
        draw(st.sampled_from((0.0, 1.0, 0.5))),
        draw(st.tuples(strategies.fractions(0, 4), st.sampled_from((0.0, 1.0, 3.0, 7.0, 300.0)))),
    )


@once
def of_counts(scenes: tuple[CountScene, ...]) -> tuple[Array, ...]:
    """The library's rates, from posteriors and from evidences, their errors, and rates at E z."""
    found = []
    for scene in scenes:
        model, X = scene.model, [scene.x]
        mean, ratio = denoise(model, X), robbins(model, X)
        code = posterior_expectation(model, X, lambda z: z).value
        found.append((
            mean.value, ratio.value, mean.error, ratio.error, np.exp(model.decode(code))
        ))  # fmt: skip
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


@once
def counted(scenes: tuple[CountScene, ...]) -> tuple[Array, Array]:
    """Log p(x), log p(x + e_i) by lattices, `(I, 1 + D)`, and their errors."""
    values, errors = [], []
    for scene in scenes:
        x = np.array(scene.x)
        data = np.concatenate([[x], x + np.eye(2)])
        each = []
        for offset in (0.0, 0.5):
            z = lattice(np.array([-24.0]), np.array([24.0]), 1 / 80, offset)
            rates = scene.model.decoder(z)
            logs = data @ rates.T - np.exp(rates).sum(axis=-1) - 0.5 * z[:, 0] ** 2
            height = logs.max(axis=-1, keepdims=True)
            total = np.log(np.exp(logs - height).sum(axis=-1) / 80) + height[:, 0]
            each.append(total - gammaln(data + 1).sum(axis=-1) - 0.5 * np.log(2 * np.pi))
        values.append((each[0] + each[1]) / 2)
        size = np.abs(data).sum() * (1 + np.log1p(data).max()) + np.abs(each[0])
        errors.append(np.abs(each[0] - each[1]) + gamma(40) * (1 + size))
    return np.array(values), np.array(errors)


@together
def counts(
    scenes: Sequence[CountScene], *, shift: float = 1.0, inverse: bool = False,
    of_mean: bool = False,
) -> list[Comparison]:  # fmt: skip
    """Compare rates from posteriors, from the library's evidences, and from lattices."""
    mean, ratio, mean_error, ratio_error, decoded = of_counts(tuple(scenes))
    logs, off = counted(tuple(scenes))
    x = np.array([s.x for s in scenes])
    between = (logs[:, 1:] - logs[:, :1]) * (-1.0 if inverse else 1.0)
    told = (x + shift) * np.exp(between)
    lost = told * (off[:, 1:] + off[:, :1])
    if of_mean:
        mean = decoded
    scale = 1 + np.abs(mean)
    each = (
        Comparison.identities(mean, told, scale=scale, library=mean_error, lattice=lost),
        Comparison.identities(
            mean, ratio, scale=scale, library=mean_error + ratio_error, rounding=gamma(40) * scale
        ),
    )
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


COUNTS = Proposition(
    label="19c-counts",
    title="Of counts, the mean rate of the posterior is a ratio of two probabilities",
    statement=(
        r"x_i|z \sim \mathrm{Poisson}(\lambda_i(z)):\quad "
        r"\mathbb E_{p(z|x)}[\lambda_i(z)] = (x_i + 1)\,\frac{p(x + e_i)}{p(x)}"
    ),
    hypotheses=(("independent counts", r"p(x|z) = \prod_i e^{-\lambda_i}\lambda_i^{x_i}/x_i!"),),
    kind="identity",
    instances=count_scenes(),
    check=counts,
    controls=wrong(
        counts,
        {
            "x for x + 1": {"shift": 0.0},
            "the ratio upside down": {"inverse": True},
            "the rates at E z": {"of_mean": True},
        },
    ),
    uses=("19c",),
    examples=10,
)

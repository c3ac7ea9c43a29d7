"""Checks of 12d and 12e: the noise that is learned, and data that have no noise to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import linear_vae, linear_vae_optimum
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.claims.linear_vae.ascent import ascend, climb, gradient
from vaetheory.claims.linear_vae.local_maxima import starts
from vaetheory.claims.linear_vae.scenes import (
    ENCODER,
    GAUSSIAN,
    SPECTRUM,
    AxisData,
    LinearData,
    covariance_of,
    linear_data,
    mean_log_density,
    rounding_of,
    spectra,
    stacked,
)
from vaetheory.rounding import gamma

# Other variances, as multiples of the best one.
_FACTORS = np.array([0.25, 0.5, 0.9, 1.1, 2.0, 4.0])


def residuals(X: Array, W: Array, encoder: Array, variances: Array, *, means: bool) -> Array:
    """(1/D) E_n E_q |x - W z - b|^2 datum by datum, `(...)`; or only of the posterior's means."""
    centred = X - X.mean(axis=-2, keepdims=True)
    away = centred - centred @ np.swapaxes(encoder, -1, -2) @ np.swapaxes(W, -1, -2)
    found = (away**2).sum(axis=-1).mean(axis=-1)
    if not means:
        found = found + (variances * (W**2).sum(axis=-2)).sum(axis=-1)
    return np.asarray(found / X.shape[-1])


@once
def joint_restarts(scenes: tuple[LinearData, ...]) -> tuple[Array, Array, Array]:
    """Ascents in all parameters: ELBOs `(I, S)`, what was left to climb, and rounding."""
    X, weights, noise = stacked(scenes)
    sizes = np.sqrt([s.data.spectrum[0] for s in scenes])
    cov = covariance_of(X)[:, None]
    W = starts(weights, sizes)
    data = np.repeat(X[:, None], W.shape[1], axis=1)
    W, noises = ascend(cov, W, np.repeat(noise[:, None], W.shape[1], axis=1), steps=20, learn=True)
    for _ in range(40):
        W = climb(cov, W, noises, steps=1)
        _, noises = ascend(cov, W, noises, steps=1, learn=True)
    W = climb(cov, W, noises, steps=6)
    vaes = linear_vae(data, W, variance=noises)
    slope = np.sqrt((gradient(cov, W, noises) ** 2).sum(axis=(-1, -2)))
    reach = np.sqrt((W**2).sum(axis=(-1, -2))) + np.sqrt(W.shape[-1]) * sizes[:, None]
    # In log sigma^2 the slope is D/2 (residual / sigma^2 - 1); the optimum is within these ends.
    rest = residuals(data, W, vaes.encoder, vaes.posterior_variances, means=False) / noises - 1
    ends = np.abs(np.log(noises / sizes[:, None] ** 2)) + 10
    left = slope * reach + X.shape[-1] / 2 * np.abs(rest) * ends
    return vaes.value, left, vaes.error + rounding_of(data, W, noises)


@together(alike=lambda scene: scene.shape)
def learned_noise(
    scenes: Sequence[LinearData],
    *,
    means: bool = False,
    unbiased: bool = False,
    over_all: bool = False,
) -> list[Comparison]:
    """Check the variance at the maximum: the mean of what is left, and the posterior's residual."""
    X, weights, _ = stacked(scenes)
    count, dim = X.shape[-2:]
    d = weights.shape[-1]
    spectrum = np.array([s.data.spectrum for s in scenes])
    best = linear_vae_optimum(X, d)
    expected = spectrum[:, d:].sum(axis=-1) / (dim if over_all else dim - d)
    if unbiased:
        expected = expected * count / (count - 1)
    found = residuals(X, best.weight, best.encoder, best.posterior_variances, means=means)
    reach = np.abs(X).max(axis=(-1, -2)) ** 2 + spectrum[:, 0] * dim
    lost = gamma(200) * reach
    size = 1 + np.abs(best.value)
    others = [linear_vae_optimum(X, d, variance=f * best.variance) for f in _FACTORS]
    values, left, rounding = joint_restarts(tuple(scenes))
    logs = np.log(spectrum[:, :d]).sum(axis=-1) + (dim - d) * np.log(expected)
    value = -0.5 * (dim * (np.log(2 * np.pi) + 1) + logs)
    each = [
        Comparison.identities(best.variance, expected, scale=expected, rounding=lost),
        Comparison.identities(
            best.value, value, scale=size, library=best.error,
            spectrum=dim * lost / spectrum[:, -1] + gamma(20 * dim) * size,
        ),
        Comparison.identities(found, best.variance, scale=best.variance, rounding=lost),
        Comparison.each_at_most(
            np.stack([o.value for o in others], axis=-1), best.value[:, None],
            scale=size[:, None],
            library=np.stack([o.error for o in others], axis=-1) + best.error[:, None],
        ),
        Comparison.each_at_most(
            values, best.value[:, None], scale=size[:, None],
            rounding=rounding + best.error[:, None],
        ),
        Comparison.each_at_most(
            best.value[:, None], values, scale=size[:, None],
            climbing=left, rounding=rounding + best.error[:, None],
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


LEARNED_NOISE = Proposition(
    label="12d",
    title="A noise that is learned is the mean variance left over, and the posterior's residual",
    statement=(
        r"\sigma^{*2} = \frac{\lambda_{d+1} + \dots + \lambda_D}{D - d} = "
        r"\frac1D\,\mathbb E_n\mathbb E_q\|x - Wz - b\|^2 \text{ at the maximum over } "
        r"(W, b, V, \delta, \sigma)"
    ),
    hypotheses=(GAUSSIAN, ENCODER, SPECTRUM, ("rank", r"\operatorname{rank}\Lambda > d")),
    kind="identity",
    instances=linear_data(shapes=((2, 1), (3, 1), (3, 2), (4, 2)), ratios=(1.5, 2.0, 4.0)),
    check=learned_noise,
    controls=wrong(
        learned_noise,
        {
            "the residual of the posterior's mean": {"means": True},
            "the eigenvalues of N - 1": {"unbiased": True},
            "divided by D": {"over_all": True},
        },
    ),
    uses=("12b", "12c"),
    examples=10,
)


@dataclass(frozen=True)
class FlatData:
    """Data in r of D dimensions, and a latent dimension d of at least r."""

    data: AxisData
    dim: int

    @property
    def rank(self) -> int:
        """The number r of dimensions of the data."""
        return int(np.count_nonzero(self.data.spectrum))


@st.composite
def flat_data(draw: DrawFn) -> FlatData:
    """Data of rank one or two in three to five dimensions."""
    dim = draw(st.sampled_from((3, 4, 5)))
    rank = draw(st.sampled_from((1, 2)))
    spectrum = draw(spectra(rank, least=1.0)) + (0.0,) * (dim - rank)
    data = AxisData(spectrum, draw(strategies.angles(dim)), draw(strategies.vectors(dim, -1, 1)))
    return FlatData(data, draw(st.integers(rank, dim)))


@together(alike=lambda scene: (len(scene.data.spectrum), scene.dim, scene.rank))
def degenerate_data(
    scenes: Sequence[FlatData], *, units: bool = False, all_dims: bool = False, active: int = 0
) -> list[Comparison]:
    """Compare the greatest ELBO at small sigma with -(D - r) log sigma and its constant."""
    dim, d, rank = len(scenes[0].data.spectrum), scenes[0].dim, scenes[0].rank
    X = np.stack([s.data.X for s in scenes])
    spectrum = np.array([s.data.spectrum[:rank] for s in scenes])
    # All below the smallest eigenvalue; small enough that data which leave their plane by a
    # rounding stay far below sigma.
    sigmas = 2.0 ** np.arange(-1, -6, -1)
    lost_dims = dim if all_dims else dim - (d if units else rank)
    constant = dim * np.log(2 * np.pi) + np.log(spectrum).sum(axis=-1) + rank
    each = []
    for sigma in sigmas:
        noise = np.full(len(scenes), sigma**2)
        best = linear_vae_optimum(X, d, variance=noise)
        expected = -0.5 * constant - lost_dims * np.log(sigma)
        off = gamma(200) ** 2 * np.abs(X).max(axis=(-1, -2)) ** 2 * dim**2 / noise
        size = 1 + np.abs(expected)
        lost = rounding_of(X, best.weight, noise)
        each += [
            Comparison.identities(
                best.value, expected, scale=size, library=best.error, rounding=lost, off_plane=off
            ),
            Comparison.identities(
                mean_log_density(X, best.weight, noise), expected, scale=size, rounding=lost
            ),
            Comparison.identities(
                best.active.sum(axis=-1).astype(float), rank + active, scale=1.0, exact=0.0
            ),
            # A unit that has collapsed is the prior exactly.
            Comparison.identities(best.divergences[:, rank:].sum(axis=-1), 0.0, scale=1.0,
                                  exact=0.0),
        ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


DEGENERATE_DATA = Proposition(
    label="12e",
    title="Data of lower rank: the ELBO grows with the dimensions left over, and units collapse",
    statement=(
        r"\sigma^2 \le \lambda_r:\quad \max_W\mathrm{ELBO} = -(D - r)\log\sigma - "
        r"\tfrac12\Big[D\log 2\pi + r + \sum_{j\le r}\log\lambda_j\Big],\quad "
        r"d - r \text{ units have } q(z_j|x) = p(z_j)"
    ),
    hypotheses=(
        GAUSSIAN,
        ENCODER,
        ("rank", r"\lambda_r > 0 = \lambda_{r+1},\ r \le d \le D,\ r < D"),
    ),
    kind="identity",
    instances=flat_data().filter(lambda scene: scene.rank < len(scene.data.spectrum)),
    check=degenerate_data,
    controls=wrong(
        degenerate_data,
        {
            "the dimensions without a unit, D - d": {"units": True},
            "all D dimensions": {"all_dims": True},
            "one unit more is active": {"active": 1},
        },
    ),
    uses=("12b",),
    figure="linear-vae",
    resolution=1e-4,
    examples=12,
)

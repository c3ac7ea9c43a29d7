"""The check of 1b-scales: the optimal means and scales of each data dimension, with a floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import EncodedData
from vaetheory.claims.optimal_decoder.scenes import Wave, waves
from vaetheory.optimal_decoder import optimal_parameters
from vaetheory.rounding import gamma

#: Means `(..., D)` and variances `(..., D)` of data under weights `(..., N)`.
Moments = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class ScalesScene:
    """Data with their encoder, the floor of the scales, and another decoder."""

    scene: EncodedData
    floor: float
    other: Wave

    @property
    def likelihood(self) -> likelihoods.GaussianMeanScale:
        """The likelihood."""
        return likelihoods.GaussianMeanScale(least_scale=self.floor)

    def params(self, z: Array) -> Array:
        """Parameters of another decoder, `(..., 2 D)`: its log scales are above the floor."""
        wave = self.other(z)
        size = wave.shape[-1] // 2
        log_scale = np.log(self.floor) + 0.25 * wave[..., size:] ** 2
        return np.concatenate([wave[..., :size], log_scale], axis=-1)


@st.composite
def scales_scenes(draw: DrawFn) -> ScalesScene:
    """Data in which the floor is above some of the weighted deviations and below others."""
    dim, data_dim = draw(st.sampled_from((1, 2))), draw(st.integers(1, 3))
    scene = draw(strategies.encoded_data(dim, strategies.data_sets(data_dim)))
    floor = draw(st.sampled_from((0.0625, 0.25, 0.5, 1.0)))
    return ScalesScene(scene, floor, draw(waves(dim, 2 * data_dim)))


def weighted_moments(weights: Array, X: Array) -> tuple[Array, Array]:
    """The weighted means and variances."""
    mean = weights @ X
    away = X - mean[..., None, :]
    return mean, (weights[..., None] * away**2).sum(axis=-2)


def _unweighted(weights: Array, X: Array) -> tuple[Array, Array]:
    return weighted_moments(np.full_like(weights, 1 / weights.shape[-1]), X)


def _of_the_squares(weights: Array, X: Array) -> tuple[Array, Array]:
    """The second moment about zero in place of the variance."""
    return weights @ X, weights @ X**2


def _of_one_fewer(weights: Array, X: Array) -> tuple[Array, Array]:
    mean, variance = weighted_moments(weights, X)
    return mean, variance * weights.shape[-1] / (weights.shape[-1] - 1)


def best_means_and_scales(
    instance: ScalesScene,
    *,
    moments: Moments = weighted_moments,
    floored: bool = True,
    slack: float = 1.0,
    reverse: bool = False,
) -> Comparison:
    """Compare the gain at the codes and between them with a divergence and what the floor costs."""
    scene, likelihood = instance.scene, instance.likelihood
    X, encoder = scene.data, scene.encoder
    z = np.concatenate([encoder.loc, 0.5 * (encoder.loc + np.roll(encoder.loc, 1, axis=0))])
    weights, size = encoder.responsibilities(z), X.shape[1]
    mean, variance = moments(weights, X)
    scale = np.sqrt(variance)
    if floored:
        scale = np.maximum(scale, instance.floor)
    best = optimal_parameters(X, encoder, likelihood, z)
    other = instance.params(z)
    heights = [likelihood.log_prob(X, params[:, None]) for params in (best, other)]
    gain = (weights * (heights[0] - heights[1])).sum(axis=-1)
    width = np.exp(other[:, size:])
    # In closed form, from the moments alone.
    one, two = (scale, width) if not reverse else (width, scale)
    away = (mean - other[:, :size]) / two
    divergence = np.log(two / one) + 0.5 * (one / two) ** 2 + 0.5 * away**2 - 0.5
    cost = 0.5 * (scale**2 - variance) * (1 / scale**2 - 1 / width**2)
    expected = (divergence + slack * cost).sum(axis=-1)
    # Rounding: of the terms of both densities, and of the moments times their derivatives.
    reach = 1 + np.abs(X).max() + np.abs(other[:, :size]).max()
    terms = size * (2 + (reach / instance.floor) ** 2 + np.abs(np.log(instance.floor)))
    stated = np.concatenate([mean, np.log(np.maximum(scale, 1e-300))], axis=-1)
    return Comparison.all_of(
        Comparison.identity(gain, expected, scale=terms, rounding=gamma(100) * terms),
        Comparison.identity(
            best, stated, scale=reach, rounding=gamma(100) * (reach / instance.floor) ** 2
        ),
        Comparison.at_most(0.0, gain, scale=terms, rounding=gamma(100) * terms),
    )


MEANS_AND_SCALES = Proposition(
    label="1b-scales",
    title="Of a mean and a scale per dimension the best are the weighted ones, or the floor",
    statement=(
        r"\mathbb E_{q(x|z)}[\log p_{m^*,s^*} - \log p_{m,s}]"
        r" = \mathrm{KL}(p_{m^*,s^*}\|p_{m,s})"
        r" + \tfrac12\textstyle\sum_i (s_i^{*2} - v_i)(s_i^{*-2} - s_i^{-2}) \ge 0,\quad "
        r"m^* = \mathbb E_{q(x|z)}[x],\ v = \mathrm{Var}_{q(x|z)}[x],\ s^* = \max(\sqrt v, s_0)"
    ),
    hypotheses=(
        ("fixed encoder", r"q(z|x_n)"),
        ("Gaussian likelihood", r"p_{m,s} = \mathcal N(m(z), \mathrm{diag}\, s(z)^2)"),
        ("floor", r"s_i(z) \ge s_0 > 0"),
    ),
    kind="identity",
    instances=scales_scenes(),
    check=best_means_and_scales,
    controls=wrong(
        best_means_and_scales,
        {
            "the unweighted moments": {"moments": _unweighted},
            "the second moment for the variance": {"moments": _of_the_squares},
            "the variance over N - 1": {"moments": _of_one_fewer},
            "scales below the floor": {"floored": False},
            "no cost of the floor": {"slack": 0.0},
            "the reversed KL": {"reverse": True},
        },
    ),
    uses=("1a",),
)

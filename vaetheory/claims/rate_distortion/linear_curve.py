"""Checks of 16d and 16e: beta as noise, reverse water-filling, and beta with a learned noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.information_terms import (
    LinearBetaVAE,
    linear_beta_vae,
    reverse_water_filling,
)
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.scenes import curves
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

# Neighbouring water levels, whose chord has the slope of a level between them.
_STEP = 1e-2


@dataclass(frozen=True)
class BetaScene:
    """Data on the axes of a rotated cross, units, beta and sigma^2; and any decoder with codes."""

    spectrum: Vector
    angles: tuple[int, ...]
    units: int
    beta: float
    variance: float
    decoder: Decoder
    loc: Vector
    log_scale: float

    @property
    def axes(self) -> Array:
        """The principal axes, as columns."""
        return strategies.rotation(self.angles, len(self.spectrum))

    @property
    def X(self) -> Array:
        """The data `(2 D, D)`, whose covariance has the spectrum exactly."""
        away = self.axes * np.sqrt(len(self.spectrum) * np.array(self.spectrum))
        return np.concatenate([away.T, -away.T])


@st.composite
def beta_scenes(draw: DrawFn) -> BetaScene:
    """Spectra of two to four eigenvalues; decoders with two outputs for the first identity."""
    dim = draw(st.sampled_from((2, 3, 4)))
    values = [draw(st.sampled_from((0.25, 0.5, 0.125)))]
    for ratio in draw(st.tuples(*[st.sampled_from((1.5, 1.0, 2.0, 4.0))] * (dim - 1))):
        values.append(values[-1] * ratio)
    return BetaScene(
        tuple(reversed(values)),
        draw(strategies.angles(dim)),
        draw(st.integers(1, dim - 1)),
        draw(st.sampled_from((1.0, 0.5, 1.25, 1.75, 2.5, 4.5))),
        draw(st.sampled_from((0.3, 0.1, 0.6))),
        draw(curves()),
        draw(strategies.vectors(2)),
        draw(st.sampled_from((0.0, -0.5, 0.5))),
    )


@once
def two_elbos(scenes: tuple[BetaScene, ...]) -> tuple[Array, Array, Array, Array]:
    """ELBOs of two data at sigma^2 and at beta sigma^2 `(I, 2)`, divergences, and an error."""
    values, wider, own, errors = [], [], [], []
    for scene in scenes:
        data = np.array([[0.5, -0.5], [1.0, 2.0]])
        q = Posterior(np.array(scene.loc)[:, None], scale=float(np.exp(scene.log_scale)))
        parts = []
        for factor in (1.0, scene.beta):
            scale = float(np.sqrt(factor * scene.variance))
            model = LatentModel(scene.decoder, likelihoods.Gaussian(scale=scale), 1)
            parts.append(elbo(model, data, q))
        values.append(parts[0].value)
        wider.append(parts[1].value)
        own.append(q.kl_to_prior())
        errors.append(parts[0].error + scene.beta * parts[1].error)
    return np.array(values), np.array(wider), np.array(own), np.array(errors)


@once
def optima(scenes: tuple[BetaScene, ...], learned: bool) -> list[LinearBetaVAE]:
    """The library's optima, with fixed or learned noise."""
    return [
        linear_beta_vae(s.X, s.units, beta=s.beta, variance=None if learned else s.variance)
        for s in scenes
    ]


def measured(scene: BetaScene, found: LinearBetaVAE) -> tuple[float, float]:
    """Rate and distortion of an optimum, datum by datum."""
    q, X = found.vae.posterior(scene.X), scene.X
    away = X - X.mean(axis=0) - q.loc @ found.vae.weight.T
    spread = float(found.vae.posterior_variances @ (found.vae.weight**2).sum(axis=0))
    square = float((away**2).sum(axis=-1).mean()) + spread
    constant = 0.5 * X.shape[1] * np.log(2 * np.pi * found.variance)
    return float(q.kl_to_prior().mean()), constant + square / (2 * found.variance)


@together
def beta_is_noise(
    scenes: Sequence[BetaScene],
    *,
    divided: bool = False,
    level_at_noise: bool = False,
    inverse_slope: bool = False,
) -> list[Comparison]:
    """Compare beta-ELBOs with ELBOs of wider likelihoods, and optima with water-filling."""
    values, wider, own, errors = two_elbos(tuple(scenes))
    beta, noise = (np.array([getattr(s, n) for s in scenes]) for n in ("beta", "variance"))
    shift = beta * np.log(2 * np.pi * beta * noise) - np.log(2 * np.pi * noise)
    if divided:
        shift = beta * np.log(2 * np.pi * noise / beta) - np.log(2 * np.pi * noise)
    left = values + (1 - beta)[:, None] * own
    right = beta[:, None] * wider + shift[:, None]
    size = 1 + np.abs(left) + np.abs(right)
    identity = Comparison.identities(
        left, right, scale=size, elbo=errors, rounding=gamma(100) * size
    )
    each = []
    for scene, found in zip(scenes, optima(tuple(scenes), False), strict=True):
        rate, distortion = measured(scene, found)
        level = scene.variance * (1.0 if level_at_noise else scene.beta)
        expected, square = reverse_water_filling(scene.spectrum, level, latent_dim=scene.units)
        constant = 0.5 * len(scene.spectrum) * np.log(2 * np.pi * scene.variance)
        told = constant + float(square) / (2 * scene.variance)
        lam = np.array(scene.spectrum)
        by_hand = 0.5 * np.log(np.maximum(lam[: scene.units] / level, 1.0)).sum()
        condition = 1 + lam[0] / min(scene.variance, scene.variance * scene.beta)
        lost = gamma(600) * condition**2
        # A chord of the curve between neighbouring levels: its slope is that of a level between.
        near = linear_beta_vae(
            scene.X, scene.units, beta=scene.beta * (1 + _STEP), variance=scene.variance
        )
        fall, rise = found.rate - near.rate, near.distortion - found.distortion
        slope = 1 / scene.beta if inverse_slope else scene.beta
        room = 1 + abs(distortion)
        each.append(
            Comparison.all_of(
                Comparison.identity(
                    [found.rate, found.distortion], [rate, distortion], scale=1 + abs(distortion),
                    rounding=lost * room,
                ),
                Comparison.identity(
                    [rate, distortion], [float(expected), told], scale=1 + abs(told),
                    rounding=lost * room,
                ),
                Comparison.identity(expected, by_hand, scale=1.0, rounding=lost),
                Comparison.identity(
                    found.value, -distortion - scene.beta * rate, scale=room + scene.beta,
                    rounding=lost * room * (1 + scene.beta),
                ),
                Comparison.at_most(
                    slope * fall, rise, scale=room, rounding=lost * room * (1 + slope)
                ),
                Comparison.at_most(
                    rise, slope * (1 + _STEP) * fall, scale=room,
                    rounding=lost * room * (1 + slope),
                ),
            )
        )  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(identity, each, strict=True)]


BETA_IS_NOISE = Proposition(
    label="16d",
    title="With a fixed noise beta is only more noise, and linear VAEs do reverse water-filling",
    statement=(
        r"\mathrm{ELBO}_\beta(\sigma^2) = \beta\,\mathrm{ELBO}_1(\beta\sigma^2) + "
        r"\tfrac D2\big(\beta\log 2\pi\beta\sigma^2 - \log 2\pi\sigma^2\big);\quad "
        r"\text{linear decoders, } t = \beta\sigma^2:\ "
        r"R = \sum_{j\le d}\tfrac12\log\max(\lambda_j/t, 1),\ 2\sigma^2\mathrm{Dist} = "
        r"\sum_{j\le d}\min(\lambda_j, t) + \sum_{j>d}\lambda_j + c,\ "
        r"\frac{d\,\mathrm{Dist}}{dR} = -\beta"
    ),
    hypotheses=(
        ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \sigma^2I),\ \sigma \text{ fixed}"),
        ("the beta-ELBO", r"\mathrm{ELBO}_\beta = -\mathrm{Dist} - \beta R"),
    ),
    kind="identity",
    instances=beta_scenes(),
    check=beta_is_noise,
    controls=wrong(
        beta_is_noise,
        {
            "sigma^2 / beta": {"divided": True},
            "the water level sigma^2": {"level_at_noise": True},
            "the slope -1 / beta": {"inverse_slope": True},
        },
    ),
    uses=("12b", "12g"),
    figure="rate-distortion",
)


@together
def learned_with_beta(
    scenes: Sequence[BetaScene],
    *,
    unscaled: bool = False,
    forgotten: bool = False,
    late: bool = False,
) -> list[Comparison]:
    """Compare the optimum over sigma as well with the rule, and with other variances."""
    comparisons = []
    for scene, found in zip(scenes, optima(tuple(scenes), True), strict=True):
        lam, dim, d, beta = (
            np.array(scene.spectrum), len(scene.spectrum), scene.units, scene.beta,
        )  # fmt: skip
        k = found.active
        left = dim - (k if unscaled else (0 if forgotten else k * beta))
        expected = float(lam[k:].sum()) / left if left > 0 else np.inf
        lost = gamma(2000) * (1 + float(lam[0] / (beta * found.variance))) ** 2
        # The concave function whose zero is the best sigma^2.
        s = found.variance
        slope = np.minimum(lam[:d], beta * s).sum() + lam[d:].sum() - dim * s
        shares = np.array([0.5, 0.8, 0.97, 1.03, 1.25, 2.0])
        others = [
            linear_beta_vae(scene.X, d, beta=beta, variance=float(f * s)).value for f in shares
        ]
        rate, distortion = measured(scene, found)
        # Everything collapses exactly from beta = D lam_1 / tr Lam on.
        limit = dim * lam[0] / lam.sum() if not late else float(dim)
        edges = np.array([0.99, 1.01]) * limit
        active = [linear_beta_vae(scene.X, d, beta=float(b)).active for b in edges]
        size = 1 + abs(distortion) + beta
        comparisons.append(
            Comparison.all_of(
                Comparison.identity(s, expected, scale=s, rounding=lost * s),
                Comparison.identity(slope, 0.0, scale=dim * s, rounding=lost * dim * s),
                Comparison.at_most(np.array(others), found.value, scale=size, rounding=lost * size),
                Comparison.identity(
                    found.value, -distortion - beta * rate, scale=size, rounding=lost * size
                ),
                Comparison.identity(
                    np.array([float(active[0] > 0), float(active[1] > 0)]), [1.0, 0.0], scale=1.0,
                    exact=0.0,
                ),
                Comparison.at_most(k * beta, dim, scale=float(dim), exact=0.0),
            )
        )  # fmt: skip
    return comparisons


LEARNED_WITH_BETA = Proposition(
    label="16e",
    title="With a learned noise beta is not absorbed: it collapses units, and at last all",
    statement=(
        r"\max_{W, V, \delta, \sigma}\mathrm{ELBO}_\beta:\quad "
        r"\sigma^2 = \frac{\sum_{j>k}\lambda_j}{D - k\beta},\ k \text{ active units},\ "
        r"k = \#\{j \le d: \lambda_j > \beta\sigma^2\} < D/\beta;\quad "
        r"k = 0 \iff \beta \ge D\lambda_1/\operatorname{tr}\Lambda"
    ),
    hypotheses=(
        ("linear decoder", r"f(z) = Wz + b,\ \text{noise } \sigma^2I \text{ learned}"),
        ("variance left over", r"\lambda_{d+1} + \dots + \lambda_D > 0"),
    ),
    kind="identity",
    instances=beta_scenes(),
    check=learned_with_beta,
    controls=wrong(
        learned_with_beta,
        {
            "D - k for D - k beta": {"unscaled": True},
            "D alone": {"forgotten": True},
            "all collapse only at beta = D": {"late": True},
        },
    ),
    uses=("12d", "16d"),
)

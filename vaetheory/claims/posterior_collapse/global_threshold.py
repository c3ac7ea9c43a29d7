"""Checks of 13c and 13d: when nothing is better than collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.collapse import SubGaussianProxy, sub_gaussian_proxy
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.posterior_collapse.scenes import (
    COLLAPSE,
    GAUSSIAN,
    OPTIMAL,
    PROXY,
    Coded,
    Said,
    WeightedData,
    coded_data,
    said,
    weighted_data,
)
from vaetheory.encoders import AggregatePosterior, Posterior
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@once
def proxies(data: tuple[WeightedData, ...]) -> list[SubGaussianProxy]:
    """The library's proxies."""
    return [sub_gaussian_proxy(d.data, weights=d.weights) for d in data]


@once
def told(scenes: tuple[Coded, ...]) -> Said:
    """What the codes of each scene say."""
    return said(
        np.stack([s.data.centred for s in scenes]),
        np.stack([s.data.weights for s in scenes]),
        np.stack([s.loc for s in scenes]),
        np.array([s.scale for s in scenes]),
    )


@once
def measured_gains(scenes: tuple[Coded, ...]) -> tuple[Array, Array]:
    """Mean ELBO at the optimal decoder less that of collapse, by quadrature, and its error."""
    values, errors = [], []
    for scene in scenes:
        counts = np.array(scene.data.counts)
        X, p = scene.data.data, scene.data.weights
        # The decoder takes every datum as often as it occurs; the ELBO of each is needed once.
        encoder = AggregatePosterior(
            np.repeat(scene.loc, counts)[:, None],
            scale=np.repeat(np.array(scene.scale), counts)[:, None],
        )
        decoder = OptimalDecoder(np.repeat(X, counts, axis=0), encoder)
        noise = np.sqrt(scene.noise)
        model = LatentModel(decoder, likelihoods.Gaussian(scale=noise), 1)
        codes = Posterior(scene.loc[:, None], scale=np.array(scene.scale)[:, None])
        bound = elbo(model, X, codes, rtol=1e-10)
        spread = float(p @ (scene.data.centred**2).sum(axis=-1)) / scene.noise
        nothing = -0.5 * (X.shape[1] * np.log(2 * np.pi * scene.noise) + spread)
        values.append(float(p @ bound.value) - nothing)
        errors.append(float(p @ bound.error) + gamma(100) * (abs(nothing) + spread))
    return np.array(values), np.array(errors)


@together(alike=lambda scene: scene.shape)
def global_bound(
    scenes: Sequence[Coded],
    *,
    local: bool = False,
    half: float = 1.0,
    aggregate: float = 1.0,
) -> list[Comparison]:
    """Compare what codes gain on collapse with what they say, and bound it by the proxy."""
    codes = told(tuple(scenes))
    gains, errors = measured_gains(tuple(scenes))
    noise = np.array([s.noise for s in scenes])
    proxy = np.array([f.upper for f in proxies(tuple(s.data for s in scenes))])
    limit = np.array([s.data.variance for s in scenes]) if local else proxy
    exact = codes.explained / (2 * noise) - codes.information - aggregate * codes.apart
    lost = codes.explained_error / (2 * noise) + codes.information_error + codes.apart_error
    bound = (half * limit / noise - 1) * codes.information - codes.apart
    factor = np.abs(limit / noise - 1)
    size = 1 + codes.explained / noise + codes.information + codes.apart
    each = [
        Comparison.identities(gains, exact, scale=size, elbo=errors, lattice=lost),
        Comparison.each_at_most(
            gains, bound, scale=size, elbo=errors,
            lattice=factor * codes.information_error + codes.apart_error,
        ),
        # For every z the mean moves by at most the root of 2 tau^2 KL.
        Comparison.each_at_most(
            codes.explained, half * 2 * limit * codes.information,
            scale=1 + codes.explained + limit * codes.information,
            lattice=codes.explained_error + 2 * limit * codes.information_error,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


def _scenes() -> st.SearchStrategy[Coded]:
    return coded_data(weighted_data())


GLOBAL_BOUND = Proposition(
    label="13c",
    title="No encoder gains more than the variance proxy of the data allows",
    statement=(
        r"\mathrm{ELBO} - \mathrm{ELBO}_0 = \tfrac{1}{2\sigma^2}\mathbb E_{q(z)}"
        r"\|\mathbb E_{q(x|z)}[x] - \bar x\|^2 - I_q - \mathrm{KL}(q(z)\,\|\,p) \le "
        r"\Big(\frac{\tau^2}{\sigma^2} - 1\Big)I_q - \mathrm{KL}(q(z)\,\|\,p)"
    ),
    hypotheses=(
        GAUSSIAN,
        COLLAPSE,
        OPTIMAL,
        PROXY,
        ("any encoder", r"q(z|x),\ \text{any } d;\ \text{the check: Gaussian, } d = 1"),
    ),
    kind="inequality",
    instances=_scenes(),
    check=global_bound,
    controls=wrong(
        global_bound,
        {
            "lam_1 for tau^2": {"local": True},
            "half of the proxy": {"half": 0.5},
            "without the divergence of the aggregate": {"aggregate": 0.0},
        },
    ),
    uses=("1a", "13a"),
    figure="posterior-collapse",
    resolution=1e-4,
)


def discrete_gain(data: WeightedData, law: Array, mass: Array, noise: Array) -> Array:
    """What a code gains that has each law `(..., C, N)` of the data with probability `mass`.

    It is laid out on parts of these prior masses, so that q(z) is the prior.
    """
    moved = law @ data.centred
    explained = (mass * (moved**2).sum(axis=-1)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(law > 0, law * np.log(law / data.weights), 0.0)
    information = (mass * logs.sum(axis=-1)).sum(axis=-1)
    return np.asarray(explained / (2 * noise) - information)


@dataclass(frozen=True)
class CodeBook:
    """Weighted data, sigma^2 over the proxy, and a code of two letters."""

    data: WeightedData
    share: float
    tendency: tuple[float, ...]


@st.composite
def code_books(draw: DrawFn) -> CodeBook:
    """Data on a line, noises about the threshold, and probabilities of the first letter."""
    data = draw(weighted_data(dims=(1,)))
    tendency = draw(st.tuples(*[st.sampled_from((0.5, 0.0, 1.0, 0.25, 0.9, 0.01))] * len(data.X)))
    return CodeBook(data, draw(st.sampled_from((0.9, 0.99, 1.0, 1.05, 1.5))), tendency)


def sharp_threshold(
    scene: CodeBook, *, local: bool = False, hoeffding: bool = False, half: float = 1.0
) -> Comparison:
    """Check the tilted code below the threshold, and every other code above it."""
    data, p = scene.data, scene.data.weights
    (found,) = proxies((data,))
    tau2 = half * found.value
    if local:
        tau2 = data.variance
    if hoeffding:
        tau2 = float(np.ptp(data.data)) ** 2 / 4
    noise = scene.share * found.value
    size = 1 + 1 / scene.share
    Q = found.weights
    moved = Q @ data.centred
    square = float(moved @ moved)
    log_ratio = np.log(Q / p)
    divergence = float(Q @ log_ratio)
    rate = found.error / found.value + gamma(200) * (1 + float(np.abs(log_ratio).max()))
    # At any theta with its ratio r the two differ by half the square of E_Q[x] - mean - r theta,
    # which vanishes where r is greatest.
    off = 0.5 * float(((moved - found.value * found.tilt) ** 2).sum())
    # A small divergence is what is left of larger terms, and so is a small displacement.
    terms = found.upper * float(Q @ np.abs(log_ratio))
    terms += float(np.sqrt(square) * (Q @ np.abs(data.centred)).max())
    parts = []
    if found.tilt.any():
        parts.append(
            Comparison.identity(
                square / 2, tau2 * divergence, scale=square + tau2, search=off,
                rounding=rate * square + gamma(200) * terms,
            )
        )  # fmt: skip
        # A letter of small probability eps that has the tilted law, the other all that is left.
        eps = 4.0 ** -np.arange(3, 8) * float((p / Q).min())
        rest = (p - eps[:, None] * Q) / (1 - eps[:, None])
        law = np.stack([np.broadcast_to(Q, rest.shape), rest], axis=-2)
        gains = discrete_gain(data, law, np.stack([eps, 1 - eps], axis=-1), np.array(noise))
        limit, left, lost = extrapolate(
            gains / eps, gamma(200) * (np.abs(log_ratio).max() + size) / eps
        )
        predicted = divergence * (tau2 / noise - 1)
        parts.append(
            Comparison.identity(
                limit, predicted, scale=1 + divergence * size, expansion=left, numerics=lost,
                search=off / noise, rounding=gamma(200) * terms / noise,
            )
        )  # fmt: skip
    else:
        parts.append(
            Comparison.identity(
                tau2, data.variance, scale=tau2, rounding=found.error + gamma(100) * tau2
            )
        )
    # Any code of two letters, against the bound of 13c with q(z) = p.
    tendency = np.clip(np.array(scene.tendency), 1e-9, 1 - 1e-9)
    mass = np.array([p @ tendency, 1 - p @ tendency])
    law = p * np.stack([tendency, 1 - tendency]) / mass[:, None]
    gained = discrete_gain(data, law, mass, np.array(noise))
    information = float(mass @ (law * np.log(law / p)).sum(axis=-1))
    top = tau2 if local or hoeffding or half != 1.0 else found.upper
    parts.append(
        Comparison.at_most(
            gained, (top / noise - 1) * information, scale=1 + information * size,
            rounding=gamma(400) * (1 + information * size) + rate,
        )
    )  # fmt: skip
    return Comparison.all_of(*parts)


SHARP_THRESHOLD = Proposition(
    label="13d",
    title="Collapse is the best of all exactly if the noise reaches the variance proxy",
    statement=(
        r"\sigma^2 \ge \tau^2 \iff \mathrm{ELBO} \le \mathrm{ELBO}_0 \text{ for every encoder and "
        r"decoder};\quad \|\mathbb E_Q x - \bar x\|^2 = 2\tau^2\,\mathrm{KL}(Q\,\|\,p) "
        r"\text{ at } Q \propto p\,e^{\theta^{*\top}x};\quad \text{a letter of probability } "
        r"\varepsilon \text{ with law } Q \text{ gains } "
        r"\varepsilon\,\mathrm{KL}(Q\,\|\,p)\Big(\frac{\tau^2}{\sigma^2} - 1\Big) + o(\varepsilon)"
    ),
    hypotheses=(
        GAUSSIAN,
        COLLAPSE,
        PROXY,
        (
            "finite data",
            r"\text{the supremum is attained at } \theta^* \text{, or as } \theta \to 0",
        ),
        ("encoders", r"\text{unrestricted}"),
    ),
    kind="identity",
    instances=code_books(),
    check=sharp_threshold,
    controls=wrong(
        sharp_threshold,
        {
            "lam_1 as the threshold": {"local": True},
            "Hoeffding's range^2 / 4 as the exact threshold": {"hoeffding": True},
            "half of it": {"half": 0.5},
        },
    ),
    uses=("13a", "13c"),
    figure="posterior-collapse",
    resolution=1e-3,
)

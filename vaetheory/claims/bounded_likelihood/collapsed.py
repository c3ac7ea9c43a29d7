"""Check of 18d: when the VAE that ignores its latents is the likeliest of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory.bounds.any_vae import likelihood_certificate
from vaetheory.bounds.collapse import sub_gaussian_proxy
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.claims.bounded_likelihood.scenes import ANY_VAE, FIXED
from vaetheory.likelihoods import Gaussian
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Crowd:
    """Numbers with their counts, and the variance of the noise over the variance proxy."""

    values: tuple[float, ...]
    counts: tuple[int, ...]
    share: float


@st.composite
def crowds(draw: DrawFn) -> Crowd:
    """Two or three different numbers, some of them rare."""
    values = draw(st.lists(strategies.fractions(-4, 4, 2), min_size=2, max_size=3, unique=True))
    counts = draw(st.tuples(*[st.sampled_from((1, 2, 4, 12))] * len(values)))
    return Crowd(tuple(values), counts, draw(st.sampled_from((1.0, 1.25, 0.8, 0.95, 1.02))))


def collapsed_is_best(
    scene: Crowd, *, local: bool = False, half: float = 1.0, hoeffding: bool = False
) -> Comparison:
    """Check the certificate of the collapsed model on both sides of the threshold."""
    X = np.repeat(np.array(scene.values), scene.counts)[:, None]
    proxy = sub_gaussian_proxy(X)
    # On the side on which the statement is certain.
    limit = half * (proxy.upper if scene.share >= 1 else proxy.value)
    if local:
        limit = proxy.variance
    if hoeffding:
        limit = float(np.ptp(X)) ** 2 / 4
    noise = scene.share * limit
    away = (X - X.mean())[:, 0]
    collapsed = -0.5 * away**2 / noise - 0.5 * np.log(2 * np.pi * noise)
    found = likelihood_certificate(Gaussian(scale=np.sqrt(noise)), X, log_evidence=collapsed)
    size = 1 + float(np.abs(collapsed).max())
    rounding = gamma(400) * size + proxy.error / noise
    if scene.share >= 1:
        return Comparison.identity(
            [found.upper, found.ceiling], [0.0, collapsed.mean()], scale=size,
            search=abs(found.upper - found.lower), rounding=rounding,
        )  # fmt: skip
    # At eta = mean + sigma^2 theta the log of the mean ratio is K - sigma^2 theta^2 / 2.
    theta = float(proxy.tilt[0])
    gained = 0.5 * theta**2 * (limit - noise)
    there = X.mean() + noise * theta
    ratio = float(np.log(np.exp(
        -0.5 * (X[:, 0] - there) ** 2 / noise - 0.5 * np.log(2 * np.pi * noise) - collapsed
    ).mean()))  # fmt: skip
    return Comparison.all_of(
        Comparison.identity(
            ratio, gained, scale=size + theta**2 * noise,
            rounding=rounding * (1 + theta**2 * noise),
        ),
        Comparison.at_most(gained, found.upper, scale=size, rounding=rounding * (1 + theta**2)),
    )  # fmt: skip


COLLAPSED = Proposition(
    label="18d",
    title="The collapsed VAE is the likeliest of all exactly if the noise reaches the variance "
    "proxy",
    statement=(
        r"\log\max_\eta\mathbb E_n\frac{\mathcal N(x_n; \eta, \sigma^2I)}"
        r"{\mathcal N(x_n; \bar x, \sigma^2I)} = \max_\theta\Big(K(\theta) - "
        r"\tfrac12\sigma^2\|\theta\|^2\Big) = 0 \iff \sigma^2 \ge \tau^2; \quad "
        r"\text{at } \theta^*: \tfrac12\|\theta^*\|^2(\tau^2 - \sigma^2)"
    ),
    hypotheses=(
        FIXED,
        ANY_VAE,
        ("the proxy", r"K(\theta) = \log\mathbb E_ne^{\theta^\top(x_n - \bar x)},\ \tau^2 = "
         r"\sup_\theta 2K(\theta)/\|\theta\|^2,\ \text{attained at } \theta^* \text{ or as } "
         r"\theta \to 0"),
    ),
    kind="identity",
    instances=crowds(),
    check=collapsed_is_best,
    controls=wrong(
        collapsed_is_best,
        {
            "the largest eigenvalue as the threshold": {"local": True},
            "half of the proxy": {"half": 0.5},
            "range^2 / 4 as the exact threshold": {"hoeffding": True},
        },
    ),
    uses=("18c", "13c", "13d"),
    figure="bounded-likelihood",
    examples=8,
)  # fmt: skip

"""Check of 13-digits: the noise at which VAEs of the digits collapse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory.bounds.collapse import SubGaussianProxy, sub_gaussian_proxy
from vaetheory.bounds.linear_autoencoder import linear_vae_optimum
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digits import load
from vaetheory.claims.posterior_collapse.scenes import COLLAPSE, GAUSSIAN, PROXY
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class DigitNoise:
    """The digits, and where between the two thresholds sigma^2 lies, as a share of the way."""

    share: float


@lru_cache(maxsize=1)
def digit_proxy() -> SubGaussianProxy:
    """The proxy of the digits, computed once a process."""
    return sub_gaussian_proxy(load().images)


def digits_collapse(
    instance: DigitNoise,
    *,
    local: bool = False,
    half: float = 1.0,
    unbiased: bool = False,
    linear: bool = False,
) -> Comparison:
    """Check that between the thresholds the linear VAE has collapsed, and a code of two gains."""
    X, found = load().images, digit_proxy()
    centred = X - X.mean(axis=0)
    count = len(X) - (1 if unbiased else 0)
    top = float(np.linalg.eigvalsh(centred.T @ centred / count)[-1])
    tau2 = half * (found.variance if local else found.value)
    Q, p = found.weights, 1 / len(X)
    moved = Q @ centred
    square, divergence = float(moved @ moved), float(Q @ np.log(Q / p))
    off = 0.5 * float(((moved - found.value * found.tilt) ** 2).sum())
    lost = gamma(len(X) + 1000)
    noise = found.variance + instance.share * (found.value - found.variance)
    # One letter of small probability with the tilted law, and the rest.
    eps = np.array([0.5, 0.125, 0.03125, 0.0078125]) * float((p / Q).min())
    rest = (p - eps[:, None] * Q) / (1 - eps[:, None])
    others = (rest * np.log(rest / p)).sum(axis=-1)
    information = eps * divergence + (1 - eps) * others
    explained = eps * square + (1 - eps) * (eps / (1 - eps)) ** 2 * square
    gains = explained / (2 * noise) - information
    best = int(gains.argmax())
    below, above = (
        linear_vae_optimum(X, 2, variance=s * found.variance)
        for s in (0.99, noise / found.variance)
    )
    active = np.array([float(below.active.sum()), float(above.active.sum())])
    return Comparison.all_of(
        Comparison.identity(
            found.variance, top, scale=top, rounding=lost * float((centred**2).sum() / len(X))
        ),
        Comparison.at_most(top, found.value, scale=top, rounding=lost * top * X.shape[1]),
        Comparison.at_most(found.value, found.upper, scale=found.upper, exact=0.0),
        Comparison.identity(
            square / 2, tau2 * divergence, scale=square, search=off, rounding=lost * square
        ),
        Comparison.at_most(
            lost * (1 + float(information[best])), float(gains[best]), scale=1.0, exact=0.0
        ),
        Comparison.at_most(
            gains, (tau2 / noise - 1) * information, scale=1.0, search=off / noise,
            rounding=lost * 2,
        ),
        # Just below the first threshold one unit is active, above it none.
        Comparison.identity(active, [1.0, 1.0 if linear else 0.0], scale=1.0, exact=0.0),
        findings=(
            f"collapse is stable from sigma^2 = {found.variance:.2f} (grey values squared, of 16 "
            f"steps), and not the best before {found.value:.2f}; from {found.upper:.2f} on it is; "
            f"the tilted law moves the mean by {np.sqrt(square):.2f} at {divergence:.3f} nats",
        ),
    )  # fmt: skip


DIGITS = Proposition(
    label="13-digits",
    title="On the digits collapse is stable before it is the best that a VAE can do",
    statement=(
        r"\lambda_1 = 178.9 < \sigma^2 < 191.8 \le \tau^2 \le 448.3:\quad "
        r"\text{the linear VAE has collapsed, and } \mathrm{ELBO} > \mathrm{ELBO}_0 "
        r"\text{ for a code of two letters}"
    ),
    hypotheses=(
        GAUSSIAN,
        COLLAPSE,
        PROXY,
        ("the data", r"1797 \text{ digits of } 64 \text{ grey values from } 0 \text{ to } 16"),
    ),
    kind="inequality",
    instances=st.sampled_from((DigitNoise(0.5), DigitNoise(0.25))),
    check=digits_collapse,
    controls=wrong(
        digits_collapse,
        {
            "lam_1 for tau^2": {"local": True},
            "half of tau^2": {"half": 0.5},
            "the eigenvalue of N - 1": {"unbiased": True},
            "the linear VAE is active as long as any code gains": {"linear": True},
        },
    ),
    uses=("12b", "13a", "13d"),
    figure="posterior-collapse",
    examples=2,
)

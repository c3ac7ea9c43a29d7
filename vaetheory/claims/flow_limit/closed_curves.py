"""Counterexample 8c-closed: on a closed curve a datum has many preimages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, flows
from vaetheory._gaussians import LOG_2PI
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.flow_limit.scenes import GAUSSIAN


@dataclass(frozen=True)
class Turn:
    """The circle of radius 1 and a latent; z and z + 2 pi k have the same image."""

    z: float


@st.composite
def turns(draw: DrawFn) -> Turn:
    """Latents that have a second preimage of some weight."""
    z = draw(strategies.fractions(4, 12, 4))
    assume(all_preimages(z) - one_preimage(z) > 1e-6)
    return Turn(z)


def one_preimage(z: float) -> float:
    """The change of variables at one preimage; the circle has unit speed."""
    return -0.5 * (z**2 + LOG_2PI)


def all_preimages(z: float) -> float:
    """The log of the sum of the prior over all preimages."""
    return float(np.logaddexp.reduce([one_preimage(z + 2 * np.pi * k) for k in range(-8, 9)]))


def one_preimage_twice(z: float) -> float:
    """Twice the density at one preimage."""
    return one_preimage(z) + float(np.log(2))


def closed_curve(scene: Turn, *, limit: Callable[[float], float] = all_preimages) -> Comparison:
    """Check that log p_sigma + 1/2 log(2 pi sigma^2) tends to the sum over all preimages."""
    circle = flows.Immersion(decoders.Circle(1.0), 1)
    z = np.array([scene.z])
    sigma = 0.2 / 2.0 ** np.arange(5)
    density = flows.smoothed_log_density(circle, circle.forward(z), sigma, latent=z)
    values = density.value + 0.5 * (LOG_2PI + 2 * np.log(sigma))
    measured, left, noise = extrapolate(values, density.error)
    return Comparison.identity(measured, limit(scene.z), scale=1.0, expansion=left, numerics=noise)


CLOSED_CURVE = Proposition(
    label="8c-closed",
    title="On a closed curve the limit sums over all preimages",
    statement=(
        r"f(z) = (\cos z, \sin z):\quad \log p_\sigma(x) + \tfrac12\log 2\pi\sigma^2"
        r" \to \log\sum_k\mathcal N(z_0 + 2\pi k; 0, 1)"
    ),
    hypotheses=(GAUSSIAN, ("not injective", r"f(z_0) = f(z_0 + 2\pi k)")),
    kind="counterexample",
    instances=turns(),
    check=closed_curve,
    controls=wrong(
        closed_curve,
        {
            "one preimage": {"limit": one_preimage},
            "one preimage counted twice": {"limit": one_preimage_twice},
        },
    ),
    uses=("8c",),
    resolution=1e-3,
    examples=4,
)

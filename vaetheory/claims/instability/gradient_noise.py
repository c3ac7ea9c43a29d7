"""Checks of 9b-noise and 9b-batch: the noise of sampled gradients and of small batches."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.rates import power_law
from vaetheory.claims.instability.hypotheses import FREE, GAUSSIAN, LINEAR
from vaetheory.claims.instability.joint_scenes import JointScene, joint_scenes
from vaetheory.rounding import gamma


def noisy_scenes() -> st.SearchStrategy[JointScene]:
    """Scenes whose exact gradients differ from datum to datum."""
    return joint_scenes().filter(lambda scene: batch_coefficient(scene)[0] > 1e-2)


def sampling_spreads(scene: JointScene) -> tuple[list[Array], list[Array]]:
    """Variance over the noise of the gradients in w, m and rho, `(L,)` each, and rounding."""
    gradients, weights = scene.sampled_gradients()
    w, m, rho = scene.split(scene.optimum)
    # The summands that cancel are as large as x z, x w and x w s, each over sigma^2.
    length, width = np.linalg.norm(w, axis=-1), np.exp(rho[:, 0])
    factors = (np.abs(m).max(axis=-1) + 3 * width, length, 3 * length * width)
    spreads, errors = [], []
    for slope, factor in zip(gradients, factors, strict=True):
        mean = np.einsum("k,lnkp->lnp", weights, slope)
        away = ((slope - mean[:, :, None]) ** 2).sum(axis=-1)
        spreads.append(np.einsum("k,lnk->ln", weights, away).mean(axis=-1))
        largest = np.abs(slope).max(axis=(1, 2, 3))
        carried = gamma(100) * (largest + np.abs(scene.data).max() * factor / scene.scales**2)
        errors.append(2 * np.sqrt(spreads[-1]) * carried + carried**2 + gamma(100) * spreads[-1])
    return spreads, errors


def sampling_noise(
    scene: JointScene,
    *,
    exponents: tuple[float, float, float] = (-2.0, -2.0, 0.0),
    decoder: float | None = None,
    deviations: float = 2.0,
) -> Comparison:
    """Check the law of the variance of the reparametrised gradients in w, m and rho."""
    values, top = scene.principal[0], float(scene.principal[0][0])
    coefficients = (float(values.sum()) / top if decoder is None else decoder, top, deviations)
    parts = []
    measured = zip(*sampling_spreads(scene), exponents, coefficients, strict=True)
    for spread, error, exponent, coefficient in measured:
        parts.append(
            power_law(
                spread,
                error,
                scene.scales,
                exponent=exponent,
                coefficient=coefficient,
                rounding=gamma(100) * coefficient,
            )
        )
    return Comparison.all_of(*parts)


SAMPLING_NOISE = Proposition(
    label="9b-noise",
    title="Reparametrised gradients have a variance that grows as sigma to the -2",
    statement=(
        r"\mathbb E_n\mathrm{tr}\,\mathrm{Var}_\epsilon[\partial_w]"
        r" \sim \frac{\mathrm{tr}\,\Sigma}{v\,\sigma^2},\quad "
        r"\mathbb E_n\mathrm{Var}_\epsilon[\partial_{m_n}] \sim \frac{v}{\sigma^2},\quad "
        r"\mathbb E_n\mathrm{Var}_\epsilon[\partial_{\log s_n}] \to 2"
    ),
    hypotheses=(
        GAUSSIAN,
        LINEAR,
        FREE,
        ("one sample a datum", r"z = m_n + s_n\epsilon,\ \epsilon \sim \mathcal N(0, 1)"),
    ),
    kind="rate",
    instances=joint_scenes(),
    check=sampling_noise,
    controls=wrong(
        sampling_noise,
        {
            "sigma^-4 for the decoder": {"exponents": (-4.0, -2.0, 0.0)},
            "sigma^-2 for the log deviations": {"exponents": (-2.0, -2.0, -2.0)},
            "1 for the decoder's coefficient": {"decoder": 2.0},
            "1 for 2": {"deviations": 1.0},
        },
    ),
    uses=("9b",),
    figure="instability",
    resolution=0.02,
    examples=10,
)


def batch_spread(scene: JointScene) -> tuple[Array, Array]:
    """Variance over the data of the exact gradient in w, `(L,)`, and its rounding."""
    gradients, weights = scene.sampled_gradients()
    slope = np.einsum("k,lnkp->lnp", weights, gradients[0])
    spread = ((slope - slope.mean(axis=1, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1)
    # The summands of a sampled gradient are of the size of x m / sigma^2.
    means = np.abs(scene.split(scene.optimum)[1]).max(axis=-1)
    summands = np.abs(gradients[0]).max(axis=(1, 2, 3))
    summands = summands + np.abs(scene.data).max() * means / scene.scales**2
    carried = gamma(200) * summands
    return spread, 2 * np.sqrt(spread) * carried + carried**2


def batch_noise(
    scene: JointScene,
    *,
    exponent: float | None = None,
    share: float = 1.0,
) -> Comparison:
    """Check the law of the variance over the data of the exact gradient in w."""
    spread, error = batch_spread(scene)
    coefficient, on_a_line = batch_coefficient(scene)
    law = (0.0 if on_a_line else -4.0) if exponent is None else exponent
    return power_law(
        spread,
        error,
        scene.scales,
        exponent=law,
        coefficient=share * coefficient,
        rounding=gamma(1000) * coefficient,
    )


def batch_coefficient(scene: JointScene) -> tuple[float, bool]:
    """Coefficient of the variance over the data, and whether the data lie on a line."""
    values, vectors = scene.principal
    top, along = float(values[0]), scene.data @ vectors[:, 0]
    if len(values) == 1 or values[1] < 1e-12 * top:
        return float((along**2).var()) / top**3, True
    off = ((scene.data - along[:, None] * vectors[:, 0]) ** 2).sum(axis=-1)
    return float((off * along**2).mean()) / top, False


BATCH_NOISE = Proposition(
    label="9b-batch",
    title="The noise of a batch grows as sigma to the -4, or not at all",
    statement=(
        r"\mathrm{tr}\,\mathrm{Var}_n[\partial_w] \sim"
        r"\frac{\mathbb E_n[\|r_n\|^2 a_n^2]}{v\,\sigma^4}"
        r"\text{ off a line};\quad "
        r"\to \frac{\mathrm{Var}_n[a_n^2]}{v^3} \text{ on a line } (r = 0),\quad "
        r"x_n = a_n u + r_n,\ \Sigma u = vu"
    ),
    hypotheses=(
        GAUSSIAN,
        LINEAR,
        FREE,
        (
            "exact gradients",
            r"\text{of single data, the expectation over } q \text{ taken}",
        ),
    ),
    kind="rate",
    instances=noisy_scenes(),
    check=batch_noise,
    controls=wrong(
        batch_noise,
        {
            "sigma^-2 in both cases": {"exponent": -2.0},
            "sigma^-4 in both cases": {"exponent": -4.0},
            "twice the coefficient": {"share": 2.0},
        },
    ),
    uses=("9b",),
    figure="instability",
    resolution=0.02,
    examples=10,
)

"""Check of 10a: the term is the log likelihood of data with the presumed noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.claims.baggins.scenes import MOMENTS, TERM, FitScene, fit_scenes
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class NoiseScene:
    """A fit, and another variance to compare with the best, as a multiple of it."""

    fit: FitScene
    multiple: float


def noise_scenes() -> st.SearchStrategy[NoiseScene]:
    """Fits at up to four nats, and variances of half to four times the best."""
    return st.builds(
        NoiseScene,
        fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)),
        st.sampled_from((2.0, 0.5, 4.0)),
    )


def _noisy_log_likelihood(
    x: Array, xhat: Array, noise: Array, variance: Array
) -> tuple[Array, Array]:
    """Mean over the batch of E[log N(x + noise; xhat, variance)], `(D,)`, by lattice; its error."""
    away = x - xhat

    def integrand(unit: Array) -> Array:
        density = np.exp(-(unit**2) / 2) / np.sqrt(2 * np.pi)
        square = (away + np.sqrt(noise) * unit[..., None]) ** 2
        terms = -0.5 * (LOG_2PI + np.log(variance) + square / variance)
        values = (density[..., None] * terms).reshape(len(unit), -1)
        return np.concatenate([values, np.abs(values)], axis=-1)

    value, error = lattice_integral(integrand, np.array([-10.0]), np.array([10.0]), step=0.25)
    half = away.size
    lost = error[:half] + gamma(50) * value[half:]
    return value[:half].reshape(away.shape).mean(axis=0), lost.reshape(away.shape).mean(axis=0)


def presumed_noise(
    scene: NoiseScene, *, power: float = 2.0, noisy: bool = True, surplus: float = 1.0
) -> Comparison:
    """Compare the term with the noisy data's mean log likelihood at the best variance."""
    fit = scene.fit
    residual, spread = fit.moments()
    x, xhat = fit.data, fit.fits
    term = baggins(x, xhat, **fit.options)
    variance = np.asarray(term.scale) ** 2
    presumed = spread * np.exp(-power * fit.presumed)
    noise = presumed if noisy else np.zeros_like(presumed)
    best, lost = _noisy_log_likelihood(x, xhat, noise, variance)
    other, lost_too = _noisy_log_likelihood(x, xhat, noise, scene.multiple * variance)
    clean, lost_also = _noisy_log_likelihood(x, xhat, np.zeros_like(presumed), variance)
    # KL(N(0, variance) || N(0, multiple variance)) of each dimension.
    deficit = 0.5 * len(variance) * (1 / scene.multiple - 1 + np.log(scene.multiple))
    size = 10 + float(np.abs(term.log_scale).sum() + (residual / variance).sum())
    rounding = gamma(200) * size
    return Comparison.all_of(
        Comparison.identity(
            term.value, best.sum(), scale=size, lattice=lost.sum(), rounding=rounding
        ),
        Comparison.identity(
            best.sum() - other.sum(),
            surplus * deficit,
            scale=size,
            lattice=lost.sum() + lost_too.sum(),
            rounding=rounding,
        ),
        # The data fit better without the noise, by half its share of sigma^2.
        Comparison.identity(
            clean.sum() - term.value,
            0.5 * (presumed / variance).sum(),
            scale=size,
            lattice=lost_also.sum(),
            rounding=rounding,
        ),
    )


PRESUMED_NOISE = Proposition(
    label="10a",
    title="The term is the log likelihood of data with the presumed noise, at its best",
    statement=(
        r"T = \max_{\Lambda\ \mathrm{diagonal}}"
        r"\mathbb E_B\mathbb E_\epsilon[\log\mathcal N(x + \epsilon; \hat x, \Lambda)],"
        r"\quad\epsilon_i \sim \mathcal N(0, v_i e^{-2h_i});\quad "
        r"\mathbb E_B[\log\mathcal N(x; \hat x, \sigma^2)]"
        r" = T + \tfrac12\sum_i v_i e^{-2h_i}/\sigma_i^2"
    ),
    hypotheses=(MOMENTS, TERM),
    kind="identity",
    instances=noise_scenes(),
    check=presumed_noise,
    controls=wrong(
        presumed_noise,
        {
            "noise of variance v exp(-h)": {"power": 1.0},
            "data without noise": {"noisy": False},
            "twice the deficit of another variance": {"surplus": 2.0},
        },
    ),
    examples=12,
)

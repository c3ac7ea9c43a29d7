"""Check of 13b: with a linear decoder collapse is continuous, and one threshold is all there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import LinearVAE, linear_vae_optimum
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.posterior_collapse.local_threshold import Whisper, whispers
from vaetheory.claims.posterior_collapse.scenes import COLLAPSE, GAUSSIAN
from vaetheory.rounding import gamma

# sigma^2 as shares of lam_1 / beta: well below, at both sides, at, and above the threshold.
_SHARES = np.array([1 / 16, 0.25, 0.5, 0.9, 1 - 1e-6, 1.0, 1 + 1e-6, 2.0])
_COMPLEX_STEP = 1e-30


@once
def optima(scenes: tuple[Whisper, ...]) -> list[list[LinearVAE]]:
    """The maximisers of the beta-ELBO at each share: those of the ELBO at beta sigma^2 (16d)."""
    found = []
    for scene in scenes:
        X = np.repeat(scene.data.data, scene.data.counts, axis=0)
        found.append([linear_vae_optimum(X, 1, variance=s * scene.data.variance) for s in _SHARES])
    return found


def _slope(scene: Whisper, vae: LinearVAE, noise: float) -> float:
    """The greatest derivative of the beta-ELBO in W, V and log delta, by complex steps."""
    x, p, beta = scene.data.centred, scene.data.weights, scene.beta
    W, V = vae.weight[:, 0], vae.encoder[0]
    dim = len(W)
    unknowns = np.concatenate([W, V * noise, np.log(vae.posterior_variances)])
    at = unknowns.astype(complex)[:, None] * np.ones(len(unknowns))
    at = at + 1j * _COMPLEX_STEP * np.eye(len(unknowns))
    w, v, log_delta = at[:dim], at[dim : 2 * dim] / noise, at[-1]
    loc = np.einsum("nd,dk->nk", x, v)
    residual = ((x[..., None] - w * loc[:, None]) ** 2).sum(axis=1)
    spread = np.exp(log_delta) * (w**2).sum(axis=0)
    terms = (residual + spread) / (2 * noise)
    terms = terms + beta * 0.5 * (loc**2 + np.exp(log_delta) - 1 - log_delta)
    return float(np.abs((p @ terms).imag).max() / _COMPLEX_STEP)


@together
def linear_collapse(
    scenes: Sequence[Whisper],
    *,
    one_more: float = 0.0,
    less_noise: float = 0.0,
    jump: float = 0.0,
    beta_power: float = 1.0,
) -> list[Comparison]:
    """Compare the mean KL at the optimum with 1/2 log(lam / (beta sigma^2)), across the threshold.

    The optimum is told by its derivatives in all parameters, and by Gaussian densities.
    """
    comparisons = []
    for scene, vaes in zip(scenes, optima(tuple(scenes)), strict=True):
        top, beta = scene.data.variance, scene.beta
        noises = _SHARES * top / beta
        kl = np.array([float(vae.divergences[0]) for vae in vaes])
        effective = beta**beta_power * noises
        ratio = (top - less_noise * effective) / effective + one_more
        expected = 0.5 * np.log(np.maximum(ratio, 1.0))
        x = scene.data.centred
        reach = float((scene.data.data**2).max()) / top
        lost = gamma(400) * (1 + reach) / _SHARES
        # A root of 1e-16 at the threshold itself: a column as long as the root of a rounding.
        slopes = np.array([_slope(scene, v, n) for v, n in zip(vaes, noises, strict=True)])
        unit = np.sqrt((x**2).sum(axis=-1).max() / noises) + beta + 1
        slope_bound = lost * unit**3 * 4
        # "A jump": between the two sides of the threshold the KL changes by so much.
        step = kl[4] - kl[6]
        close = 0.5 * float(np.log(_SHARES[6] / _SHARES[4]))
        # Any encoder: the maximum of pPCA is all that codes can gain.
        over = np.maximum(top / (beta * noises), 1.0)
        gained, most = _gain(scene, noises), beta / 2 * (over - 1 - np.log(over))
        size = 1 + beta + over
        comparisons.append(
            Comparison.all_of(
                Comparison.identity(kl, expected, scale=1.0, rounding=lost),
                Comparison.identity(
                    slopes / unit**2, 0.0, scale=1.0, rounding=slope_bound / unit**2
                ),
                Comparison.at_most(jump, step, scale=1.0, rounding=lost[4]),
                Comparison.at_most(step, close, scale=1.0, rounding=2 * lost[4]),
                Comparison.at_most(gained, most, scale=size, rounding=lost * size),
            )
        )  # fmt: skip
    return comparisons


def _gain(scene: Whisper, noises: Array) -> Array:
    """What the scene's own codes gain on collapse with the best linear decoder for them, `(S,)`."""
    loc = np.array(scene.means)[:, 0]
    scale2 = (1 + 0.5 * np.array(scene.deviations)) ** 2
    p = scene.data.weights
    offset = loc - p @ loc
    cross = (p * offset) @ scene.data.centred
    explained = float(cross @ cross) / float(p @ (offset**2 + scale2))
    own = float(p @ (loc**2 + scale2 - 1 - np.log(scale2))) / 2
    return np.asarray(explained / (2 * noises) - scene.beta * own)


LINEAR_THRESHOLD = Proposition(
    label="13b",
    title="With a linear decoder the KL falls continuously to zero, at the same threshold",
    statement=(
        r"f(z) = Wz + b:\quad \mathbb E_n\mathrm{KL}_j = "
        r"\tfrac12\log\frac{\lambda_j}{\beta\sigma^2}\text{ if } \lambda_j > \beta\sigma^2,\ "
        r"\mathbb E_n\mathrm{KL}_j = 0 \text{ otherwise};\quad "
        r"\sigma^2 \ge \lambda_1/\beta \Rightarrow \mathrm{ELBO}_\beta \le \mathrm{ELBO}_0 "
        r"\text{ for every encoder}"
    ),
    hypotheses=(GAUSSIAN, COLLAPSE, ("linear decoder", r"f(z) = Wz + b,\ W, b \text{ free}")),
    kind="identity",
    instances=whispers(),
    check=linear_collapse,
    controls=wrong(
        linear_collapse,
        {
            "1/2 log(1 + lam / sigma^2)": {"one_more": 1.0},
            "lam_j - sigma^2 inside the logarithm": {"less_noise": 1.0},
            "a jump of a tenth of a nat": {"jump": 0.1},
            "beta squared": {"beta_power": 2.0},
        },
    ),
    uses=("12b", "12g", "13a"),
    figure="posterior-collapse",
    resolution=1e-4,
)

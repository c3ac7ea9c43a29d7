"""Check of 12c: the ELBO of a linear VAE has no local maximum that is not global."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import linear_vae
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.linear_vae.ascent import ascend, climb, gradient
from vaetheory.claims.linear_vae.scenes import (
    ENCODER,
    GAUSSIAN,
    MATRICES,
    SPECTRUM,
    LinearData,
    covariance_of,
    linear_data,
    rounding_of,
    stacked,
)

# Starts of each instance, and steps from each. The starts have no symmetry, so that none leads to a
# saddle.
_STARTS, _STEPS, _CLIMBS = 10, 40, 40
_GOLDEN = (np.sqrt(5) - 1) / 2


def starts(weights: Array, sizes: Array) -> Array:
    """Starts `(I, S, D, d)` around weights `(I, D, d)`, scattered as far as `sizes` `(I,)`."""
    _, dim, d = weights.shape
    k = np.arange(1, _STARTS * dim * d + 1)
    pattern = 2 * ((k * _GOLDEN + k**2 * np.sqrt(2)) % 1) - 1
    near = np.linspace(0, 1, _STARTS)[:, None, None]
    scattered = sizes[:, None, None, None] * pattern.reshape(_STARTS, dim, d)
    return np.asarray(scattered + near * weights[:, None])


@once
def restarts(scenes: tuple[LinearData, ...]) -> tuple[Array, Array, Array]:
    """Where the ascents end: ELBOs `(I, S)`, and bounds of what was left to climb and of rounding.

    Near a maximum the ELBO is concave: it is at most the gradient times the distance higher there.
    """
    X, weights, noise = stacked(scenes)
    sizes = np.sqrt([s.data.spectrum[0] for s in scenes])
    cov = covariance_of(X)[:, None]
    noises = np.repeat(noise[:, None], _STARTS, axis=1)
    found, _ = ascend(cov, starts(weights, sizes), noises, steps=_STEPS)
    found = climb(cov, found, noises, steps=_CLIMBS)
    slope = np.sqrt((gradient(cov, found, noises) ** 2).sum(axis=(-1, -2)))
    reach = np.sqrt((found**2).sum(axis=(-1, -2))) + np.sqrt(found.shape[-1]) * sizes[:, None]
    data = np.repeat(X[:, None], _STARTS, axis=1)
    vaes = linear_vae(data, found, variance=noises)
    return vaes.value, slope * reach, vaes.error + rounding_of(data, found, noises)


@together(alike=lambda scene: scene.shape)
def no_spurious_maxima(
    scenes: Sequence[LinearData], *, units: int = 0, skipped: int = 0, missed: float = 0.0
) -> list[Comparison]:
    """Check that every ascent ends at the maximum of 12b, and none above.

    `units` leaves so many units out of the claimed maximum, `skipped` the first axes; `missed`
    claims that some ascent ends so many nats below.
    """
    _, weights, noise = stacked(scenes)
    d, dim = weights.shape[-1], weights.shape[-2]
    spectrum = np.array([s.data.spectrum for s in scenes])
    kept = np.zeros(dim, dtype=bool)
    kept[skipped : max(skipped + d - units, 0)] = True
    a = np.where(kept, np.maximum(spectrum, noise[:, None]), noise[:, None])
    maximum = -0.5 * (dim * np.log(2 * np.pi) + (np.log(a) + spectrum / a).sum(axis=-1))
    values, left, lost = restarts(tuple(scenes))
    size = 1 + np.abs(maximum)[:, None]
    if missed:
        least = values.min(axis=-1)
        return Comparison.each_at_most(
            least, maximum - missed, scale=size[:, 0], climbing=left.max(axis=-1),
            rounding=lost.max(axis=-1),
        )  # fmt: skip
    below = Comparison.each_at_most(values, maximum[:, None], scale=size, rounding=lost)
    reached = Comparison.each_at_most(
        maximum[:, None], values, scale=size, climbing=left, rounding=lost
    )
    return [Comparison.all_of(*parts) for parts in zip(below, reached, strict=True)]


NO_SPURIOUS_MAXIMA = Proposition(
    label="12c",
    title="The ELBO of a linear VAE has no local maximum that is not global",
    statement=(
        r"\sigma > 0 \text{ fixed}:\quad W \text{ a local maximum of } \mathrm{ELBO}(W) "
        r"\;\Rightarrow\; \mathrm{ELBO}(W) = \max_W\mathrm{ELBO}; \quad "
        r"\text{so is every local maximum in } (W, V, \delta)"
    ),
    hypotheses=(GAUSSIAN, ENCODER, MATRICES, SPECTRUM),
    kind="inequality",
    instances=linear_data(ratios=(1.5, 2.0, 4.0), noises=(0.2, 0.05, 0.8)),
    check=no_spurious_maxima,
    controls=wrong(
        no_spurious_maxima,
        {
            "a maximum that leaves one unit out": {"units": 1},
            "a maximum without the first axis": {"skipped": 1},
            "some ascent ends in a worse maximum": {"missed": 1e-6},
        },
    ),
    uses=("12b", "12c-turn", "12c-gradient", "12c-curvature"),
    figure="linear-vae",
)

"""Check of 20c: with more samples the path gradient is biased, and by what; DReG is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from vaetheory._validation import Array
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.gradient_estimators.scenes import (
    ESTIMATORS,
    SAMPLED,
    Curve,
    curves,
    noise_of_curves,
    terms_of,
)
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma

_NAMES = ("total", "path", "dreg", "decoder")
#: Step of the plain lattices of the sums over pairs, and of differences of the bound.
_STEP, _DIFFERENCE = 0.125, 2.0**-7


class Pairs(NamedTuple):
    """Means `(I, 2)` and variances for two samples, by name, and differences of two rules."""

    mean: dict[str, Array]
    variance: dict[str, Array]
    spread: dict[str, Array]
    variance_spread: dict[str, Array]


def _sums(scenes: Sequence[Curve], offset: float) -> dict[str, tuple[Array, Array]]:
    """Mean and second moment of each estimator of two samples, by a sum over pairs of nodes."""
    one, two = terms_of(scenes, _STEP, offset), terms_of(scenes, _STEP, 0.0)
    u = expit(one.logs[:, :, None] - two.logs[:, None, :])
    told = {}
    for name, power in (("total", 1), ("path", 1), ("dreg", 2), ("decoder", 1), ("score", 1)):
        first, second = ("path", "path") if name == "dreg" else (name, name)
        h, k = getattr(one, first), getattr(two, second)
        mean, square = [], []
        for j in range(2):
            g = u**power * h[:, :, None, j] + (1 - u) ** power * k[:, None, :, j]
            mean.append(np.einsum("nij,i,j->n", g, one.masses, two.masses, optimize=True))
            square.append(np.einsum("nij,i,j->n", g**2, one.masses, two.masses, optimize=True))
        told[name] = np.stack(mean, axis=-1), np.stack(square, axis=-1)
    return told


@once
def pairs(scenes: tuple[Curve, ...]) -> Pairs:
    """Two samples by two rules whose errors have opposite signs."""
    first, second = _sums(scenes, 0.0), _sums(scenes, 0.5)
    mean, variance, spread, other = {}, {}, {}, {}
    for name in first:
        values = [np.stack([m, s - m**2]) for m, s in (first[name], second[name])]
        mean[name], variance[name] = (values[0] + values[1]) / 2
        spread[name], other[name] = np.abs(values[0] - values[1])
    return Pairs(mean, variance, spread, other)


@once
def differences(scenes: tuple[Curve, ...]) -> tuple[Array, Array]:
    """The derivatives of the library's L_2 in m and log s, `(I, 2)`, and estimates of errors."""
    values = []
    for scene in scenes:
        steps = _DIFFERENCE * np.array([-4.0, -2.0, -1.0, 1.0, 2.0, 4.0])
        loc = np.concatenate([scene.loc + steps, np.full(6, scene.loc)])
        scale = np.concatenate([np.full(6, scene.scale), scene.scale * np.exp(steps)])
        found = importance_weighted_bound(
            scene.model, np.tile(scene.x, (12, 1)), Posterior(loc[:, None], scale=scale[:, None]),
            2, rtol=1e-11,
        )  # fmt: skip
        values.append(np.stack([found.value, found.error]).reshape(2, 2, 6))
    value, error = np.moveaxis(np.array(values), 1, 0)
    slopes = [
        (value[..., 5 - k] - value[..., k]) / (2 * _DIFFERENCE * 2 ** (2 - k)) for k in range(3)
    ]
    once_, twice = (slopes[1] * 4 - slopes[0]) / 3, (slopes[2] * 4 - slopes[1]) / 3
    told = (16 * twice - once_) / 15
    return told, np.abs(told - twice) + 4 * error.max(axis=-1) / _DIFFERENCE


@together
def biased_path(
    scenes: Sequence[Curve],
    *,
    first_power: bool = False,
    linear: bool = False,
    sign: float = 1.0,
    scale: float = 1.0,
) -> list[Comparison]:
    """Compare the library with sums over pairs; DReG with derivatives of L_2; the path's bias."""
    key = tuple(scenes)
    noise, told = noise_of_curves(key, (2,), _NAMES), pairs(key)
    slope, off = differences(key)
    each = []
    for name in _NAMES:
        own, mean, variance = noise[name], told.mean[name], told.variance[name]
        size = 1 + np.sqrt(mean**2 + variance)
        each += [
            Comparison.identities(
                own.mean[:, 0], mean, scale=size, library=own.mean_error[:, 0],
                pairs=told.spread[name], rounding=gamma(4000) * size,
            ),
            Comparison.identities(
                own.variance[:, 0], variance, scale=size**2, library=own.variance_error[:, 0],
                pairs=told.variance_spread[name], rounding=gamma(8000) * size**2,
            ),
        ]  # fmt: skip
    path, dreg = noise["path"], noise["dreg"]
    claimed = dreg.mean[:, 0]
    if first_power:
        claimed = path.mean[:, 0]
    if linear:
        claimed = 2 * path.mean[:, 0] - dreg.mean[:, 0]
    size = 1 + np.abs(path.mean[:, 0]) + np.abs(dreg.mean[:, 0])
    library = path.mean_error[:, 0] + dreg.mean_error[:, 0] + noise["total"].mean_error[:, 0]
    each += [
        Comparison.identities(claimed, slope, scale=size, library=2 * library, differences=off),
        # The bias is the mean of sum u_k d log q(z_k), which only the path estimator leaves out.
        Comparison.identities(
            path.mean[:, 0] - noise["total"].mean[:, 0], sign * scale * told.mean["score"],
            scale=size, library=library, pairs=told.spread["score"], rounding=gamma(4000) * size,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


BIASED = Proposition(
    label="20c",
    title="With more samples the path gradient is biased, by the wake-phase gradient; DReG is not",
    statement=(
        r"K \ge 2:\quad \mathbb E\textstyle\sum u_k^2r_k = \mathbb E\sum u_kh_k = \nabla_\phi L_K,"
        r"\quad \mathbb E\sum u_kr_k - \nabla_\phi L_K = \mathbb E\sum u_k\,\partial_\phi\log "
        r"q_\phi(z_k) \ne 0"
    ),
    hypotheses=(SAMPLED, ESTIMATORS, ("two samples", "K = 2")),
    kind="counterexample",
    instances=curves((0.5, 0.25, 0.375)),
    check=biased_path,
    controls=wrong(
        biased_path,
        {
            "the path gradient is unbiased": {"first_power": True},
            "2 u - u^2 is unbiased": {"linear": True},
            "the bias has the other sign": {"sign": -1.0},
            "half of the bias": {"scale": 0.5},
        },
    ),
    uses=("14a", "20a"),
    figure="gradient-estimators",
    resolution=1e-4,
    examples=6,
)

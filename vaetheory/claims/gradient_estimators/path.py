"""Check of 20a: the path estimator is unbiased for the ELBO, and silent at the exact posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.gradient_estimators.scenes import (
    ESTIMATORS,
    SAMPLED,
    Curve,
    LinearEncoder,
    Noise,
    curves,
    exact_noise,
    linear_encoders,
    noise_of_curves,
)
from vaetheory.rounding import gamma

_NAMES = ("total", "path")


@dataclass(frozen=True)
class PathScene:
    """A curved model with any Gaussian q, and a linear one with its exact posterior."""

    curve: Curve
    line: LinearEncoder


def elbo_gradients(scenes: Sequence[Curve]) -> tuple[Array, Array]:
    """The derivatives of the ELBO in m and log s `(I, 2)`, from its polynomial; and their sizes."""
    a, b, noise, m, s = (
        np.array([getattr(c, name) for c in scenes])
        for name in ("slope", "bend", "noise", "loc", "scale")
    )
    x, y = np.array([c.x for c in scenes]).T
    v = 1 / noise**2
    # E (x - a z)^2 and E (y - b z^2)^2 with E z^4 = m^4 + 6 m^2 s^2 + 3 s^4.
    in_m = [v * a * (x - a * m), v * b * y * 2 * m, -v * b**2 * (2 * m**3 + 6 * m * s**2), -m]
    in_s = [-v * a**2 * s, v * b * y * 2 * s, -v * b**2 * (6 * m**2 * s + 6 * s**3), -s]
    found = np.stack([sum(in_m), s * sum(in_s) + 1], axis=-1)
    size = np.stack([sum(map(np.abs, in_m)), s * sum(map(np.abs, in_s)) + 1], axis=-1)
    return found, size


@once
def at_the_posterior(scenes: tuple[LinearEncoder, ...]) -> list[dict[str, Noise]]:
    """The library's noise at exact posteriors, `(2 d,)`."""
    return [exact_noise(s.model, s.x, s.exact, _NAMES) for s in scenes]


def _at_posterior(
    scene: LinearEncoder, noise: dict[str, Noise], log_scale: float, silent: bool
) -> Comparison:
    """The path estimator's variance is 0, the other's the Fisher information of q."""
    fisher = np.concatenate([np.diagonal(scene.precision), np.full(scene.dim, log_scale)])
    inverse = np.linalg.inv(scene.exact.scale_tril)
    root = np.sqrt((inverse**2).sum(axis=0))
    # Terms of a gradient: the likelihood's, the prior's and q's, some deviations from its mean.
    spread = np.abs(scene.weight).sum(axis=0) * np.abs(scene.x).sum() / scene.noise**2
    size = spread + 8 * np.diagonal(scene.precision) ** 0.5 * (1 + root) + np.abs(scene.mean)
    lost = gamma(400 * scene.dim) * np.concatenate([size, 8 * (1 + size / root)])
    path, total = noise["path"], noise["total"]
    expected = np.zeros_like(fisher) if silent else fisher
    return Comparison.all_of(
        Comparison.identity(
            path.variance, 0.0, scale=fisher, library=path.variance_error, rounding=lost**2
        ),
        Comparison.identity(
            total.variance, expected, scale=fisher, library=total.variance_error,
            # q is the posterior up to the rounding of an inverse.
            rounding=gamma(60 * scene.dim) * fisher * np.linalg.norm(scene.precision),
        ),
    )  # fmt: skip


@together
def path_estimator(
    scenes: Sequence[PathScene],
    *,
    entropy: float = 1.0,
    prior: float = 1.0,
    log_scale: float = 2.0,
    silent: bool = False,
) -> list[Comparison]:
    """Compare means with derivatives of the ELBO, and variances at the exact posterior."""
    key = tuple(s.curve for s in scenes)
    noise = noise_of_curves(key, (1,), _NAMES)
    gradient, size = elbo_gradients(key)
    loc, scale = (np.array([getattr(c, name) for c in key]) for name in ("loc", "scale"))
    own = np.stack([(1 - prior) * loc, (1 - prior) * scale**2 + entropy - 1], axis=-1)
    means = [
        Comparison.identities(
            noise[name].mean[:, 0], gradient + (own if name == "path" else 0), scale=1 + size,
            library=noise[name].mean_error[:, 0], rounding=gamma(60) * size,
        )
        for name in _NAMES
    ]  # fmt: skip
    lines = tuple(s.line for s in scenes)
    exact = at_the_posterior(lines)
    return [
        Comparison.all_of(one, other, _at_posterior(line, found, log_scale, silent))
        for one, other, line, found in zip(*means, lines, exact, strict=True)
    ]


PATH = Proposition(
    label="20a",
    title="The path gradient of the ELBO is unbiased, and without noise at the exact posterior",
    statement=(
        r"\mathbb E\,r = \mathbb E\,h = \nabla_\phi\mathrm{ELBO};\quad q = p(z|x):\ r = 0,\quad "
        r"\operatorname{Var}h_{m_j} = (S^{-1})_{jj},\ \operatorname{Var}h_{t_j} = 2"
    ),
    hypotheses=(SAMPLED, ESTIMATORS, ("one sample", "K = 1")),
    kind="identity",
    instances=st.builds(PathScene, curves(), linear_encoders((1, 2, 3, 5, 8))),
    check=path_estimator,
    controls=wrong(
        path_estimator,
        {
            "the path gradient misses the entropy's": {"entropy": 0.0},
            "the path gradient misses the prior's": {"prior": 0.0},
            "the total gradient has no noise there either": {"silent": True},
            "Fisher information 1 for log s": {"log_scale": 1.0},
        },
    ),
    uses=("3b",),
    figure="gradient-estimators",
    examples=10,
)

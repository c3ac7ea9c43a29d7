"""Checks of 15c: importance weighted bounds from below and above, and their mid-point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from vaetheory._gaussians import kl_divergence
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.importance_weighting import (
    importance_weighted_bound,
    importance_weighted_upper_bound,
)
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.claims.evidence_sandwich.renyi import WEIGHTS
from vaetheory.claims.evidence_sandwich.scenes import WeightScene, moments_of, weight_scenes
from vaetheory.evidence import linear_log_evidence
from vaetheory.rounding import gamma

#: Numbers of samples; the last three double.
_COUNTS = (1, 2, 8, 64, 128, 256)
_RTOL = 1e-11
SANDWICH = (
    "the two means",
    r"L_K = \mathbb E_{q^K}\log\bar w,\ U_K = \mathbb E\log\bar w \text{ with } z_1 \sim p(z|x),\ "
    r"z_2, \dots, z_K \sim q;\ \bar w = \tfrac1K\textstyle\sum_k w(z_k)",
)


def light_scenes(dims: tuple[int, ...]) -> st.SearchStrategy[WeightScene]:
    """Linear models whose q is wide enough that the weights have four moments."""

    def lighter(scene: WeightScene, variances: tuple[float, ...], far: float) -> WeightScene:
        relative = replace(scene.relative, variances=variances[: scene.dim])
        shift, x = (
            tuple(f * v for v in given) for f, given in ((0.5, scene.shift), (far, scene.x))
        )
        return replace(scene, relative=relative, shift=shift, x=x)

    wide = st.tuples(*[st.sampled_from((1.25, 0.875, 1.5, 2.0))] * max(dims))
    # Far data have small evidences: to e^-1000 and less.
    return st.builds(lighter, weight_scenes(dims), wide, st.sampled_from((1.0, 1.0, 12.0)))


@once
def both_bounds(scenes: tuple[WeightScene, ...]) -> tuple[Array, Array, Array]:
    """Bounds minus the evidence, `(I, 2, K)`, their errors, and the ELBO with its error."""
    values, errors, ends = [], [], []
    for s in scenes:
        x = np.array(s.x)
        exact, own = linear_log_evidence(s.model, x), elbo(s.model, x, s.q)
        # The last digit of a far datum's log density is not more than this.
        rtol = _RTOL * max(1.0, abs(float(exact.value)))
        lower = importance_weighted_bound(s.model, x, s.q, list(_COUNTS), rtol=rtol)
        upper = importance_weighted_upper_bound(s.model, x, s.q, list(_COUNTS), rtol=rtol)
        values.append([lower.value - exact.value, upper.value - exact.value])
        errors.append([lower.error + exact.error, upper.error + exact.error])
        ends.append([own.value - exact.value, own.error + exact.error])
    return np.array(values), np.array(errors), np.array(ends)


@once
def product_quadrature(scene: WeightScene) -> tuple[Array, Array]:
    """Means of log((w_1 + w_2) / 2 p(x)), with none, one and two of the samples from p(z|x).

    One latent; a lattice over the plane of both samples, from densities in closed form.
    """
    (mean,), cov = scene.exact
    deviation = float(np.sqrt(cov[0, 0]))
    away = (float(scene.q.loc[0]) - mean) / deviation
    variance = float(scene.q.cov[0, 0]) / deviation**2

    def terms(e: Array) -> Array:
        posterior = -0.5 * e**2
        own = -0.5 * (e - away) ** 2 / variance - 0.5 * np.log(variance)
        log = np.logaddexp(*(posterior - own).T) - np.log(2)
        densities = [own.sum(axis=-1), posterior[:, 0] + own[:, 1], posterior.sum(axis=-1)]
        return np.stack([np.exp(d) * log for d in densities], axis=-1) / (2 * np.pi)

    reach = 9 * max(1.0, np.sqrt(variance)) + abs(away)
    edges = np.full(2, reach)
    return lattice_integral(terms, -edges, edges, step=0.25)


@together(alike=lambda scene: scene.dim)
def bounds_close_in(
    scenes: Sequence[WeightScene],
    *,
    all_exact: bool = False,
    falling: bool = False,
    reverse: bool = False,
) -> list[Comparison]:
    """Compare K = 1 with closed forms, K = 2 with products, and see all others in order."""
    given = tuple(scenes)
    values, errors, ends = both_bounds(given)
    moments = moments_of(given)
    lower, upper = values[:, 0], values[:, 1]
    condition = np.array([s.condition for s in scenes])
    other = kl_divergence(moments.mean, moments.cov, moments.loc, moments.own)
    if reverse:
        other = kl_divergence(moments.loc, moments.own, moments.mean, moments.cov)
    lost = gamma(1000) * condition * (1 + other)
    rise = np.concatenate([lower, np.zeros((len(lower), 1)), upper[:, ::-1]], axis=1)
    off = np.concatenate([errors[:, 0], np.zeros((len(lower), 1)), errors[:, 1, ::-1]], axis=1)
    low, high = (rise[:, 1:], rise[:, :-1]) if falling else (rise[:, :-1], rise[:, 1:])
    parts = [
        Comparison.identities(
            lower[:, 0], ends[:, 0], scale=1.0, library=errors[:, 0, 0], elbo=ends[:, 1]
        ),
        Comparison.identities(
            upper[:, 0], other, scale=1.0, library=errors[:, 1, 0], rounding=lost
        ),
        Comparison.each_at_most(low, high, scale=1.0, library=off[:, 1:] + off[:, :-1]),
    ]
    if scenes[0].dim == 1:
        products = [product_quadrature(s) for s in scenes]
        means, wide = (np.array([p[i] for p in products]) for i in (0, 1))
        told = np.stack([means[:, 0], means[:, 2 if all_exact else 1]], axis=1)
        parts.append(
            Comparison.identities(
                values[:, :, 1], told, scale=1.0, library=errors[:, :, 1],
                lattice=wide.max(axis=-1)[:, None], rounding=lost[:, None],
            )
        )  # fmt: skip
    return [Comparison.all_of(*each) for each in zip(*parts, strict=True)]


CLOSING_IN = Proposition(
    label="15c",
    title="With one sample from the posterior the importance weighted bound is an upper bound",
    statement=(
        r"\mathrm{ELBO} = L_1 \le L_K \le L_{K+1} \le \log p(x) \le U_{K+1} \le U_K \le U_1 = "
        r"\mathrm{EUBO},\quad U_K - \log p(x) = \int_0^\infty \Big(e^{-t} + \varphi'(t/K)\,"
        r"\varphi(t/K)^{K-1}\Big)\frac{dt}t"
    ),
    hypotheses=(
        WEIGHTS,
        SANDWICH,
        ("the transform", r"\varphi(t) = \mathbb E_q e^{-tw/p(x)}"),
        ("linear model, Gaussian noise", r"d \le 2,\ K \in \{1, 2, 8, 64, 128, 256\}"),
    ),
    kind="identity",
    instances=light_scenes((1, 1, 2)),
    check=bounds_close_in,
    controls=wrong(
        bounds_close_in,
        {
            "all samples from the posterior": {"all_exact": True},
            "the bounds move apart": {"falling": True},
            "U_1 - log p(x) = KL(q || p(z|x))": {"reverse": True},
        },
    ),
    uses=("14a", "15b"),
    figure="evidence-sandwich",
    examples=8,
)


def _extrapolated(counts: Array, values: Array, errors: Array) -> tuple[Array, Array, Array]:
    """Limits of values `(I, 3)` at doubling counts, how far extrapolations differ, and noise."""
    first = 2 * values[:, 1:] - values[:, :-1]
    second = (4 * first[:, 1] - first[:, 0]) / 3
    noise = (8 * errors[:, 2] + 6 * errors[:, 1] + errors[:, 0]) / 3
    return second, np.abs(second[:, None] - first).max(axis=-1), noise


@together(alike=lambda scene: scene.dim)
def mid_point(
    scenes: Sequence[WeightScene],
    *,
    first_order: bool = False,
    sign: float = 1.0,
    lower_only: bool = False,
    third: float = 1.0,
) -> list[Comparison]:
    """Compare limits of K^2 times the mid-point's error with the moments of the weights."""
    given = tuple(scenes)
    values, errors, _ = both_bounds(given)
    moments = moments_of(given)
    powers = [np.exp((k - 1) * moments.renyi(k)[0]) for k in (2.0, 3.0)]
    mu2, mu3 = powers[0] - 1, powers[1] - 3 * powers[0] + 2
    counts = np.array(_COUNTS[-3:], dtype=float)
    upper, middle = values[:, 1, -3:], values[:, :, -3:].mean(axis=1)
    off = errors[:, :, -3:].max(axis=1) * counts**2
    mid = middle * (counts if first_order else counts**2)
    if lower_only:
        mid = values[:, 0, -3:] * counts**2
    told = third * mu3 / 12 - sign * mu2**2 / 4
    if first_order:
        # As if the mid-point were off by a term of order 1/K.
        told = mu2 / 4
    size = np.abs(mu3) / 12 + mu2**2 / 4 + mu2 / 4
    limits = []
    above = counts**2 * (upper - mu2[:, None] / (2 * counts))
    for left, right in ((mid, told), (above, mu2**2 / 4 - mu3 / 6)):
        limit, extrapolation, noise = _extrapolated(counts, left, off)
        limits.append(
            Comparison.identities(
                limit, right, scale=size, extrapolation=extrapolation, library=noise
            )
        )
    return [Comparison.all_of(*each) for each in zip(*limits, strict=True)]


MID_POINT = Proposition(
    label="15c-midpoint",
    title="The mid-point of the two bounds gains an order in K",
    statement=(
        r"U_K - \log p(x) = \frac{\mu_2}{2K} + \Big(\frac{\mu_2^2}4 - \frac{\mu_3}6\Big)"
        r"\frac1{K^2} + O(K^{-3}),\quad \frac{L_K + U_K}2 - \log p(x) = \Big(\frac{\mu_3}{12} - "
        r"\frac{\mu_2^2}4\Big)\frac1{K^2} + O(K^{-3})"
    ),
    hypotheses=(
        WEIGHTS,
        SANDWICH,
        ("four moments", r"\mu_k = \mathbb E_q (w/p(x) - 1)^k < \infty,\ k \le 4"),
    ),
    kind="rate",
    instances=light_scenes((1, 1, 2)),
    check=mid_point,
    controls=wrong(
        mid_point,
        {
            "the mid-point is off by mu_2 / 4K": {"first_order": True},
            "+ mu_2^2 / 4": {"sign": -1.0},
            "L_K alone does as well": {"lower_only": True},
            "mu_3 / 6": {"third": 2.0},
        },
    ),
    uses=("14b", "15c"),
    figure="evidence-sandwich",
    resolution=1e-2,
    examples=8,
)  # fmt: skip

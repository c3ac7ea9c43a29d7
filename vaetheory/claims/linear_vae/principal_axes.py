"""Checks of 12b and 12b-equal: the maximisers are the principal axes, up to signs and order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import linear_vae, linear_vae_optimum
from vaetheory.checking import Comparison, Proposition, together, wrong
from vaetheory.claims.linear_vae.scenes import (
    ENCODER,
    GAUSSIAN,
    MATRICES,
    SPECTRUM,
    LinearData,
    linear_data,
    mean_log_density,
    rounding_of,
    stacked,
    turned,
)
from vaetheory.rounding import gamma


def _maximum(spectrum: Array, d: int, noise: Array, count: int, unbiased: bool) -> Array:
    """The maximum of 12b from the spectra `(I, D)`, a_j = max(lam_j, sigma^2)."""
    values = spectrum * count / (count - 1) if unbiased else spectrum
    a = np.maximum(values[:, :d], noise[:, None])
    kept = np.log(a).sum(axis=-1) + (values[:, :d] / a).sum(axis=-1)
    dim = spectrum.shape[-1]
    rest = (dim - d) * np.log(noise) + values[:, d:].sum(axis=-1) / noise
    return np.asarray(-0.5 * (dim * np.log(2 * np.pi) + kept + rest))


@together(alike=lambda scene: scene.shape)
def principal_axes(
    scenes: Sequence[LinearData],
    *,
    sign: float = -1.0,
    unbiased: bool = False,
    turn_costs: bool = True,
    share: float = 1.0,
) -> list[Comparison]:
    """Compare the maximum with the spectrum, the likelihood of pPCA, other and turned weights."""
    X, other, noise = stacked(scenes)
    d = other.shape[-1]
    spectrum = np.array([s.data.spectrum for s in scenes])
    axes = np.stack([s.data.axes for s in scenes])[..., :d]
    best = linear_vae_optimum(X, d, variance=noise)
    expected = _maximum(spectrum, d, noise, X.shape[-2], unbiased)
    kept = spectrum[:, :d] > noise[:, None]
    lengths = np.sqrt(np.where(kept, spectrum[:, :d] + sign * noise[:, None], 0.0))
    weight = axes * lengths[:, None]
    again = linear_vae(X, weight, variance=noise)
    away = linear_vae(X, other, variance=noise)
    around = linear_vae(X, turned(scenes, weight), variance=noise)
    M = np.swapaxes(turned(scenes, weight), -1, -2) @ turned(scenes, weight)
    M = M + noise[:, None, None] * np.eye(d)
    diagonal = np.log(np.diagonal(M, axis1=-2, axis2=-1)).sum(axis=-1)
    cost = 0.5 * share * (diagonal - np.linalg.slogdet(M)[1]) if turn_costs else 0.0
    lost = rounding_of(X, best.weight, noise)
    size = 1 + np.abs(expected)
    each = [
        Comparison.identities(best.value, expected, scale=size, library=best.error, spectrum=lost),
        Comparison.identities(
            again.value, expected, scale=size, library=again.error, spectrum=lost
        ),
        Comparison.identities(
            best.value, mean_log_density(X, best.weight, noise), scale=size,
            library=best.error, density=lost,
        ),
        Comparison.each_at_most(
            away.value, expected, scale=size, library=away.error, spectrum=lost
        ),
        Comparison.identities(
            expected - around.value, cost, scale=size, library=around.error, spectrum=lost
        ),
        _columns(best.weight, weight, spectrum, noise, d),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


def _columns(
    found: Array, expected: Array, spectrum: Array, noise: Array, d: int
) -> list[Comparison]:
    """Compare columns up to their signs, where eigenvalues are distinct and above the noise."""
    signs = np.sign(np.einsum("ijk,ijk->ik", found, expected))
    difference = np.linalg.norm(found * signs[:, None] - expected, axis=-2)
    beside = np.concatenate([spectrum, noise[:, None]], axis=-1)
    # The columns of the axes whose eigenvalue is apart from every other and from sigma^2.
    distance = np.abs(spectrum[:, :d, None] - beside[:, None])
    at = np.arange(d)
    distance[:, at, at] = np.inf
    apart = np.minimum(distance.min(axis=-1), spectrum[:, :d])
    fixed = (apart > 0) & (spectrum[:, :d] > noise[:, None])
    top = spectrum[:, :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        length = np.sqrt(np.maximum(spectrum[:, :d] - noise[:, None], 0.0))
        # An axis is lost by the ratio of the largest eigenvalue to the distance of the next, and a
        # length by the derivative of the root.
        bound = gamma(400) * top * (length / apart + 1 / length)
    return Comparison.identities(
        np.where(fixed, difference, 0.0), 0.0, scale=np.sqrt(top),
        perturbation=np.where(fixed, bound, 0.0),
    )  # fmt: skip


PRINCIPAL_AXES = Proposition(
    label="12b",
    title="The best linear VAE finds the principal axes, and not only their span",
    statement=(
        r"\lambda_1 > \dots > \lambda_d > \max(\sigma^2, \lambda_{d+1}):\ "
        r"\operatorname*{arg\,max}_W \mathrm{ELBO}(W) = "
        r"\{U_d(\operatorname{diag}\lambda - \sigma^2 I)^{1/2}P\},\ P \text{ a signed permutation};"
        r"\quad \max = -\tfrac12\Big[D\log 2\pi + \sum_{j\le d}\log a_j + (D-d)\log\sigma^2 + "
        r"\sum_{j\le d}\lambda_j/a_j + \sum_{j>d}\lambda_j/\sigma^2\Big],\ "
        r"a_j = \max(\lambda_j, \sigma^2);\quad W \to WR \text{ costs } "
        r"\tfrac12\Big(\sum_j\log(R^\top MR)_{jj} - \log\det M\Big)"
    ),
    hypotheses=(GAUSSIAN, ENCODER, MATRICES, SPECTRUM),
    kind="identity",
    instances=linear_data(),
    check=principal_axes,
    controls=wrong(
        principal_axes,
        {
            "lengths with lam_j + sigma^2": {"sign": 1.0},
            "the eigenvalues of N - 1": {"unbiased": True},
            "a turn that costs nothing, as in pPCA": {"turn_costs": False},
            "twice the cost of a turn": {"share": 2.0},
        },
    ),
    uses=("12a",),
    figure="linear-vae",
)


@st.composite
def equal_pairs(draw: DrawFn) -> LinearData:
    """Data whose first two eigenvalues are equal, or nearly so, with two units and less noise."""
    return draw(
        linear_data(shapes=((2, 2), (3, 2), (4, 2)), ratios=(1.0, 1.5), noises=(0.0625, 0.03125))
    )


@together(alike=lambda scene: scene.shape)
def equal_eigenvalues(
    scenes: Sequence[LinearData], *, distinct: bool = False, axis: bool = False
) -> list[Comparison]:
    """Check that a turn costs nothing exactly where the first two eigenvalues are equal.

    The instance's spectrum gives the case of distinct eigenvalues; its first one is then repeated.
    """
    X, _, noise = stacked(scenes)
    spectrum = np.array([s.data.spectrum for s in scenes])
    axes = np.stack([s.data.axes for s in scenes])
    dim, count = spectrum.shape[-1], X.shape[-2]
    equal = spectrum.copy()
    equal[:, 1] = equal[:, 0]
    changed = np.swapaxes(axes * np.sqrt(dim * equal)[:, None], -1, -2)
    centre = X.mean(axis=-2, keepdims=True)
    Y = np.concatenate([changed, -changed], axis=-2) + centre
    first = (spectrum if distinct else equal)[:, :2]
    weight = axes[..., :2] * np.sqrt(first - noise[:, None])[:, None]
    best, around = (
        linear_vae(X if distinct else Y, w, variance=noise)
        for w in (weight, turned(scenes, weight))
    )
    size = 1 + np.abs(best.value)
    lost = rounding_of(X if distinct else Y, weight, noise)
    found = [
        Comparison.identities(
            best.value, around.value, scale=size, library=best.error + around.error, weights=lost
        )
    ]
    if axis:
        # "Still the axes themselves": the first column on the first axis.
        inside = np.einsum("ij,ij->i", turned(scenes, weight)[..., 0], axes[..., 0])
        length = np.sqrt(first[:, 0] - noise)
        found.append(
            Comparison.identities(inside, length, scale=length, rounding=gamma(20 * count) * length)
        )
    return [Comparison.all_of(*parts) for parts in zip(*found, strict=True)]


EQUAL_EIGENVALUES = Proposition(
    label="12b-equal",
    title="Two equal eigenvalues leave the axes of their plane free",
    statement=(
        r"\lambda_1 = \lambda_2 > \sigma^2:\quad \mathrm{ELBO}(W^*R) = \mathrm{ELBO}(W^*) "
        r"\text{ for every turn } R \text{ of the first two columns}"
    ),
    hypotheses=(
        GAUSSIAN,
        ENCODER,
        ("equal eigenvalues", r"\lambda_1 = \lambda_2 > \sigma^2,\ d = 2"),
    ),
    kind="counterexample",
    instances=equal_pairs(),
    check=equal_eigenvalues,
    controls=wrong(
        equal_eigenvalues,
        {
            "distinct eigenvalues": {"distinct": True},
            "the axes are found all the same": {"axis": True},
        },
    ),
    uses=("12b",),
    examples=10,
)

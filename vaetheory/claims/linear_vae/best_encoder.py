"""Check of 12a: the best encoder of a linear decoder, what it loses, and the profile ELBO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.linear_autoencoder import linear_vae
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.linear_vae.scenes import (
    ENCODER,
    GAUSSIAN,
    MATRICES,
    LinearData,
    linear_data,
    mean_elbo,
    rounding_of,
    stacked,
)
from vaetheory.encoders import Posterior

# How far the other posterior is: its means, and the logarithms of its variances.
_AWAY, _WIDER = 0.25, 0.125


@once
def exact_elbos(
    scenes: tuple[LinearData, ...], encoder: Array, variances: Array
) -> tuple[Array, Array, Array]:
    """ELBOs by quadrature, `(I, 2, N)`: of the encoder, and of a posterior nearby; their errors.

    Third, the log evidences `(I, N)`, by SciPy.
    """
    from scipy.stats import multivariate_normal

    X, weights, noise = stacked(scenes)
    vaes = linear_vae(X, weights, variance=noise)
    values, errors, evidences = [], [], []
    for i, scene in enumerate(scenes):
        vae = linear_vae(X[i], weights[i], variance=noise[i])
        loc = (X[i] - vae.bias) @ encoder[i].T
        shift = _AWAY * np.array(scene.other)
        twice = np.stack([loc, loc + shift])
        cov = np.stack([np.diag(variances[i]), np.diag(variances[i] * np.exp(_WIDER * shift))])
        cov = np.repeat(cov[:, None], len(loc), axis=1)
        found = elbo(vae.model(), np.stack([X[i]] * 2), Posterior(twice, cov=cov))
        values.append(found.value)
        errors.append(found.error)
        total = weights[i] @ weights[i].T + noise[i] * np.eye(X.shape[-1])
        evidences.append(multivariate_normal.logpdf(X[i], vaes.bias[i], total))
    return np.stack(values), np.stack(errors), np.stack(evidences)


@together(alike=lambda scene: scene.shape)
def best_encoder(
    scenes: Sequence[LinearData],
    *,
    prior: bool = True,
    marginal: bool = False,
    sign: float = 1.0,
    log_det: bool = False,
) -> list[Comparison]:
    """Compare ELBOs by quadrature at the encoder of 12a, and nearby, with the closed forms."""
    X, W, noise = stacked(scenes)
    dim = W.shape[-1]
    ridge = noise if prior else np.ones_like(noise)
    M = np.swapaxes(W, -1, -2) @ W + ridge[:, None, None] * np.eye(dim)
    encoder = np.linalg.solve(M, np.swapaxes(W, -1, -2))
    diagonal = np.diagonal(M, axis1=-2, axis2=-1)
    inverse = np.diagonal(np.linalg.inv(M), axis1=-2, axis2=-1)
    variances = noise[:, None] * (inverse if marginal else 1 / diagonal)
    values, errors, evidences = exact_elbos(tuple(scenes), encoder, variances)
    half_log_det = 0.5 * np.linalg.slogdet(M)[1]
    logs = 0.5 * np.log(diagonal).sum(axis=-1)
    gap = logs - sign * half_log_det
    shift = _AWAY * np.array([s.other for s in scenes])
    # Away from the best one the ELBO falls by a square in the mean, and by a divergence in each
    # variance: no diagonal Gaussian is better, for any datum.
    square = np.einsum("ij,ijk,ik->i", shift, M, shift) / (2 * noise)
    grown = np.exp(_WIDER * shift) - 1 - _WIDER * shift
    deficit = square + 0.5 * grown.sum(axis=-1)
    lost = rounding_of(X, W, noise)
    profile = _profile(X, W, noise, half_log_det if log_det else logs)
    vae = linear_vae(X, W, variance=noise)
    size = 1 + np.abs(evidences).max(axis=-1)
    away = size + square
    each = [
        Comparison.identities(
            values[:, 0], evidences - gap[:, None], scale=size[:, None],
            elbo=errors[:, 0], closed_form=lost[:, None],
        ),
        Comparison.identities(
            values[:, 0] - values[:, 1], deficit[:, None], scale=away[:, None],
            elbo=errors.sum(axis=1), closed_form=(lost * (1 + square))[:, None],
        ),
        Comparison.identities(
            vae.value, profile, scale=size, library=vae.error, closed_form=lost,
        ),
        Comparison.identities(
            vae.value, values[:, 0].mean(axis=-1), scale=size,
            library=vae.error, elbo=errors[:, 0].max(axis=-1),
        ),
        Comparison.identities(vae.gap, gap, scale=size, library=vae.error, closed_form=lost),
        Comparison.identities(
            vae.value, mean_elbo(X, W, noise, vae.encoder, vae.posterior_variances), scale=size,
            library=vae.error, closed_form=lost,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


def _profile(X: Array, W: Array, noise: Array, half_log_det: Array) -> Array:
    """The ELBO of a weight without its encoder, from the covariance of the data."""
    dim, d = W.shape[-2:]
    centred = X - X.mean(axis=-2, keepdims=True)
    cov = np.swapaxes(centred, -1, -2) @ centred / X.shape[-2]
    total = W @ np.swapaxes(W, -1, -2) + noise[:, None, None] * np.eye(dim)
    trace = np.trace(np.linalg.solve(total, cov), axis1=-2, axis2=-1)
    constant = dim * np.log(2 * np.pi) + (dim - d) * np.log(noise)
    return np.asarray(-0.5 * (constant + trace) - half_log_det)


BEST_ENCODER = Proposition(
    label="12a",
    title="The best encoder of a linear VAE loses the same for every datum",
    statement=(
        r"V = M^{-1}W^\top,\ \delta_j = \sigma^2/M_{jj}:\quad "
        r"\log p(x) - \mathrm{ELBO}(x) = \tfrac12\Big(\sum_j\log M_{jj} - \log\det M\Big);\quad "
        r"\mathrm{ELBO}(W) = -\tfrac12\Big[D\log 2\pi + (D - d)\log\sigma^2 + "
        r"\operatorname{tr} C^{-1}\Lambda + \sum_j\log M_{jj}\Big];\quad "
        r"\text{at } m + a,\ \delta e^{c}:\ \text{less by } "
        r"\tfrac1{2\sigma^2}a^\top M a + \tfrac12\sum_j(e^{c_j} - 1 - c_j)"
    ),
    hypotheses=(GAUSSIAN, ENCODER, MATRICES),
    kind="identity",
    instances=linear_data(),
    check=best_encoder,
    controls=wrong(
        best_encoder,
        {
            "the exact marginal variances": {"marginal": True},
            "M = W^T W + I": {"prior": False},
            "the log determinant with the other sign": {"sign": -1.0},
            "the profile with log det M for the diagonal": {"log_det": True},
        },
    ),
    uses=("3c", "3d"),
    figure="linear-vae",
)

"""The linear VAE in closed form: the best encoder of a weight, and the best weight of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import decoders, likelihoods
from vaetheory._validation import (
    Array,
    as_array,
    integer,
    positive,
    representable,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import EPS, gamma

_LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class LinearVAE(ByValue):
    """A linear VAE with the best encoder of its kind, and its mean ELBO.

    The decoder is W z + b with noise sigma^2 I, the encoder N(V (x - b), diag(delta)).

    Attributes
    ----------
    weight : array (..., D, d)
        W.
    bias : array (..., D)
        b, the mean of the data.
    variance : array (...)
        sigma^2.
    encoder : array (..., d, D)
        V = M^-1 W^T, M = W^T W + sigma^2 I.
    posterior_variances : array (..., d)
        delta_j = sigma^2 / M_jj.
    value : array (...)
        The mean ELBO over the data, in nats.
    error : array (...)
        First-order bound of the rounding error of `value`, and of that of `gap`, in nats.
    gap : array (...)
        The mean log evidence minus `value`, in nats: the same for every datum.
    divergences : array (..., d)
        The mean divergence of each unit from its prior over the data, in nats; 0 where it has
        collapsed.
    """

    weight: Array
    bias: Array
    variance: Array
    encoder: Array
    posterior_variances: Array
    value: Array
    error: Array
    gap: Array
    divergences: Array

    @property
    def log_evidence(self) -> Array:
        """The mean log evidence of the data, in nats, `(...)`: the likelihood of pPCA."""
        return self.value + self.gap

    @property
    def active(self) -> Array:
        """Where a unit has not collapsed: its column of W is not zero, `(..., d)`."""
        return np.asarray((self.weight != 0).any(axis=-2))

    def model(self) -> LatentModel:
        """The latent model, which the functions for any decoder take.

        Raises
        ------
        ValueError
            If there are leading axes, which are several models.
        """
        self._require_one("model")
        scale = float(np.sqrt(self.variance))
        return LatentModel(
            decoders.Affine(self.weight, self.bias),
            likelihoods.Gaussian(scale=scale),
            self.weight.shape[-1],
        )

    def posterior(self, X: ArrayLike) -> Posterior:
        """The encoder's posteriors of data `(..., D)`.

        Raises
        ------
        ValueError
            If there are leading axes, or the data have another dimension.
        """
        self._require_one("posterior")
        data = vectors("X", X, self.weight.shape[-2])
        loc = (data - self.bias) @ self.encoder.T
        cov = np.broadcast_to(np.diag(self.posterior_variances), (*loc.shape, loc.shape[-1]))
        return Posterior(loc, cov=cov)

    def _require_one(self, name: str) -> None:
        if self.weight.ndim != 2:
            raise ValueError(
                f"{name}: expected one linear VAE, got {self.weight.shape[:-2]} of them"
            )


def linear_vae(X: ArrayLike, weight: ArrayLike, *, variance: ArrayLike) -> LinearVAE:
    """The best encoder of a linear decoder, and the mean ELBO with it: the profile ELBO.

    The bias is the mean of the data, which is the best one. No other encoder with diagonal
    covariances is better, even if it is free for every datum.

    Parameters
    ----------
    X : array (..., N, D)
        The data; leading axes are separate data sets.
    weight : array (..., D, d)
        W, with the leading axes of `X`.
    variance : float or array (...)
        sigma^2, of the likelihood N(W z + b, sigma^2 I).

    Returns
    -------
    LinearVAE

    Raises
    ------
    ValueError
        If shapes do not fit, a variance is not positive, or numbers leave the range of float64.

    Notes
    -----
    Source: claim 12a. ELBO(W) = -1/2 (D log 2 pi + (D - d) log sigma^2 + tr C^-1 Lam
    + sum_j log M_jj) with the covariance Lam of the data, divided by N, and C = W W^T + sigma^2 I.
    The trace is a sum of squares in the singular axes of W, in which nothing cancels.

    Examples
    --------
    >>> from vaetheory.bounds import linear_vae
    >>> vae = linear_vae([[-2.0, 0.0], [2.0, 0.0]], [[1.0], [0.0]], variance=1.0)
    >>> vae.encoder.tolist(), vae.posterior_variances.tolist()
    ([[0.5, 0.0]], [0.5])
    >>> round(float(vae.value), 6), float(vae.gap)
    (-3.184451, 0.0)
    """
    data = _data_sets(X)
    w = as_array("weight", weight, min_ndim=2)
    shape = (*data.shape[:-2], data.shape[-1])
    if w.shape[:-1] != shape or w.shape[-1] == 0:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"weight: expected shape ({wanted}, d) to go with X, got {w.shape}")
    squarable("weight", w)
    return _best_encoder(data, w, _variances(variance, data))


def linear_vae_optimum(
    X: ArrayLike, latent_dim: int, *, variance: ArrayLike | None = None
) -> LinearVAE:
    """The linear VAE of the greatest mean ELBO.

    Its columns are the first principal axes of the data, of length (lam_j - sigma^2)^(1/2), or zero
    where lam_j <= sigma^2: these units collapse. If lam_1 > ... > lam_d > max(sigma^2, lam_{d+1}),
    all maximisers differ from it in the signs and in the order of the columns only.

    Parameters
    ----------
    X : array (..., N, D)
        The data; leading axes are separate data sets.
    latent_dim : int
        d, from 1 to D.
    variance : float or array (...), optional
        sigma^2, if it is fixed; by default it is learned, which needs data of a rank above d.

    Returns
    -------
    LinearVAE
        The signs of the columns are such that their largest entry is positive.

    Raises
    ------
    ValueError
        As for `linear_vae`; also if the noise is learned and d dimensions hold all data, so that
        the ELBO has no maximum.

    Notes
    -----
    Source: claims 12b to 12e; the maximum is that of the likelihood of probabilistic PCA.

    Examples
    --------
    >>> from vaetheory.bounds import linear_vae_optimum
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> vae = linear_vae_optimum(X, 1)
    >>> vae.weight.round(12).tolist(), vae.variance.round(12).tolist()
    ([[2.0], [0.0]], 0.5)
    >>> linear_vae_optimum(X, 2, variance=1.0).active.tolist()
    [True, False]
    """
    data = _data_sets(X)
    dim = data.shape[-1]
    d = integer("latent_dim", latent_dim, low=1, high=dim)
    centred = data - data.mean(axis=-2, keepdims=True)
    _, roots, axes = np.linalg.svd(centred, full_matrices=False)
    missing = max(0, d - roots.shape[-1])
    # A set of fewer data than dimensions lies in their span: the other axes have no variance.
    roots = np.concatenate([roots, np.zeros((*roots.shape[:-1], missing))], axis=-1)
    axes = np.concatenate([axes, np.zeros((*axes.shape[:-2], missing, dim))], axis=-2)
    spectrum = roots**2 / data.shape[-2]
    if variance is None:
        rest = spectrum[..., d:].sum(axis=-1)
        least = (EPS * max(data.shape[-2:])) ** 2 * spectrum[..., 0]
        if d == dim or (rest <= least).any():
            raise ValueError(
                f"variance: expected a number, got None for data that {d} dimensions hold: the "
                "ELBO grows without bound as sigma -> 0"
            )
        noise = rest / (dim - d)
    else:
        noise = _variances(variance, data)
    lengths = np.sqrt(np.maximum(spectrum[..., :d] - noise[..., None], 0.0))
    columns = np.swapaxes(axes[..., :d, :], -1, -2)
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=-2)[..., None, :], axis=-2)
    signs = np.where(largest < 0, -1.0, 1.0)
    return _best_encoder(data, signs * columns * lengths[..., None, :], noise)


def _data_sets(X: ArrayLike) -> Array:
    """Data sets `(..., N, D)`."""
    data = as_array("X", X, min_ndim=2)
    if 0 in data.shape:
        raise ValueError(f"X: expected non-empty data sets of shape (..., N, D), got {data.shape}")
    return squarable("X", data)


def _variances(variance: ArrayLike, data: Array) -> Array:
    """A positive number for each data set."""
    noise = positive("variance", variance, max_ndim=data.ndim - 2)
    shape = data.shape[:-2]
    if noise.shape not in ((), shape):
        raise ValueError(f"variance: expected a number or shape {shape}, got shape {noise.shape}")
    return np.broadcast_to(noise, shape)


def _best_encoder(data: Array, w: Array, noise: Array) -> LinearVAE:
    """Claim 12a: the best encoder of the weights `(..., D, d)` and its ELBO."""
    count, dim = data.shape[-2:]
    d = w.shape[-1]
    mean = data.mean(axis=-2)
    centred = data - mean[..., None, :]
    with np.errstate(all="ignore"):
        left, s, right = np.linalg.svd(w, full_matrices=False)
        spread = s**2 + noise[..., None]
        encoder = np.swapaxes(right, -1, -2) * (s / spread)[..., None, :]
        encoder = encoder @ np.swapaxes(left, -1, -2)
        diagonal = (w**2).sum(axis=-2) + noise[..., None]
        along = centred @ left
        across = centred - along @ np.swapaxes(left, -1, -2)
        trace = ((along**2) / spread[..., None, :]).sum(axis=(-1, -2))
        trace = (trace + (across**2).sum(axis=(-1, -2)) / noise) / count
        logs = np.log(diagonal / noise[..., None])
        value = -0.5 * (dim * (_LOG_2_PI + np.log(noise)) + trace + logs.sum(axis=-1))
        log_ratio = np.log(diagonal).sum(axis=-1) - np.log(spread).sum(axis=-1)
        # Where there are more columns than rows, M has the eigenvalue sigma^2 as well.
        log_ratio = log_ratio - max(0, d - s.shape[-1]) * np.log(noise)
        moments = ((centred @ np.swapaxes(encoder, -1, -2)) ** 2).mean(axis=-2)
        variances = noise[..., None] / diagonal
        # Moments and variances each give a part that is exactly zero where a column is.
        excess = 1 - variances
        divergences = 0.5 * (moments - excess + logs)
        # C is known up to a rounding of its norm, and C^-1 loses its condition number.
        condition = spread.max(axis=-1) / noise
        size = dim * (np.abs(np.log(noise)) + 3) + np.abs(logs).sum(axis=-1)
        # Data far from the origin are centred up to a rounding of their own size.
        away = gamma(count + 2) * np.abs(data).max(axis=(-1, -2)) * np.sqrt(dim / noise)
        error = away * (2 * np.sqrt(trace) + away) / 2 + gamma(20 * (dim + d) + count) * (
            condition * (trace + d) + size
        )
    gap = np.maximum(0.5 * log_ratio, 0.0)
    for array in (encoder, variances, value, error, gap, divergences):
        representable("X, weight and variance", array, "ELBOs")
    return LinearVAE(w, mean, noise, encoder, variances, value, error, gap, divergences)

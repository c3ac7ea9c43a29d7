"""What the two terms of the ELBO are: rate, distortion, and the information between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._log_sums import log_sum_exp
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import (
    Array,
    as_array,
    data_set,
    fraction,
    integer,
    positive,
    require,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.linear_autoencoder import LinearVAE, linear_vae_optimum
from vaetheory.encoders import AggregatePosterior
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import gamma


@dataclass(frozen=True, eq=False)
class Surgery(ByValue):
    """The mean divergence of posteriors from the prior, split in two.

    Attributes
    ----------
    rate : float
        The mean over the data of KL(q(z|x) || N(0, I)), in nats: `information + divergence`.
    information : float
        The mutual information I_q of a datum's index and its code, from 0 to log N.
    divergence : float
        KL(q(z) || N(0, I)) of the aggregate posterior.
    error : float
        Estimate of the error of `information`, and of `divergence`.
    reached : bool
        Whether the tolerance was reached for every datum.
    """

    rate: float
    information: float
    divergence: float
    error: float
    reached: bool


def elbo_surgery(encoder: AggregatePosterior, *, rtol: float = 1e-10) -> Surgery:
    """Split the rate of an encoder into information and the divergence of its aggregate.

    Parameters
    ----------
    encoder : AggregatePosterior
        One Gaussian per datum. Every pair of data is compared at every node.
    rtol : float
        Tolerance of the quadrature, in nats relative to one plus the mean modulus of the log
        responsibilities.

    Returns
    -------
    Surgery

    Raises
    ------
    ValueError
        If the encoder is another object or the tolerance is out of range.

    Notes
    -----
    Source: claim 16a; the identity is Hoffman's and Johnson's. I_q = log N + E_n E_q[log q(n|z)].

    Examples
    --------
    >>> from vaetheory import AggregatePosterior
    >>> from vaetheory.bounds import elbo_surgery
    >>> found = elbo_surgery(AggregatePosterior([[-2.0], [2.0]], scale=0.5))
    >>> round(found.rate, 6), round(found.information, 6), round(found.divergence, 6)
    (2.318147, 0.693054, 1.625094)
    """
    require("encoder", encoder, AggregatePosterior)
    rtol = fraction("rtol", rtol, low=1e-15, high=0.1)
    count = len(encoder.loc)
    rate = float(encoder.kl_to_prior().mean())

    def log_share(z: Array, rows: NDArray[np.intp]) -> Array:
        components = encoder.component_log_prob(z)
        own = np.take_along_axis(components, rows[:, None, None], axis=-1)[..., 0]
        # At most -1, so that the tolerance is one in nats even where nothing is left to integrate.
        return own - log_sum_exp(components) - 1

    found = gaussian_expectation(log_share, encoder.loc, encoder.cov, rtol=rtol)
    # The largest information is log N, which rounding must not exceed by more than the error.
    information = float(np.log(count) + found.value.mean() + 1)
    error = float(found.error.mean() + gamma(100) * (1 + np.log(count) + abs(rate)))
    return Surgery(rate, information, rate - information, error, bool(np.all(found.reached)))


@dataclass(frozen=True, eq=False)
class RateDistortion(ByValue):
    """The terms of the mean ELBO, and the information between them, in nats.

    Attributes
    ----------
    rate, information, divergence : float
        As in `Surgery`.
    distortion : float
        Minus the mean expected log likelihood; the mean ELBO is `-distortion - rate`.
    entropy : float or None
        The entropy of the data, of which equal ones count as one; None for a density.
    lower : float or None
        `entropy - distortion`, at most `information`; None for a density.
    error : float
        Estimate of the error of each of them.
    """

    rate: float
    information: float
    divergence: float
    distortion: float
    entropy: float | None
    lower: float | None
    error: float


def rate_distortion(
    model: LatentModel, X: ArrayLike, encoder: AggregatePosterior, *, rtol: float = 1e-10
) -> RateDistortion:
    """Rate and distortion of a VAE on its data, and the information that lies between.

    For likelihoods of counted things, entropy - distortion <= information <= rate, whatever the
    decoder. For densities the entropy of finite data has no place in this chain: a narrow density
    makes the distortion negative, so no lower bound is given.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
        The data.
    encoder : AggregatePosterior
        One posterior per datum.
    rtol : float
        Tolerance of both quadratures.

    Returns
    -------
    RateDistortion

    Raises
    ------
    ValueError
        If there is not one posterior per datum, or as for `elbo`.

    Notes
    -----
    Source: claim 16c, after Alemi et al.

    Examples
    --------
    >>> from vaetheory import AggregatePosterior, LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import rate_distortion
    >>> model = LatentModel(decoders.Affine([[4.0]]), likelihoods.Bernoulli(), 1)
    >>> encoder = AggregatePosterior([[-1.0], [1.0]], scale=0.5)
    >>> found = rate_distortion(model, [[0.0], [1.0]], encoder)
    >>> round(found.lower, 4) <= round(found.information, 4) <= round(found.rate, 4)
    True
    """
    require_model(model)
    data = model.likelihood.check_data(data_set("X", X))
    require("encoder", encoder, AggregatePosterior)
    if len(encoder.loc) != len(data):
        raise ValueError(
            f"encoder: expected one posterior for each of {len(data)} data, got {len(encoder.loc)}"
        )
    parts = elbo_surgery(encoder, rtol=rtol)
    bound = elbo(model, data, encoder, rtol=rtol)
    distortion = -float(bound.value.mean()) - parts.rate
    entropy = lower = None
    support = model.likelihood.support
    if support is not None and support.counted:
        _, counts = np.unique(data, axis=0, return_counts=True)
        shares = counts / len(data)
        entropy = float(-(shares * np.log(shares)).sum())
        lower = entropy - distortion
    error = parts.error + float(bound.error.mean())
    return RateDistortion(
        parts.rate, parts.information, parts.divergence, distortion, entropy, lower, error
    )


def reverse_water_filling(
    spectrum: ArrayLike, level: ArrayLike, *, latent_dim: int | None = None
) -> tuple[Array, Array]:
    """Rate and mean square error of the best linear VAEs at a water level.

    Parameters
    ----------
    spectrum : array (D,)
        The eigenvalues of the data's covariance, in any order.
    level : float or array (...)
        The water level t = beta sigma^2.
    latent_dim : int, optional
        The number of units, D by default; the largest eigenvalues get one.

    Returns
    -------
    rate, square : arrays (...)
        sum over the units of 1/2 log(lam_j / t) where positive, in nats; and the mean square error,
        min(lam_j, t) for each unit and lam_j for each other axis.

    Raises
    ------
    ValueError
        If an eigenvalue is negative, a level is not positive, or there are too many units.

    Notes
    -----
    Source: claim 16d. Along the curve d(square)/d(rate) = -2 t.

    Examples
    --------
    >>> from vaetheory.bounds import reverse_water_filling
    >>> rate, square = reverse_water_filling([4.0, 1.0, 0.25], 0.5)
    >>> round(float(rate), 6), float(square)
    (1.386294, 1.25)
    """
    lam = np.sort(as_array("spectrum", spectrum, ndim=1))[::-1]
    if lam.size == 0 or lam[-1] < 0:
        came = f"a least of {lam[-1]:g}" if lam.size else "none"
        raise ValueError(f"spectrum: expected eigenvalues of at least 0, got {came}")
    d = lam.size
    if latent_dim is not None:
        d = integer("latent_dim", latent_dim, low=1, high=lam.size)
    t = positive("level", level, max_ndim=64)[..., None]
    kept = lam[:d]
    with np.errstate(divide="ignore"):
        rate = 0.5 * np.log(np.maximum(kept / t, 1.0)).sum(axis=-1)
    square = np.minimum(kept, t).sum(axis=-1) + lam[d:].sum()
    return np.asarray(rate), np.asarray(square)


@dataclass(frozen=True, eq=False)
class LinearBetaVAE(ByValue):
    """The linear VAE of the greatest mean beta-ELBO.

    Attributes
    ----------
    vae : LinearVAE
        Its weight, encoder and posterior variances: those of the linear VAE with noise
        beta sigma^2, which has the same maximisers; its `value` is the ELBO of that one.
    variance : float
        sigma^2 of this VAE's likelihood.
    beta : float
    active : int
        The number of units that have not collapsed.
    value : float
        The mean beta-ELBO, -distortion - beta rate, in nats.
    rate, distortion : float
        In nats.
    """

    vae: LinearVAE
    variance: float
    beta: float
    active: int
    value: float
    rate: float
    distortion: float


def linear_beta_vae(
    X: ArrayLike, latent_dim: int, *, beta: float = 1.0, variance: float | None = None
) -> LinearBetaVAE:
    """The optimum of a linear VAE whose divergence has the factor beta.

    With a fixed sigma^2 beta only widens the likelihood: the optimum is that of noise
    beta sigma^2. If sigma is learned as well, beta is not absorbed: with k active units
    sigma^2 = (sum over j > k of lam_j) / (D - k beta), and there are none if
    beta >= D lam_1 / tr Lam.

    Parameters
    ----------
    X : array (N, D)
        The data.
    latent_dim : int
        d, from 1 to D.
    beta : float
        Factor of the divergence.
    variance : float, optional
        sigma^2; learned by default.

    Returns
    -------
    LinearBetaVAE

    Raises
    ------
    ValueError
        As for `linear_vae_optimum`, or if beta is not positive. With beta above 1 a maximum over
        sigma can exist although d dimensions hold all data.

    Notes
    -----
    Source: claims 16d and 16e.

    Examples
    --------
    >>> from vaetheory.bounds import linear_beta_vae
    >>> X = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    >>> [(b, linear_beta_vae(X, 1, beta=b).active) for b in (1.0, 1.75, 1.85)]
    [(1.0, 1), (1.75, 1), (1.85, 0)]
    >>> round(linear_beta_vae(X, 1, beta=1.5).variance, 12)
    1.0
    """
    factor = float(positive("beta", beta))
    data = data_set("X", X)
    dim = data.shape[1]
    d = integer("latent_dim", latent_dim, low=1, high=dim)
    if variance is None:
        noise = _learned_noise(data, d, factor)
    else:
        noise = float(positive("variance", variance))
    vae = linear_vae_optimum(data, d, variance=factor * noise)
    rate = float(vae.divergences.sum())
    # The ELBO at noise beta sigma^2 is -square / (2 beta sigma^2) - rate, with its constant.
    square = -2 * factor * noise * (float(vae.value) + rate)
    square -= factor * noise * dim * np.log(2 * np.pi * factor * noise)
    distortion = 0.5 * dim * np.log(2 * np.pi * noise) + square / (2 * noise)
    return LinearBetaVAE(
        vae, noise, factor, int(vae.active.sum()), -distortion - factor * rate, rate, distortion
    )


def _learned_noise(data: Array, d: int, beta: float) -> float:
    """The zero of sum min(lam_j, beta s) + sum of the rest - D s, which is concave in s."""
    count, dim = data.shape
    centred = data - data.mean(axis=0)
    roots = np.linalg.svd(centred, compute_uv=False)
    lam = np.zeros(dim)
    lam[: len(roots)] = roots**2 / count
    tiny = gamma(max(data.shape)) ** 2 * lam[0]
    if lam[d:].sum() <= tiny and beta * np.count_nonzero(lam > tiny) <= dim:
        raise ValueError(
            f"variance: expected a number, got None for data that {d} dimensions hold: the "
            "beta-ELBO has no maximum over sigma"
        )
    for k in range(d, -1, -1):
        left = dim - k * beta
        s = lam[k:].sum() / left if left > 0 else np.inf
        if k == 0 or lam[k - 1] > beta * s:
            return float(s)
    raise AssertionError("k = 0 ends the loop")

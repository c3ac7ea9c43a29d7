"""The density model of a trained VAE, with every parameter fixed from the training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import (
    Array,
    as_array,
    finite_numbers,
    representable,
    require,
    same_leading,
    scales,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds import bilbo, with_relative_variances
from vaetheory.bounds.after_training import fitted_likelihood, joined
from vaetheory.decoders import Decoder, TanhNetwork, as_decoder
from vaetheory.likelihoods import ContinuousBernoulli, Gaussian, GaussianMeanScale
from vaetheory.models import LatentModel
from vaetheory.training.networks import Network
from vaetheory.training.objectives import MOST_LOG_VARIANCE, OF_LATENTS, OF_LOGITS
from vaetheory.training.vae import TooLargeError, Vae, in_range, rows_of

#: The most latents decoded at a time, and the most numbers that they become.
_ROWS, _NUMBERS = 8192, 2**22


def blocks(count: int, each: int, dim: int) -> Iterator[slice]:
    """Slices of `count` data; each slice fits in a block with `each` latents for every datum.

    A latent is decoded to `dim` numbers.
    """
    step = max(1, min(_ROWS, _NUMBERS // dim) // each)
    for i in range(0, count, step):
        yield np.s_[i : min(i + step, count)]


def _reweighted(X: Array, xhat: Array, log_variances: Array) -> Array:
    try:
        return np.asarray(with_relative_variances(X, xhat, log_variances))
    except ValueError as error:
        raise TooLargeError(str(error)) from None


@dataclass(frozen=True, eq=False)
class Density(ByValue):
    """p(x) = E_{N(0, diag v)} N(x; f(z), diag sigma^2), with an encoder q(z|x) for lower bounds.

    If the decoder returns logits, the density of the data given the latent is the continuous
    Bernoulli density of these, also where the loss was the cross-entropy, which is no density of
    grey values.

    The quantities that an objective computes from each batch are fixed once from the training data:
    the floating prior v_j = E[m_j^2] + s_j^2, and the sigma_i of the profile likelihood or of
    BAGGINS. The density of a held-out datum does not depend on other held-out data.

    Attributes
    ----------
    vae : Vae
    params : array (count,)
    prior_scale : array (d,)
        sqrt(v); ones if the prior is N(0, I).
    log_sigma : array (D,) or None
        None if the decoder returns one for each latent, or logits. Varying deviations are relative
        to these.
    """

    vae: Vae
    params: Array
    prior_scale: Array
    log_sigma: Array | None

    def __post_init__(self) -> None:
        vae = require("vae", self.vae, Vae)
        for name, size in (
            ("params", vae.count),
            ("prior_scale", vae.latent_dim),
            ("log_sigma", vae.data_dim),
        ):
            value = getattr(self, name)
            if value is None and name == "log_sigma":
                continue
            array = as_array(name, value)
            if array.shape != (size,):
                raise ValueError(f"{name}: expected shape ({size},), got {array.shape}")
            object.__setattr__(self, name, array)
        scales("prior_scale", self.prior_scale)

    @classmethod
    def of(cls, vae: Vae, params: Array, X: Array, *, noise: Array) -> Density:
        """Fix the density model from training data.

        Parameters
        ----------
        vae : Vae
        params : array (count,)
        X : array (N, D)
            Training data.
        noise : array (draws, N, d)
            Standard normal draws for the expectations over q(z|x).
        """
        objective, d = vae.objective, vae.latent_dim
        prior_scale, log_sigma = np.ones(d), None
        loc, log_scale = vae.encode(params, X)
        if objective.floating:
            bound = bilbo(np.zeros(len(X)), loc, np.exp(log_scale[0]))
            prior_scale = np.sqrt(np.diagonal(bound.prior_cov))
        if objective.likelihood == "one":
            log_sigma = np.full(vae.data_dim, vae.split(params)[2][-1])
        elif objective.likelihood in ("profile", "baggins", "varying"):
            scale = np.exp(log_scale)
            draws = [vae.decode(params, loc + scale * e) for e in noise]
            again, fits = joined([X] * len(draws)), joined([xhat for xhat, _ in draws])
            each = [own for _, own in draws if own is not None]
            # Of large images these take most of the memory.
            del draws
            mean = np.zeros(vae.data_dim)
            if objective.likelihood == "varying":
                own = joined(each)
                mean = own.mean(axis=0)
                fits = _reweighted(again, fits, 2 * own)
                del own, each
            information = vae.information if objective.likelihood != "profile" else None
            fit = fitted_likelihood(again, [fits], information=information, pooled=vae.pooled)
            log_sigma = fit.log_scale - mean
        return cls(vae, params, prior_scale, log_sigma)

    @property
    def of_logits(self) -> bool:
        """Whether the decoder returns logits."""
        return self.vae.objective.likelihood in OF_LOGITS

    @property
    def of_variances(self) -> bool:
        """Whether variances depend on the latent."""
        return self.vae.objective.likelihood in OF_LATENTS

    def encode(self, X: Array) -> tuple[Array, Array]:
        """Posterior means and standard deviations, `(N, d)` each."""
        loc, log_scale = self.vae.encode(self.params, X)
        with np.errstate(over="ignore"):
            return loc, in_range("X", np.exp(log_scale))

    def decode(self, z: Array) -> tuple[Array, Array | None]:
        """Means `(n, D)` and log deviations `(n, D)` or `(D,)` at latents; or logits and None."""
        loc, own = self.vae.decode(self.params, z)
        if own is None or self.log_sigma is None:
            return loc, self.log_sigma if own is None else own
        return loc, own + self.log_sigma

    def divergence(self, loc: Array, scale: Array) -> Array:
        """The rate KL( N(loc, scale^2) || prior ) of each datum, `(N,)`, in nats."""
        loc = rows_of("loc", loc, self.vae.latent_dim)
        scale = rows_of("scale", scale, self.vae.latent_dim)
        same_leading("scale", scale, "loc", loc)
        if (scale <= 0).any():
            raise ValueError(f"scale: expected positive numbers, got {scale.min():g}")
        with np.errstate(all="ignore"):
            m, s = loc / self.prior_scale, scale / self.prior_scale
            divergence = 0.5 * (m**2 + s**2 - 1 - 2 * np.log(s)).sum(axis=-1)
        return representable("loc and scale", divergence, "divergences")

    def log_likelihood(self, X: Array, z: Array) -> Array:
        """Log p(x given z) of data `(n, D)` at K latents each `(n, K, d)`: `(n, K)`, in nats.

        Raises
        ------
        TooLargeError
            If a square overflows; it is both a FloatingPointError and a ValueError.
        """
        X, z = rows_of("X", X, self.vae.data_dim), finite_numbers("z", z)
        if z.ndim != 3 or z.shape[::2] != (len(X), self.vae.latent_dim) or not z.shape[1]:
            raise ValueError(
                f"z: expected shape ({len(X)}, K, {self.vae.latent_dim}), got {z.shape}"
            )
        n, k, d = z.shape
        xhat, log_sigma = self.decode(z.reshape(n * k, d))
        if log_sigma is None:
            logits = xhat.reshape(n, k, -1)
            fixed = ContinuousBernoulli().log_partition(xhat).reshape(n, k)
            return np.einsum("nd,nkd->nk", X, logits) - fixed
        with np.errstate(all="ignore"):
            white = X[:, None] - xhat.reshape(n, k, -1)
            white *= np.exp(-log_sigma).reshape(*((n, k) if log_sigma.ndim == 2 else ()), -1)
            square = np.einsum("nkd,nkd->nk", white, white)
        # NumPy's error state does not cover `einsum`.
        if not np.isfinite(square).all():
            raise TooLargeError(
                "X and z: expected a log likelihood that fits in float64, got an overflow"
            )
        fixed = self.vae.data_dim * LOG_2PI / 2 + log_sigma.sum(axis=-1)
        return -0.5 * square - (fixed.reshape(n, k) if log_sigma.ndim == 2 else fixed)

    def elbo(self, X: Array, noise: Array) -> Array:
        """An unbiased ELBO of each datum, `(N,)`, in nats, from given draws `(K, N, d)`."""
        loc, scale = self.encode(X)
        noise = finite_numbers("noise", noise)
        if noise.shape[1:] != loc.shape or not len(noise):
            raise ValueError(
                f"noise: expected shape (K, {loc.shape[0]}, {loc.shape[1]}), got {noise.shape}"
            )
        X = rows_of("X", X, self.vae.data_dim)
        expected = np.empty(len(X))
        for rows in blocks(len(X), len(noise), X.shape[1]):
            z = loc[rows, None] + scale[rows, None] * np.swapaxes(noise[:, rows], 0, 1)
            expected[rows] = self.log_likelihood(X[rows], z).mean(axis=1)
        return expected - self.divergence(loc, scale)

    def decoder(self) -> Decoder:
        """The decoder for a latent N(0, I) and in the units of the data.

        It returns the D means and, if the variances depend on the latent, the D log deviations
        after them; or logits. Fully connected layers with tanh between them, and no function of
        what they return, are a `TanhNetwork`, other networks a module of PyTorch.
        """
        network, units = self.vae.decoder, self.vae.units
        plain = self.vae.objective.likelihood not in ("bounded", "varying")
        if not (isinstance(network, Network) and plain):
            return as_decoder(self.vae.module(self.params, self.prior_scale, self.log_sigma))
        layers = network.layers(self.vae.split(self.params)[1])
        weights, biases = [w for w, _ in layers], [b for _, b in layers]
        weights[0] = weights[0] * self.prior_scale
        if self.of_logits:
            return TanhNetwork(weights, biases)
        # The network's outputs after the means are log variances.
        more = len(biases[-1]) - self.vae.data_dim
        loc = np.concatenate([units.loc, np.zeros(more)])
        scale = np.broadcast_to(units.scale, units.loc.shape)
        scale = np.concatenate([scale, np.full(more, 0.5)])
        weights[-1] = weights[-1] * scale[:, None]
        biases[-1] = loc + scale * biases[-1]
        return TanhNetwork(weights, biases)

    def latent_model(self) -> LatentModel:
        """The same density as a `LatentModel`, for `log_evidence`, `evidence_estimate` and `elbo`.

        Its latent is z / sqrt(v), which has the prior N(0, I) (claim 6b). If the decoder returns
        deviations, their floor is the least that its last layer can return.

        Raises
        ------
        ValueError
            If the decoder returns deviations without a floor: it has no hidden layer, or their
            floor is zero in float64.
        """
        decoder, d = self.decoder(), self.vae.latent_dim
        if self.of_logits:
            return LatentModel(decoder, ContinuousBernoulli(), d)
        if self.log_sigma is not None and not self.of_variances:
            return LatentModel(decoder, Gaussian(scale=np.exp(self.log_sigma)), d)
        if self.log_sigma is None and not self.vae.hidden:
            raise ValueError(
                "hidden: expected at least one layer, so that the variances have a floor, got none"
            )
        return LatentModel(decoder, GaussianMeanScale(np.exp(self._floor())), d)

    def _floor(self) -> Array:
        """Numbers below which no log deviation can be, `(D,)`."""
        dim = self.vae.data_dim
        if self.log_sigma is not None:
            return self.log_sigma - self.vae.most_relative(self.params)
        if self.vae.objective.likelihood == "bounded":
            return np.full(dim, -MOST_LOG_VARIANCE / 2)
        weight, bias = self.vae.decoder.layers(self.vae.split(self.params)[1])[-1]
        # The inputs of the last layer are within [-1, 1].
        inputs = tuple(range(1, weight.ndim))
        floor = (bias - np.abs(weight).sum(axis=inputs))[len(bias) // 2 :] / 2
        # Of convolutions all pixels of a channel have the same.
        return np.repeat(floor, dim // len(floor))

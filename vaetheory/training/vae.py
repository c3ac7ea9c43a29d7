"""A trainable variational auto-encoder: parameters, networks, loss and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import (
    Array,
    as_array,
    boolean,
    data_set,
    dimension,
    finite_numbers,
    fraction,
    integer,
    option,
    positive,
    require,
    same_leading,
    scales,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds import baggins, bilbo, profile_likelihood
from vaetheory.training._learner import Learner, OnVector
from vaetheory.training.data import UNITS
from vaetheory.training.networks import Network, widths
from vaetheory.training.objectives import Objective


class TooLargeError(FloatingPointError, ValueError):
    """A number of a network, a loss or a likelihood does not fit in float64."""


@dataclass(frozen=True, eq=False)
class Units(ByValue):
    """The fixed affine maps between the data and the networks.

    The input of the encoder is (x - loc) / scale, and the means of the likelihood are loc + scale
    times the outputs of the decoder. Objectives are computed in the original units of the data.

    Parameters
    ----------
    loc : array (D,)
    scale : number or array (D,)
    """

    loc: Array
    scale: Array

    def __post_init__(self) -> None:
        loc, scale = as_array("loc", self.loc, ndim=1), scales("scale", self.scale)
        if scale.ndim and scale.shape != loc.shape:
            raise ValueError(
                f"scale: expected a number or shape {loc.shape} as loc has, got {scale.shape}"
            )
        object.__setattr__(self, "loc", loc)
        object.__setattr__(self, "scale", scale)

    @classmethod
    def of(cls, X: Array, kind: str) -> Units:
        """Units of training data `(N, D)`.

        Parameters
        ----------
        X : array (N, D)
        kind : {"pooled", "each", "plain"}
            The mean of each dimension, with one standard deviation for all dimensions or one for
            each; "plain" is the identity map.

        Examples
        --------
        >>> Units.of(np.array([[0.0, 1.0], [2.0, 1.0]]), "pooled").scale.round(6).tolist()
        0.707107
        """
        X = data_set("X", X)
        if option("kind", kind, UNITS) == "plain":
            return cls(np.zeros(X.shape[1]), np.array(1.0))
        # Subtract the first row so that a large common offset costs no digits.
        loc = X[0] + (X - X[0]).mean(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            # `positive` below raises an error for an overflow.
            variance = ((X - loc) ** 2).mean(axis=0)
        scale = np.sqrt(variance.mean() if kind == "pooled" else variance)
        return cls(loc, positive("spread of the training data", scale, max_ndim=1))


@dataclass(frozen=True, eq=False)
class Vae(ByValue):
    """A VAE: encoder, decoder, objective and units; parameters are one vector `(count,)`.

    Parameters
    ----------
    objective : Objective
    data_dim, latent_dim : int
    hidden : tuple of int
        Widths of the hidden layers, the same in encoder and decoder.
    units : Units
    information : float
        BAGGINS' h, in nats a dimension.
    pooled : bool
        Whether the variances of a batch (profile, BAGGINS) are the same for all dimensions.
    """

    objective: Objective
    data_dim: int
    latent_dim: int
    hidden: tuple[int, ...]
    units: Units
    information: float = 2.0
    pooled: bool = False

    def __post_init__(self) -> None:
        require("objective", self.objective, Objective)
        if (self.objective.posterior, self.objective.likelihood) not in self._known:
            raise ValueError(
                "objective: expected a posterior and a likelihood that the networks of NumPy are "
                f"trained with, got {self.objective.title}: use those of PyTorch (ImageSettings)"
            )
        for name in ("data_dim", "latent_dim"):
            dimension(name, getattr(self, name))
        object.__setattr__(self, "hidden", widths("hidden", self.hidden))
        require("units", self.units, Units)
        if len(self.units.loc) != self.data_dim:
            raise ValueError(
                f"units: expected those of {self.data_dim} dimensions, got {len(self.units.loc)}"
            )
        high = np.finfo(np.float64).max
        fraction("information", self.information, low=0.0, high=float(high))
        boolean("pooled", self.pooled)

    #: The posteriors and likelihoods that can be trained.
    _known: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        product(("learned", "constant", "unit"), ("learned", "one", "profile", "baggins"))
    )

    @cached_property
    def encoder(self) -> Network:
        """The shape of the encoder."""
        outputs = self.objective.outputs(latent_dim=self.latent_dim, data_dim=self.data_dim)
        return Network((self.data_dim, *self.hidden, outputs[0]))

    @cached_property
    def decoder(self) -> Network:
        """The shape of the decoder."""
        outputs = self.objective.outputs(latent_dim=self.latent_dim, data_dim=self.data_dim)
        return Network((self.latent_dim, *self.hidden[::-1], outputs[1]))

    @cached_property
    def count(self) -> int:
        """Number of parameters."""
        extra = self.objective.extra(latent_dim=self.latent_dim)
        return self.encoder.count + self.decoder.count + extra

    def split(self, params: Array) -> tuple[Array, Array, Array]:
        """Views of the parameters of the encoder, of the decoder, and of those outside both."""
        first, second = self.encoder.count, self.encoder.count + self.decoder.count
        return params[:first], params[first:second], params[second:]

    def initial(self, seed: int) -> Array:
        """Initial parameters; every objective begins with the same hidden layers.

        Log variances and log standard deviations begin at or near zero, in the units of the data.
        """
        integer("seed", seed)
        params = np.zeros(self.count)
        for kind, part in enumerate(self.split(params)[:2]):
            network = (self.encoder, self.decoder)[kind]
            layers = range(len(network.sizes) - 1)
            part[...] = network.initial([np.random.default_rng([seed, kind, i]) for i in layers])
        return params

    def encode(self, params: Array, X: Array) -> tuple[Array, Array]:
        """Posterior means and log standard deviations, `(N, d)` each."""
        params, X = self._parameters(params), rows_of("X", X, self.data_dim)
        inner, _, extra = self.split(params)
        layers = self.encoder.layers(inner)
        with np.errstate(all="ignore"):
            code = self.encoder.forward(layers, (X - self.units.loc) / self.units.scale)[-1]
        return self._posterior(in_range("params and X", code), extra)

    def _posterior(self, code: Array, extra: Array) -> tuple[Array, Array]:
        d = self.latent_dim
        loc = code[:, :d]
        if self.objective.posterior == "learned":
            return loc, code[:, d:] / 2
        log_scale = extra[:d] if self.objective.posterior == "constant" else np.zeros(d)
        return loc, np.broadcast_to(log_scale, loc.shape)

    def decode(self, params: Array, z: Array) -> tuple[Array, Array | None]:
        """Means of the likelihood `(N, D)` and, if the decoder returns them, log deviations."""
        params, z = self._parameters(params), rows_of("z", z, self.latent_dim)
        layers = self.decoder.layers(self.split(params)[1])
        with np.errstate(all="ignore"):
            outputs = self.decoder.forward(layers, z)[-1]
            loc = self.units.loc + self.units.scale * outputs[:, : self.data_dim]
        in_range("params and z", outputs)
        in_range("params and z", loc)
        if self.objective.likelihood != "learned":
            return loc, None
        return loc, outputs[:, self.data_dim :] / 2

    def loss_and_gradient(self, params: Array, X: Array, noise: Array) -> tuple[float, Array]:
        """Minus the objective of a batch, nats a datum, and its gradient.

        Parameters
        ----------
        params : array (count,)
        X : array (B, D)
        noise : array (B, d)
            Standard normal draws: the latents are m + s noise.

        Returns
        -------
        loss : float
        gradient : array (count,)

        Raises
        ------
        TooLargeError
            If a number overflows; it is both a FloatingPointError and a ValueError.

        Notes
        -----
        Backpropagation is written out by hand. The terms of a batch are the library's `bilbo`,
        `baggins` and `profile_likelihood`, with gradients in closed form: m / (B v) with respect to
        the means, and (x - xhat) / (B sigma^2) with respect to the reconstructions.
        """
        params, X = self._parameters(params), rows_of("X", X, self.data_dim)
        noise = rows_of("noise", noise, self.latent_dim)
        same_leading("noise", noise, "X", X)
        try:
            return self._loss_and_gradient(params, X, noise)
        except FloatingPointError as error:
            raise TooLargeError(
                f"params, X and noise: expected numbers that the networks can take, got {error}"
            ) from None

    def _loss_and_gradient(self, params: Array, X: Array, noise: Array) -> tuple[float, Array]:
        gradient = np.empty(self.count)
        (enc, dec, extra), (enc_slope, dec_slope, extra_slope) = (
            self.split(params), self.split(gradient),
        )  # fmt: skip
        extra_slope[...] = 0.0
        with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
            inner = self.encoder.layers(enc)
            seen = self.encoder.forward(inner, (X - self.units.loc) / self.units.scale)
            loc, log_scale = self._posterior(seen[-1], extra)
            scale = np.exp(log_scale)
            z = loc + scale * noise
            outer = self.decoder.layers(dec)
            values = self.decoder.forward(outer, z)
            term, out_slope = self._likelihood(X, values[-1], extra, extra_slope)
            slopes = self.decoder.layers(dec_slope)
            latent_slope = self.decoder.backward(outer, slopes, values, out_slope, inner=True)
            assert latent_slope is not None
            loss, code_slope = self._information(
                term, loc, log_scale, scale, latent_slope, noise, extra_slope
            )
            slopes = self.encoder.layers(enc_slope)
            self.encoder.backward(inner, slopes, seen, code_slope, inner=False)
        # NumPy's error state does not cover products of matrices.
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            raise FloatingPointError("an overflow in the loss or its gradient")
        return loss, gradient

    def _likelihood(
        self, X: Array, out: Array, extra: Array, extra_slope: Array
    ) -> tuple[float, Array]:
        """Mean log likelihood of a batch, and minus its gradient in the outputs of the decoder."""
        size, dim = X.shape
        unit, kind = self.units.scale, self.objective.likelihood
        means = out[:, :dim]
        xhat = self.units.loc + unit * means
        residual = X - xhat
        if kind == "learned":
            precision = np.exp(-out[:, dim:])
            weighted = residual * precision
            misfit = residual * weighted
            value = -0.5 * (dim * LOG_2PI + (out[:, dim:] + misfit).sum() / size)
            slope = np.empty_like(out)
            np.multiply(weighted, -unit / size, out=slope[:, :dim])
            np.multiply(1 - misfit, 0.5 / size, out=slope[:, dim:])
            return float(value), slope
        if kind == "one":
            log_sigma = extra[-1]
            precision = np.exp(-2 * log_sigma)
            misfit = precision * (np.einsum("nd,nd->", residual, residual) / size)
            extra_slope[-1] = dim - misfit
            value = -0.5 * (dim * (LOG_2PI + 2 * log_sigma) + misfit)
            return float(value), residual * (-unit * precision / size)
        if kind == "profile":
            term = profile_likelihood(X, xhat, pooled=self.pooled)
        else:
            term = baggins(X, xhat, information=self.information, pooled=self.pooled)
        # In this order the factors stay within the range of the data, whatever their scale.
        white = residual / term.scale
        white *= -(unit / term.scale) / size
        return float(term.value), white

    def _information(
        self,
        term: float,
        loc: Array,
        log_scale: Array,
        scale: Array,
        latent_slope: Array,
        noise: Array,
        extra_slope: Array,
    ) -> tuple[float, Array]:
        """The loss, and its gradient in the outputs of the encoder."""
        size, d = loc.shape
        wide = latent_slope * noise
        wide *= scale
        if self.objective.floating:
            bound = bilbo(np.full(size, term), loc, scale[0])
            variance = np.diagonal(bound.prior_cov)
            if self.objective.posterior == "constant":
                extra_slope[:d] = wide.sum(axis=0) + scale[0] ** 2 / variance - 1
            return -float(bound.value), latent_slope + loc / (size * variance)
        square = scale * scale
        divergence = 0.5 * (loc * loc + square - 1 - 2 * log_scale).sum() / size
        wide += (square - 1) / size
        mean_slope = latent_slope + loc / size
        if self.objective.posterior == "learned":
            # The encoder returns log variances, whose slope is half that of log deviations.
            code_slope = np.concatenate([mean_slope, wide / 2], axis=1)
        else:
            code_slope = mean_slope
            if self.objective.posterior == "constant":
                extra_slope[:d] = wide.sum(axis=0)
        return float(divergence) - term, code_slope

    def module(self, params: Array, prior_scale: Array, log_sigma: Array | None = None) -> Any:
        """The decoder as a module of PyTorch, of networks that are no `Network`."""
        raise NotImplementedError

    def most_relative(self, params: Array) -> float:
        """A number that no varying log deviation exceeds in size."""
        raise NotImplementedError

    def learner(self, params: Array, rate: float, X: Array) -> Learner:
        """What takes the steps of a run from `params`, with Adam's rate, on training data."""
        return OnVector(params, rate, X, lambda *a: self.loss_and_gradient(*a)[1])

    def _parameters(self, params: ArrayLike) -> Array:
        vector = finite_numbers("params", params)
        if vector.shape != (self.count,):
            raise ValueError(f"params: expected shape ({self.count},), got {vector.shape}")
        return vector

    def require_data(self, name: str, X: ArrayLike) -> None:
        """Raise a ValueError unless `X` are data `(N, D)` of this model."""
        self.checked(name, X)

    def checked(self, name: str, X: ArrayLike) -> Array:
        """Return `X` as data `(N, D)` of this model in double precision, or raise a ValueError."""
        return rows_of(name, as_array(name, X), self.data_dim)


def in_range(name: str, array: Array) -> Array:
    """Return `array`, or raise a `TooLargeError` if it overflowed."""
    if not np.isfinite(array).all():
        raise TooLargeError(f"{name}: expected outputs that fit in float64, got an overflow")
    return array


def rows_of(name: str, value: ArrayLike, size: int) -> Array:
    """Return `value` as non-empty finite rows `(N, size)`, without a copy if it is that already."""
    array = finite_numbers(name, value)
    if array.ndim != 2 or array.shape[1] != size or not len(array):
        raise ValueError(
            f"{name}: expected a non-empty data set of shape (N, {size}), got {array.shape}"
        )
    return array

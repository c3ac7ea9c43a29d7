"""A VAE whose networks are trained by PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from vaetheory._validation import Array
from vaetheory.training._learner import Learner
from vaetheory.training._torch.learner import OnTensor
from vaetheory.training._torch.loss import bounded
from vaetheory.training._torch.networks import Convolutions, Dense
from vaetheory.training._torch.variance_function import common_origin, most, relative_log_variances
from vaetheory.training.images import finite_singles
from vaetheory.training.objectives import (
    LIKELIHOODS,
    MOST_LOG_VARIANCE,
    OF_LOGITS,
    OWN_VARIANCES,
    POSTERIORS,
)
from vaetheory.training.vae import Vae, in_range, rows_of

#: Images encoded at a time.
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class TorchVae(Vae):
    """A `Vae` with networks that PyTorch trains in single precision, and more objectives.

    Parameters are a vector as before, and everything but training is computed in double precision.

    Parameters
    ----------
    objective, data_dim, latent_dim, hidden, units, information, pooled
        As of `Vae`.
    network, shape, channels, device
        As of `ImageSettings`.
    """

    network: str = "mlp"
    shape: tuple[int, int, int] = (1, 1, 1)
    channels: tuple[int, ...] = (16, 32)
    device: str = "cpu"

    _known: ClassVar[frozenset[tuple[str, str]]] = frozenset(product(POSTERIORS, LIKELIHOODS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if int(np.prod(self.shape)) != self.data_dim:
            raise ValueError(
                f"shape: expected images of {self.data_dim} numbers, got shape {self.shape}"
            )
        try:
            torch.zeros(1, device=self.device).cpu()
        except Exception as error:
            reason = " ".join(str(error).split()).partition(".")[0]
            raise ValueError(
                f"device: expected one that is here, such as cpu, got {self.device!r}: "
                f"{reason:.150}"
            ) from None

    @cached_property
    def encoder(self) -> Any:
        """The shape of the encoder."""
        return self._network(transposed=False)

    @cached_property
    def decoder(self) -> Any:
        """The shape of the decoder."""
        return self._network(transposed=True)

    def _network(self, *, transposed: bool) -> Dense | Convolutions:
        outputs = self.objective.outputs(latent_dim=self.latent_dim, data_dim=self.data_dim)
        if self.network == "mlp":
            if transposed:
                return Dense((self.latent_dim, *self.hidden[::-1], outputs[1]))
            return Dense((self.data_dim, *self.hidden, outputs[0]))
        ends = self.latent_dim if transposed else outputs[0]
        channels = (self.channels[0], self.channels[1])
        times = outputs[1] // self.data_dim
        return Convolutions(self.shape, channels, (*self.hidden, ends), transposed, times)

    def learner(self, params: Array, rate: float, X: Array) -> Learner:
        """What takes the steps of a run."""
        return OnTensor(self, params, rate, X, self.device)

    def _posterior(self, code: Array, extra: Array) -> tuple[Array, Array]:
        if self.objective.posterior != "bounded":
            return super()._posterior(code, extra)
        loc, log_variance = np.split(code, 2, axis=1)
        return loc, _bounded(log_variance) / 2

    def encode(self, params: Array, X: Array) -> tuple[Array, Array]:
        """As that of `Vae`, some data at a time: images in double precision take much memory."""
        X = np.asarray(X)
        if X.ndim != 2 or len(X) <= _ROWS:
            return super().encode(params, X)
        parts = [super(TorchVae, self).encode(params, X[i : i + _ROWS])
                 for i in range(0, len(X), _ROWS)]  # fmt: skip
        loc, log_scale = (np.concatenate(each) for each in zip(*parts, strict=True))
        return loc, log_scale

    def decode(self, params: Array, z: Array) -> tuple[Array, Array | None]:
        """Means `(N, D)` and, if they depend on the latent, log deviations; or logits and None.

        Varying ones are g / 2, to which a density adds a constant for each dimension.
        """
        params, z = self._parameters(params), rows_of("z", z, self.latent_dim)
        with np.errstate(all="ignore"):
            outputs = self.decoder.forward(self.decoder.layers(self.split(params)[1]), z)[-1]
            in_range("params and z", outputs)
            if self.objective.likelihood in OF_LOGITS:
                return outputs, None
            loc = self.units.loc + self.units.scale * outputs[:, : self.data_dim]
        in_range("params and z", loc)
        if self.objective.likelihood == "varying":
            origin = common_origin(self.units.loc, self.units.scale)
            g = relative_log_variances(self.split(params)[2], outputs + origin)
            return loc, in_range("params and z", g) / 2
        if self.objective.likelihood not in OWN_VARIANCES:
            return loc, None
        log_variance = outputs[:, self.data_dim :]
        known = self.objective.likelihood == "bounded"
        return loc, (_bounded(log_variance) if known else log_variance) / 2

    def most_relative(self, params: Array) -> float:
        """A number that no varying log deviation exceeds in size."""
        return most(self.split(params)[2]) / 2

    def module(
        self, params: Array, prior_scale: Array, log_sigma: Array | None = None
    ) -> nn.Module:
        """The decoder as a module in double precision, for a latent N(0, I).

        It returns the means and after them any log deviations that depend on the latent, or the
        logits. `log_sigma` `(D,)` are the deviations to which varying ones are relative.
        """
        return _Decoder(self, params, prior_scale, log_sigma)

    def require_data(self, name: str, X: ArrayLike) -> None:
        """As that of `Vae`, without a copy of data in single precision."""
        array = np.asarray(X)
        if array.dtype != np.float32:
            super().require_data(name, X)
            return
        if array.ndim != 2 or array.shape[1] != self.data_dim or not len(array):
            raise ValueError(
                f"{name}: expected a non-empty data set of shape (N, {self.data_dim}), got "
                f"{array.shape}"
            )
        finite_singles(name, array)


def _bounded(log_variance: Array) -> Array:
    return MOST_LOG_VARIANCE * np.tanh(log_variance / MOST_LOG_VARIANCE)


class _Decoder(nn.Module):
    """The decoder of a trained VAE."""

    def __init__(
        self, vae: TorchVae, params: Array, prior_scale: Array, log_sigma: Array | None
    ) -> None:
        super().__init__()
        self.network, self.likelihood = vae.decoder, vae.objective.likelihood
        _, outer, extra = vae.split(params)
        for name, value in (
            ("params", outer),
            ("extra", extra),
            ("log_sigma", np.zeros(vae.data_dim) if log_sigma is None else log_sigma),
            ("prior_scale", prior_scale),
            ("loc", vae.units.loc),
            ("scale", vae.units.scale),
        ):
            self.register_buffer(name, torch.tensor(np.array(value)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        out = self.network.apply(self.params, z * self.prior_scale)
        if self.likelihood in OF_LOGITS:
            return out
        dim = len(self.loc)
        means = self.loc + self.scale * out[:, :dim]
        if self.likelihood == "varying":
            g = relative_log_variances(self.extra, out + common_origin(self.loc, self.scale))
            return torch.cat([means, self.log_sigma + g / 2], 1)
        if self.likelihood not in OWN_VARIANCES:
            return means
        log_variance = out[:, dim:]
        log_variance = bounded(log_variance) if self.likelihood == "bounded" else log_variance
        return torch.cat([means, log_variance / 2], 1)

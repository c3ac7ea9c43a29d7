"""The log joint of a model and its data at many latents of each datum, with counted calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vaetheory._gaussians import LOG_2PI
from vaetheory._sampling.streams import Streams
from vaetheory._validation import Array, Index
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Outputs of the decoder that are held at once.
_NUMBERS = 2**19
#: What a gradient costs besides the value, in calls of the decoder.
GRADIENT = 2
#: Operations on a chain of terms of a log density, besides their sum.
_OPERATIONS = 16


class Count:
    """A count of calls of the decoder that several targets share.

    Attributes
    ----------
    calls : int
        Latents that were decoded; a gradient counts as `GRADIENT` calls more.
    """

    def __init__(self) -> None:
        self.calls = 0


class ValueAndGradient(NamedTuple):
    """The log joint `(N, K)` in nats and its gradient in the latents, `(N, K, d)`."""

    value: Array
    gradient: Array


@dataclass(frozen=True, eq=False)
class Target:
    """log p(x_n, z) of N data at any latents of each.

    Where the likelihood is Gaussian and the decoder ends in an affine layer, the model is the
    reduced one, see `LatentModel.reduced`.

    Attributes
    ----------
    original : LatentModel
        The model as it was given.
    given : array (N, D)
        Its data.
    model : LatentModel
        The model that is evaluated.
    data : array (N, K)
        Its data.
    offset : array (N,)
        log p(x given z) minus what `model` says, in nats.
    streams : Streams
        Random streams of the data.
    count : Count
        Calls of the decoder so far.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import decoders, likelihoods
    >>> model = LatentModel(decoders.Affine(np.ones((3, 2))), likelihoods.Gaussian(scale=1.0))
    >>> target = Target.of(model, np.zeros((5, 3)), seed=0)
    >>> target.log_joint(np.zeros((5, 7, 2))).shape, target.count.calls
    ((5, 7), 35)
    """

    original: LatentModel
    given: Array
    model: LatentModel
    data: Array
    offset: Array
    streams: Streams
    count: Count

    @classmethod
    def of(cls, model: LatentModel, X: Array, seed: int) -> Target:
        """The target of checked data `(N, D)`, which are the whole data set."""
        found = model.reduced(X)
        streams = Streams.of(seed, len(X))
        return cls(model, X, found.model, found.data, found.offset, streams, Count())

    def take(self, rows: Index | slice) -> Target:
        """The target of some of the data, with their own streams and the same count."""
        return Target(
            self.original,
            self.given[rows],
            self.model,
            self.data[rows],
            self.offset[rows],
            self.streams.take(rows),
            self.count,
        )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def dim(self) -> int:
        """Dimension d of the latents."""
        return self.model.latent_dim

    def log_joint(self, z: Array) -> Array:
        """Log p(x_n, z) at latents `(N, K, d)`, `(N, K)` in nats."""
        value = np.empty(z.shape[:-1])
        for part in self._parts(z.shape):
            value[part] = self.model.log_likelihood(self.data[part[0], None], z[part])
        self.count.calls += value.size
        return self._joined(value, z)

    def with_gradient(self, z: Array) -> ValueAndGradient:
        """Log p(x_n, z) and its gradient in z, at latents `(N, K, d)`.

        Where the slope of the likelihood does not fit in float64, the gradient is that of the
        prior.
        """
        value, gradient = np.empty(z.shape[:-1]), np.empty(z.shape)
        for part in self._parts(z.shape):
            x, some = self.data[part[0], None], z[part]
            params = self.model.decode(some)
            value[part] = self.model.likelihood.log_prob(x, params)
            score = self.model.likelihood.score(x, params)
            slope = self.model.decoder.vjp(some, np.where(np.isfinite(score), score, 0.0))
            gradient[part] = np.where(np.isfinite(slope).all(axis=-1, keepdims=True), slope, 0.0)
        self.count.calls += (1 + GRADIENT) * value.size
        return ValueAndGradient(self._joined(value, z), gradient - z)

    def fisher(self, z: Array) -> Array:
        """A positive definite matrix near the Hessian of -log p(x_n, z), `(N, K, d, d)`.

        The prior's identity, and the likelihood's information pulled back by the decoder's
        Jacobian, which counts as d calls.
        """
        d = self.dim
        found = np.empty((*z.shape, d))
        for part in self._parts((z.shape[0], z.shape[1] * d, d), d):
            found[part] = self.model.gauss_newton(self.data[part[0], None], z[part])[1]
        self.count.calls += (1 + d) * (z.size // d)
        return found

    def rounding(self, z: Array, log_joint: Array) -> Array:
        """How far `log_joint` is rounded at latents `(N, K, d)`, `(N, K)` in nats.

        An estimate, made to be too large rather than too small: the decoder's outputs count as
        exact, since they define the model, and the terms of the log density are as large as
        log p and its greatest value. Use it for few latents: it decodes them again.
        """
        off = np.empty(log_joint.shape)
        reduced = self.original.reduced(self.given)
        likelihood = self.model.likelihood
        peak = likelihood.greatest_log_prob(self.data)
        sizes = np.abs(self.data).sum(axis=-1) + np.abs(np.where(np.isfinite(peak), peak, 0.0))
        for part in self._parts(z.shape):
            params = self.model.decode(z[part])
            score = likelihood.score(self.data[part[0], None], params)
            # Terms such as x f and A(f) are each at most about score times f and their difference.
            terms = np.abs(np.where(np.isfinite(score), score, 0.0) * params).sum(axis=-1)
            off[part] = terms
        off += 2 * likelihood.condition * np.abs(log_joint) + sizes[:, None]
        off += np.abs(self.offset)[:, None] + (z**2).sum(axis=-1) + self.dim
        operations = _OPERATIONS + np.log2(self.model.param_dim + self.dim)
        self.count.calls += 2 * log_joint.size
        return gamma(operations) * off + reduced.rounding(z) + reduced.error[:, None]

    def _joined(self, value: Array, z: Array) -> Array:
        if np.isnan(value).any():
            where = z[np.isnan(value)][0].tolist()
            raise ValueError(f"likelihood: expected a log density, got NaN at z = {where}")
        prior = -0.5 * (np.einsum("nkd,nkd->nk", z, z) + self.dim * LOG_2PI)
        return value + prior + self.offset[:, None]

    def _parts(self, shape: tuple[int, ...], each: int = 1) -> list[tuple[slice, slice]]:
        """Blocks of data and latents for which the decoder's outputs fit in memory."""
        n, k = shape[0], shape[1] // each
        size = self.model.param_dim * each
        across = min(k, max(1, _NUMBERS // size))
        rows = max(1, _NUMBERS // (size * max(across, 1)))
        return [
            (slice(i, min(i + rows, n)), slice(j, min(j + across, k)))
            for i in range(0, n, rows)
            for j in range(0, k, across)
        ]

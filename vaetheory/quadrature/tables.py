"""Log-likelihood tables over many data and many latents, centred so that they keep their digits.

A table works in coordinates of the parameter space in which its bounds are simplest: whitened for
a Gaussian, the natural or log-mean parameters themselves for the other families. Every family of
the package is log-concave in them, so that log p is below its tangents; all bounds rest on that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from vaetheory._validation import Array
from vaetheory.likelihoods import ExponentialFamily, Gamma, Gaussian, Likelihood, Poisson
from vaetheory.quadrature.blocks import Index
from vaetheory.rounding import ULP


class Table(ABC):
    """log p(x_n given params) for a fixed data set `(N, D)` and any parameters."""

    def __init__(self, likelihood: Likelihood, data: Array) -> None:
        self.likelihood = likelihood
        self.data = data
        #: Greatest value log p(x_n given params) can take, (N,), nats.
        self.peak = likelihood.greatest_log_prob(data)

    #: Condition number of the map to the coordinates; rounding errors grow by it.
    condition = 1.0

    def restrict(self, params: Array) -> Array:
        """Cut parameters where every datum is impossible and products would overflow."""
        return params

    def coordinates(self, change: Array) -> Array:
        """Differences of parameters in the table's coordinates, `(..., D)`."""
        return change

    @abstractmethod
    def dense(self, params: Array) -> tuple[Array, Array]:
        """Values of log p at parameters `(M, D)` and the norm of its gradient: two arrays `(N, M)`.

        Good for bounds only: nothing is centred.
        """

    @abstractmethod
    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        """Values of log p at the centres of cells, and its gradient there.

        Parameters
        ----------
        datum : array of int (C, L)
        point : array (C, D)

        Returns
        -------
        log_prob : array (C, L)
        score : array (C, L, D)
        """

    @abstractmethod
    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        """Change of log p from `point` to `point + delta`, `(C, L, D), (C, M, D) -> (C, L, M)`."""

    @abstractmethod
    def bend(self, point: Array, delta: Array) -> Array:
        """Greatest gap between log p and its tangent at `point` over `delta`, `(C,)`."""

    def bend_of(self, bend: Array, slope: Array) -> Array:
        """`bend` of pairs `(..., C)`, where the gap depends on the datum."""
        return bend

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        """Relative rounding of integrals of p around points where log p is `log_prob`.

        Parameters
        ----------
        log_prob : array (...)
        datum : array of int (...)
        offset : array (...)
            Log joint there less `shift`.
        shift : array (...)
            What log joints are taken relative to, nats.
        """
        # What matters to the sum is within some tens of nats of the best.
        lost = self.condition * 2 * np.abs(log_prob - self.peak[datum])
        lost += np.abs(offset) + 24 + np.abs(shift)
        return ULP * lost

    def upper(self, log_prob: Array, slope: Array, reach: Array) -> Array:
        """Bound of log p in a ball of radius `reach` from its value and slope at the centre."""
        return log_prob + slope * reach


class GaussianTable(Table):
    """Gaussian likelihoods: squared residuals in whitened coordinates."""

    likelihood: Gaussian

    def __init__(self, likelihood: Gaussian, data: Array) -> None:
        super().__init__(likelihood, data)
        self.constant = likelihood.log_peak(data.shape[-1])
        self.anchor = data.mean(axis=0)
        self.white = likelihood.whiten(data - self.anchor)
        self.square = np.einsum("nd,nd->n", self.white, self.white)
        if likelihood.cov is not None:
            self.condition = float(np.linalg.cond(likelihood.cov))

    def coordinates(self, change: Array) -> Array:
        return self.likelihood.whiten(change)

    def dense(self, params: Array) -> tuple[Array, Array]:
        points = self.likelihood.whiten(params - self.anchor)
        norms = np.einsum("md,md->m", points, points)
        square = self.white @ points.T
        square *= -2
        square += self.square[:, None]
        square += norms
        # The expanded square has lost digits: shrinking it by that much keeps the bound a bound.
        square -= 1e-14 * (self.square.max() + norms)
        np.maximum(square, 0, out=square)
        return self.constant - 0.5 * square, np.sqrt(square)

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        # x - f is formed before it is divided by the scale, so that its digits are kept.
        score = self.likelihood.whiten(self.data[datum] - point[:, None])
        return self.constant - 0.5 * np.einsum("cld,cld->cl", score, score), score

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        half = 0.5 * np.einsum("cmd,cmd->cm", delta, delta)
        out = score @ np.swapaxes(delta, -1, -2)
        out -= half[:, None]
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def upper(self, log_prob: Array, slope: Array, reach: Array) -> Array:
        return self.constant - 0.5 * np.maximum(slope - reach, 0) ** 2


class NaturalTable(Table):
    """Families whose parameters are natural: log p = T(x) . params - A(params) + h(x)."""

    likelihood: ExponentialFamily

    def __init__(self, likelihood: ExponentialFamily, data: Array) -> None:
        super().__init__(likelihood, data)
        self.base = likelihood.log_base(data)
        self.square = (data**2).sum(axis=-1)

    def restrict(self, params: Array) -> Array:
        if isinstance(self.likelihood, Poisson):
            # Beyond e^300 counts a datum is impossible anyway, and products still fit in float64.
            return np.clip(params, -1e30, 300.0)
        return params

    def dense(self, params: Array) -> tuple[Array, Array]:
        mean = self.likelihood.mean(params)
        log_prob = self.data @ params.T
        log_prob += self.base[:, None]
        log_prob -= self.likelihood.log_partition(params)
        slope = self.data @ (-2 * mean.T)
        slope += self.square[:, None]
        slope += (mean**2).sum(axis=-1)
        np.maximum(slope, 0, out=slope)
        np.sqrt(slope, out=slope)
        return np.minimum(log_prob, self.peak[:, None]), slope

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        x, params = self.data[datum], point[:, None]
        score = x - self.likelihood.mean(params)
        if not isinstance(self.likelihood, Poisson):
            return self.likelihood.log_prob(x, params), score
        # Below the peak by the deviance: large counts keep their digits.
        away = params - np.log(np.maximum(x, 1.0))
        deviance = x * (np.expm1(np.minimum(away, 300.0)) - away)
        deviance = np.where(x > 0, deviance, self.likelihood.mean(params))
        return self.peak[datum] - deviance.sum(axis=-1), score

    def _bregman(self, point: Array, delta: Array) -> Array:
        """A(point + delta) - A(point) - mean . delta, `(C, M)`, never negative."""
        centre = point[:, None]
        mean = self.likelihood.mean(centre)
        if isinstance(self.likelihood, Poisson):
            out = (mean * (np.expm1(np.minimum(delta, 300.0)) - delta)).sum(axis=-1)
        else:
            far = self.likelihood.log_partition(centre + delta)
            out = far - self.likelihood.log_partition(centre) - (mean * delta).sum(axis=-1)
        positive: Array = np.maximum(out, 0)
        return positive

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        out = score @ np.swapaxes(delta, -1, -2)
        out -= self._bregman(point, delta)[:, None]
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = self._bregman(point, delta).max(axis=-1)
        return out


class GammaTable(Table):
    """Gamma likelihoods: log p = -a (params + x exp(-params)) + h(x), params the log means."""

    likelihood: Gamma

    def restrict(self, params: Array) -> Array:
        return np.clip(params, -300.0, 1e30)

    def dense(self, params: Array) -> tuple[Array, Array]:
        a, inverse = self.likelihood.shape, np.exp(-params)
        ratio = self.data @ inverse.T
        log_prob = -a * (params.sum(axis=-1) + ratio) + self.likelihood.log_base(self.data)[:, None]
        slope = self.data**2 @ (inverse**2).T - 2 * ratio + self.data.shape[-1]
        return np.minimum(log_prob, self.peak[:, None]), a * np.sqrt(np.maximum(slope, 0))

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        a, away = self.likelihood.shape, np.log(self.data[datum]) - point[:, None]
        slope = np.expm1(np.minimum(away, 300.0))
        return self.peak[datum] - a * (slope - away).sum(axis=-1), a * slope

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        a = self.likelihood.shape
        excess = np.expm1(np.minimum(-delta, 300.0)) + delta
        out = score @ np.swapaxes(delta, -1, -2)
        out -= (score + a) @ np.swapaxes(np.maximum(excess, 0), -1, -2)
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def bend_of(self, bend: Array, slope: Array) -> Array:
        # The second derivative is a x exp(-params) = score + a.
        return bend * (self.likelihood.shape + slope)


def table(likelihood: Likelihood, data: Array) -> Table:
    """Return the table of `likelihood` for data `(N, D)`."""
    if isinstance(likelihood, Gaussian):
        return GaussianTable(likelihood, data)
    if isinstance(likelihood, Gamma):
        return GammaTable(likelihood, data)
    if likelihood.natural and isinstance(likelihood, ExponentialFamily):
        return NaturalTable(likelihood, data)
    raise ValueError(
        f"likelihood: expected one of the package, or one with natural = True (its params are its "
        f"natural parameters and T(x) = x), got {type(likelihood).__name__}"
    )

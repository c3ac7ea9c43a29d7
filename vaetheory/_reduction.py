"""Exact reduction of Gaussian data to the width of a decoder's last hidden layer.

For f(z) = W h(z) + b and Gaussian noise, let V be the map to whitened coordinates, and V W = Q R,
where Q has orthonormal columns. Then |V (x - f(z))|^2 = |y - R h(z)|^2 + |rest|^2, where
y = Q^T V (x - b), and the rest V (x - b) - Q y does not depend on z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

from vaetheory._validation import Array
from vaetheory.likelihoods import Gaussian
from vaetheory.rounding import EPS, gamma

#: Rounding errors of sums are taken as this many standard deviations.
_DEVIATIONS = 3.0
#: Numbers of a batch of data in whitened coordinates, so that they stay in the cache.
_BLOCK = 2**18
#: Larger numbers have no squares in float64.
_LARGEST = 1e140


@dataclass(frozen=True, eq=False)
class Reduction:
    """Data and weights with fewer outputs: log p(x given z) = offset - |data - weight h(z)|^2 / 2.

    Attributes
    ----------
    weight : array (K, H)
        R. K is at most H, and at most the number D of outputs.
    data : array (N, K)
        y.
    offset : array (N,)
        In nats.
    error : array (N,)
        Error figure of `offset`: rounding, three standard deviations, in nats.
    """

    weight: Array
    data: Array
    offset: Array
    error: Array
    #: Scalar products of the rests with the columns of V W, which are rounding errors, and the
    #: standard deviations of their own rounding, `(N, H)`.
    _across: Array
    _across_noise: Array
    #: Q^T V W - R, `(K, H)`, and the standard deviations of its rounding by columns, `(H,)`.
    _along: Array
    _along_noise: Array
    #: Relative rounding of |y - R h|^2: of whitening, and as far as Q is not orthonormal.
    _relative: float
    #: Standard deviation of the rounding of `data`, `(N,)`.
    _noise: Array

    def rounding(self, hidden: Array, moved: float = 0.0) -> Array:
        """How far the reduction rounds the log density, an estimate in nats.

        Parameters
        ----------
        hidden : array (N, M, H)
            Values of h at M latents of each datum.
        moved : float
            Nats to add to |y - R h|^2, for latents in the neighbourhood.

        Returns
        -------
        array (N, M)
            Without `error`, and without the rounding of R h itself. Infinite where h is too large.
        """
        with np.errstate(all="ignore"):
            square = ((self.data[:, None] - hidden @ self.weight.T) ** 2).sum(axis=-1) + moved
            noise = hidden**2 @ self._along_noise**2 + self._noise[:, None] ** 2
            noise *= square
            noise += np.einsum("nmh,nh->nm", hidden**2, self._across_noise**2)
            off = _DEVIATIONS * np.sqrt(noise) + self._relative * square
            off += np.sqrt(square * ((hidden @ self._along.T) ** 2).sum(axis=-1))
            off += np.abs(np.einsum("nmh,nh->nm", hidden, self._across))
        return np.where(np.isfinite(off), off, np.inf)


class WhitenedLayer:
    """A last layer f(z) = W h(z) + b with Gaussian noise, factored as V W = Q R.

    Parameters
    ----------
    weight : array (D, H)
        W.
    bias : array (D,)
        b.
    likelihood : Gaussian
        With a scale or a covariance.

    Attributes
    ----------
    weight : array (K, H)
        R. K = min(D, H), or less if W has columns of zeros; if D <= H, W is only whitened.

    Notes
    -----
    Rows are sorted by size and columns are pivoted. Then rounding errors are small relative to each
    row, so that rows of very different scales keep their digits (A. J. Cox and N. J. Higham,
    *Stability of Householder QR factorization for weighted least squares problems*, 1998).

    Examples
    --------
    >>> layer = WhitenedLayer(np.array([[3.0], [4.0]]), np.zeros(2), Gaussian(scale=1.0))
    >>> found = layer.reduce(np.array([[3.0, 4.0]]))
    >>> np.abs(found.weight).round(12).tolist(), np.abs(found.data).round(12).tolist()
    ([[5.0]], [[5.0]])
    >>> found.offset.round(9).tolist()
    [-1.837877066]
    """

    def __init__(self, weight: Array, bias: Array, likelihood: Gaussian) -> None:
        self._bias, self._likelihood = bias, likelihood
        with np.errstate(all="ignore"):
            self._white = likelihood.whiten(weight.T).T
        self._fits = bool(np.abs(self._white).max(initial=0.0) <= _LARGEST)
        self._q, self.weight = _factors(self._white if self._fits else weight)
        unit = self._q.T @ self._q - np.eye(self._q.shape[1])
        self._whitening = likelihood.condition * gamma(4)
        self._skew = float(np.linalg.norm(unit))
        self._along = self._q.T @ self._white - self.weight
        self._along_noise = EPS * np.linalg.norm(self.weight, axis=0)

    def reduce(self, data: Array) -> Reduction | None:
        """Reduce data `(N, D)`; None where whitened numbers have no squares in float64.

        The rest is projected twice, so that it keeps its digits where it is small.
        """
        count = len(self._q)
        step = max(1, _BLOCK // count)
        with np.errstate(all="ignore"):
            parts = [self._projected(data[i : i + step]) for i in range(0, max(len(data), 1), step)]
        if not self._fits or any(part[-1] > _LARGEST for part in parts):
            return None
        along, across, across_noise, noise, square, off = (
            np.concatenate(arrays) for arrays in zip(*(part[:-1] for part in parts), strict=True)
        )
        peak, terms = self._likelihood.log_peak(count), np.log2(count)
        error = gamma(8 + terms) * abs(peak) + (gamma(4 + terms) + self._whitening) * square + off
        return Reduction(
            self.weight,
            along,
            peak - 0.5 * square,
            error,
            across,
            across_noise,
            self._along,
            self._along_noise,
            self._whitening + self._skew,
            noise,
        )

    def _projected(self, data: Array) -> tuple[Any, ...]:
        """The parts of some data along and across the columns of Q, with their rounding.

        The last entry is the greatest whitened number.
        """
        q, centred = self._q, data - self._bias
        white = self._likelihood.whiten(centred)
        size = white**2
        greatest = np.sqrt(size.max(initial=0.0))
        if self._likelihood.cov is not None:
            size = centred**2 @ self._likelihood.whiten(np.eye(len(q))) ** 2
        if q.shape[0] == q.shape[1]:
            nothing = np.zeros((len(data), self.weight.shape[1]))
            noise = EPS * np.sqrt(2 * size.max(axis=-1))
            return white, nothing, nothing, noise, *np.zeros((2, len(data))), greatest
        along = white @ q
        rest = white
        rest -= along @ q.T
        step = rest @ q
        along += step
        rest -= step @ q.T
        square = np.einsum("ni,ni->n", rest, rest)
        across = rest @ self._white
        # Of x - b and its whitening, and of the product with Q, whose partial sums are rounded.
        noise = along**2 @ q.T**2
        noise *= 0.5 * q.shape[1]
        size *= 2
        noise += size
        noise *= EPS**2
        np.square(rest, out=rest)
        across_noise = EPS * np.sqrt(rest @ (2 * self._white**2))
        most = np.sqrt(noise.max(axis=-1))
        noise *= rest
        off = _DEVIATIONS * np.sqrt(noise.sum(axis=-1))
        return along, across, across_noise, most, square, off, greatest


def _factors(matrix: Array) -> tuple[Array, Array]:
    """Q `(D, K)` with orthonormal columns and R `(K, H)` with Q R = matrix."""
    if len(matrix) <= matrix.shape[1]:
        return np.eye(len(matrix)), matrix
    order = np.argsort(-np.abs(matrix).max(axis=1), kind="stable")
    sorted_q, pivoted, columns = qr(matrix[order], mode="economic", pivoting=True)
    q, r = np.empty_like(sorted_q), np.empty_like(pivoted)
    q[order], r[:, columns] = sorted_q, pivoted
    # Columns of zeros come last and leave rows of zeros, of which one is kept if there is no other.
    kept = max(1, int((np.abs(r).max(axis=1) > 0).sum()))
    return np.ascontiguousarray(q[:, :kept]), np.ascontiguousarray(r[:kept])

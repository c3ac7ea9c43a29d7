"""Exact reduction of Gaussian data to the width of a decoder's last hidden layer.

For f(z) = W h(z) + b and Gaussian noise, let V be the map to whitened coordinates, and V W = Q R,
where Q has orthonormal columns. Then |V (x - f(z))|^2 = |y - R h(z)|^2 + |rest|^2, where
y = Q^T V (x - b), and the rest V (x - b) - Q y does not depend on z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from vaetheory._validation import Array
from vaetheory.likelihoods import Gaussian
from vaetheory.rounding import EPS, gamma

#: Rounding errors of sums are taken as this many standard deviations.
_DEVIATIONS = 3.0
#: Numbers of a batch of data in whitened coordinates, so that memory stays bounded.
_BLOCK = 2**21
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


def reduce_last_layer(
    weight: Array, bias: Array, likelihood: Gaussian, data: Array
) -> Reduction | None:
    """Reduce data of a decoder f(z) = W h(z) + b with Gaussian noise.

    Parameters
    ----------
    weight : array (D, H)
        W.
    bias : array (D,)
        b.
    likelihood : Gaussian
        With a scale or a covariance.
    data : array (N, D)

    Returns
    -------
    Reduction or None
        With K = min(D, H) rows, or fewer if W has columns of zeros; if D <= H, the rows of W are
        only whitened. None where whitened numbers have no squares in float64.

    Notes
    -----
    Rows are sorted by size and columns are pivoted. Then rounding errors are small relative to each
    row, so that rows of very different scales keep their digits (A. J. Cox and N. J. Higham,
    *Stability of Householder QR factorization for weighted least squares problems*, 1998). The rest
    is projected twice, so that it keeps its digits where it is small.

    Examples
    --------
    >>> found = reduce_last_layer(
    ...     np.array([[3.0], [4.0]]), np.zeros(2), Gaussian(scale=1.0), np.array([[3.0, 4.0]])
    ... )
    >>> np.abs(found.weight).round(12).tolist(), np.abs(found.data).round(12).tolist()
    ([[5.0]], [[5.0]])
    >>> found.offset.round(9).tolist()
    [-1.837877066]
    """
    with np.errstate(all="ignore"):
        white = likelihood.whiten(weight.T).T
        sizes = np.abs(likelihood.whiten(data - bias)).max(initial=0.0)
    if not max(np.abs(white).max(initial=0.0), sizes) <= _LARGEST:
        return None
    q, r = _orthonormal(white)
    parts = [
        _projected(likelihood, white, q, data[i : i + step] - bias)
        for step in [max(1, _BLOCK // len(weight))]
        for i in range(0, max(len(data), 1), step)
    ]
    along, across, across_noise, noise, square, off = (
        np.concatenate(arrays) for arrays in zip(*parts, strict=True)
    )
    peak, terms = likelihood.log_peak(len(weight)), np.log2(len(weight))
    condition = 1.0 if likelihood.cov is None else float(np.linalg.cond(likelihood.cov))
    whitening = condition * gamma(4)
    return Reduction(
        r,
        along,
        peak - 0.5 * square,
        gamma(8 + terms) * abs(peak) + (gamma(4 + terms) + whitening) * square + off,
        across,
        across_noise,
        q.T @ white - r,
        EPS * np.linalg.norm(r, axis=0),
        whitening + float(np.linalg.norm(q.T @ q - np.eye(q.shape[1]))),
        noise,
    )


def _orthonormal(matrix: Array) -> tuple[Array, Array]:
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


def _projected(likelihood: Gaussian, white: Array, q: Array, centred: Array) -> tuple[Array, ...]:
    """The parts of data `x - b`, `(n, D)`, along and across Q, with their rounding."""
    data = likelihood.whiten(centred)
    size = data**2
    if likelihood.cov is not None:
        size = centred**2 @ likelihood.whiten(np.eye(len(white))) ** 2
    if q.shape[0] == q.shape[1]:
        nothing = np.zeros((len(data), white.shape[1]))
        noise = EPS * np.sqrt(2 * size.max(axis=1))
        return data, nothing, nothing, noise, *np.zeros((2, len(data)))
    along = data @ q
    rest = data - along @ q.T
    step = rest @ q
    along += step
    rest -= step @ q.T
    square = np.einsum("ni,ni->n", rest, rest)
    # Of x - b and its whitening, and of the product with Q, whose partial sums are rounded.
    noise = EPS**2 * (2 * size + 0.5 * q.shape[1] * (along**2 @ q.T**2))
    across_noise = EPS * np.sqrt((rest**2) @ (2 * white**2))
    off = _DEVIATIONS * np.sqrt((rest**2 * noise).sum(axis=-1))
    most = np.sqrt(noise.max(axis=-1))
    return along, rest @ white, across_noise, most, square, off

"""Mixtures of multivariate Student t or normal components, one mixture for each datum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammainc, gammaincinv, gammaln, ndtr, ndtri

from vaetheory._gaussians import LOG_2PI
from vaetheory._sampling.streams import Streams
from vaetheory._validation import Array, Index
from vaetheory.rounding import EPS, gamma

#: Smallest number of the open unit interval that is inverted, and the distance from one.
_EDGE = 2.0**-54


@dataclass(frozen=True, eq=False)
class Mixture:
    """Mixtures q_n of M components in d dimensions, for N data.

    A component is z = mean + root e, where e is standard normal, or a multivariate Student t.

    Parameters
    ----------
    weights : array (N, M)
        Of the components; each row sums to one. Data with fewer components have zeros.
    means : array (N, M, d)
    roots : array (N, M, d, d)
        Invertible matrices.
    df : float
        Degrees of freedom of the Student t; infinite for the normal.

    Examples
    --------
    >>> import numpy as np
    >>> q = Mixture(np.ones((1, 1)), np.zeros((1, 1, 2)), np.eye(2)[None, None], np.inf)
    >>> q.draw(np.full((1, 1, 2), 0.5)).tolist()
    [[[0.0, 0.0]]]
    >>> round(float(q.log_density(np.zeros((1, 1, 2)))[0, 0]), 6)
    -1.837877
    """

    weights: Array
    means: Array
    roots: Array
    df: float

    @property
    def dim(self) -> int:
        """Dimension d of the latents."""
        return int(self.means.shape[-1])

    @property
    def components(self) -> int:
        """Number M of components."""
        return int(self.means.shape[1])

    @property
    def student(self) -> bool:
        """Whether the components are Student t."""
        return bool(np.isfinite(self.df))

    @property
    def coordinates(self) -> int:
        """Uniform numbers of one draw: component (if M > 1), d directions, radius (Student t)."""
        return (self.components > 1) + self.dim + self.student

    def __len__(self) -> int:
        return len(self.means)

    def take(self, rows: Index | slice) -> Mixture:
        """The mixtures of some of the data."""
        return Mixture(self.weights[rows], self.means[rows], self.roots[rows], self.df)

    def trimmed(self) -> Mixture:
        """The same without the padding that all data have: components with weights come first."""
        count = int((self.weights > 0).sum(axis=1).max(initial=1))
        return Mixture(
            self.weights[:, :count], self.means[:, :count], self.roots[:, :count], self.df
        )

    @cached_property
    def inverses(self) -> Array:
        """Inverses of the roots, `(N, M, d, d)`."""
        return np.linalg.inv(self.roots)

    @cached_property
    def log_dets(self) -> Array:
        """Logs of the moduli of the roots' determinants, `(N, M)`."""
        return np.linalg.slogdet(self.roots)[1]

    @cached_property
    def _log_weights(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.weights / self.weights.sum(axis=-1, keepdims=True))

    @cached_property
    def _ends(self) -> Array:
        """Ends of the components' intervals of a uniform number, `(N, M)`."""
        ends = np.cumsum(self.weights, axis=-1)
        return ends / ends[:, -1:]

    def draw(self, u: Array, component: Index | None = None) -> Array:
        """Map uniform numbers `(N, K, coordinates)` to latents `(N, K, d)`.

        If `component` `(N, K)` is given, it is used, and `u` has no number for it.
        """
        if component is None and self.components > 1:
            component = (u[..., :1] > self._ends[:, None, :-1]).sum(axis=-1)
            u = u[..., 1:]
        e = ndtri(u[..., : self.dim])
        if self.student:
            chi = 2 * gammaincinv(0.5 * self.df, u[..., -1])
            e = e * np.sqrt(self.df / np.maximum(chi, np.finfo(float).tiny))[..., None]
        return self.placed(e, component)

    def placed(self, e: Array, component: Index | None = None) -> Array:
        """Mean + root e of whitened vectors `(N, K, d)` and their components `(N, K)`."""
        z = self.means[:, :1] + e @ np.swapaxes(self.roots[:, 0], -1, -2)
        for m in range(1, self.components):
            if component is None:
                break
            other = self.means[:, m, None] + e @ np.swapaxes(self.roots[:, m], -1, -2)
            z = np.where((component == m)[..., None], other, z)
        return z

    def whitened(self, z: Array, m: int) -> Array:
        """Latents `(N, K, d)` in the coordinates of component m."""
        return (z - self.means[:, m, None]) @ np.swapaxes(self.inverses[:, m], -1, -2)

    def _standard(self, square: Array) -> Array:
        """Log density of e as a function of its squared length, in nats."""
        d, df = self.dim, self.df
        if not self.student:
            return -0.5 * (square + d * LOG_2PI)
        constant = gammaln(0.5 * (df + d)) - gammaln(0.5 * df) - 0.5 * d * np.log(df * np.pi)
        return constant - 0.5 * (df + d) * np.log1p(square / df)

    def log_densities(self, z: Array, m: int) -> Array:
        """Log of weight times density of component m at latents `(N, K, d)`, `(N, K)`."""
        e = self.whitened(z, m)
        inner = self._standard(np.einsum("nkd,nkd->nk", e, e))
        return inner - self.log_dets[:, m, None] + self._log_weights[:, m, None]

    def log_density(self, z: Array) -> Array:
        """Log density of the mixtures at latents `(N, K, d)`, `(N, K)` in nats."""
        total = self.log_densities(z, 0)
        for m in range(1, self.components):
            total = np.logaddexp(total, self.log_densities(z, m))
        return total

    def slope(self, z: Array) -> Array:
        """Gradient of the log density at latents `(N, K, d)`, `(N, K, d)`."""
        shares = self.responsibilities(z)
        total = np.zeros(z.shape)
        for m in range(self.components):
            e = self.whitened(z, m)
            pull = -shares[..., m, None] * e
            if self.student:
                square = np.einsum("nkd,nkd->nk", e, e)
                pull *= ((self.df + self.dim) / (self.df + square))[..., None]
            total += pull @ self.inverses[:, m]
        return total

    def responsibilities(self, z: Array) -> Array:
        """Probabilities of the components given latents `(N, K, d)`, `(N, K, M)`."""
        logs = np.stack([self.log_densities(z, m) for m in range(self.components)], axis=-1)
        logs -= logs.max(axis=-1, keepdims=True)
        shares = np.exp(logs)
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))

    def undrawn(self, z: Array, streams: Streams, purpose: str) -> Array:
        """Uniform numbers `(N, coordinates)` that `draw` maps to the latents `(N, d)`.

        They have the law of the uniform numbers given the latent: the component is drawn by its
        responsibility, and the radius of a Student t given its direction and length.
        """
        random = streams.uniforms(purpose, 3)
        shares = self.responsibilities(z[:, None])[:, 0]
        ends = np.cumsum(shares, axis=-1)
        chosen = (random[:, :1] * ends[:, -1:] > ends[:, :-1]).sum(axis=-1)
        rows = np.arange(len(z))
        e = np.einsum("nij,nj->ni", self.inverses[rows, chosen], z - self.means[rows, chosen])
        parts = []
        if self.components > 1:
            low = np.where(chosen > 0, self._ends[rows, chosen - 1], 0.0)
            parts.append((low + random[:, 1] * (self._ends[rows, chosen] - low))[:, None])
        if self.student:
            # Of the chi square of df degrees given |e|: a gamma of (df + d) / 2.
            scale = 1 + np.einsum("nd,nd->n", e, e) / self.df
            chi = 2 * gammaincinv(0.5 * (self.df + self.dim), random[:, 2]) / scale
            parts.append(ndtr(e * np.sqrt(chi / self.df)[:, None]))
            parts.append(gammainc(0.5 * self.df, 0.5 * chi)[:, None])
        else:
            parts.append(ndtr(e))
        return np.clip(np.concatenate(parts, axis=-1), _EDGE, 1 - 2 * _EDGE)

    def rounding(self, z: Array) -> Array:
        """Bound of first order of the rounding of `log_density` at `(N, K, d)`, `(N, K)` in nats.

        It takes the inverses of the roots as exact to their condition numbers.
        """
        worst = np.zeros(z.shape[:-1])
        for m in range(self.components):
            e = self.whitened(z, m)
            length = np.sqrt(np.einsum("nkd,nkd->nk", e, e))
            size = np.abs(z) + np.abs(self.means[:, m, None])
            moved = size @ np.swapaxes(np.abs(self.inverses[:, m]), -1, -2)
            moved = np.sqrt(np.einsum("nkd,nkd->nk", moved, moved))
            condition = np.linalg.cond(self.roots[:, m])[:, None]
            slope = length
            if self.student:
                slope = (self.df + self.dim) * length / (self.df + length**2)
            off = slope * (moved + condition * length) + np.abs(self._standard(length**2))
            off += self.dim * (1 + np.log(condition)) + np.abs(self.log_dets[:, m, None])
            known = self.weights[:, m, None] > 0
            worst = np.where(known, np.maximum(worst, off), worst)
        return gamma(16 + 2 * self.dim) * worst + 64 * EPS


def put(q: Mixture, rows: Index, new: Mixture) -> Mixture:
    """Mixtures with those of some data replaced; the one with fewer components is padded."""
    width = max(q.components, new.components)

    def padded(array: Array, *, zero: bool = False) -> Array:
        more = [array[:, :1] * (0 if zero else 1)] * (width - array.shape[1])
        return np.concatenate([array, *more], axis=1)

    weights, means, roots = padded(q.weights, zero=True), padded(q.means), padded(q.roots)
    weights[rows], means[rows] = padded(new.weights, zero=True), padded(new.means)
    roots[rows] = padded(new.roots)
    return Mixture(weights, means, roots, q.df)

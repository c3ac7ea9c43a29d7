"""Tensor Gauss-Lobatto rules and what their values say about their own error.

The ends of a cell are nodes. A kink or a jump between the end and the first inner node of a rule
without them is seen by no node; the values then look perfectly smooth, and are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory._quadrature.sums import MOST
from vaetheory._validation import Array

#: Nodes an axis, by dimension, few first: they are enough where little mass is, which most cells
#: of a posterior are. Where the integrand is smooth many are cheaper than cells halved.
LADDER = {1: (17, 25, 37), 2: (9, 13, 17, 21, 25), 3: (8, 11, 15, 19), 4: (6, 10)}
#: From so many on there is a spectrum.
NODES = {1: 17, 2: 17, 3: 15, 4: 10}
#: Coefficients that are taken together: one or two alone may be small by chance or by symmetry.
_BAND = 4
#: How far the fall of the spectrum is trusted to go on, by dimension: less is safer, more is
#: cheaper. A narrow bump of little weight leaves it flat beyond the highest degree there is; in
#: three dimensions so much caution cannot be afforded.
_POWER = {1: 0.75, 2: 1.0, 3: 1.5, 4: 1.5}
#: With few nodes there is hardly a spectrum.
_CAUTIOUS = 0.5
#: A line of length two is not off by more than twice its peak.
_ALL = 2.0
#: So many standard deviations of noise may look like a kink in `TensorRule.ends`: its coefficients
#: of independent errors add up to five, as a rule.
_NOISES = 10.0


def _added(rows: Array) -> Array:
    """Sum over the second of three axes, which is short: reductions along it are slow."""
    out: Array = rows[:, 0] + rows[:, 1]
    for i in range(2, rows.shape[1]):
        out += rows[:, i]
    return out


@dataclass(frozen=True)
class TensorRule:
    """Gauss-Lobatto rule with n nodes an axis on the cube [-1, 1]^d.

    Attributes
    ----------
    nodes : array (n^d, d)
        The nodes, the last axis varying fastest.
    weights : array (n^d,)
        Their weights; they sum to 2^d.
    line : array (n,)
        The weights of one axis.
    spectrum : array (8, n)
        Rows that turn the values along a line into the orthonormal Legendre coefficients of the
        polynomial through them: the four before the highest, then the four of highest degree.
    power : float
        How far the fall of the spectrum is extrapolated.
    """

    nodes: Array
    weights: Array
    line: Array
    spectrum: Array
    power: float

    @property
    def dim(self) -> int:
        """The dimension d."""
        return int(self.nodes.shape[1])

    def ends(self, values: Array) -> list[Array]:
        """How far values `(..., n^d)` are from a polynomial, along the lines of each axis.

        Returns
        -------
        list of d arrays (..., n^(d-1))
            The moduli of the four highest coefficients, added up, times the root of n. Where a
            function has a kink, a jump, or a jump of its second derivative, a rule is off by less
            than a quarter of that, wherever it is (by less than a half if it has three): found for
            8 to 37 nodes. Nothing is extrapolated.
        """
        top = self.spectrum[_BAND:]
        parts = [_added(np.abs(found)) for found in self._along(top, values)]
        return [np.sqrt(len(self.line)) * part.reshape(*values.shape[:-1], -1) for part in parts]

    def most(self, values: Array) -> list[Array]:
        """Greatest of values `(..., n^d)` on the lines of each axis, d arrays `(..., n^(d-1))`."""
        d, n = self.dim, len(self.line)
        grid = values.reshape(*values.shape[:-1], *(n,) * d)
        return [grid.max(axis=axis - d).reshape(*values.shape[:-1], -1) for axis in range(d)]

    def unlike(self, logs: Array, noise: Array) -> list[Array]:
        """Estimate how far integrals are off because the log integrand is like no polynomial.

        The log is nearly always resolved to its last digits long before the integrand is, so that
        a kink shows in it that is far below what the integrand's own spectrum still holds.

        Parameters
        ----------
        logs : array (..., n^d)
            Log integrand at the nodes.
        noise : array (...)
            Rounding noise of the log integrand, nats: what is below it is no kink.

        Returns
        -------
        list of d arrays (..., n^(d-1))
            A line each, as `integrate` takes them.
        """
        found = []
        for end, most in zip(self.ends(logs), self.most(logs), strict=True):
            share = np.clip(end - _NOISES * noise[..., None], 0.0, _ALL)
            found.append(share * np.exp(np.minimum(most, MOST)))
        return found

    def _along(self, rows: Array, values: Array) -> list[Array]:
        """Products of `rows` `(k, n)` with the lines of values, for each axis `(P, k, Q)`."""
        d, n = self.dim, len(self.line)
        # Axes before and after this one are the lines; the last needs no strided product.
        found = [rows @ values.reshape(-1, n, n ** (d - 1 - axis)) for axis in range(d - 1)]
        return [*found, (values.reshape(-1, n) @ rows.T)[..., None]]

    def integrate(self, values: Array, unlike: list[Array]) -> tuple[Array, Array]:
        """Integrals over the cube and an error estimate an axis.

        Parameters
        ----------
        values : array (..., n^d)
            The integrand at the nodes.
        unlike : list of d arrays (..., n^(d-1))
            By how much the rule may be off along each line because the integrand has kinks there;
            see the method `unlike`.

        Returns
        -------
        integral : array (...)
        error : array (..., d)
            Estimate: along each line of nodes the quadrature error is about the Legendre
            coefficient of twice the highest degree there is. It is extrapolated from the four
            highest coefficients by the ratio by which they fell from the four before them, to the
            `power`; about n / 4 would go all the way. The fall from the middle would tell of the
            bulk, not of a pole nearby that makes the end fall more slowly. Moduli are summed over
            the lines, so that errors of opposite sign do not hide each other. A small kink below a
            spectrum that still falls is seen by none of this: for that there is `unlike`.
        """
        weights, error = _outer(self.line, self.dim - 1), np.empty((*values.shape[:-1], self.dim))
        for axis, found in enumerate(self._along(self.spectrum, values)):
            spectrum = np.abs(found)
            before, top = _added(spectrum[:, :_BAND]), _added(spectrum[:, _BAND:])
            ratio = top / np.maximum(before, np.maximum(top, 1e-300))
            # sqrt 2 is the integral's share of an orthonormal coefficient.
            off = (np.sqrt(2.0) * top * ratio**self.power).reshape(*values.shape[:-1], -1)
            error[..., axis] = (off + unlike[axis]) @ weights
        return values @ self.weights, error


def lobatto(n: int) -> tuple[Array, Array]:
    """Nodes and weights `(n,)` of the Gauss-Lobatto rule: exact up to the degree 2 n - 3.

    Examples
    --------
    >>> [part.round(12).tolist() for part in lobatto(3)]
    [[-1.0, 0.0, 1.0], [0.333333333333, 1.333333333333, 0.333333333333]]
    """
    top = np.polynomial.Legendre.basis(n - 1)
    slope, bend = top.deriv(), top.deriv(2)
    inner = np.sort(slope.roots().real)
    for _ in range(3):
        inner = inner - slope(inner) / bend(inner)
    nodes = np.concatenate([[-1.0], (inner - inner[::-1]) / 2, [1.0]])
    return nodes, 2 / (n * (n - 1) * top(nodes) ** 2)


def _outer(line: Array, power: int) -> Array:
    """Weights of the tensor rule with `power` axes."""
    out = np.ones(1)
    for _ in range(power):
        out = (out[:, None] * line).ravel()
    return out


@lru_cache(maxsize=16)
def tensor_rule(d: int, n: int | None = None) -> TensorRule:
    """Return the rule of dimension `d`, with `NODES[d]` nodes an axis by default.

    Examples
    --------
    >>> rule = tensor_rule(2)
    >>> smooth = [np.zeros(17)] * 2
    >>> integral, error = rule.integrate((rule.nodes**2).sum(axis=-1), smooth)
    >>> round(float(integral), 12), bool(error.max() < 1e-12)
    (2.666666666667, True)
    """
    n = NODES[d] if n is None else n
    nodes, weights = lobatto(n)
    first = max(n - 2 * _BAND, 0)
    degrees = np.r_[first : first + _BAND, n - _BAND : n]
    coefficients = np.linalg.inv(np.polynomial.legendre.legvander(nodes, n - 1))
    spectrum = coefficients[degrees] / np.sqrt(degrees + 0.5)[:, None]
    mesh = np.meshgrid(*(nodes,) * d, indexing="ij")
    grid = np.stack([m.ravel() for m in mesh], axis=-1)
    power = _CAUTIOUS if n < NODES[d] else _POWER[d]
    return TensorRule(grid, _outer(weights, d), weights, spectrum, power)

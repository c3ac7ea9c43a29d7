"""Tensor Gauss-Legendre rules and what their values say about their own error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory._validation import Array

#: Nodes an axis, by dimension, few first: they are enough where little mass is, which most cells
#: of a posterior are. Where the integrand is smooth many are cheaper than cells halved.
LADDER = {1: (16, 24, 36), 2: (8, 12, 16, 20, 24), 3: (7, 10, 13, 17), 4: (5, 9)}
#: From so many on there is a spectrum.
NODES = {1: 16, 2: 16, 3: 13, 4: 9}
#: Coefficients that are taken together: one or two alone may be small by chance or by symmetry.
_BAND = 4
#: How far the fall of the spectrum is trusted to go on, by dimension: less is safer, more is
#: cheaper. A narrow bump of little weight leaves it flat beyond the highest degree there is; in
#: three dimensions so much caution cannot be afforded.
_POWER = {1: 0.75, 2: 1.0, 3: 1.5, 4: 1.5}
#: With few nodes there is hardly a spectrum.
_CAUTIOUS = 0.5


#: Sums of the two bands of a spectrum.
_BANDS = np.repeat(np.eye(2), _BAND, axis=0)


def _added(rows: Array) -> Array:
    """Sum over the second of three axes, which is short: reductions along it are slow."""
    out: Array = rows[:, 0] + rows[:, 1]
    for i in range(2, rows.shape[1]):
        out += rows[:, i]
    return out


@dataclass(frozen=True)
class TensorRule:
    """Gauss-Legendre rule with n nodes an axis on the cube [-1, 1]^d.

    Attributes
    ----------
    nodes : array (n^d, d)
        The nodes, the last axis varying fastest.
    weights : array (n^d,)
        Their weights; they sum to 2^d.
    line : array (n,)
        The weights of one axis.
    spectrum : array (8, n)
        Rows that turn the values along a line into orthonormal Legendre coefficients: the
        four before the highest, then the four of highest degree.
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

    def integrate(self, values: Array) -> tuple[Array, Array]:
        """Integrals over the cube and an error estimate an axis.

        Parameters
        ----------
        values : array (..., n^d)
            The integrand at the nodes.

        Returns
        -------
        integral : array (...)
        error : array (..., d)
            Estimate: along each line of nodes the quadrature error is about the Legendre
            coefficient of twice the highest degree there is. It is extrapolated from the four
            highest coefficients by the ratio by which they fell from the four before them, to the
            `power`; about n / 4 would go all the way. The fall from the middle would tell of the
            bulk, not of a pole nearby that makes the end fall more slowly. Moduli are summed over
            the lines, so that errors of opposite sign do not hide each other.
        """
        d, n = self.dim, len(self.line)
        leading = values.shape[:-1]
        error = np.empty((*leading, d))
        for axis in range(d):
            # Axes before and after this one are the lines; the last needs no strided product.
            after = n ** (d - 1 - axis)
            if after == 1:
                spectrum = np.abs(values.reshape(-1, n) @ self.spectrum.T)
                before, top = (spectrum @ _BANDS).T
            else:
                spectrum = np.abs(self.spectrum @ values.reshape(-1, n, after))
                before, top = _added(spectrum[:, :_BAND]), _added(spectrum[:, _BAND:])
            ratio = top / np.maximum(before, np.maximum(top, 1e-300))
            error[..., axis] = (top * ratio**self.power).reshape(*leading, -1) @ _outer(
                self.line, d - 1
            )
        # sqrt 2 is the integral's share of an orthonormal coefficient.
        return values @ self.weights, np.sqrt(2.0) * error


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
    >>> integral, error = rule.integrate((rule.nodes**2).sum(axis=-1))
    >>> round(float(integral), 12), bool(error.max() < 1e-12)
    (2.666666666667, True)
    """
    n = NODES[d] if n is None else n
    nodes, weights = np.polynomial.legendre.leggauss(n)
    first = max(n - 2 * _BAND, 0)
    degrees = np.r_[first : first + _BAND, n - _BAND : n]
    polynomials = np.polynomial.legendre.legvander(nodes, n - 1).T[degrees]
    spectrum = np.sqrt(degrees + 0.5)[:, None] * polynomials * weights
    mesh = np.meshgrid(*(nodes,) * d, indexing="ij")
    grid = np.stack([m.ravel() for m in mesh], axis=-1)
    power = _CAUTIOUS if n < NODES[d] else _POWER[d]
    return TensorRule(grid, _outer(weights, d), weights, spectrum, power)

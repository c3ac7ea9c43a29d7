"""Tensor Gauss-Lobatto rules, with error estimates from the values at their nodes.

The ends of a cell are nodes. A rule without them cannot detect a kink or a jump between an end and
its first node: the values then look perfectly smooth, and the integral is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory._quadrature.sums import MOST
from vaetheory._validation import Array

#: Nodes per axis, by dimension, few first: few are enough in cells with little mass, as most cells
#: of a posterior are. If the integrand is smooth, more nodes are cheaper than more cells.
LADDER = {1: (17, 25, 37), 2: (9, 13, 17, 21, 25), 3: (8, 11, 15, 19), 4: (6, 10)}
#: From this number on the spectrum is long enough to be extrapolated.
NODES = {1: 17, 2: 17, 3: 15, 4: 10}
#: Coefficients that are summed: one or two alone may be small by chance or by symmetry.
_BAND = 4
#: How far the decay of the spectrum is extrapolated, by dimension: less is safer, more is cheaper.
#: A narrow bump of little weight makes the spectrum flat beyond the highest degree; in three
#: dimensions, protection against it would cost too much.
_POWER = {1: 0.75, 2: 1.0, 3: 1.5, 4: 1.5}
#: The same for rules with so few nodes that there is hardly a spectrum.
_CAUTIOUS = 0.5
#: The error on a line of length two is at most twice the peak.
_ALL = 2.0
#: This many standard deviations of noise may look like a kink in `TensorRule.ends`: for independent
#: errors the sum of its coefficients is typically five.
_NOISES = 10.0


def _added(rows: Array) -> Array:
    """Sum over the second of three axes, by a loop: NumPy is slow along short axes."""
    total: Array = rows[:, 0] + rows[:, 1]
    for i in range(2, rows.shape[1]):
        total += rows[:, i]
    return total


def _greatest(rows: Array) -> Array:
    """Maximum over the first axis, by a loop for the same reason."""
    most: Array = np.array(rows[0])
    for row in rows[1:]:
        np.maximum(most, row, out=most)
    return most


@dataclass(frozen=True)
class TensorRule:
    """Gauss-Lobatto rule with n nodes per axis on the cube [-1, 1]^d.

    Attributes
    ----------
    nodes : array (n^d, d)
        The nodes; the last axis varies fastest.
    weights : array (n^d,)
        The weights, which sum to 2^d.
    line : array (n,)
        The weights of one axis.
    spectrum : array (8, n)
        Rows that turn the values along a line into the orthonormal Legendre coefficients of the
        polynomial through them: the four before the highest, then the four of highest degree.
    power : float
        How far the decay of the spectrum is extrapolated.
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
            The sum of the moduli of the four highest coefficients, times the root of n. If a
            function has one kink, jump, or jump of its second derivative anywhere on the line, the
            error of the rule is less than a quarter of this (less than a half for three of them),
            as measured for 8 to 37 nodes. Nothing is extrapolated.
        """
        top = self.spectrum[_BAND:]
        parts = [_added(np.abs(spectrum)) for spectrum in self._along(top, values)]
        return [np.sqrt(len(self.line)) * part.reshape(*values.shape[:-1], -1) for part in parts]

    def most(self, values: Array) -> list[Array]:
        """Maximum of values `(..., n^d)` on the lines of each axis, d arrays `(..., n^(d-1))`."""
        d, n = self.dim, len(self.line)
        grid = values.reshape(*values.shape[:-1], *(n,) * d)
        moved = (np.moveaxis(grid, axis - d, 0) for axis in range(d))
        return [_greatest(lines).reshape(*values.shape[:-1], -1) for lines in moved]

    def unlike(self, logs: Array, noise: Array, most: list[Array] | None = None) -> list[Array]:
        """Estimate the error of integrals that is caused by kinks of the log integrand.

        The rule nearly always resolves the log to its last digits long before the integrand. The
        log therefore shows kinks that are far smaller than the end of the integrand's spectrum.

        Parameters
        ----------
        logs : array (..., n^d)
            Log integrand at the nodes.
        noise : array (...)
            Rounding noise of the log integrand, nats; anything smaller is not taken for a kink.
        most : list of d arrays (..., n^(d-1)), optional
            `most(logs)`, where it is known.

        Returns
        -------
        list of d arrays (..., n^(d-1))
            The error along each line, as `integrate` takes it.
        """
        errors = []
        tops = self.most(logs) if most is None else most
        for end, top in zip(self.ends(logs), tops, strict=True):
            share = np.clip(end - _NOISES * noise[..., None], 0.0, _ALL)
            errors.append(share * np.exp(np.minimum(top, MOST)))
        return errors

    def _along(self, rows: Array, values: Array) -> list[Array]:
        """Products of `rows` `(k, n)` with the lines of values, for each axis `(P, k, Q)`."""
        d, n = self.dim, len(self.line)
        # The last axis is contiguous and needs no strided product.
        others = [rows @ values.reshape(-1, n, n ** (d - 1 - axis)) for axis in range(d - 1)]
        return [*others, (values.reshape(-1, n) @ rows.T)[..., None]]

    def integrate(self, values: Array, unlike: list[Array]) -> tuple[Array, Array]:
        """Integrals over the cube, with one error estimate per axis.

        Parameters
        ----------
        values : array (..., n^d)
            The integrand at the nodes.
        unlike : list of d arrays (..., n^(d-1))
            The error along each line that kinks of the integrand may cause, see `unlike`.

        Returns
        -------
        integral : array (...)
        error : array (..., d)
            Estimate: along each line of nodes the quadrature error is about the Legendre
            coefficient of twice the highest degree of the rule. It is extrapolated from the four
            highest coefficients by their ratio to the four before them, to the `power`; a power of
            about n / 4 would reach that degree. The ratio is taken at the end of the spectrum,
            because a nearby pole can make the end decay more slowly than the middle. Moduli are
            summed over the lines, so that errors of opposite sign do not cancel. A small kink does
            not show while the spectrum still decays: `unlike` estimates its effect.
        """
        weights, error = _outer(self.line, self.dim - 1), np.empty((*values.shape[:-1], self.dim))
        for axis, coefficients in enumerate(self._along(self.spectrum, values)):
            spectrum = np.abs(coefficients)
            before, top = _added(spectrum[:, :_BAND]), _added(spectrum[:, _BAND:])
            ratio = top / np.maximum(before, np.maximum(top, 1e-300))
            # sqrt 2 is the contribution of an orthonormal coefficient to the integral.
            off = (np.sqrt(2.0) * top * ratio**self.power).reshape(*values.shape[:-1], -1)
            error[..., axis] = (off + unlike[axis]) @ weights
        return values @ self.weights, error


def lobatto(n: int) -> tuple[Array, Array]:
    """Nodes and weights `(n,)` of the Gauss-Lobatto rule, exact up to degree 2 n - 3.

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
    weights = np.ones(1)
    for _ in range(power):
        weights = (weights[:, None] * line).ravel()
    return weights


@lru_cache(maxsize=16)
def tensor_rule(d: int, n: int | None = None) -> TensorRule:
    """Return the rule of dimension `d`, with `NODES[d]` nodes per axis by default.

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

"""Means and second moments of sums of self-normalised weights, by one-dimensional integrals.

For K independent pairs of a weight w > 0 and a number h, S = w_1 + ... + w_K, and
psi_p[h](t) = E[(t w)^p h exp(-t w)], phi(t) = E exp(-t w), the integrals of t^(p - 1) exp(-t S) are
multiples of S^-p, so that with v = log t

    E sum (w_k / S)^p h_k = K / (p - 1)! integral of psi_p[h] phi^(K - 1) dv,
    E (sum (w_k / S)^p h_k)^2 = 1 / (2p - 1)! integral of
        K psi_2p[h^2] phi^(K - 1) + K (K - 1) psi_p[h]^2 phi^(K - 2) dv.

The integrands are analytic for imaginary parts of v below pi/2, so that the trapezoid rule of
`vaetheory._quadrature.weight_law` is exact to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

import numpy as np

from vaetheory._quadrature.weight_law import _BIN, _STRIDE, _TOP, Places, Transform, WeightLaw
from vaetheory._validation import Array, Index

#: Points of a block of the sums with the kernels; a multiple of `_STRIDE`.
_POINTS = 768


class Moments(NamedTuple):
    """Moments of a weighted sum, for each law and for their mean `(n, C + 1, J)`.

    Attributes
    ----------
    mean : array
    own, square : array
        The second moment: the part of one weight, E sum (w_k / S)^2p h_k^2, and all of it.
    """

    mean: Array
    own: Array
    square: Array


@dataclass(frozen=True)
class WeightedSums:
    """Laws of weights, with numbers h at their nodes.

    Attributes
    ----------
    transform : Transform
        Of the weights, for each law and their mean.
    first, second : array (n, C, J, G)
        Masses times h, and times its square, at the points of the laws.
    """

    transform: Transform
    first: Array
    second: Array

    @classmethod
    def of(cls, logs: Array, masses: Array, law: Index, values: Array, most: float) -> WeightedSums:
        """Of log weights and masses `(n, M)` as `WeightLaw.of`, and values h `(n, M, J)`."""
        unit = WeightLaw.unit_of(logs, masses, law)
        places, columns = Places.of(logs - unit[:, None], law), values.shape[-1]
        loaded = masses[..., None] * values
        moved = places.all_moved(np.concatenate([loaded, loaded * values], axis=-1))
        weights = WeightLaw(places.moved(masses), places.base, unit)
        transform = weights.transform(most).united(slice(0, moved.shape[1]))
        return cls(transform, moved[:, :, :columns], moved[:, :, columns:])

    def moments(self, counts: Sequence[int], power: int, columns: slice) -> list[Moments]:
        """The moments of sum (w_k / S)^p h_k, p = `power`, for each number K of weights.

        Of some of the columns.
        """
        one = _united(self._kernel(self.first[:, :, columns], power))
        two = _united(self._kernel(self.second[:, :, columns], 2 * power))
        found = []
        with np.errstate(divide="ignore", under="ignore"):
            log_phi = np.log1p(-self.transform.loss)[:, :, None]
            for count in counts:
                rest = np.exp((count - 1) * log_phi) if count > 1 else np.ones_like(log_phi)
                others = np.exp((count - 2) * log_phi) if count > 2 else np.ones_like(log_phi)
                step = _BIN * _STRIDE * count
                each = step / factorial(2 * power - 1)
                own = each * (two * rest).sum(axis=-1)
                both = (count - 1) * each * (one**2 * others).sum(axis=-1)
                mean = step / factorial(power - 1) * (one * rest).sum(axis=-1)
                found.append(Moments(mean, own, own + both))
        return found

    def _kernel(self, held: Array, power: int) -> Array:
        """E[(t w)^p h exp(-t w)] at the nodes of `transform`, `(n, C, J, V)`."""
        nodes, points = self.transform.v.shape[-1], held.shape[-1]
        # So far below a weight the nodes go beyond those of a block.
        rows = np.arange(0, _POINTS + nodes * _STRIDE - points, _STRIDE)
        s = _TOP + _BIN * (np.arange(_POINTS)[:, None] - rows)
        kernel = np.exp(power * s - np.exp(np.minimum(s, 7.0)))
        flat = np.ascontiguousarray(held).reshape(-1, points)
        found = np.zeros((len(flat), nodes))
        for start in range(0, held.shape[-1], _POINTS):
            part = flat[:, start : start + _POINTS]
            first = start // _STRIDE
            last = min(nodes, first + len(rows))
            found[:, first:last] += part @ kernel[: part.shape[-1], : last - first]
        return found.reshape(*held.shape[:-1], nodes)


def _united(values: Array) -> Array:
    """Functions of several laws, and after them of their mean."""
    return np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)

"""Means of powers of importance weights of one latent, by lattices over all of their mass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._quadrature.result import GAVE_UP, REACHED, Integral
from vaetheory._trust import unchecked
from vaetheory._validation import Array, Index
from vaetheory.bounds.gaussian_elbo import integrand_rounding
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: The first look: this many places on each side of zero, as far as this, closer near zero.
_LOOK, _FAR = 4000, 1e4
#: What lies so many nats below the greatest place is left out.
_DEEP = 60.0
#: Nodes of the lattices, each twice an interleaved half.
_SIZES = (2**12, 2**14, 2**16, 2**18)
#: Numbers in a block of data and nodes.
_BLOCK = 2**20
#: Share of the sum at the ends of the interval above which its tails are not known to be small.
_TAIL = 1e-12


def log_mean_power(
    model: LatentModel, data: Array, loc: Array, cov: Array, power: float, rtol: float
) -> Integral:
    """(1 / s) log E_q[w^s] of data `(N, D)`, for means that are known to be finite.

    The integrand is looked for from -1e4 to 1e4, and summed where it is not negligible. `error` is
    an estimate: twenty times the difference of two interleaved lattices, plus rounding.
    """
    reduced = model.reduced(data)
    reach = np.sinh(np.linspace(-np.arcsinh(_FAR), np.arcsinh(_FAR), 2 * _LOOK + 1))
    value, error = np.full(len(data), np.nan), np.full(len(data), np.inf)
    status, spent = np.full(len(data), GAVE_UP, dtype="<U11"), 0
    variances = cov[:, 0, 0]

    def logs(rows: Index, z: Array) -> Array:
        with unchecked(), np.errstate(all="ignore"):
            likely = reduced.model.log_likelihood(reduced.data[rows, None], z[..., None])
            own = -0.5 * ((z - loc[rows]) ** 2 / variances[rows, None] + LOG_2PI)
            own = own - 0.5 * np.log(variances[rows, None])
            found = power * (likely + standard_log_prob(z[..., None])) + (1 - power) * own
        return np.where(np.isnan(found), -np.inf, found)

    ends, active = np.zeros((len(data), 2)), np.arange(len(data))
    for rows in _chunks(active, len(reach)):
        seen = logs(rows, np.broadcast_to(reach, (len(rows), len(reach))))
        near = seen > seen.max(axis=-1, keepdims=True) - _DEEP
        first, last = near.argmax(axis=-1), len(reach) - 1 - near[:, ::-1].argmax(axis=-1)
        # Where the integrand does not end within the look, nothing is known.
        known = np.isfinite(seen.max(axis=-1)) & (first > 0) & (last < len(reach) - 1)
        ends[rows[known]] = reach[np.stack([first - 1, last + 1], axis=-1)[known]]
    spent += len(reach) * len(data)
    active = active[ends[:, 0] < ends[:, 1]]
    for size in _SIZES:
        for rows in _chunks(active, size + 1):
            places = np.linspace(ends[rows, 0], ends[rows, 1], size + 1, axis=-1)
            there = logs(rows, places)
            height = there.max(axis=-1)
            terms = np.exp(there - height[:, None])
            sums = 2 * np.stack([terms[:, ::2].sum(axis=-1), terms[:, 1::2].sum(axis=-1)])
            mean = sums.mean(axis=0)
            share = 20 * np.ptp(sums, axis=0) / mean + gamma(4 + np.log2(size))
            tail = (terms[:, :8].sum(axis=-1) + terms[:, -8:].sum(axis=-1)) / mean
            step = (ends[rows, 1] - ends[rows, 0]) / size
            value[rows] = (np.log(mean * step) + height) / power
            off = -np.log1p(-np.minimum(share, 0.9999)) / abs(power)
            off = off + gamma(40) * (1 + np.abs(height / power))
            known = (share < 1) & (tail < _TAIL)
            error[rows] = np.where(known, off, np.inf)
            status[rows[known & (share <= rtol)]] = REACHED
            spent += len(rows) * (size + 1)
        active = active[status[active] != REACHED]
    error = error + integrand_rounding(reduced, loc, cov)
    return Integral(value + reduced.offset, error, status, spent)


def _chunks(rows: Index, nodes: int) -> Iterator[Index]:
    size = max(1, _BLOCK // nodes)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

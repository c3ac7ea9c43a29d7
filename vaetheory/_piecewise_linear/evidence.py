"""Log evidences as sums over pieces, with their error figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import LOG_2PI
from vaetheory._piecewise_linear.limits import DoesNotApply
from vaetheory._piecewise_linear.prepared import Prepared, prepared
from vaetheory._piecewise_linear.summation import Totals, integrate, lower_bounds
from vaetheory._progress import Progress, report
from vaetheory._validation import Array
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: (Datum, piece) pairs whose bounds are in memory together; and numbers of the data.
_PAIRS, _NUMBERS = 1_000_000, 4_000_000
#: Pieces that are left out hold at most this share of the tolerance, and of this tolerance.
_SHARE, _COARSEST = 1e-3, 1e-9
#: Nats by which the log joint may rise in a piece that is too narrow to be found, and how far from
#: the origin such a piece may be if the posterior is nearer.
_MOST_RISE, _NEAR = 10.0, 8.0
#: Standard deviations of the rounding error.
_DEVIATIONS = 3.0


@dataclass(frozen=True, eq=False)
class Evidences:
    """Log evidences of N data.

    Attributes
    ----------
    value : array (N,)
        In nats.
    error : array (N,)
        Their error figures.
    pairs : int
        Number of masses that were computed.
    """

    value: Array
    error: Array
    pairs: int


def run(
    model: LatentModel,
    data: Array,
    *,
    rtol: float,
    most: int,
    progress: Progress | None = None,
    affine: bool = True,
) -> Evidences:
    """Integrate the joint density of each datum `(N, D)` over at most `most` pieces.

    Raises
    ------
    DoesNotApply
        If the model is not piecewise linear and Gaussian, of at most two latents and with few
        enough pieces; without `affine` also if it has no kinks.
    """
    share = _SHARE * min(rtol, _COARSEST)
    parts = []
    # Numbers that overflow are seen in the values.
    with np.errstate(all="ignore"):
        found = prepared(model, most, affine)
        block = max(1, _NUMBERS // max(model.data_dim, found.network.width))
        for i in range(0, len(data), block):

            def part_done(done: int, start: int = i) -> None:
                report((start + done) / len(data), progress)

            parts.append(_block(found, data[i : i + block], share, part_done))
    value = np.concatenate([p.value for p in parts])
    if not np.isfinite(value).all():
        raise DoesNotApply("expected a log joint in the range of float64, got an overflow")
    error = np.concatenate([p.error for p in parts])
    return Evidences(value, error, sum(p.pairs for p in parts))


def _block(
    found: Prepared, data: Array, share: float, part_done: Callable[[int], None]
) -> Evidences:
    """The evidences of data that are reduced together."""
    reduction = found.network.reduce(data)
    totals: list[Totals] = []
    hidden: list[Array] = []
    lost: list[NDArray[np.bool_]] = []
    start = 0
    while start < len(data):
        stop = start + max(1, _PAIRS // len(found.pieces))
        some = _totals(found, reduction.data[start:stop], share)
        z = found.pieces.charts.latents(some.peak, some.place)
        hidden.append(found.network.at(z))
        lost.append(_lost(found, reduction.data[start:stop], z, hidden[-1]))
        totals.append(some)
        start = min(stop, len(data))
        part_done(start)
    total = Totals.joined(totals)
    off = total.bound + _DEVIATIONS * total.rounding
    off += reduction.rounding(np.concatenate(hidden)[:, None], found.network.latent_dim)[:, 0]
    offset = reduction.offset - 0.5 * found.network.latent_dim * LOG_2PI
    value = offset + total.log_total
    error = np.where(off < 1, -np.log1p(-np.minimum(off, 0.999999)), np.inf)
    error[np.concatenate(lost)] = np.inf
    error += reduction.error + 2 * ULP * (np.abs(offset) + np.abs(total.log_total))
    known = np.isfinite(value) & np.isfinite(error)
    return Evidences(value, np.where(known, error, np.inf), int(total.pairs.sum()))


def _lost(found: Prepared, data: Array, z: Array, hidden: Array) -> NDArray[np.bool_]:
    """Whether pieces too narrow to be found may hold much of the evidence, `(N,)`.

    The decoder is continuous. So the log joint inside such a piece exceeds that beside it by no
    more than `rise`, and the piece holds nothing unless that is large.
    """
    residual = np.linalg.norm(data - hidden @ found.network.last.weight.T, axis=1)
    distance = np.maximum(_NEAR, np.linalg.norm(z, axis=1))
    change = found.network.steepest * found.pieces.resolution * distance
    rise = change * (residual + change)
    return ~(rise <= _MOST_RISE)


def _totals(found: Prepared, data: Array, share: float) -> Totals:
    """Integrals over as many pieces as hold all but a share of them."""
    while True:
        pieces = found.pieces
        bounds = pieces.bounds(data)
        level = lower_bounds(pieces, data, bounds, share)
        far = pieces.log_outside() > level + np.log(share)
        if not far.any() or not found.extend():
            break
    totals = integrate(pieces, data, bounds, level, share)
    outside = np.exp(pieces.log_outside() - totals.log_total)
    return replace(totals, bound=totals.bound + outside)

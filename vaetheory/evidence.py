"""Exact log evidence of latent variable models by adaptive quadrature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, fraction, integer
from vaetheory.decoders import Affine
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel, require_model
from vaetheory.quadrature.cells import integrate
from vaetheory.quadrature.grid import CELLS
from vaetheory.quadrature.noise import log_joint_noise
from vaetheory.quadrature.pairs import TooManyPairs
from vaetheory.quadrature.result import GAVE_UP, NOT_REACHED, REACHED, Integral
from vaetheory.quadrature.scan import Grid, Scan, sample_grid
from vaetheory.quadrature.tables import table
from vaetheory.quadrature.whitened import integrate_frames

_EPS = float(np.finfo(np.float64).eps)
#: (datum, fine cell) pairs of a chunk: tables of this many numbers are in memory at once.
_CHUNK = 1_000_000
_COARSEST = 1e-9
_CLAIMED = 0.05
MAX_NODES = 50_000_000


def log_evidence(
    model: LatentModel,
    X: ArrayLike,
    *,
    rtol: float = 1e-10,
    max_nodes: int = MAX_NODES,
    progress: Callable[[float], object] | None = None,
) -> Integral:
    """Exact log evidence log p(x), the log of the integral of N(z; 0, I) p(x given z) over z.

    Parameters
    ----------
    model : LatentModel
        With a latent dimension of at most 4; 4 is best effort.
    X : array (..., D)
        The data; leading axes are free, `(D,)` is one datum.
    rtol : float
        Tolerance of the evidence, relative; 1e-14 to 0.1.
    max_nodes : int
        Evaluations of the integrand that one datum may cost.
    progress : callable, optional
        Called with the fraction of the data that is done.

    Returns
    -------
    Integral
        `value` (...) in nats; `error` (...), an estimate, is the absolute error of the log
        evidence: quadrature estimate + estimated bound of the truncation + rounding. It is
        infinite where the budget left nothing to say. `status` is "reached" where
        `error <= rtol`, and "gave up" where `max_nodes` was spent first.

    Raises
    ------
    ValueError
        If the data do not fit the model, the latent dimension is above 4, `rtol` or `max_nodes`
        is out of range, or the decoder returns NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> result = log_evidence(model, np.array([[0.0], [40.0]]))
    >>> result.value.round(9).tolist(), result.status.tolist()
    ([-1.265512123, -401.265512123], ['reached', 'reached'])
    """
    require_model(model)
    d = model.latent_dim
    if d not in CELLS:
        raise ValueError(f"latent_dim: expected at most {max(CELLS)} for quadrature, got {d}")
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    max_nodes = integer("max_nodes", max_nodes, low=1)
    data = model.check_data(X)
    rows = data.reshape(-1, data.shape[-1])
    n = len(rows)
    value, error = np.empty(n), np.empty(n)
    status = np.empty(n, dtype="<U11")
    nodes = 0
    # Far from the data decoders may overflow; the clipped values are handled.
    with np.errstate(all="ignore"):
        grid = sample_grid(model, table(model.likelihood, rows[:1]))
        size = max(1, _CHUNK // grid.cells**d)
        # Chunks still to do, the next one last.
        todo = [np.s_[i : min(i + size, n)] for i in range(0, n, size)][::-1]
        while todo:
            rows_here = todo.pop()
            try:
                part = _chunk(model, grid, rows[rows_here], rtol, max_nodes)
            except TooManyPairs:
                middle = (rows_here.start + rows_here.stop) // 2
                todo += [np.s_[middle : rows_here.stop], np.s_[rows_here.start : middle]]
                continue
            value[rows_here], error[rows_here], status[rows_here], used = part
            nodes += used
            if progress is not None:
                progress(rows_here.stop / n)
    shape = data.shape[:-1]
    return Integral(value.reshape(shape), error.reshape(shape), status.reshape(shape), nodes)


def _chunk(
    model: LatentModel, grid: Grid, data: Array, rtol: float, max_nodes: int
) -> tuple[Array, Array, Array, int]:
    """Values, errors, statuses and cost of some data `(N, D)`."""
    likelihoods = table(model.likelihood, data)
    # Convergence is exponential: digits beyond a coarse tolerance cost little, and error
    # estimates of well-resolved integrands cannot be right by chance.
    goal = min(rtol, _COARSEST)
    scan = Scan(model, likelihoods, goal, max_nodes)
    scan.begin(grid)
    noise = log_joint_noise(model, data, scan.mode, scan.information)
    n = len(data)
    left, dropped = np.ones(n, dtype=bool), np.zeros(n)
    if model.latent_dim > 1:
        framed, outside, done = integrate_frames(
            scan, rtol=0.5 * goal, noise=noise, max_nodes=max_nodes
        )
        left = ~done
        dropped = np.where(done, outside, 0.0)
    pairs = scan.pairs(left)
    sums = integrate(
        model,
        likelihoods,
        pairs,
        scan.best,
        rtol=0.5 * goal,
        noise=noise,
        max_nodes=max_nodes,
        nodes=scan.nodes,
    )
    scan.dropped += dropped
    if model.latent_dim > 1:
        sums.shift[done] = framed.shift[done]
        sums.put(done, framed.total, framed.error, framed.rounding)
    nothing = sums.total <= 0
    total = np.where(nothing, 1.0, sums.total)
    value = np.where(nothing, scan.level, sums.shift + np.log(total))
    missing = scan.dropped * np.exp(np.minimum(scan.level - sums.shift, 700.0)) / total
    # An estimate far below the tolerance may be luck; no more than this is claimed.
    off = np.maximum(sums.error / total, _CLAIMED * goal) + sums.rounding / total + noise
    # Too high by `off` at most; too low by `off` and by what was dropped.
    high = np.where(off < 1, -np.log1p(-np.minimum(off, 0.999999)), np.inf)
    low = np.log1p(np.where(np.isfinite(off + missing), off + missing, 0.0))
    error = np.maximum(high, low) + 2 * _EPS * np.abs(value)
    known = np.isfinite(value) & np.isfinite(off + missing) & ~nothing
    error = np.where(known, error, np.inf)
    gave_up = scan.gave_up | sums.gave_up
    status = np.where(error <= rtol, REACHED, np.where(gave_up, GAVE_UP, NOT_REACHED))
    return value, error, status, int(sums.nodes.sum())


def linear_log_evidence(model: LatentModel, X: ArrayLike) -> Integral:
    """Log evidence of an affine decoder with a Gaussian likelihood, in closed form.

    It is N(x; b, W W^T + Lambda) for f(z) = W z + b, in any latent dimension: a route that
    shares nothing with `log_evidence`.

    Parameters
    ----------
    model : LatentModel
        With a `decoders.Affine` decoder and a `likelihoods.Gaussian` likelihood.
    X : array (..., D)
        The data.

    Returns
    -------
    Integral
        `value` (...) in nats; `error` (...), an estimate of the rounding. `nodes` is 0.

    Raises
    ------
    ValueError
        If the model is not linear and Gaussian, or the data do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> round(float(linear_log_evidence(model, np.zeros(1)).value), 9)
    -1.265512123
    """
    decoder, likelihood = model.decoder, model.likelihood
    if not isinstance(decoder, Affine) or not isinstance(likelihood, Gaussian):
        raise ValueError(
            "model: expected an Affine decoder and a Gaussian likelihood, got "
            f"{type(decoder).__name__} and {type(likelihood).__name__}"
        )
    data = model.check_data(X)
    weight = likelihood.whiten(decoder.weight.T).T
    residual = likelihood.whiten(data - decoder.bias)
    # With J the whitened weight, I + J J^T is handled through the triangle of a QR of (I, J)^T:
    # its inverse and determinant keep their digits when the scale is small.
    d = model.latent_dim
    q, r = np.linalg.qr(np.concatenate([weight, np.eye(d)]))
    top = q[: len(weight)]
    # (I + J J^T)^(-1) = I - Q1 Q1^T, the projection off the first block of Q's columns.
    along = residual @ top
    off = residual - along @ top.T
    square = (off**2).sum(axis=-1) + ((along @ q[len(weight) :].T) ** 2).sum(axis=-1)
    log_det = np.log(np.abs(np.diagonal(r))).sum()
    value = likelihood.log_peak(model.data_dim) - log_det - 0.5 * square
    condition = 1.0 if likelihood.cov is None else np.linalg.cond(likelihood.cov)
    size = (residual**2).sum(axis=-1)
    rounding = np.sqrt(size * np.maximum(square, 1)) * np.sqrt(model.data_dim) + np.abs(value) + d
    error = 8 * _EPS * condition * rounding
    status = np.full(value.shape, REACHED)
    return Integral(np.asarray(value), np.asarray(error), status, 0)

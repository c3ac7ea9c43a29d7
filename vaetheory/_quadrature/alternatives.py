"""Common other methods for the log evidence, for comparison with the engine.

Each method finds its own mode; all share only the model with the engine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from vaetheory._progress import Progress, report
from vaetheory._quadrature.frames import Frames, frames_at
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._quadrature.result import GAVE_UP, NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array
from vaetheory.models import LatentModel
from vaetheory.modes import highest_modes

#: Gauss-Hermite orders; the second gives the value, the difference is its error estimate.
_ORDERS = (16, 20)
#: Half-width of the trapezoid rule in standard deviations of the Laplace approximation.
_SPAN = 9.0
_STEPS = (0.8, 0.4, 0.2, 0.1, 0.05)
_DRAWS = 5_000
_FREEDOM = 5
_BLOCK = 400_000


def _log_weights(model: LatentModel, data: Array, frames: Frames, nodes: Array) -> Array:
    """Log joint at whitened nodes `(M, d)` of each frame plus the frame's log volume, `(N, M)`."""
    logs = np.empty((len(data), len(nodes)))
    rows = max(1, _BLOCK // model.param_dim)
    step = max(1, rows // len(nodes))
    volume = frames.log_volume()
    for i in range(0, len(data), step):
        batch = frames.take(np.s_[i : i + step])
        for j in range(0, len(nodes), rows):
            z = batch.points(nodes[j : j + rows])
            logs[i : i + step, j : j + rows] = model.log_joint(data[i : i + step, None], z)
    return logs + volume[:, None]


Rule = Callable[[LatentModel, Array, Frames, float, int], tuple[Array, Array, int, bool]]


def _gauss_hermite(
    model: LatentModel, data: Array, frames: Frames, rtol: float, max_nodes: int
) -> tuple[Array, Array, int, bool]:
    values, spent = [], 0
    for order in _ORDERS:
        if order**model.latent_dim + spent > max_nodes:
            break
        nodes, weights = hermite_rule(order, model.latent_dim)
        # The weights are for N(0, I): divide by its density.
        log_weights = np.log(weights) + 0.5 * (nodes**2).sum(axis=-1)
        log_weights += 0.5 * model.latent_dim * np.log(2 * np.pi)
        logs = _log_weights(model, data, frames, nodes)
        values.append(logsumexp(logs + log_weights, axis=-1))
        spent += len(nodes)
    return (*_last_two(values, len(data)), spent, len(values) < len(_ORDERS))


def _trapezoid(
    model: LatentModel, data: Array, frames: Frames, rtol: float, max_nodes: int
) -> tuple[Array, Array, int, bool]:
    values: list[Array] = []
    spent, d = 0, model.latent_dim
    value, error = _last_two(values, len(data))
    for k, step in enumerate(_STEPS):
        line = np.arange(-_SPAN, _SPAN, step) + step * (0.31 + 0.37 * k) % step
        if len(line) ** d + spent > max_nodes:
            # The error already includes the edge.
            return value, error, spent, True
        nodes = np.stack(np.meshgrid(*(line,) * d, indexing="ij"), axis=-1).reshape(-1, d)
        logs = _log_weights(model, data, frames, nodes)
        total = logsumexp(logs, axis=-1)
        values.append(total + d * np.log(step))
        spent += len(nodes)
        value, error = _last_two(values, len(data))
        # At a jump the error halves with the step: two lattices may agree by chance.
        error = np.maximum(error, 0.5 * _last_two(values[:-1], len(data))[1])
        # The mass beyond the last layer of nodes may be about ten times the mass in it.
        edge = np.abs(nodes).max(axis=-1) > _SPAN - 1
        error = error + 10 * np.exp(logsumexp(logs[:, edge], axis=-1) - total)
        if (error <= rtol).all():
            break
    return value, error, spent, False


def _last_two(values: list[Array], n: int) -> tuple[Array, Array]:
    """The last of a sequence of approximations, and its distance from the previous one."""
    if not values:
        return np.full(n, np.nan), np.full(n, np.inf)
    if len(values) == 1:
        return values[0], np.full(n, np.inf)
    return values[-1], np.abs(values[-1] - values[-2])


def _importance(
    model: LatentModel, data: Array, frames: Frames, rtol: float, max_nodes: int
) -> tuple[Array, Array, int, bool]:
    from scipy.stats import multivariate_t

    count, d = min(_DRAWS, max_nodes), model.latent_dim
    proposal = multivariate_t(np.zeros(d), np.eye(d), df=_FREEDOM, seed=0)
    nodes = proposal.rvs(size=count).reshape(count, d)
    logs = _log_weights(model, data, frames, nodes) - proposal.logpdf(nodes)
    top = logs.max(axis=-1, keepdims=True)
    weights = np.exp(logs - top)
    mean = weights.mean(axis=-1)
    spread = weights.std(axis=-1, ddof=1) / np.sqrt(count) if count > 1 else np.inf
    return top[:, 0] + np.log(mean), 2 * spread / mean, count, False


def _cubature(
    model: LatentModel, data: Array, frames: Frames, rtol: float, max_nodes: int
) -> tuple[Array, Array, int, bool]:
    from scipy.integrate import cubature

    value, error = np.empty(len(data)), np.empty(len(data))
    d, spent, short = model.latent_dim, 0, False
    volume = frames.log_volume()
    for i, x in enumerate(data):
        one = frames.take(np.s_[i : i + 1])
        top = model.log_joint(x, one.centre)[0]
        calls = 0

        def weight(w: Array, x: Array = x, one: Frames = one, top: float = top) -> Array:
            nonlocal calls
            calls += len(w)
            return np.exp(model.log_joint(x, one.centre[0] + w @ one.axes[0].T) - top)

        per_region = 21**d + 10**d
        result = cubature(
            weight, [-np.inf] * d, [np.inf] * d, rtol=rtol, atol=0.0,
            max_subdivisions=max(1, max_nodes // (per_region << d)),
        )  # fmt: skip
        spent, short = spent + calls, short or result.status != "converged"
        positive = max(float(result.estimate), 1e-300)
        value[i] = top + volume[i] + np.log(positive)
        error[i] = float(result.error) / positive
    return value, error, -(-spent // len(data)), short


_RULES: dict[str, Rule] = {
    "gauss-hermite": _gauss_hermite,
    "trapezoid": _trapezoid,
    "importance": _importance,
    "cubature": _cubature,
}
METHODS = tuple(_RULES)


def log_evidence(
    model: LatentModel,
    data: Array,
    method: str,
    *,
    rtol: float,
    max_nodes: int,
    progress: Progress | None = None,
) -> Integral:
    """Log evidence of data `(N, D)` by one of `METHODS`.

    Parameters
    ----------
    model : LatentModel
    data : array (N, D)
    method : str
    rtol : float
        Relative tolerance of the evidence.
    max_nodes : int
        Evaluations per datum; "cubature" may exceed it by one subdivision.
    progress : callable, optional
        Called with the fraction of the data that is done.

    Returns
    -------
    Integral
        `error` (N,) is an estimate from the nodes of the method alone: the difference of two
        rules (for "trapezoid" at least half of the previous difference), two standard errors of
        the importance weights, or the error stated by `cubature`. If there is a kink or a jump,
        or a mode other than the one found, each method can be "reached" and wrong.
    """
    reduced = model.reduced(data)
    model, data = reduced.model, reduced.data
    n = len(data)
    value, error = np.empty(n), np.empty(n)
    modes = np.empty((n, model.latent_dim))
    spent, short = 0, False
    size = max(1, _BLOCK // (10 * model.param_dim))
    with np.errstate(all="ignore"):
        for i in range(0, n, size):
            rows = np.s_[i : min(i + size, n)]
            batch = data[rows]
            modes[rows] = highest_modes(model, batch)
            frames = frames_at(model, batch, np.arange(len(batch)), modes[rows])
            value[rows], error[rows], nodes, gave_up = _RULES[method](
                model, batch, frames, rtol, max_nodes
            )
            spent, short = spent + nodes * len(batch), short or gave_up
            report(rows.stop / n, progress)
    value += reduced.offset
    error += reduced.error + reduced.rounding(modes[:, None])[:, 0]
    error = np.where(np.isfinite(value), error + 1e-15 * np.abs(value), np.inf)
    status = np.where(error <= rtol, REACHED, GAVE_UP if short else NOT_REACHED)
    return Integral(value, error, status, spent)

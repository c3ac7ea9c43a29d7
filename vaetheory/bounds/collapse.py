"""When the best VAE ignores its latents: two thresholds of the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import (
    Array,
    as_array,
    data_set,
    fraction,
    positive,
    squarable,
    weights_of,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds._exponentials import beyond_tangent
from vaetheory.rounding import EPS, gamma

# Starts of the search in more than one dimension, its steps, and those after which it gives up
# starts that shrink.
_STARTS, _STEPS, _SHRINKING = 24, 400, 40
# Rounds of splitting cells, and most cells at a time.
_ROUNDS, _CELLS = 60, 2**20
# Logarithms of ratios of start tilts to the inverse of the data's reach.
_TILTS = np.linspace(-3, 5, 33)


@dataclass(frozen=True, eq=False)
class SubGaussianProxy(ByValue):
    """The optimal sub-Gaussian variance proxy of a law of data, from below and from above.

    Attributes
    ----------
    value : float
        The greatest 2 log E exp(theta . (x - mean)) / (theta . theta) that was found, or the
        largest eigenvalue of the covariance, its limit as theta -> 0, if that is greater. It is at
        most tau^2, up to `error`.
    upper : float
        A bound of tau^2 from above.
    error : float
        Bound of the rounding error of `value`; `upper` includes it.
    tilt : array (D,)
        The theta that attains `value`; zero if it is the limit.
    weights : array (N,)
        The data's law tilted by theta, proportional to their weights times exp(theta . x).
    variance : float
        The largest eigenvalue of the covariance of the data.
    """

    value: float
    upper: float
    error: float
    tilt: Array
    weights: Array
    variance: float


def sub_gaussian_proxy(
    X: ArrayLike, *, weights: ArrayLike | None = None, rtol: float = 1e-6
) -> SubGaussianProxy:
    """The least tau^2 with E exp(theta . (x - mean)) <= exp(tau^2 theta . theta / 2) for all theta.

    If the noise sigma^2 of a Gaussian likelihood is at least tau^2 no VAE, with any encoder,
    decoder and latent dimension, has a greater mean ELBO than one that ignores its latents; if it
    is less, some VAE has.

    Parameters
    ----------
    X : array (N, D)
        The data.
    weights : array (N,), optional
        Non-negative weights of the data; they are normalised. Equal by default.
    rtol : float
        For D = 1 the relative distance of `value` and `upper`, from 1e-9 to 0.1.

    Returns
    -------
    SubGaussianProxy
        For D = 1 `value` and `upper` enclose tau^2 to `rtol`. For D > 1 `value` comes from
        searches from several starts, which may miss the maximum; `upper` is the proxy of the law
        of two points that has the largest variance of the data in any direction, and reaches as
        far as they do. For data of two points, and for equally likely points at equal distances
        from each other, both are tau^2.

    Raises
    ------
    ValueError
        If the data or weights have another shape, or all data of positive weight are equal.

    Notes
    -----
    Source: claims 13c and 13d. The search iterates theta -> grad K(theta) / r(theta), with
    K = log E exp(theta . (x - mean)) and r = 2 K / (theta . theta); since K is convex, r never
    falls. For D = 1 intervals of theta are split until convexity shows that none holds a greater
    ratio. The upper bound for D > 1 is Bennett's inequality with the proxy of two points.

    Examples
    --------
    One datum in twenty is at 1, the others are at 0:

    >>> from vaetheory.bounds import sub_gaussian_proxy
    >>> found = sub_gaussian_proxy([[0.0], [1.0]], weights=[19, 1])
    >>> round(found.variance, 4), round(found.value, 4), round(found.upper, 4)
    (0.0475, 0.1528, 0.1528)
    """
    rtol = fraction("rtol", rtol, low=1e-9, high=0.1)
    data = squarable("X", data_set("X", X))
    p = weights_of("weights", weights, len(data))
    used = p > 0
    x, p_used = data[used], p[used]
    away = x - x.mean(axis=0)
    away = away - p_used @ away
    reach = float(np.sqrt((away**2).sum(axis=-1).max()))
    if not reach > gamma(4) * np.abs(data).max():
        raise ValueError("X: expected data that differ, got equal ones only")
    # In units of the largest distance from the mean.
    y = away / reach
    variance = float(np.linalg.svd(np.sqrt(p_used)[:, None] * y, compute_uv=False)[0] ** 2)
    lost = gamma(len(x) + 20 * x.shape[1] + 100) * (1 + float(np.abs(x).max()) / reach)
    if x.shape[1] == 1:
        value, tilt, upper = _on_a_line(y[:, 0], p_used, variance, rtol)
    else:
        value, tilt = _search(y, p_used, variance)
        upper = max(value, _two_points(float((y**2).sum(axis=-1).max()), variance))
    logs = np.log(p_used) + y @ tilt
    tilted = np.zeros(len(data))
    tilted[used] = np.exp(logs - log_sum_exp(logs))
    unit = reach**2
    return SubGaussianProxy(
        value * unit,
        upper * (1 + lost) * unit,
        value * lost * unit,
        tilt / reach,
        tilted,
        variance * unit,
    )


@dataclass(frozen=True, eq=False)
class CollapseThresholds(ByValue):
    """The noise variances from which on collapse is a local, and the global, maximum.

    Attributes
    ----------
    local : float
        Above this sigma^2 collapse is a strict local maximum of the ELBO in the parameters of the
        posteriors, below it none.
    everywhere : float
        Below this sigma^2 some encoder beats collapse.
    everywhere_upper : float
        From this sigma^2 on none does.
    """

    local: float
    everywhere: float
    everywhere_upper: float


def collapse_thresholds(
    X: ArrayLike, *, weights: ArrayLike | None = None, beta: float = 1.0, rtol: float = 1e-6
) -> CollapseThresholds:
    """Where posterior collapse becomes stable, and where it becomes the best that a VAE can do.

    Parameters
    ----------
    X, weights, rtol
        As for `sub_gaussian_proxy`.
    beta : float
        Factor of the divergence in the ELBO.

    Returns
    -------
    CollapseThresholds
        Values of sigma^2, of a Gaussian likelihood with fixed covariance sigma^2 I. Between `local`
        and `everywhere` a VAE may collapse although another solution is better.

    Raises
    ------
    ValueError
        As for `sub_gaussian_proxy`; also if beta is not positive.

    Notes
    -----
    Source: claims 13a and 13d: lam_1 / beta and tau^2 / beta. The best encoder of `everywhere` need
    not be Gaussian; for Gaussian encoders the threshold lies between the two, and for linear
    decoders it is `local`.

    Examples
    --------
    >>> from vaetheory.bounds import collapse_thresholds
    >>> found = collapse_thresholds([[0.0], [1.0]], weights=[19, 1])
    >>> round(found.local, 4), round(found.everywhere, 4)
    (0.0475, 0.1528)
    """
    factor = float(positive("beta", as_array("beta", beta)))
    proxy = sub_gaussian_proxy(X, weights=weights, rtol=rtol)
    return CollapseThresholds(proxy.variance / factor, proxy.value / factor, proxy.upper / factor)


def _cumulant(products: Array, p: Array) -> Array:
    """K = log E exp of products `(..., N)` theta . y, whose mean is 0."""
    most = products.max(axis=-1)
    near = most < 30
    small = np.where(near[..., None], products, 0.0)
    found = np.log1p(beyond_tangent(small) @ p)
    large = np.where(near[..., None], 0.0, products)
    return np.asarray(np.where(near, found, log_sum_exp(large + np.log(p))))


def _two_points(square: float, variance: float) -> float:
    """Proxy of the law of two points with a variance whose far one is at the root of `square`."""
    rare = variance / (variance + square)
    gap = (square + variance) ** 2 / square
    odds = np.log1p((1 - 2 * rare) / rare)
    if odds < 1e-4:
        # (1 - 2 p) / (2 log((1 - p) / p)) is 1/4 - odds^2 / 48 + ..., and at most 1/4.
        return gap / 4
    return float(gap * (1 - 2 * rare) / (2 * odds))


def _on_a_line(y: Array, p: Array, variance: float, rtol: float) -> tuple[float, Array, float]:
    """The greatest ratio for data `(N,)` on a line, its theta, and an upper bound."""
    best, tilt, upper = variance, 0.0, variance
    for sign in (1.0, -1.0):
        best, tilt, upper = _one_side(sign * y, p, best, tilt, upper, rtol, sign)
    return best, np.array([tilt]), max(upper, best)


def _one_side(
    y: Array, p: Array, best: float, tilt: float, upper: float, rtol: float, sign: float
) -> tuple[float, float, float]:
    """As `_on_a_line` for positive theta, starting from what is known."""
    most = float(y.max())
    variance, third, fourth = (float(p @ y**k) for k in (2, 3, 4))
    # Near 0 the ratio is at most lam + theta m_3 / 3 + theta^2 m_4 exp(theta max) / 12.
    steps = 2.0 ** np.arange(0, -45, -0.5)
    near = variance + steps * max(third, 0.0) / 3
    near = near + steps**2 * fourth * np.exp(np.minimum(steps * most, 700)) / 12
    small = near <= max(best, variance) * (1 + rtol / 2)
    first = float(steps[small][0]) if small.any() else float(steps[-1])
    upper = max(upper, float(near[steps == first][0]))
    # Far away K <= theta max, so that the ratio is at most 2 max / theta.
    last = 2 * most / best
    if last <= first:
        return best, tilt, upper
    count = int(np.ceil(np.log(last / first) / 0.2)) + 1
    ends = np.geomspace(first, last, count)
    a, b = ends[:-1], ends[1:]
    for _ in range(_ROUNDS):
        low, high = (_cumulant(t[:, None] * y, p) for t in (a, b))
        ratios = np.concatenate([2 * low / a**2, 2 * high / b**2])
        at = int(ratios.argmax())
        if ratios[at] > best:
            best, tilt = float(ratios[at]), sign * float(np.concatenate([a, b])[at])
        # K lies below its chord, alpha + beta theta, whose ratio is greatest at -2 alpha / beta.
        beta = (high - low) / (b - a)
        alpha = np.minimum(low - beta * a, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = -2 * alpha / beta
            inside = (peak > a) & (peak < b)
            bound = np.where(inside, beta**2 / (-2 * alpha), np.maximum(*np.split(ratios, 2)))
        # Differences of K lose digits as the cell is narrow.
        bound = bound * (1 + gamma(200) * b / (b - a))
        open_cells = bound > best * (1 + rtol)
        upper = max(upper, float(bound[~open_cells].max(initial=0.0)))
        a, b, bound = a[open_cells], b[open_cells], bound[open_cells]
        if not len(a) or len(a) > _CELLS:
            break
        middle = np.sqrt(a * b)
        a, b = np.concatenate([a, middle]), np.concatenate([middle, b])
    return best, tilt, max(upper, float(bound.max(initial=0.0)))


def _search(y: Array, p: Array, variance: float) -> tuple[float, Array]:
    """The greatest ratio found for data `(N, D)`, and its theta; 0 for the limit theta -> 0."""
    reach = (y**2).sum(axis=-1)
    far = np.argsort(-reach * (1 - p))[:_STARTS]
    axes = np.linalg.svd(np.sqrt(p)[:, None] * y, full_matrices=False)[2][:4]
    directions = np.concatenate([y[far], axes, -axes])
    directions = directions[np.linalg.norm(directions, axis=-1) > 0]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    along = directions @ y.T
    sizes = np.exp(_TILTS)
    rays = np.stack([2 * _cumulant(t * along, p) / t**2 for t in sizes], axis=-1)
    # Along an axis on which all data are equal the ratio is 0.
    varies = rays.max(axis=-1) > EPS * variance
    theta = (directions * sizes[rays.argmax(axis=-1)][:, None])[varies]
    best, tilt, before = variance, np.zeros(y.shape[1]), np.zeros(len(theta))
    for step in range(_STEPS):
        products = theta @ y.T
        square = (theta**2).sum(axis=-1)
        ratio = 2 * _cumulant(products, p) / square
        at = int(ratio.argmax())
        if ratio[at] > best:
            best, tilt = float(ratio[at]), theta[at].copy()
        # Starts that are below the largest eigenvalue for long shrink towards 0, its limit.
        alive = (ratio - before > 8 * EPS * ratio) & ((step < _SHRINKING) | (ratio > variance))
        if not alive.any():
            break
        logs = products[alive] + np.log(p)
        mean = np.exp(logs - log_sum_exp(logs)[:, None]) @ y
        theta, before = mean / ratio[alive, None], ratio[alive]
    return best, tilt

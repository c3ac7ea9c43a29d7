"""A lower bound of the mean of non-negative numbers, by bets against smaller means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array, Index, as_array, fraction, numbers
from vaetheory.rounding import EPS

#: Shares of the wealth that are bet, when no others are given.
BETS = 2.0 ** -np.arange(12.0)
#: Numbers of one block of data, and the numbers that are multiplied before a logarithm is taken.
_BLOCK, _TOGETHER = 2**20, 8
#: A number is taken as at most this many times the mean that is tested: less is gained by it.
_MOST = 1e30
#: Largest distance of the bound from the mean of the numbers that is looked for, in nats.
_FAR = 700.0
#: The bound is found to this, and rounded down.
_STEP = 1e-7


def betting_lower_bound(
    log_weights: ArrayLike,
    *,
    confidence: float = 0.999,
    bets: ArrayLike | None = None,
    stakes: ArrayLike | None = None,
) -> Array:
    """Lower bound of log E[W] from independent non-negative W, at a stated confidence.

    If the mean is m, the wealth prod_i (1 + b (W_i / m - 1)) of a player who bets the share b has
    expectation 1. So it is at least 1 / (1 - confidence) with a probability of at most
    1 - confidence (Markov's inequality), and the bound is the largest m at which it is. The W need
    no upper bound, no variance and no common law, only the same mean. Weights p(x, z) / q(z) of
    independent draws from any q that was fixed before are such numbers, whose mean is the evidence.

    Parameters
    ----------
    log_weights : array (..., n)
        log W in nats; minus infinity is allowed.
    confidence : float
        Probability with which the bound holds, for each row by itself.
    bets : array (J,), optional
        Shares of the wealth, in (0, 1]; by default a geometric series. They must not depend on
        these W. The player divides the first wealth among them.
    stakes : array (J,), optional
        How the first wealth is divided; equally by default.

    Returns
    -------
    array (...)
        In nats. Minus infinity if nothing is excluded.

    Raises
    ------
    ValueError
        If a number is NaN or plus infinity, there is none, a bet or a stake is out of range, or the
        confidence is not between 0.5 and 1 - 1e-15.

    Notes
    -----
    With the best bet its distance from log E[W] is about sqrt(2 L / n) standard deviations of
    W / E[W], with L = log 1 / (1 - confidence), and never less than L / n; a bet that is one of
    J equal ones costs log J more in the place of L. Rounding is in the bound. Source: I.
    Waudby-Smith and A. Ramdas, *Estimating means of bounded random variables by betting*, JRSS B
    86 (2024), one-sided.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.random.default_rng(0).exponential(size=5000)
    >>> bound = betting_lower_bound(np.log(weights), confidence=0.999)
    >>> bool(-0.1 < bound < 0.0)
    True
    """
    logs = numbers("log_weights", log_weights)
    if logs.ndim == 0 or logs.shape[-1] == 0:
        raise ValueError(f"log_weights: expected shape (..., n), n at least 1, got {logs.shape}")
    if not (logs < np.inf).all():
        raise ValueError("log_weights: expected numbers below infinity, got plus infinity")
    level = -np.log1p(-fraction("confidence", confidence, low=0.5, high=1 - 1e-15))
    shares, stake = _game(bets, stakes)
    rows = logs.reshape(-1, logs.shape[-1])
    found = np.empty(len(rows))
    size = max(1, _BLOCK // rows.shape[1])
    for i in range(0, len(rows), size):
        found[i : i + size] = _bound(rows[i : i + size], level, shares, stake)
    return found.reshape(logs.shape[:-1])


def _game(bets: ArrayLike | None, stakes: ArrayLike | None) -> tuple[Array, Array]:
    """The checked bets, and the logs of their stakes."""
    shares = BETS if bets is None else as_array("bets", bets, ndim=1)
    if not len(shares) or not ((shares > 0) & (shares <= 1)).all():
        raise ValueError(f"bets: expected numbers above 0 and at most 1, got {shares.tolist()}")
    if stakes is None:
        return shares, np.full(len(shares), -np.log(len(shares)))
    stake = as_array("stakes", stakes, ndim=1)
    if stake.shape != shares.shape or not (stake > 0).all() or stake.sum() > 1 + 1e-9:
        raise ValueError(
            f"stakes: expected one above 0 for each of {len(shares)} bets, of sum 1 at most, got "
            f"{stake.tolist()}"
        )
    return shares, np.log(stake) - max(0.0, float(np.log(stake.sum())))


def log_wealth(relative: Array, shares: Array, log_stakes: Array) -> Array:
    """Log of the wealth against means `(B,)`, rounded down.

    Parameters
    ----------
    relative : array (B, n)
        log of W divided by the mean.
    shares, log_stakes : array (J,)
    """
    n = relative.shape[-1]
    ratio = np.exp(np.minimum(relative, np.log(_MOST)))
    pad = -n % _TOGETHER
    whole = np.concatenate([ratio, np.ones((len(ratio), pad))], axis=-1)
    whole = whole.reshape(len(ratio), _TOGETHER, -1)
    logs = np.empty((len(ratio), len(shares)))
    for j, share in enumerate(shares):
        factors = share * whole
        factors += 1 - share
        with np.errstate(divide="ignore"):
            logs[:, j] = np.log(np.multiply.reduce(factors, axis=1)).sum(axis=-1)
    # Each factor is rounded by some units, and large ones by the rounding of their exponents.
    exponents = np.maximum(relative, 1.0).max(axis=-1)
    off = EPS * n * (16 + 2 * exponents)[:, None] + 4 * EPS * np.abs(logs)
    with np.errstate(invalid="ignore"):
        found = logs - np.where(np.isfinite(logs), off, 0.0)
    return log_sum_exp(np.maximum(found + log_stakes, -1e300))


def _bound(logs: Array, level: float, shares: Array, log_stakes: Array) -> Array:
    """The largest means at which the wealth is enough, rounded down."""
    top = logs.max(axis=-1)
    some = np.isfinite(top)
    found = np.full(len(logs), -np.inf)
    if not some.any():
        return found
    relative = logs[some] - top[some, None]
    mean = log_sum_exp(relative) - np.log(logs.shape[-1])

    def excess(at: Array, which: Index) -> Array:
        wealth = log_wealth(relative[which] - at[:, None], shares, log_stakes)
        return wealth - level * (1 + 4 * EPS)

    # The wealth falls as the mean grows: at the mean of W itself no bet gains anything.
    every = np.arange(len(mean))
    low, high = mean - 1.0, mean.copy()
    gain_low, gain_high = excess(low, every), excess(high, every)
    step = 1.0
    while (short := np.flatnonzero((gain_low < 0) & (low > mean - _FAR))).size:
        step *= 2
        high[short], gain_high[short] = low[short], gain_low[short]
        low[short] = np.maximum(mean[short] - step, mean[short] - _FAR)
        gain_low[short] = excess(low[short], short)
    held = gain_low >= 0
    active = np.flatnonzero(held & (high - low > _STEP))
    for turn in range(60):
        if not active.size:
            break
        a, b, ga, gb = low[active], high[active], gain_low[active], gain_high[active]
        # The chord, and every third time the middle, so that the interval surely shrinks.
        share = np.clip(ga / np.maximum(ga - gb, 1e-300), 0.02, 0.98)
        at = a + (0.5 if turn % 3 == 2 else share) * (b - a)
        gain = excess(at, active)
        enough = gain >= 0
        low[active[enough]], gain_low[active[enough]] = at[enough], gain[enough]
        high[active[~enough]], gain_high[active[~enough]] = at[~enough], gain[~enough]
        active = active[high[active] - low[active] > _STEP]
    # The sum with the greatest logarithm is rounded.
    total = low + top[some]
    total -= 4 * EPS * (np.abs(low) + np.abs(top[some]) + 1)
    found[some] = np.where(held, total, -np.inf)
    return found

r"""The monotone decoder of one latent that a density of one-dimensional data determines.

x = f(z) + sigma eps with f monotone and z ~ N(0, 1): the density of x determines the law of f(z),
because the characteristic function of the noise has no zero, and f is its quantile function at
Phi(z). Dividing by that characteristic function multiplies errors by exp(sigma^2 t^2 / 2), so only
frequencies up to some T / sigma can be used. Functions of bounded frequency on both sides of a step
(Beurling, Selberg) then bound the law of f(z) from both sides, with no assumption on f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from vaetheory._arguments import protected
from vaetheory._validation import Array, as_array, require_callable, scales
from vaetheory.rounding import ULP, gamma

#: Greatest frequencies times the deviation of the noise, of which the sharpest is used.
_FREQUENCIES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5)
#: How many of them give the bounds, and the most that errors may add to a probability.
_USED, _USEFUL = 3, 0.25
#: Copies of the transform on the lattice are this far off, and so below exp(-12.5^2 / 2) = e^-78.
_BEYOND = 12.5
_MOST_POINTS = 20_000
#: The most complex numbers of one table.
_TABLE = 2_000_000
#: Si(pi) 2 / pi: the greatest value of 2 / pi times the sine integral.
_OVERSHOOT = 1.18
_HALVINGS, _REFINED = 30, 10
#: Where a transform has not fallen to this, only the bounds say how far a value may be off.
_DECAYED = 0.01
#: Nodes of Gauss and Legendre in each panel, of two rules, and the most that a wave turns in one.
_NODES, _PHASE = (24, 32), 24.0


@dataclass(frozen=True, eq=False)
class RecoveredDecoder:
    """Values of a monotone decoder, found from the density of its data.

    Attributes
    ----------
    value : array (...)
        f(z), an estimate that is precise if f is smooth.
    error : array (...)
        Estimate of the error of `value`; where the density does not say that f is smooth, it is
        half the distance of the bounds, and then a bound itself.
    lower, upper : array (...)
        Bounds of f(z) for every monotone f of this density: they hold if the density is within its
        error and is that of some decoder. About sigma apart, more where data are rare.
    """

    value: Array
    error: Array
    lower: Array
    upper: Array


def monotone_decoder(
    log_density: Callable[[Array], object],
    z: ArrayLike,
    *,
    noise: float,
    interval: tuple[float, float],
    error: float | None = None,
) -> RecoveredDecoder:
    r"""The increasing decoder f of one latent with p(x) = int N(x; f(z), noise^2) N(z; 0, 1) dz.

    There is at most one such function up to values at jumps, so p(x) determines it; z -> f(-z) is
    the decreasing one. Other decoders have the same density, with folds or of more latents: to
    these f is the one monotone decoder that is equivalent.

    Parameters
    ----------
    log_density : callable
        `(N, 1) -> (N,)`, log p(x) in nats; or what `log_evidence` returns, with its errors.
    z : array (...)
        Where f is wanted.
    noise : float
        sigma, the deviation of the noise. It must be known: the density alone does not say how much
        of it is noise (21b-noise).
    interval : (float, float)
        It must hold all but a small part of the mass of p; what is outside is counted as an error.
    error : float, optional
        Bound of the error of the log density, in nats, where it returns none. By default 8 units
        of the last digit.

    Returns
    -------
    RecoveredDecoder
        `lower` and `upper` are bounds, up to an estimate of rounding and of one quadrature that
        they include; `error` is an estimate.

    Raises
    ------
    ValueError
        If the interval holds less than 0.99 of the mass, or more than all of it; if p is not the
        density of any decoder with this noise, as far as the errors let see; if the interval has
        more than 6,000 deviations of the noise.

    Notes
    -----
    Source: claim 21b. The law of f(z) between its bounds: with H the interpolation of the sign and
    K(x) = (sin pi x / pi x)^2, ``|sgn - H| <= K`` (J. Vaaler 1985, from memory; see 21b), and
    both have frequencies up to 2 pi only. As the noise's frequencies grow, more than about
    7 / sigma needs more digits than float64 has.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, log_evidence
    >>> from vaetheory.identifiability import monotone_decoder
    >>> model = LatentModel(decoders.Affine([[2.0]], [1.0]), likelihoods.Gaussian(scale=0.5))
    >>> found = monotone_decoder(
    ...     lambda X: log_evidence(model, X), [-1.0, 0.0], noise=0.5, interval=(-16.0, 18.0)
    ... )
    >>> found.value.round(6).tolist(), bool((found.lower <= [-1.0, 1.0]).all())
    ([-1.0, 1.0], True)
    """
    require_callable("log_density", log_density, "(N, 1) -> (N,)")
    at = as_array("z", z)
    if at.size == 0:
        raise ValueError(f"z: expected at least one latent, got an empty array {at.shape}")
    sigma = float(scales("noise", noise, max_ndim=0))
    low, high = _interval(interval)
    law = _Law(log_density, sigma, low, high, error)
    rank = ndtr(at.ravel())
    lower, upper = law.bounds(rank)
    value, off = law.estimate(rank, lower, upper)
    found = (value, off, lower, upper)
    return RecoveredDecoder(*(part.reshape(at.shape) for part in found))


def _interval(given: tuple[float, float]) -> tuple[float, float]:
    ends = as_array("interval", given)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"interval: expected (low, high) with low < high, got {given!r:.80}")
    return float(ends[0]), float(ends[1])


class _Law:
    """The law of f(z), from the density on a lattice; lengths are in deviations of the noise."""

    def __init__(
        self,
        log_density: Callable[[Array], object],
        sigma: float,
        low: float,
        high: float,
        error: float | None,
    ) -> None:
        self.sigma = sigma
        # By Poisson's formula a sum over the lattice is the integral, up to copies of the transform
        # 2 pi / step apart, which are below exp(-frequency^2 / 2).
        self.step = 2 * np.pi / (_FREQUENCIES[-1] + _BEYOND)
        count = int(np.ceil((high - low) / sigma / self.step)) + 1
        if count > _MOST_POINTS:
            raise ValueError(
                f"interval: expected at most {_MOST_POINTS * self.step:.0f} deviations of the "
                f"noise, got {(high - low) / sigma:.0f}"
            )
        self.middle = 0.5 * (low + high)
        self.x = self.step * (np.arange(count) - 0.5 * (count - 1))
        logs, off = _evaluated(log_density, self.middle + sigma * self.x, error)
        # The points are rounded, which matters where they are many deviations from zero.
        slopes = np.abs(np.gradient(np.where(np.isfinite(logs), logs, -1e6), self.step))
        off = off + 2 * ULP * (abs(self.middle) / sigma + np.abs(self.x)) * (1 + slopes)
        self.p = np.exp(logs) * self.step * sigma
        total, uncertain = float(self.p.sum()), float((self.p * np.expm1(off)).sum())
        uncertain += gamma(8 + np.log2(count)) * total
        # So are the phases of waves.
        turns = float((self.p * (np.abs(self.x) + self.step * np.sqrt(count))).sum())
        uncertain += gamma(4) * _FREQUENCIES[-1] * turns
        # What the lattice outside the interval holds; its whole sum is one.
        outside = 1 - total + uncertain
        if not (outside <= 0.01 and total <= 1 + uncertain + 1e-3):
            raise ValueError(
                "interval: expected one that holds the mass of a normalised density, got one with "
                f"mass {total:.6g}"
            )
        if outside < 0:
            raise ValueError(
                f"log_density: expected a density of mass 1, got 1 + {-outside + uncertain:.2g}, "
                f"which is more than its error {uncertain:.2g}"
            )
        self.lost = uncertain + outside
        self.heights = np.cumsum(self.p) / total

    def waves(self, frequencies: Array) -> Array:
        """The characteristic function of the data at frequencies `(n,)`."""
        # exp(i t x) for x = start + a row + column is a product, so few exponentials are needed.
        rows = int(np.ceil(np.sqrt(len(self.p))))
        padded = np.zeros(rows * int(np.ceil(len(self.p) / rows)))
        padded[: len(self.p)] = self.p
        table = padded.reshape(-1, rows)
        starts = self.x[0] + self.step * rows * np.arange(len(table))

        def sums(some: Array) -> Array:
            fast = np.exp(1j * self.step * np.multiply.outer(some, np.arange(rows)))
            slow = np.exp(1j * np.multiply.outer(some, starts))
            return np.asarray(((fast @ table.T) * slow).sum(axis=-1))

        parts = 1 + len(frequencies) * rows // _TABLE
        return np.concatenate([sums(some) for some in np.array_split(frequencies, parts)])

    def frequencies(self, top: float) -> _Frequencies:
        """Those up to a greatest one."""
        panels = 4 + int(np.ceil(top * (float(self.x[-1] - self.x[0]) + 2) / _PHASE))
        coarse, fine = (_Frequencies(top, panels, nodes, self) for nodes in _NODES)
        fine.coarse = coarse
        return fine

    def bounds(self, rank: Array) -> tuple[Array, Array]:
        """Bounds of the quantiles, the sharpest of some frequencies, `(n,)`."""
        lower, upper = np.full(rank.shape, -np.inf), np.full(rank.shape, np.inf)
        # Quantiles of the data are a few deviations from those of the law.
        start = np.interp(rank, self.heights, self.x)
        near = np.concatenate([np.linspace(0, 4, 41), 4 * 1.2 ** np.arange(1, 20)])
        grid = start[:, None] + np.concatenate([-near[:0:-1], near])
        # The rule's panels are for waves within the interval.
        grid = np.clip(grid, self.x[0] - 1, self.x[-1] + 1)
        # A function of frequencies up to T leaves about 2 pi / T undecided.
        allowed = {top: _allowance(top, self.lost) for top in _FREQUENCIES}
        used = sorted(allowed, key=lambda top: 2 * np.pi / top + 10 * allowed[top])[:_USED]
        for top in used:
            rule = self.frequencies(top)
            rule.require_law()
            if allowed[top] < _USEFUL:
                low, high = rule.around(grid)
                below = _last(grid, high < rank[:, None], rule.surely_below, rank)
                mirrored = (low >= rank[:, None])[:, ::-1]
                above = _last(-grid[:, ::-1], mirrored, rule.surely_above, rank)
                lower, upper = np.maximum(lower, below), np.minimum(upper, -above)
        return self.middle + self.sigma * lower, self.middle + self.sigma * upper

    def estimate(self, rank: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Quantiles of the law cut off where its transform drowns, and estimates of errors."""
        t = np.linspace(0, _FREQUENCIES[-1], 241)
        grown = np.exp(0.5 * t**2)
        left = np.abs(self.waves(t)) * grown
        # A transform may vanish and come back: all that is seen beyond 3/4 of a frequency counts.
        left = np.where(left > 2 * self.lost * grown, left, 0.0)
        drowned = np.array(
            [left[t > 0.75 * top].max() + _lost_in_step(top, self.lost) for top in _FREQUENCIES]
        )
        best = int(drowned.argmin())
        other = best + 1 if best + 1 < len(_FREQUENCIES) else best - 1
        found = []
        for number in (best, other):
            rule = self.frequencies(_FREQUENCIES[number])
            low, high = np.full(rank.shape, self.x[0]), np.full(rank.shape, self.x[-1])
            for _ in range(_HALVINGS):
                middle = 0.5 * (low + high)
                under = rule.cut(middle)[0] < rank
                low, high = np.where(under, middle, low), np.where(under, high, middle)
            c = 0.5 * (low + high)
            for _ in range(2):
                height, slope = rule.cut(c)
                step = (rank - height) / np.maximum(slope, 1e-3 / len(self.x))
                c = np.clip(c + np.clip(step, -self.step, self.step), self.x[0], self.x[-1])
            height, slope = rule.cut(c)
            found.append((c, np.abs(rank - height), slope))
        value, rest, slope = found[0]
        off = (rest + drowned[best]) / np.maximum(slope, 1e-300)
        off = off + np.abs(value - found[1][0]) + gamma(8) * (1 + np.abs(value))
        value, off = self.middle + self.sigma * value, self.sigma * off
        if drowned[best] > _DECAYED:
            off = np.full_like(off, np.inf)
        # Where the bounds are sharper than the estimate, their middle is the value.
        known = np.isfinite(lower) & np.isfinite(upper)
        half = np.where(known, 0.5 * (upper - lower), np.inf)
        middle = half < off
        between = np.where(known, lower, 0.0) + np.where(known, half, 0.0)
        value = np.clip(np.where(middle, between, value), lower, upper)
        off = np.where(middle, half, np.minimum(off, np.maximum(upper - value, value - lower)))
        return value, off + 2 * ULP * (abs(self.middle) + np.abs(value))


def _nodes(top: float, panels: int, count: int) -> tuple[Array, Array, Array, Array]:
    """Nodes and weights in [0, 1], what the noise is divided by, and pi s (1 - s) cot(pi s) + s."""
    nodes, weights = leggauss(count)
    s = ((np.arange(panels)[:, None] + 0.5 * (nodes + 1)) / panels).ravel()
    w = np.tile(0.5 * weights / panels, panels)
    return s, w, np.exp(0.5 * (top * s) ** 2), np.pi * s * (1 - s) / np.tan(np.pi * s) + s


def _allowance(top: float, lost: float) -> float:
    """What errors of the density, of mass `lost`, add to a bound of a probability."""
    s, w, grown, smooth = _nodes(top, 4, 32)
    # sin(u) / s is integrated in closed form, and only the rest by moduli.
    sign = _OVERSHOOT + 2 / np.pi * float((w * np.abs(smooth * grown - 1) / s).sum())
    return 0.5 * lost * (sign + 2 * float((w * (1 - s) * grown).sum()))


def _lost_in_step(top: float, lost: float) -> float:
    """The same for the law that is cut off at a frequency."""
    s, w, grown, _ = _nodes(top, 4, 32)
    return lost * (0.5 * _OVERSHOOT + float((w * (grown - 1) / (np.pi * s)).sum()))


class _Frequencies:
    """The transform of the law of f(z) at frequencies up to a greatest one, with its error."""

    coarse: _Frequencies

    def __init__(self, top: float, panels: int, count: int, law: _Law) -> None:
        self.top, self.lost = top, law.lost
        self.s, self.w, self.grown, smooth = _nodes(top, panels, count)
        self.transform = law.waves(top * self.s) * self.grown
        self.sign = 2 / np.pi * self.w * smooth / self.s
        self.kernel = 2 * self.w * (1 - self.s)
        self.plain = self.w / (np.pi * self.s)
        self.allowed = 2 * _allowance(top, law.lost)
        self.quadrature: float | None = None

    def _means(self, c: Array, imaginary: Array, real: Array) -> tuple[Array, Array]:
        """Weighted sums of the two parts of e^(i t c) times the conjugate transform, like c."""

        def sums(some: Array) -> Array:
            turned = np.exp(1j * np.multiply.outer(some, self.top * self.s)) * self.transform.conj()
            return np.stack([turned.imag @ imaginary, turned.real @ real])

        flat = c.ravel()
        parts = 1 + len(flat) * len(self.s) // _TABLE
        found = np.concatenate([sums(some) for some in np.array_split(flat, parts)], axis=1)
        return found[0].reshape(c.shape), found[1].reshape(c.shape)

    def _sums(self, c: Array) -> tuple[Array, Array]:
        """E sgn and its allowance, from the interpolation H and the kernel K."""
        return self._means(c, self.sign, self.kernel)

    def around(self, c: Array) -> tuple[Array, Array]:
        """Bounds of the law of f(z): of P(f(z) < c) from below, of P(f(z) <= c) from above."""
        sign, kernel = self._sums(c)
        if self.quadrature is None:
            # The quadrature's error is that of the coarser rule, at all points that come first.
            other = self.coarse._sums(c)
            self.quadrature = 2 * float((np.abs(sign - other[0]) + np.abs(kernel - other[1])).max())
        rounding = gamma(64 + 4 * np.sqrt(len(self.s))) * (
            np.abs(self.sign) @ np.abs(self.transform) * (1 + np.abs(c)) + 1
        )
        off = np.maximum(kernel, 0.0) + self.quadrature + rounding + self.allowed
        return 0.5 * (1 + sign - off), 0.5 * (1 + sign + off)

    def surely_below(self, c: Array, rank: Array) -> NDArray[np.bool_]:
        """Whether c is below the quantile of a rank."""
        return np.asarray(self.around(c)[1] < rank)

    def surely_above(self, c: Array, rank: Array) -> NDArray[np.bool_]:
        """Whether -c is at least the quantile of a rank."""
        return np.asarray(self.around(-c)[0] >= rank)

    def cut(self, c: Array) -> tuple[Array, Array]:
        """P(f(z) <= c) if there are no higher frequencies, and its derivative by c."""
        low, density = self._means(c, self.plain, self.w)
        return 0.5 + low, density * self.top / np.pi

    def require_law(self) -> None:
        """Raise a ValueError if a transform is greater than that of any law."""
        excess = np.abs(self.transform) - 1 - self.lost * self.grown - gamma(256)
        if (excess > 0).any():
            raise ValueError(
                "noise: expected at most the noise in the density, got one of which no decoder's "
                f"data can be left: a characteristic function of "
                f"{np.abs(self.transform)[excess.argmax()]:.3g}"
            )


def _evaluated(
    log_density: Callable[[Array], object], x: Array, error: float | None
) -> tuple[Array, Array]:
    """Log densities and their errors at points `(n,)`."""
    found = protected(log_density, "log_density")(x[:, None])
    logs, off = getattr(found, "value", found), getattr(found, "error", None)
    logs = np.asarray(logs, dtype=np.float64)
    if logs.shape != x.shape:
        raise ValueError(
            f"log_density: expected to map shape {(len(x), 1)} to {x.shape}, got {logs.shape}"
        )
    if np.isnan(logs).any() or (logs == np.inf).any():
        bad = x[np.isnan(logs) | (logs == np.inf)][0]
        raise ValueError(f"log_density: expected numbers, got {logs[x == bad][0]} at x = {bad:g}")
    if error is not None:
        known = as_array("error", error, ndim=0)
        if known < 0:
            raise ValueError(f"error: expected a number that is not negative, got {known:g}")
        return logs, np.broadcast_to(known, x.shape)
    least = 8 * ULP * np.where(np.isfinite(logs), np.abs(logs) + 1, 0.0)
    if off is None:
        return logs, least
    own = np.broadcast_to(np.asarray(off, dtype=np.float64), x.shape)
    if not np.isfinite(own).all():
        bad = x[~np.isfinite(own)][0]
        raise ValueError(f"log_density: expected finite errors, got {own[x == bad][0]} at {bad:g}")
    return logs, np.maximum(own, least)


def _last(
    grid: Array,
    found: NDArray[np.bool_],
    holds: Callable[[Array, Array], NDArray[np.bool_]],
    rank: Array,
) -> Array:
    """The last point of each grid that is found, and beyond it to the next by halving, `(n,)`."""
    place = grid.shape[1] - 1 - found[:, ::-1].argmax(axis=-1)
    rows = np.arange(len(grid))
    good, bad = grid[rows, place], grid[rows, np.minimum(place + 1, grid.shape[1] - 1)]
    for _ in range(_REFINED):
        middle = 0.5 * (good + bad)
        fine = holds(middle, rank)
        good, bad = np.where(fine, middle, good), np.where(fine, bad, middle)
    return np.where(found.any(axis=-1), good, -np.inf)

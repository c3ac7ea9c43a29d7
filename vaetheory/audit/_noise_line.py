"""Whether the latents follow each normal draw along a line, also where draws are rare.

The draws are given again as multiples t of fixed numbers near 1 or -1. In units of the posterior
the latents h = (z - m) exp(-v/2) must then be affine in t with the value 0 at 0. A clamp at three
deviations shows itself in one of 400 draws, and here in one evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from vaetheory._validation import Array
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings

#: Where the draws are put, from the middle outwards.
_PLACES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
#: A draw at which the slope is measured, and a slope below which a latent does not move.
_NEAR, _STILL = 0.25, 1e-8
#: How far h may be from its line.
_OFF = 1e-7
#: The share of draws beyond which a law is another one in practice.
_RARE = 1e-5
#: What was said of the law from samples, and is replaced by what is exact.
_LESS_EXACT = ("noise.sampled-law", "noise.law", "noise.scale")


@dataclass(frozen=True)
class Line:
    """h along the line of draws.

    Attributes
    ----------
    middle : array (n,)
        h of each latent that moves, where all draws are 0.
    slope : array (n,)
        Its slope there.
    ends : array (2, n) or None
        The least and the largest h, if it does not change beyond them.
    straight : float
        The largest draw up to which h is affine.
    seen : float
        The largest draw that could be given.
    """

    middle: Array
    slope: Array
    ends: Array | None
    straight: float
    seen: float

    @property
    def unit(self) -> bool:
        """Whether the slopes are what unit noise may have: draws are 0.8 t to t."""
        size = np.abs(self.slope)
        return bool(size.min() >= 0.8 - _OFF and size.max() <= 1 + _OFF)

    @property
    def right_near_0(self) -> bool:
        """Whether small draws give what unit noise may."""
        return bool(self.straight > 0 and self.unit and np.abs(self.middle).max() <= _OFF)


def line(bench: Any, case: Any) -> Line | None:
    """The line of h; None where no normal draw reaches the latents."""

    def at(t: float) -> Array | None:
        try:
            h = bench.in_units(case, bench.stretched(case, t))
        except (RuntimeError, ValueError, ArithmeticError, AssertionError):
            # The user's own code refuses such latents.
            return None
        return None if h is None or not np.isfinite(h).all() else np.ravel(h)

    above, below = at(_NEAR), at(-_NEAR)
    if above is None or below is None:
        return None
    middle, slope = (above + below) / 2, (above - below) / (2 * _NEAR)
    moving = np.abs(slope) > _STILL
    if not moving.any():
        return None
    middle, slope = middle[moving], slope[moving]
    got: list[Array] = []
    straight = seen = 0.0
    for t in _PLACES:
        pair = [at(t), at(-t)]
        if any(h is None for h in pair):
            break
        both = np.array([h[moving] for h in pair if h is not None])
        off = np.abs(both - middle - np.array([[t], [-t]]) * slope)
        if straight == seen and off.max() <= _OFF * (1 + t * np.abs(slope).max()):
            straight = t
        seen = t
        got.append(both)
    ends = None
    if straight < seen and len(got) > 1 and np.abs(got[-1] - got[-2]).max() <= _OFF:
        ends = np.sort(got[-1], axis=0)
    return Line(middle, slope, ends, straight, seen)


def noise_line(conduct: Any, found: Examined) -> None:
    """Name a noise that is clamped, cut off or moved away from 0."""
    bench, into = conduct.bench, conduct.findings
    exact = conduct.slack == 1 and all(s.gaussian for s in found.all)
    if not (exact and found.identity.found) or bench.assumed or not hasattr(bench, "stretched"):
        return
    case = bench.case(min(conduct.sizes))
    bench.moved(case.x, 0.4, 1.0)
    seen = line(bench, case)
    if seen is None or seen.seen == 0:
        return
    conduct.facts["the latents follow their draws up to"] = seen.straight
    if seen.straight < seen.seen:
        _bent(seen, into)
    elif np.abs(seen.middle).max() > _OFF and (seen.unit or "noise.law" not in conduct.findings):
        other = line(bench, bench.case(min(conduct.sizes)))
        if other is not None and np.abs(other.middle).max() > _OFF:
            _biased(seen, into)


def _bent(seen: Line, into: Findings) -> None:
    """Say that the latents do not follow draws far out."""
    if seen.ends is not None and np.ptp(seen.ends, axis=1).max() <= 10 * _OFF:
        low, high = seen.ends.mean(axis=1)
        share = float(ndtr(low) + ndtr(-high))
        _replace(
            "noise.clamped",
            share,
            float(max(low, high, key=abs)),
            "(z - m) exp(-v/2) where all draws are 4.8 to 6",
            f"the noise of the latents is clamped to [{low:.6g}, {high:.6g}], in units of the "
            f"posterior: {100 * share:.3g} % of the draws of each latent fall on the ends, and the "
            "divergence is that of a normal distribution without ends",
            into,
        )
    elif seen.straight > 0 and (not into.begins("noise.") or seen.right_near_0):
        # Where nothing is affine the samples of an example may not be in the order that was taken.
        share = float(2 * ndtr(-max(seen.straight, 0.0)))
        _replace(
            "noise.nonlinear",
            share,
            seen.straight,
            "the largest draw, of 1 to 6, up to which z is affine in it",
            f"the latents follow their draws e as m + s e only up to |e| = {seen.straight:g}, and "
            f"{100 * share:.3g} % of normal draws are larger",
            into,
        )


def _replace(
    code: str, share: float, number: float, meaning: str, sentence: str, into: Findings
) -> None:
    for other in _LESS_EXACT:
        into.drop(other)
    into.add(
        code,
        WRONG if share > _RARE else NOTE,
        number,
        meaning,
        sentence,
        "write z = m + exp(v/2) e, with e from N(0, 1) as it comes",
    )


def _biased(seen: Line, into: Findings) -> None:
    number = float(seen.middle[np.abs(seen.middle).argmax()])
    _replace(
        "noise.biased",
        1.0,
        number,
        "(z - m) exp(-v/2) where all normal draws are 0; right is 0",
        "the latents are not centred at the mean that encode gives: where all normal draws are 0, "
        f"they are off by {number:.6g} deviations of the posterior",
        into,
    )

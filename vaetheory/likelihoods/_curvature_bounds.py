"""Whether the bounds that a family gives of its second derivatives can be true."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.likelihoods.base import Likelihood
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood, NoCurvatureBoundsError
from vaetheory.rounding import ULP

#: Params around which data are drawn, and distances from them at which bounds are tried.
_CENTRES = np.linspace(-6.0, 6.0, 7)
_AWAY = 2.0 ** np.arange(-14, 4.01, 1 / 3)
#: Numbers that are in memory at a time.
_NUMBERS = 2**18
#: Share by which a second derivative must pass its bound for that to be no rounding.
_WRONG = 1e-3


def checked_bounds(likelihood: ElementwiseLikelihood, x: Array) -> tuple[Array, Array]:
    """The bounds of a family for data, finite and of the right shape, or a ValueError."""
    given = likelihood.curvature_bounds(x)
    if not isinstance(given, tuple) or len(given) != 2:
        raise ValueError(
            f"likelihood: expected curvature_bounds to return low and high, got {given!r:.80}"
        )
    arrays = []
    for bound in given:
        array = np.asarray(bound)
        if array.dtype.kind not in "biuf" or array.shape != x.shape:
            raise ValueError(
                f"likelihood: expected curvature_bounds of shape {x.shape} for data of that "
                f"shape, got {array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(
                "likelihood: expected finite curvature_bounds, got "
                f"{array[~np.isfinite(array)][0]:g}: of a family without bounds there is no "
                "evidence whose error is known"
            )
        arrays.append(array.astype(np.float64))
    low, high = arrays
    if (low > high).any():
        raise ValueError(
            "likelihood: expected curvature_bounds with low <= high, got "
            f"{low[low > high][0]:g} and {high[low > high][0]:g}"
        )
    return low, high


def require_bounds(likelihood: Likelihood, dim: int) -> None:
    """Raise a ValueError if the curvature bounds of a family are visibly false.

    A second difference of log p is a mean of its second derivatives, so it lies between any true
    bounds. Tried at samples of the family, up to a distance of 16 from where they were drawn; a
    family without bounds or without samples passes.

    Parameters
    ----------
    likelihood : Likelihood
    dim : int
        Number of data dimensions.

    Examples
    --------
    >>> from vaetheory.likelihoods import Beta
    >>> require_bounds(Beta(concentration=2.0), 1)
    """
    if likelihood.natural or not isinstance(likelihood, ElementwiseLikelihood):
        return
    centres = np.repeat(_CENTRES[:, None], dim, axis=1)
    try:
        x = likelihood.check_data(likelihood.sample(centres, np.random.default_rng(0)))
    except Exception:
        # Nothing else of a model needs samples.
        return
    try:
        low, high = checked_bounds(likelihood, x)
    except NoCurvatureBoundsError:
        return
    offsets = np.concatenate([-_AWAY, _AWAY])[:, None, None]
    size = max(1, _NUMBERS // x.size)
    for start in range(0, len(offsets), size):
        away = offsets[start : start + size]
        step = np.abs(away) / 8
        at = centres + away
        with np.errstate(all="ignore"):
            three = [likelihood._log_prob(x, at + k * step) for k in (-1, 0, 1)]
            bend = (three[0] - 2 * three[1] + three[2]) / step**2
            slack = 64 * ULP * np.abs(three).sum(axis=0) / step**2 + _WRONG * np.abs(bend)
            bad = np.isfinite(bend) & ((bend < low - slack) | (bend > high + slack))
        if bad.any():
            k, i, j = (int(n) for n in np.argwhere(bad)[0])
            raise ValueError(
                "likelihood: expected curvature_bounds that hold for all params, got "
                f"{low[i, j]:.6g}..{high[i, j]:.6g} at x = {x[i, j]:.6g}, where the second "
                f"derivative of log p is {bend[k, i, j]:.6g} on the mean of params "
                f"{(at - step)[k, i, j]:.6g}..{(at + step)[k, i, j]:.6g}"
            )

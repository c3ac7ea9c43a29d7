"""How far samples are from N(0, I)."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from vaetheory._validation import Array

#: The chance that a right law is refused.
_CHANCE = 1e-9


def against_normal(rows: Array) -> tuple[float, bool]:
    """The largest distance of distribution functions from N(0, 1), and whether N(0, I) is refuted.

    By the bound of Dvoretzky, Kiefer, Wolfowitz and Massart, and by first and second moments
    to seven deviations.

    Parameters
    ----------
    rows : array (n, d)
        Samples that should be of N(0, I).
    """
    count, n = len(rows), rows.size
    at = ndtr(np.sort(rows.ravel()))
    steps = np.arange(n + 1) / n
    distance = float(max(np.abs(at - steps[1:]).max(), np.abs(at - steps[:-1]).max()))
    far = distance > np.sqrt(np.log(2 / _CHANCE) / (2 * n))
    far |= abs(rows.mean()) > 7 / np.sqrt(n)
    far |= abs((rows**2).mean() - 1) > 7 * np.sqrt(2 / n)
    covariance = rows.T @ rows / count
    far |= np.abs(covariance - np.eye(len(covariance))).max() > 7 * np.sqrt(2 / count)
    return distance, bool(far)

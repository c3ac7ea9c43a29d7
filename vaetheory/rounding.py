"""How much a float64 computation can have lost: the constants behind every rounding term."""

from __future__ import annotations

import numpy as np

#: Unit roundoff of float64.
EPS = float(np.finfo(np.float64).eps) / 2
#: Spacing of float64 at one.
ULP = 2 * EPS


def gamma(operations: float) -> float:
    """Relative error bound of a chain of float64 operations, n u / (1 - n u).

    Source: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, lemma 3.1. Multiplied
    by the sum of the absolute values of the terms it bounds the rounding error of their sum.

    Examples
    --------
    >>> 1e-16 < gamma(1) < 1.2e-16
    True
    """
    return operations * EPS / (1 - operations * EPS)

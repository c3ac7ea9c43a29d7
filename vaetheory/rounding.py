"""The unit roundoff of float64, and the error bound of a chain of operations."""

from __future__ import annotations

import numpy as np

#: Unit roundoff of float64.
EPS = float(np.finfo(np.float64).eps) / 2
#: Spacing of float64 at one.
ULP = 2 * EPS


def gamma(operations: float) -> float:
    """Relative error bound n u / (1 - n u) of a chain of n float64 operations.

    Source: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, lemma 3.1. Its product
    with the sum of the moduli of some terms bounds the rounding error of their sum.

    Examples
    --------
    >>> 1e-16 < gamma(1) < 1.2e-16
    True
    """
    return operations * EPS / (1 - operations * EPS)

"""Special functions that keep their digits where SciPy's differences cancel."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from vaetheory._validation import Array
from vaetheory.gaussians import LOG_2PI


def stirling_remainder(a: Array) -> Array:
    """Remainder log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2, with all digits for large a.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(stirling_remainder(np.array(1e6))) * 12e6, 9)
    1.0
    """
    large = np.maximum(a, 10.0)
    inverse = 1 / large**2
    coefficients = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    series = np.polynomial.polynomial.polyval(inverse, coefficients) / large
    small = np.minimum(a, 10.0)
    direct = gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * LOG_2PI
    return np.where(a < 10.0, direct, series)

"""Log variances as a function of the reconstruction, of any image, by seven coefficients."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from vaetheory._validation import Array
from vaetheory.training.objectives import VARYING_COUNT

#: Tensors are trained, arrays are evaluated: NumPy's hyperbolic tangent is several times faster.
Values = TypeVar("Values", Array, torch.Tensor)

#: Powers of the pixel's feature, and after them of the image's: seven in all.
_PIXEL, _IMAGE = 4, 3
assert _PIXEL + _IMAGE == VARYING_COUNT
#: Adam moves each parameter by up to its rate in a step, too slowly for these few.
_FASTER = 10.0
#: Added to the contrast, whose root has no derivative at 0.
_LEAST = 1e-4


def relative_log_variances(coefficients: Values, w: Values) -> Values:
    """Log variances up to a constant, `(B, D)`, of reconstructions `(B, D)`.

    Parameters
    ----------
    coefficients : tensor or array (7,)
        At zero the variances are the same for all data.
    w : tensor or array (B, D)
        Outputs of the decoder plus `common_origin`: reconstructions in the units of the networks.

    Notes
    -----
    It is a polynomial without a constant: of degree 4 in t = tanh(w / 2) of the pixel, plus of
    degree 3 in u = (s - 1) / (s + 1), where s is the standard deviation of w over the pixels of the
    image. Both features are between -1 and 1, so it is at most ten times the sum of the sizes of
    the coefficients.
    """
    tanh, sqrt = (torch.tanh, torch.sqrt) if isinstance(w, torch.Tensor) else (np.tanh, np.sqrt)
    weights = _FASTER * coefficients
    away = w - w.mean(1)[:, None]
    contrast = sqrt((away * away).mean(1)[:, None] + _LEAST)
    pixel = _polynomial(weights[:_PIXEL], tanh(w / 2))
    return pixel + _polynomial(weights[_PIXEL:], (contrast - 1) / (contrast + 1))


def common_origin(loc: Values, unit: Values) -> Values:
    """What to add to the decoder's outputs so that they count from the mean of all pixels, `(D,)`.

    Zero if dimensions have units of their own, which count from their own means.
    """
    return (loc - loc.mean()) / unit if unit.ndim == 0 else 0 * loc


def most(coefficients: Array) -> float:
    """A number that no relative log variance exceeds in size."""
    return float(_FASTER * np.abs(coefficients).sum())


def _polynomial(weights: Values, x: Values) -> Values:
    """The sum of weight k times x^(k + 1)."""
    total = weights[-1] * x
    for k in range(len(weights) - 2, -1, -1):
        total = (total + weights[k]) * x
    return total

"""Waiting times."""

from __future__ import annotations

from dataclasses import dataclass, field

from vaetheory.likelihoods.gamma import Gamma


@dataclass(frozen=True)
class Exponential(Gamma):
    """Exponential likelihood of positive data, the Gamma of shape 1; the decoder gives log means.

    The Fisher information in the log mean is 1.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Exponential().log_prob(np.array([3.0]), np.zeros(1))), 12)
    -3.0
    """

    shape: float = field(init=False, repr=False)

    def __init__(self) -> None:
        super().__init__(1.0)

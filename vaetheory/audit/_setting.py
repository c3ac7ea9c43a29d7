"""What coefficients are compared with, and the weights that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaetheory.audit._fit import Fit

#: Coefficients closer than this, relative to their size, are the same number.
_SAME = 1e-6


@dataclass(frozen=True)
class Setting:
    """What the coefficients are compared with.

    Attributes
    ----------
    D, d : int
        Dimensions of the data and of the latents.
    beta : float
        The declared weight of the divergence.
    family : str
        The family of the declared likelihood.
    log_scale : float or None
        The sum of log s over the dimensions, if the likelihood's scale is always the same.
    scale : float or None
        s, if it is one number.
    slack : float
        By how much tolerances are larger than in float64.
    """

    D: int
    d: int
    beta: float
    family: str
    log_scale: float | None
    scale: float | None
    slack: float = 1.0

    @property
    def same(self) -> float:
        """Numbers closer than this, relative to their size, are the same."""
        return _SAME * self.slack


@dataclass
class Reading:
    """Effective weights, per example.

    Attributes
    ----------
    weight_r, weight_kl : float or None
        The weights of R and KL, without the reduction over the batch; None if there is no such
        term.
    power_r, power_kl : float or None
        The reductions over the batch: 0 is a sum, 1 a mean.
    constant : float or None
        What the loss has more than the declared one, in nats an example.
    terms : mapping
        Every coefficient, without the reduction over the batch.
    """

    weight_r: float | None = None
    weight_kl: float | None = None
    power_r: float | None = None
    power_kl: float | None = None
    constant: float | None = None
    terms: dict[str, float] = field(default_factory=dict)

    @property
    def beta(self) -> float | None:
        """The effective weight of the divergence, relative to the reconstruction term."""
        if not self.weight_r or self.weight_kl is None:
            return None
        return self.weight_kl / self.weight_r


def power(fits: Mapping[int, Fit], name: str) -> float | None:
    """The p for which a coefficient goes as B^-p, rounded where it is an integer."""
    small, large = min(fits), max(fits)
    if small == large:
        scaled = abs(fits[small][name]) * small
        return 1.0 if abs(scaled - 1) < _SAME and small > 1 else 0.0
    a, b = fits[small][name], fits[large][name]
    if a * b <= 0:
        return None
    p = float(np.log(a / b) / np.log(large / small))
    return round(p) * 1.0 if abs(p - round(p)) < 1e-4 else p

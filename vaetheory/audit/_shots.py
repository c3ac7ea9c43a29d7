"""What one evaluation of a loss shows, as arrays: of any framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaetheory._validation import Array

LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Decoded:
    """The declared likelihood at the latents of one evaluation.

    Attributes
    ----------
    family : str
        "normal", "bernoulli", "laplace" or "poisson"; "other" if only its log density is known.
    nll : array (K, B)
        -log p(x given z) in nats of each sample and each example.
    parts : mapping of arrays (K, B, D)
        The parameters: `loc` and `scale`, `logits`, or `rate`; `mean` of any family that has one.
    """

    family: str
    nll: Array
    parts: Mapping[str, Array]


@dataclass(frozen=True)
class Shot:
    """One evaluation of the loss, with everything of which it should be a function.

    Attributes
    ----------
    values : tuple of float
        The loss; if it was a tuple, first the sum of its entries and then its first entry.
    x : array (B, D)
        The data.
    loc, log_variance : array (B, d)
        The posterior that `encode` gives; the variances are the marginal ones.
    log_det : array (B,)
        The log determinant of the posterior's covariance.
    factor : array (B, d, d) or None
        The triangular factor of the covariance, if it is a full matrix.
    z : array (K, B, d)
        The latents that the decoder got.
    eps : array (K, B, d) or None
        The noise that was drawn for them, if it was found.
    prior_loc, prior_scale : array (d,)
        The declared prior.
    decoded : Decoded
        The declared likelihood at `z`.
    log_q, log_p : array (K, B) or None
        Log densities of posterior and prior at `z`, where the posterior is no Gaussian; with
        `divergence` (B,) if it has a closed form.
    weights : mapping
        Sums over all parameters: of their squares, and of their moduli.
    more : tuple of arrays (B, d)
        Other normal draws of the size of the latents.
    reported : mapping
        The other numbers that the loss has returned with its value.
    """

    values: tuple[float, ...]
    x: Array
    loc: Array
    log_variance: Array
    log_det: Array
    factor: Array | None
    z: Array
    eps: Array | None
    prior_loc: Array
    prior_scale: Array
    decoded: Decoded
    log_q: Array | None = None
    log_p: Array | None = None
    divergence: Array | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    reported: Mapping[str, float] = field(default_factory=dict)
    more: tuple[Array, ...] = ()

    @property
    def size(self) -> int:
        """B, the number of examples."""
        return len(self.x)

    @property
    def gaussian(self) -> bool:
        """Whether the posterior is a Gaussian."""
        return self.log_q is None

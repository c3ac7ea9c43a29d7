"""Posteriors made to order: a binary datum whose likelihood is any sum of bumps and waves.

With a Bernoulli likelihood, x = 1 and the decoder f = logit m the likelihood of z is m(z) itself,
whatever m is; so the evidence E[m(z)] is a sum of closed forms, and everything that is hard for an
integrator can be put into m: narrow modes, modes far out, ripples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.claims import strategies
from vaetheory.claims.strategies import Vector
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Bump:
    """A Gaussian bump exp(log_weight - |(u - centre) / width|^2 / 2), u being turned coordinates."""

    log_weight: float
    centre: Vector
    width: Vector


@dataclass(frozen=True)
class Wave:
    """A ripple on a level: exp(log_weight) (1 + depth cos(frequency . u + phase)), |depth| < 1."""

    log_weight: float
    frequency: Vector
    phase: float
    depth: float = 0.5


@dataclass(frozen=True)
class Designed:
    """The likelihood of a binary datum x = 1: bumps and waves in coordinates turned by angles."""

    parts: tuple[Bump | Wave, ...]
    angles: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        """Latent dimension."""
        part = self.parts[0]
        return len(part.centre if isinstance(part, Bump) else part.frequency)

    @property
    def _turn(self) -> Array:
        return strategies.rotation(self.angles, self.dim)

    def log_likelihood(self, z: Any) -> Any:
        """Log m(z), `(..., d) -> (...)`."""
        u = anp.dot(z, self._turn) if self.angles else z
        logs = []
        for part in self.parts:
            if isinstance(part, Bump):
                away = (u - np.array(part.centre)) / np.array(part.width)
                logs.append(part.log_weight - 0.5 * anp.sum(away**2, axis=-1))
            else:
                turned = anp.dot(u, np.array(part.frequency)) + part.phase
                logs.append(part.log_weight + anp.log1p(part.depth * anp.cos(turned)))
        return logsumexp(anp.stack(logs, axis=-1))

    def __call__(self, z: Any) -> Any:
        """The decoder logit m(z), `(..., d) -> (..., 1)`."""
        log_m = self.log_likelihood(z)
        return (log_m - anp.log(-anp.expm1(log_m)))[..., None]

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self, likelihoods.Bernoulli(), self.dim)

    def log_masses(self) -> tuple[Array, Array]:
        """Log of each part's share of the evidence, and of what it would be without its phase."""
        return np.array([log_mass(p) for p in self.parts]), np.array([0.0])

    def log_evidence(self) -> float:
        """Log E[m(z)] in closed form."""
        return float(np.logaddexp.reduce([log_mass(p) for p in self.parts]))

    def rounding(self) -> float:
        """Bound of the rounding in the closed form, absolute: a few operations a part."""
        sizes = [abs(log_mass(p)) for p in self.parts]
        return gamma(32) * (1 + max(sizes) + len(sizes))


def log_mass(part: Bump | Wave) -> float:
    """Log of the mean of a part under N(0, I)."""
    if isinstance(part, Wave):
        k = np.array(part.frequency)
        ripple = part.depth * np.exp(-0.5 * k @ k) * np.cos(part.phase)
        return part.log_weight + float(np.log1p(ripple))
    c, square = np.array(part.centre), np.array(part.width) ** 2
    exponent = -0.5 * (c**2 / (1 + square) + np.log1p(1 / square)).sum()
    return part.log_weight + float(exponent)


def logsumexp(logs: Any) -> Any:
    """Log of the sum of exponentials over the last axis, for autograd."""
    top = anp.max(logs, axis=-1, keepdims=True)
    return anp.log(anp.sum(anp.exp(logs - top), axis=-1)) + top[..., 0]

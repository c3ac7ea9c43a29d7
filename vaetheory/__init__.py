"""The theorems about variational auto-encoders, as a library that runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from vaetheory import decoders, flows, geometry, likelihoods, training
from vaetheory.bounds import baggins, bilbo
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.constant_variance import (
    constant_variance_penalty,
    exact_penalty,
    log_specht_ratio,
    specht_ratio,
)
from vaetheory.encoders import Encoder, Posterior
from vaetheory.evidence import log_evidence, posterior_expectation, posterior_kl
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder

if TYPE_CHECKING:
    from vaetheory.claims import CLAIMS
    from vaetheory.claims.verify import verify

__all__ = [
    "CLAIMS",
    "Encoder",
    "LatentModel",
    "OptimalDecoder",
    "Posterior",
    "baggins",
    "bilbo",
    "constant_variance_penalty",
    "decoders",
    "elbo",
    "exact_penalty",
    "flows",
    "geometry",
    "likelihoods",
    "log_evidence",
    "log_specht_ratio",
    "posterior_expectation",
    "posterior_kl",
    "specht_ratio",
    "stationary_posterior",
    "training",
    "verify",
]

#: The claims bring Hypothesis along: who only computes does not wait for it.
_LATER = {"CLAIMS": "vaetheory.claims", "verify": "vaetheory.claims.verify"}


def __getattr__(name: str) -> object:
    if name == "claims":
        return importlib.import_module("vaetheory.claims")
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'vaetheory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "claims"})

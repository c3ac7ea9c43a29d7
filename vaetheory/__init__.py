"""The theorems about variational auto-encoders, as a library that runs.

Each name is loaded when it is first asked for: `import vaetheory` loads neither NumPy nor SciPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

#: The one place where the version is written: the package's metadata take it from here.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from vaetheory import (
        bounds,
        certify,
        checking,
        claims,
        concentration,
        constant_variance,
        decoders,
        derivatives,
        differences,
        encoders,
        evidence,
        figures,
        flows,
        geometry,
        hessian_estimators,
        jets,
        likelihoods,
        optimal_decoder,
        report,
        rounding,
        stability,
        testing,
        training,
    )
    from vaetheory.bounds.batch_information import bilbo
    from vaetheory.bounds.bounded_likelihood import baggins
    from vaetheory.bounds.gaussian_elbo import elbo
    from vaetheory.bounds.stationary import stationary_posterior
    from vaetheory.claims import CLAIMS
    from vaetheory.claims.verify import verify
    from vaetheory.constant_variance import (
        constant_variance_penalty,
        exact_penalty,
        log_specht_ratio,
        specht_ratio,
    )
    from vaetheory.encoders import AggregatePosterior, Encoder, Posterior
    from vaetheory.evidence import log_evidence, posterior_expectation, posterior_kl
    from vaetheory.models import LatentModel
    from vaetheory.modes import posterior_mode
    from vaetheory.optimal_decoder import OptimalDecoder

__all__ = [
    "CLAIMS",
    "AggregatePosterior",
    "Encoder",
    "LatentModel",
    "OptimalDecoder",
    "Posterior",
    "__version__",
    "baggins",
    "bilbo",
    "bounds",
    "certify",
    "checking",
    "claims",
    "concentration",
    "constant_variance",
    "constant_variance_penalty",
    "decoders",
    "derivatives",
    "differences",
    "elbo",
    "encoders",
    "evidence",
    "exact_penalty",
    "figures",
    "flows",
    "geometry",
    "hessian_estimators",
    "jets",
    "likelihoods",
    "log_evidence",
    "log_specht_ratio",
    "optimal_decoder",
    "posterior_expectation",
    "posterior_kl",
    "posterior_mode",
    "report",
    "rounding",
    "specht_ratio",
    "stability",
    "stationary_posterior",
    "testing",
    "training",
    "verify",
]

#: The module in which each public name is defined; the other names of `__all__` are modules.
_HOMES = {
    "AggregatePosterior": "vaetheory.encoders",
    "CLAIMS": "vaetheory.claims",
    "Encoder": "vaetheory.encoders",
    "LatentModel": "vaetheory.models",
    "OptimalDecoder": "vaetheory.optimal_decoder",
    "Posterior": "vaetheory.encoders",
    "baggins": "vaetheory.bounds.bounded_likelihood",
    "bilbo": "vaetheory.bounds.batch_information",
    "constant_variance_penalty": "vaetheory.constant_variance",
    "elbo": "vaetheory.bounds.gaussian_elbo",
    "exact_penalty": "vaetheory.constant_variance",
    "log_evidence": "vaetheory.evidence",
    "log_specht_ratio": "vaetheory.constant_variance",
    "posterior_expectation": "vaetheory.evidence",
    "posterior_kl": "vaetheory.evidence",
    "posterior_mode": "vaetheory.modes",
    "specht_ratio": "vaetheory.constant_variance",
    "stationary_posterior": "vaetheory.bounds.stationary",
    "verify": "vaetheory.claims.verify",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"vaetheory.{name}")
    raise AttributeError(f"module 'vaetheory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The theorems about variational auto-encoders, as a library that runs.

Each name is loaded when it is first asked for: `import vaetheory` loads neither NumPy nor SciPy.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING

#: The one place where the version is written: the package's metadata take it from here.
__version__ = "0.2.0"

if TYPE_CHECKING:
    from vaetheory import (
        audit,
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
        identifiability,
        jets,
        likelihoods,
        optimal_decoder,
        report,
        rounding,
        scores,
        stability,
        testing,
        training,
    )
    from vaetheory.bounds.after_training import evaluation_model
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
    "audit",
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
    "evaluation_model",
    "evidence",
    "exact_penalty",
    "figures",
    "flows",
    "geometry",
    "hessian_estimators",
    "identifiability",
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
    "scores",
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
    "evaluation_model": "vaetheory.bounds.after_training",
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

_LOADING = threading.RLock()


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vaetheory' has no attribute {name!r}")
    home = _HOMES.get(name, f"vaetheory.{name}")
    if _importing():
        module = importlib.import_module(home)
    else:
        # Two threads that load different modules at once may each wait for a module of the other,
        # and then Python ends one of the imports with an error.
        with _LOADING:
            module = importlib.import_module(home)
    return getattr(module, name) if name in _HOMES else module


def _importing() -> bool:
    """Whether this thread is importing a module of the package, and must not wait for others."""
    frame = sys._getframe(1)
    while True:
        body = frame.f_code.co_name == "<module>"
        if body and str(frame.f_globals.get("__name__")).startswith("vaetheory."):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

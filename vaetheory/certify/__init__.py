"""Certificates: proofs of single instances, where the claims only confirm them in floats.

Enclosures use FLINT's ball arithmetic (`pip install 'vaetheory[certify]'`). A checker re-proves
certificates with mpmath's intervals and fractions alone. The numerics do not depend on this
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vaetheory.certify import decoders, likelihoods
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.models import Model

if TYPE_CHECKING:
    from vaetheory.certify.api import (
        Maximum,
        StationaryPoint,
        elbo,
        gap,
        log_evidence,
        maximum,
        stationary_point,
    )

__all__ = [
    "Enclosure",
    "Maximum",
    "Model",
    "NotProved",
    "StationaryPoint",
    "decoders",
    "elbo",
    "gap",
    "likelihoods",
    "log_evidence",
    "maximum",
    "stationary_point",
]


def __getattr__(name: str) -> Any:
    # Proving needs FLINT, checking does not: `api` is loaded only when one of its names is used.
    if name in __all__:
        from vaetheory.certify import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

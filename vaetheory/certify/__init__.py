"""Certificates: instances proved, not only confirmed.

Enclosures by FLINT's ball arithmetic (`pip install 'vaetheory[certify]'`), and a checker that
re-proves certificates by mpmath's intervals and fractions alone. Nothing of the numerics rests on
this package.
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
    # What proves needs FLINT, which who checks need not have: it is loaded when it is asked for.
    if name in __all__:
        from vaetheory.certify import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

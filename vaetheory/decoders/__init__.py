"""Decoders with their derivatives, and a wrapper for any callable."""

from vaetheory.decoders.base import Decoder, FunctionDecoder, LastLayer, as_decoder
from vaetheory.decoders.curves import Catenary, Circle, Helix
from vaetheory.decoders.networks import Sine, TanhNetwork
from vaetheory.decoders.polynomials import Affine, Polynomial
from vaetheory.decoders.reparametrised import Reparametrised
from vaetheory.decoders.surfaces import Cylinder, FlatTorus, SpherePatch

__all__ = [
    "Affine",
    "Catenary",
    "Circle",
    "Cylinder",
    "Decoder",
    "FlatTorus",
    "FunctionDecoder",
    "Helix",
    "LastLayer",
    "Polynomial",
    "Reparametrised",
    "Sine",
    "SpherePatch",
    "TanhNetwork",
    "as_decoder",
]

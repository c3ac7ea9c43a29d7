"""Decoders with their derivatives, and a wrapper for any callable."""

from vaetheory.decoders.base import Decoder, FunctionDecoder, LastLayer, as_decoder
from vaetheory.decoders.composed import Composed
from vaetheory.decoders.curves import Catenary, Circle, Helix
from vaetheory.decoders.layers import ElementwisePieces, LinearMap
from vaetheory.decoders.networks import Sine, TanhNetwork
from vaetheory.decoders.piecewise_linear import PiecewiseLinear
from vaetheory.decoders.polynomials import Affine, Polynomial
from vaetheory.decoders.reparametrised import Reparametrised
from vaetheory.decoders.scikit_learn import from_mlp
from vaetheory.decoders.surfaces import Cylinder, FlatTorus, SpherePatch

__all__ = [
    "Affine",
    "Catenary",
    "Circle",
    "Composed",
    "Cylinder",
    "Decoder",
    "ElementwisePieces",
    "FlatTorus",
    "FunctionDecoder",
    "Helix",
    "LastLayer",
    "LinearMap",
    "PiecewiseLinear",
    "Polynomial",
    "Reparametrised",
    "Sine",
    "SpherePatch",
    "TanhNetwork",
    "as_decoder",
    "from_mlp",
]

"""Riemannian geometry of decoders: metrics, curvature, geodesics and arc length.

A parameter `metric` can be a `LatentModel` (its pull-back metric), a `Decoder` (the metric J^T J),
or a callable `(..., d) -> (..., d, d)`; see `as_metric`.
"""

from vaetheory.geometry.curvature import (
    christoffel_symbols,
    gaussian_curvature,
    ricci_curvature,
    riemann_curvature,
    scalar_curvature,
    sectional_curvature,
)
from vaetheory.geometry.geodesics import Geodesic, GeodesicSegment, geodesic, geodesic_between
from vaetheory.geometry.information import (
    DecoderHessian,
    decoder_hessian,
    fisher_information,
    pullback_metric,
)
from vaetheory.geometry.lengths import (
    ArcLengthParametrisation,
    arc_length,
    arc_length_parametrisation,
)
from vaetheory.geometry.metric import FunctionMetric, Metric, PullbackMetric, as_metric

__all__ = [
    "ArcLengthParametrisation",
    "DecoderHessian",
    "FunctionMetric",
    "Geodesic",
    "GeodesicSegment",
    "Metric",
    "PullbackMetric",
    "arc_length",
    "arc_length_parametrisation",
    "as_metric",
    "christoffel_symbols",
    "decoder_hessian",
    "fisher_information",
    "gaussian_curvature",
    "geodesic",
    "geodesic_between",
    "pullback_metric",
    "ricci_curvature",
    "riemann_curvature",
    "scalar_curvature",
    "sectional_curvature",
]

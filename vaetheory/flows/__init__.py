"""Normalizing flows and embeddings: invertible decoders, their densities, and added noise."""

from vaetheory.flows.affine import Affine, Rotation
from vaetheory.flows.base import Embedding, Flow
from vaetheory.flows.composition import Composition, compose
from vaetheory.flows.coupling import Coupling
from vaetheory.flows.cubic import Cubic
from vaetheory.flows.density import flow_log_density, ima_contrast, laplacian_ratio
from vaetheory.flows.elementwise import Elementwise
from vaetheory.flows.immersion import Immersion
from vaetheory.flows.inverse import Inverse
from vaetheory.flows.sinh import Sinh
from vaetheory.flows.smoothing import (
    SmoothedDensity,
    smoothed_log_density,
    smoothing_coefficients,
)
from vaetheory.flows.triangular import Triangular
from vaetheory.flows.twist import Twist

__all__ = [
    "Affine",
    "Composition",
    "Coupling",
    "Cubic",
    "Elementwise",
    "Embedding",
    "Flow",
    "Immersion",
    "Inverse",
    "Rotation",
    "Sinh",
    "SmoothedDensity",
    "Triangular",
    "Twist",
    "compose",
    "flow_log_density",
    "ima_contrast",
    "laplacian_ratio",
    "smoothed_log_density",
    "smoothing_coefficients",
]

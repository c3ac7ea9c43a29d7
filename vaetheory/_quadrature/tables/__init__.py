"""Log-likelihood tables over many data and many latents, centred so that they keep their digits.

A table works in coordinates of the parameter space in which its bounds are simplest: whitened for
a Gaussian, the parameters themselves for the other families. Where log p is concave in them it is
below its tangents; elsewhere it exceeds them by no more than its greatest second derivative
allows. All bounds rest on that.
"""

from __future__ import annotations

from vaetheory._quadrature.tables.base import Table
from vaetheory._quadrature.tables.elementwise import ElementwiseTable
from vaetheory._quadrature.tables.gamma import GammaTable
from vaetheory._quadrature.tables.gaussian import GaussianTable
from vaetheory._quadrature.tables.natural import NaturalTable
from vaetheory._quadrature.tables.negative_binomial import NegativeBinomialTable
from vaetheory._validation import Array
from vaetheory.likelihoods import (
    ElementwiseLikelihood,
    ExponentialFamily,
    Gamma,
    Gaussian,
    Likelihood,
    NegativeBinomial,
)

__all__ = ["GaussianTable", "Table", "table"]


def table(likelihood: Likelihood, data: Array) -> Table:
    """Return the table of `likelihood` for data `(N, D)`."""
    if isinstance(likelihood, Gaussian):
        return GaussianTable(likelihood, data)
    if isinstance(likelihood, Gamma):
        return GammaTable(likelihood, data)
    if likelihood.natural and isinstance(likelihood, ExponentialFamily):
        return NaturalTable(likelihood, data)
    if isinstance(likelihood, NegativeBinomial):
        return NegativeBinomialTable(likelihood, data)
    if isinstance(likelihood, ElementwiseLikelihood):
        return ElementwiseTable(likelihood, data)
    raise ValueError(
        "likelihood: expected one of the package, one with natural = True (its params are its "
        "natural parameters and T(x) = x), or an ElementwiseLikelihood with curvature_bounds, got "
        f"{type(likelihood).__name__}"
    )

"""Numerical integration with error figures: results, rules, and the engines built on them."""

from vaetheory._quadrature.result import Integral

__all__ = ["Integral"]

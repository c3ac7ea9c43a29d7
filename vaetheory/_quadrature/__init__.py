"""Numerical integration with error figures: results, rules, and adaptive engines."""

from vaetheory._quadrature.result import Integral

__all__ = ["Integral"]

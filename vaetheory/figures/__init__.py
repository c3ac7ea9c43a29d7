"""Figures of the claims, one module a claim."""

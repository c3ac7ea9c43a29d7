"""The former path of `vaetheory.evidence`."""

from vaetheory._moved import names_of

__getattr__ = names_of(__name__, "vaetheory.evidence")

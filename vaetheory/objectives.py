"""The former path of `vaetheory.bounds`."""

from vaetheory._moved import names_of

__getattr__ = names_of(__name__, "vaetheory.bounds")

"""The former path of `vaetheory.checking.runner`."""

from vaetheory._moved import names_of

__getattr__ = names_of(__name__, "vaetheory.checking.runner", "vaetheory.claims.verify")

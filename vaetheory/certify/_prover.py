"""The workshop of the prover: FLINT's ball arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager

from vaetheory.certify._balls import Balls, balls
from vaetheory.certify._evidence import Domain, body_by_cells, find_domain
from vaetheory.certify._exact import Vector
from vaetheory.certify._integrals import body_on_line
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.models import Model


class Prover(Workshop):
    """FLINT's integrator on the line, Gauss-Legendre cells in the plane."""

    def arithmetic(self, bits: int) -> AbstractContextManager[Arithmetic]:
        return balls(bits)

    def body(self, F: Arithmetic, model: Model, x: Vector, domain: Domain, bits: int) -> Number:
        if model.latent_dim == 1:
            assert isinstance(F, Balls)
            return body_on_line(F, model, x, domain, bits=bits)
        return body_by_cells(F, model, x, domain, bits=bits, order=16, most=self.most_cells[2])


def domain_of(model: Model, x: Vector, bits: int) -> Domain:
    """A domain that holds all but 2^-bits of the evidence."""
    with balls(200) as F:
        return find_domain(F, model, x, bits)

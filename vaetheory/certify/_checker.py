"""The workshop of the checker: mpmath's intervals and Gauss-Legendre cells, without FLINT."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from vaetheory.certify._evidence import Domain, body_by_cells
from vaetheory.certify._exact import Vector
from vaetheory.certify._intervals import intervals
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.models import Model


class Checker(Workshop):
    """Intervals are a hundred times slower than balls, so long integrals are given up early."""

    most_cells: Mapping[int, int] = {1: 4_000, 2: 1_000}

    def arithmetic(self, bits: int) -> AbstractContextManager[Arithmetic]:
        return intervals(bits)

    def body(self, F: Arithmetic, model: Model, x: Vector, domain: Domain, bits: int) -> Number:
        order = 30 if model.latent_dim == 1 else 12
        return body_by_cells(
            F, model, x, domain, bits=bits, order=order, most=self.most_cells[model.latent_dim]
        )

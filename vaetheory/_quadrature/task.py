"""The task of the engine: model, data, tolerance and budget, passed on as one object."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vaetheory._quadrature.sums import Observable, columns_of
from vaetheory._validation import Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: With observables the mass left out must be smaller by this factor: they may grow outwards.
_FARTHER = 1e-9


@dataclass(frozen=True)
class Task:
    """The integrals of N data, and how precise they must be.

    Attributes
    ----------
    model : LatentModel
    table : Table
        The likelihood of the N data.
    goal : float
        Tolerance, relative to the integral.
    max_nodes : int
        Evaluations of the integrand that one datum may cost.
    observable : callable, optional
        Functions whose expectations are wanted as well, `(..., d) -> (..., K)`.
    asked : float
        The tolerance that the user asked for; `goal` may be smaller.
    """

    model: LatentModel
    table: Table
    goal: float
    max_nodes: int
    observable: Observable | None = None
    asked: float = 0.0

    @property
    def ignored(self) -> float:
        """Share of the evidence that decides what may be left out of the integrals."""
        return self.goal if self.observable is None else _FARTHER * self.goal

    @property
    def columns(self) -> int:
        """Number K of functions in `observable`."""
        return columns_of(self.observable, self.model.latent_dim)

    def take(self, which: Index) -> Task:
        """The same task for some of the data."""
        return replace(self, table=self.table.take(which))

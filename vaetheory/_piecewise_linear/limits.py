"""How many pieces are too many."""

from __future__ import annotations

from dataclasses import dataclass

from vaetheory._piecewise_linear.problem import DoesNotApply

#: Pieces, and numbers of their affine maps (pieces times outputs after the reduction).
MOST_PIECES, MOST_NUMBERS = 200_000, 20_000_000


@dataclass
class Budget:
    """A limit of the number of pieces.

    Attributes
    ----------
    limit : int
        Greatest number of pieces.
    """

    limit: int

    @classmethod
    def of(cls, outputs: int) -> Budget:
        """The budget of a decoder with as many outputs after the reduction."""
        return cls(min(MOST_PIECES, MOST_NUMBERS // outputs))

    def require(self, pieces: int) -> None:
        """Raise `DoesNotApply` if there are more pieces than the limit."""
        if pieces > self.limit:
            raise DoesNotApply(f"a decoder of at most {self.limit} linear pieces, got more")

"""Reasons why evidences are not computed by pieces, and how many pieces are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

#: Pieces, and numbers of their affine maps: pieces times outputs after the reduction; on the line,
#: pieces times units of the widest layer.
MOST_PIECES, MOST_NUMBERS = 200_000, 20_000_000


class DoesNotApply(Exception):
    """A model is not integrated by pieces; the text is what was expected and what came."""


@dataclass(frozen=True)
class Budget:
    """A limit of the number of pieces.

    Attributes
    ----------
    limit : int
        Greatest number of pieces.
    """

    limit: int

    @classmethod
    def of(cls, width: int, most: int) -> Budget:
        """The budget for maps of `width` numbers each, and at most `most` pieces."""
        return cls(min(MOST_PIECES, MOST_NUMBERS // width, most))

    def require(self, pieces: int) -> None:
        """Raise `DoesNotApply` if there are more pieces than the limit."""
        if pieces > self.limit:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise `DoesNotApply` because there are more pieces than the limit."""
        raise DoesNotApply(f"expected a decoder of at most {self.limit} linear pieces, got more")

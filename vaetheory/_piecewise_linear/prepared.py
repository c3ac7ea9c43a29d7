"""The pieces of a model, kept as long as the model, so that further data cost only their sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vaetheory._kept import Kept
from vaetheory._piecewise_linear.limits import Budget, DoesNotApply
from vaetheory._piecewise_linear.line import LinePieces
from vaetheory._piecewise_linear.network import Network, layers_of, network_of
from vaetheory._piecewise_linear.plane import PlanePieces
from vaetheory.models import LatentModel

Made = TypeVar("Made")


class Prepared:
    """The network and the pieces of a model.

    Attributes
    ----------
    network : Network
    pieces : LinePieces or PlanePieces
        Those around the origin, as far out as they were needed.
    """

    pieces: LinePieces | PlanePieces

    def __init__(self, network: Network) -> None:
        self.network = network
        self._budget = Budget(0)
        #: Budgets up to this one have turned out to be too small.
        self._refused = -1

    def start(self, most: int) -> None:
        """Make the pieces around the origin, unless that is done; `DoesNotApply` above `most`."""
        line = self.network.latent_dim == 1
        # On the line, the slopes of all units of a layer are in memory together.
        self._budget = Budget.of(self.network.width if line else self.network.outputs, most)
        if not hasattr(self, "pieces"):
            kind = LinePieces if line else PlanePieces.start
            self.pieces = self._made(lambda: kind(self.network, self._budget))
        self._budget.require(len(self.pieces))

    def extend(self) -> bool:
        """Add pieces farther out; False if there are none, or if they are far enough."""
        pieces = self.pieces
        if isinstance(pieces, LinePieces):
            return False
        larger = self._made(lambda: pieces.larger(self.network, self._budget))
        if larger is None:
            return False
        self.pieces = larger
        return True

    def _made(self, make: Callable[[], Made]) -> Made:
        # Pieces are counted as they are made, which takes a while if there are too many.
        if self._budget.limit <= self._refused:
            self._budget.refuse()
        try:
            return make()
        except DoesNotApply:
            self._refused = self._budget.limit
            raise


_KEPT: Kept[Prepared] = Kept()


def prepared(model: LatentModel, most: int, affine: bool) -> Prepared:
    """The pieces of a model, at most `most`; `DoesNotApply` if it is not integrated by pieces."""
    written = layers_of(model, affine)

    def still(found: Prepared) -> bool:
        # A decoder of the user may have changed.
        former = found.network.written
        return former is written or former == written

    found = _KEPT.of(model, lambda: Prepared(network_of(model, written)), still)
    found.start(most)
    return found

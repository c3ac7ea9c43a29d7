"""The pieces of a model, kept as long as the model, so that further data cost only their sums."""

from __future__ import annotations

import weakref

from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.line import LinePieces
from vaetheory._piecewise_linear.network import Network, layers_of, network_of
from vaetheory._piecewise_linear.plane import PlanePieces
from vaetheory.decoders.piecewise_linear import PiecewiseLinear
from vaetheory.models import LatentModel


class Prepared:
    """The network and the pieces of a model.

    Attributes
    ----------
    network : Network
    budget : Budget
        Of the pieces.
    pieces : LinePieces or PlanePieces
        Those around the origin, as far out as they were needed.
    """

    def __init__(self, network: Network, budget: Budget) -> None:
        self.network, self.budget = network, budget
        kind = LinePieces if network.latent_dim == 1 else PlanePieces.start
        self.pieces: LinePieces | PlanePieces = kind(network, budget)

    def extend(self) -> bool:
        """Add pieces farther out; False if there are none, or if they are far enough."""
        if isinstance(self.pieces, LinePieces):
            return False
        larger = self.pieces.larger(self.network, self.budget)
        if larger is None:
            return False
        self.pieces = larger
        return True


#: By the identity of a model; an entry goes with its model.
_KEPT: dict[int, tuple[weakref.ref[LatentModel], Prepared]] = {}


def prepared(model: LatentModel, most: int, affine: bool) -> Prepared:
    """The pieces of a model, at most `most`; `DoesNotApply` if it is not integrated by pieces."""
    written, key = layers_of(model, affine), id(model)
    kept = _KEPT.get(key)
    if kept is not None and kept[0]() is model and _same(kept[1], written):
        kept[1].budget = Budget.of(kept[1].network.outputs, most)
        kept[1].budget.require(len(kept[1].pieces))
        return kept[1]
    network = network_of(model, written)
    made = Prepared(network, Budget.of(network.outputs, most))
    _KEPT[key] = (weakref.ref(model, lambda _: _KEPT.pop(key, None)), made)
    return made


def _same(kept: Prepared, written: PiecewiseLinear) -> bool:
    # A decoder of the user may have changed.
    return kept.network.written is written or kept.network.written == written

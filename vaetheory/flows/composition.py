"""Compositions of flows, embeddings and decoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array, points
from vaetheory.decoders.base import Decoder
from vaetheory.flows.base import Embedding, Flow
from vaetheory.flows.immersion import Immersion


class _Chain(Embedding):
    """Composed embeddings, with derivatives by the chain rule."""

    parts: tuple[Embedding, ...]

    def forward(self, z: Array) -> Array:
        point = points("z", z, self.latent_dim)
        for part in self.parts:
            point = part.forward(point)
        return point

    def __call__(self, z: Array) -> Array:
        point = points("z", z, self.latent_dim)
        for part in self.parts:
            point = part(point)
        return point

    def inverse(self, x: Array) -> Array:
        point = points("x", x, self.data_dim)
        for part in reversed(self.parts):
            point = part.inverse(point)
        return point

    def jacobian(self, z: Array) -> Array:
        slope, point = self.parts[0].jacobian(z), self.parts[0](z)
        for part in self.parts[1:]:
            slope, point = part.jacobian(point) @ slope, part(point)
        return slope

    def hessian(self, z: Array) -> Array:
        first, *rest = self.parts
        slope, bend, point = first.jacobian(z), first.hessian(z), first(z)
        for part in rest:
            outer = part.jacobian(point)
            bent = np.einsum("...abc,...bi,...cj->...aij", part.hessian(point), slope, slope)
            bend = bent + np.einsum("...ab,...bij->...aij", outer, bend)
            slope, point = outer @ slope, part(point)
        return bend


class Composition(_Chain, Flow):
    """Composition of flows; the first one is applied to the latent.

    Parameters
    ----------
    flows : Flow
        One or more flows of the same dimension.

    Raises
    ------
    ValueError
        If no flow is given, one is not a flow, or their dimensions differ.

    Examples
    --------
    >>> from vaetheory.flows import Affine, Composition, Cubic
    >>> f = Composition(Affine([2.0]), Cubic(1))
    >>> f.forward([1.5]).tolist(), round(float(f.log_det([1.5])), 6)
    ([12.0], 2.995732)
    """

    def __init__(self, *flows: Flow) -> None:
        if not flows:
            raise ValueError("flows: expected at least one, got none")
        for flow in flows:
            if not isinstance(flow, Flow):
                raise ValueError(f"flows: expected Flows, got {type(flow).__name__}")
        dims = {flow.latent_dim for flow in flows}
        if len(dims) > 1:
            raise ValueError(f"flows: expected one dimension, got {sorted(dims)}")
        self.parts = self.flows = flows
        (self.latent_dim,) = dims

    def log_det(self, z: Array) -> Array:
        point = points("z", z, self.latent_dim)
        total: Array = np.zeros(())
        for flow in self.flows:
            total, point = total + flow.log_det(point), flow.forward(point)
        return total


class ComposedEmbedding(_Chain):
    """Composition of embeddings, see `compose`."""

    def __init__(self, parts: Sequence[Embedding]) -> None:
        self.parts = tuple(parts)
        self.latent_dim, self.data_dim = parts[0].latent_dim, parts[-1].data_dim


def compose(*maps: Decoder) -> Embedding:
    """Compose flows, embeddings and decoders; the first one is applied to the latent.

    Parameters
    ----------
    maps : Flow, Embedding or Decoder
        Each is applied to the output of the previous one; only the first must know its latent
        dimension. A decoder becomes an `Immersion`.

    Returns
    -------
    Embedding
        A `Composition` if all are flows.

    Raises
    ------
    ValueError
        If no map is given, the first is a plain decoder, or neighbours do not fit together.

    Examples
    --------
    >>> from vaetheory import decoders
    >>> from vaetheory.flows import Cubic, Sinh, compose
    >>> f = compose(Cubic(1), decoders.Helix(1.0, 1.0))
    >>> f.latent_dim, f.data_dim, type(compose(Cubic(1), Sinh(1))).__name__
    (1, 3, 'Composition')
    """
    if not maps or not isinstance(maps[0], Embedding):
        came = type(maps[0]).__name__ if maps else "nothing"
        raise ValueError(
            f"maps: expected to begin with a Flow or an Embedding, got {came} "
            "(Immersion(decoder, latent_dim) makes one of a decoder)"
        )
    parts: list[Embedding] = []
    for number, part in enumerate(maps):
        if not isinstance(part, Embedding):
            part = Immersion(part, parts[-1].data_dim)
        if parts and part.latent_dim != parts[-1].data_dim:
            raise ValueError(
                f"maps[{number}]: expected latent dimension {parts[-1].data_dim}, got "
                f"{part.latent_dim}"
            )
        parts.append(part)
    flows = [part for part in parts if isinstance(part, Flow)]
    return Composition(*flows) if len(flows) == len(parts) else ComposedEmbedding(parts)

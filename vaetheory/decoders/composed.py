"""Decoders after a smooth map of the latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory import derivatives
from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.decoders._agreement import agreeing_last_layer
from vaetheory.decoders.base import Decoder, LastLayer, as_decoder


@dataclass(frozen=True, eq=False, init=False)
class Composed(ByValue, Decoder):
    """A decoder after a map of the latents, z -> f(T(z)), with derivatives by the chain rule.

    T may have fewer or more outputs than inputs. For an affine T use `Reparametrised`, which knows
    more: kinks and linear pieces. For an injective decoder `flows.compose` makes an embedding with
    an inverse.

    Parameters
    ----------
    decoder : callable or Decoder
        f.
    change : callable or Decoder
        T: a flow, a decoder, or a callable written with `autograd.numpy`.

    Raises
    ------
    ValueError
        If one of the two is neither a decoder nor callable.

    Examples
    --------
    The sum of two latents, after a map that keeps N(0, I):

    >>> from vaetheory.decoders import Affine, Composed
    >>> from vaetheory.flows import Twist
    >>> f = Composed(Affine([[1.0, 1.0]]), Twist(2, 0.5))
    >>> f.latent_dim, f([[1.0, 0.0]]).round(6).tolist()
    (2, [[1.357008]])
    """

    decoder: Decoder
    change: Decoder

    def __init__(
        self, decoder: Decoder | derivatives.Function, change: Decoder | derivatives.Function
    ) -> None:
        object.__setattr__(self, "decoder", as_decoder(decoder))
        object.__setattr__(self, "change", as_decoder(change))

    @property
    def event_shape(self) -> tuple[int, ...] | None:
        """Shape of one datum, as for the decoder."""
        return self.decoder.event_shape

    @property
    def latent_dim(self) -> int | None:
        """Dimension d of the latent space, if the map knows it."""
        return getattr(self.change, "latent_dim", None)

    @property
    def growth_degree(self) -> int | None:  # type: ignore[override]
        """0 if the decoder is bounded, else the product of the degrees, if both are known."""
        outer, inner = self.decoder.growth_degree, self.change.growth_degree
        if outer == 0:
            return 0
        return None if outer is None or inner is None else outer * inner

    def last_layer(self) -> LastLayer | None:
        known = getattr(self.change, "data_dim", None)
        outer = agreeing_last_layer(self.decoder, known) if known else None
        if outer is None:
            return None
        return LastLayer(Composed(outer.hidden, self.change), outer.weight, outer.bias)

    def __call__(self, z: Array) -> Array:
        return self.decoder(self.change(z))

    def jacobian(self, z: Array) -> Array:
        return self.decoder.jacobian(self.change(z)) @ self.change.jacobian(z)

    def hessian(self, z: Array) -> Array:
        y, slope = self.change(z), self.change.jacobian(z)
        bent = np.swapaxes(slope, -1, -2)[..., None, :, :] @ self.decoder.hessian(y)
        moved = np.einsum("...ab,...bij->...aij", self.decoder.jacobian(y), self.change.hessian(z))
        return np.asarray(bent @ slope[..., None, :, :] + moved)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        y, slope = self.change(z), self.change.jacobian(z)
        bent = np.swapaxes(slope, -1, -2) @ self.decoder.weighted_hessian(y, weights) @ slope
        return np.asarray(bent + self.change.weighted_hessian(z, self.decoder.vjp(y, weights)))

    def vjp(self, z: Array, weights: Array) -> Array:
        return self.change.vjp(z, self.decoder.vjp(self.change(z), weights))

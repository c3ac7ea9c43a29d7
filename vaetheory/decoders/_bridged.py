"""What decoders of other frameworks have in common: shapes that the first call tells, and rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, Protocol, TypeVar

import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders.base import Decoder, LastLayer


class FirstCall(Protocol):
    """Results of the first call of the user's code."""

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latents."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of the outputs of one latent."""


Tried = TypeVar("Tried", bound=FirstCall)


class BridgedDecoder(Decoder, Generic[Tried]):
    """A decoder that calls the user's code for another framework.

    The code is tested at the first call. Two decoders are equal only if they are the same object.
    """

    runs_user_code = True
    _tried: Tried | None = None
    #: The last layer, once it has been looked for.
    _last: tuple[LastLayer | None] | None = None

    @abstractmethod
    def _try_first(self, dim: int) -> Tried:
        """Test the code with latents `(n, dim)`, or raise a ValueError."""

    @abstractmethod
    def _find_last_layer(self, tried: Tried) -> LastLayer | None:
        """The decoder as an affine map of a hidden layer, or None if it shows none."""

    def last_layer(self) -> LastLayer | None:
        if self._last is None:
            if self._tried is None:
                # The dimension of the latents is known after the first call.
                return None
            self._last = (self._find_last_layer(self._tried),)
        return self._last[0]

    def __deepcopy__(self, memo: dict[int, object]) -> BridgedDecoder[Tried]:
        # Nothing in a decoder changes, and its equality is by identity.
        return self

    @property
    def event_shape(self) -> tuple[int, ...] | None:
        """Shape of the outputs of one latent; None before the first call."""
        return None if self._tried is None else self._tried.event_shape

    @property
    def latent_dim(self) -> int | None:
        """Dimension d of the latents; None before the first call."""
        return None if self._tried is None else self._tried.latent_dim

    def _try(self, dim: int) -> Tried:
        """The results of the first call, which is made now if there was none."""
        if self._tried is None:
            self._tried = self._try_first(dim)
        if self._tried.latent_dim != dim:
            raise ValueError(f"z: expected shape (..., {self._tried.latent_dim}), got (..., {dim})")
        return self._tried


def as_rows(*arrays: Array) -> tuple[tuple[int, ...], list[Array]]:
    """The leading axes of arrays `(..., n)` after broadcasting, and the arrays as rows `(m, n)`."""
    lead = np.broadcast_shapes(*(array.shape[:-1] for array in arrays))
    return lead, [
        np.broadcast_to(array, (*lead, array.shape[-1])).reshape(-1, array.shape[-1])
        for array in arrays
    ]

"""Laws of a flow or an embedding: those of a decoder, and those of its inverse and volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.differences import slopes
from vaetheory.flows.base import Embedding, Flow
from vaetheory.rounding import gamma
from vaetheory.testing import _decoders
from vaetheory.testing._statements import (
    NotApplicable,
    Violation,
    require_close,
    require_refusal,
    rounding_of,
)
from vaetheory.testing.laws import Laws

LAWS = Laws(_decoders.LAWS)

#: If differences know a log determinant less well than this, in nats, the law is skipped.
_VAGUE = 1e-3


@dataclass
class Flowed(_decoders.Decoded):
    """A flow or an embedding with the latents at which its laws are tested."""

    @property
    def function(self) -> Callable[[Any], Any]:
        """The function that autograd differentiates."""
        return self.instance.forward

    @cached_property
    def maps(self) -> list[_decoders.Map]:
        """The methods of a decoder and those of a flow."""
        f = self.instance
        return [
            *super().maps,
            _decoders.Map("forward", f.forward, (len(self.weights),)),
            _decoders.Map("log_volume", f.log_volume, ()),
            *([_decoders.Map("log_det", f.log_det, ())] if isinstance(f, Flow) else []),
            _decoders.Map(
                "inverse(forward)", lambda z: f.inverse(f.forward(z)), (self.latent_dim,)
            ),
        ]

    @cached_property
    def slopes(self) -> tuple[Array, Array]:
        """The Jacobians of `forward` by differences, and their errors, `(M, D, d)`."""
        found = [
            slopes(lambda p: np.asarray(self.instance.forward(p.copy())), z, unit).best()
            for z in self.z
            for unit in np.eye(self.latent_dim)
        ]
        shape = (len(self.z), self.latent_dim, -1)
        value, error = (
            np.stack(part).reshape(shape).swapaxes(-1, -2) for part in zip(*found, strict=True)
        )
        return value, error


def read_flow(flow: object, z: object, *, seed: int) -> Flowed:
    """The subject of `check_flow`, or a ValueError."""
    if not isinstance(flow, Embedding):
        raise ValueError(
            f"flow: expected a vaetheory.flows.Flow or Embedding, got {type(flow).__name__}"
        )
    return Flowed(flow, seed, {}, flow.latent_dim, _decoders.latents(z, flow.latent_dim))


@LAWS.add("rows")
def decodes(s: Flowed) -> None:
    """As a decoder, the flow is its forward map."""
    bound = rounding_of(s.instance.forward, s.z)
    require_close(
        "the flow as a decoder", s.instance(s.z.copy()), s.instance.forward(s.z.copy()), bound
    )
    if s.instance.data_dim != len(s.weights):
        raise Violation(f"expected data_dim to be {len(s.weights)}, got {s.instance.data_dim}")


@LAWS.add("rows")
def inverse(s: Flowed) -> None:
    """The inverse undoes the forward map up to the rounding of both."""
    f, z = s.instance, s.z
    x = np.asarray(f.forward(z.copy()))
    given = x.copy()
    back = np.asarray(f.inverse(given))
    if not np.array_equal(given, x):
        raise Violation(f"expected inverse to leave x unchanged, got {given.tolist()}")
    jacobian, error = s.slopes
    if not (error < 0.1 * np.abs(jacobian).max(axis=(-2, -1), keepdims=True)).all():
        raise NotApplicable("differences cannot determine the condition number of the flow")
    condition = np.abs(np.linalg.pinv(jacobian))
    bound = (condition @ rounding_of(f.forward, z)[..., None])[..., 0]
    bound = bound + rounding_of(f.inverse, x)
    require_close("the inverse of forward(z)", back, z, bound)
    if not isinstance(f, Flow):
        return
    # Other points: each coordinate comes from another row.
    other = np.stack([np.roll(column, j) for j, column in enumerate(x.T)], axis=-1)
    latent = np.asarray(f.inverse(other.copy()))
    steep = np.abs(np.asarray(f.jacobian(latent.copy())))
    bound = (steep @ rounding_of(f.inverse, other)[..., None])[..., 0]
    bound = bound + rounding_of(f.forward, latent)
    require_close("forward of inverse(x)", f.forward(latent), other, bound)


@LAWS.add("rows")
def log_det(s: Flowed) -> None:
    """The log volume, and log_det of a flow, agree with the Jacobian by differences."""
    jacobian, error = s.slopes
    triangle = np.linalg.qr(jacobian, mode="r")
    volume = np.log(np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))).sum(axis=-1)
    # d log det J = tr(J^+ dJ); the factor 2 includes the second order.
    lost = 2 * (np.abs(np.linalg.pinv(jacobian)) * np.swapaxes(error, -1, -2)).sum(axis=(-2, -1))
    clear = lost < _VAGUE
    if not clear.any():
        raise NotApplicable("differences cannot determine the volume of the flow")
    bound = np.where(clear, lost, np.inf)
    bound = bound + gamma(64) * (1 + np.abs(volume) + np.linalg.cond(jacobian))
    names = ("log_det", "log_volume") if isinstance(s.instance, Flow) else ("log_volume",)
    for name in names:
        came = getattr(s.instance, name)(s.z.copy())
        require_close(f"{name}, log |det J| by differences,", came, volume, bound)


@LAWS.add("inputs")
def data_dim(s: Flowed) -> None:
    """The inverse refuses points of another size."""
    x = np.asarray(s.instance.forward(s.z[0].copy()))
    longer = np.concatenate([x, x[:1]])
    require_refusal(
        f"inverse of x {longer.shape} instead of {x.shape}", lambda: s.instance.inverse(longer)
    )

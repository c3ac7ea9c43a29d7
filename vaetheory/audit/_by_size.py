"""What was found at each size of the batch, for the facts of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaetheory.audit import _noise
from vaetheory.audit._identity import Identity, Shots, predicted
from vaetheory.audit._setting import Reading
from vaetheory.audit._shots import Shot


def by_size(identity: Identity, reading: Reading, shots: Shots) -> list[dict[str, Any]]:
    """For each size: the residual, the effective beta, the losses, and what is left of them.

    `beta` is None where it is not known how the terms depend on the size of the batch. The
    differences of the losses from the equation, in nats, are empty where it has a remark, such as
    a guard or a threshold: then only the residual is known.
    """
    made = []
    for size, found in identity.fits.items():
        those = _with_own_variance(identity, shots[size])
        plain = those and identity.plain
        left = [s.values[identity.entry] - predicted(identity, s)[0] for s in those if plain]
        made.append(
            {
                "batch": size,
                "residual": found.residual,
                "beta": beta_at(reading, size),
                "losses": [s.values[identity.entry] for s in shots[size]],
                "unexplained": left,
            }
        )
    return made


def beta_at(reading: Reading, size: int) -> float | None:
    """The effective weight of the divergence in a batch of `size` examples.

    It depends on the size where one term is averaged over the batch and the other one summed.
    """
    if reading.beta is None or reading.power_r is None or reading.power_kl is None:
        return None
    return float(reading.beta * float(size) ** (reading.power_r - reading.power_kl))


def _with_own_variance(identity: Identity, shots: Sequence[Shot]) -> Sequence[Shot]:
    return (_noise.effective(shots) or []) if identity.own_variance else shots

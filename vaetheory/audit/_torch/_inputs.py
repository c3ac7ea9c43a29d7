"""Data that a loss alters before they are encoded: shuffled, drawn again, flipped, with noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vaetheory.audit import _alterations as alterations
from vaetheory.audit._alterations import CLEAN, GIVEN, OF_ALTERED, SEEN, VIEWS, compared
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._tap import Draw

__all__ = [
    "CLEAN",
    "GIVEN",
    "OF_ALTERED",
    "OTHERS",
    "SEEN",
    "VIEWS",
    "altered",
    "compared",
    "encoded_data",
    "kind",
    "permutations",
    "viewed",
]

#: The likelihood of other examples: those of a permutation that is drawn.
OTHERS = "others"


def encoded_data(reading: str, x: torch.Tensor, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """The data whose posterior a loss takes.

    Parameters
    ----------
    reading : str
        `GIVEN`, `SEEN`, `CLEAN`, or one of `VIEWS`.
    x : tensor (B, ...)
        The data that the loss was given.
    inputs : sequence of tensors
        What the encoder got, call by call.
    """
    if reading in VIEWS and (views := _batches(x, inputs)):
        return torch.cat(views)
    found = None if reading == GIVEN else _whole(x, inputs)
    return x if found is None else found


def viewed(x: torch.Tensor, inputs: Sequence[torch.Tensor]) -> bool:
    """Whether the encoder got several whole batches that differ."""
    views = _batches(x, inputs)
    return (
        len(views) > 1
        and all(len(v) == len(x) for v in views)
        and not all(torch.equal(v, views[0]) for v in views)
    )


def permutations(draws: Sequence[Draw], size: int) -> list[torch.Tensor]:
    """The draws that are orders of `size` examples."""
    found = [d.base for d in draws if d.base.shape == (size,) and not d.base.is_floating_point()]
    return [
        p.long() for p in found if size > 1 and torch.equal(p.sort()[0], torch.arange(size).to(p))
    ]


def altered(x: torch.Tensor, inputs: Sequence[torch.Tensor]) -> bool:
    """Whether the encoder got other data than the loss."""
    found = _whole(x, inputs)
    return found is not None and not (found.shape == x.shape and torch.equal(found, x))


def _whole(x: torch.Tensor, inputs: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """What the encoder got, as one batch: its first call, or the calls one after another."""
    rows = _batches(x, inputs)
    if not rows:
        return None
    if len(rows[0]) < len(x) and sum(map(len, rows)) == len(x):
        return torch.cat(rows)
    return rows[0]


def _batches(x: torch.Tensor, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What the encoder got, call by call, as examples."""
    each = x[0].numel()
    usable = [v for v in inputs if v.numel() and v.numel() % each == 0]
    return [v.reshape(-1, *x.shape[1:]).to(x.dtype) for v in usable]


def kind(reading: str, x: torch.Tensor, seen: torch.Tensor) -> str | None:
    """How data were altered; see `vaetheory.audit._alterations.kind`."""
    return alterations.kind(reading, adapters.numpy(x), adapters.numpy(seen))
